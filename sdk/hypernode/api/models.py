"""What the API answers, as frozen values. Lenient: unknown fields are ignored, and one that is null is missing.

The API says "app" where we say node; that word is translated here and nowhere else.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class ApiModel(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if value is not None}
        return data


class Product(ApiModel):
    """The hosting tier of a node (CONTRACT.md 2.8)."""

    code: str
    name: str | None = None
    provider: str | None = None
    storage_size_in_gb: int | None = None
    is_development: bool | None = None
    varnish_supported: bool | None = None
    supports_sla: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_code(cls, data: Any) -> Any:
        # Lists and Brancher answers name the product by its code only (CONTRACT.md 6).
        return {"code": data} if isinstance(data, str) else data


class Flavor(ApiModel):
    """The machine under a node."""

    name: str | None = None
    redis_size: str | None = None
    """A text that reads like a number, in MB (CONTRACT.md 3)."""


class Node(ApiModel):
    """One node (source: GET /v2/app/{app}/). Personal data, secrets and settings are left out on purpose."""

    name: str
    type: str | None = None
    """``persistent`` or ``brancher``."""
    parent: str | None = None
    """The node that a Brancher was made from."""
    product: Product | None = None
    flavor: Flavor | None = None
    host: str | None = Field(default=None, validation_alias="domainname")
    ip: str | None = None
    """None while the node is being made (CONTRACT.md 2.8)."""
    state: str | None = None
    provider: str | None = None
    provider_location: str | None = None
    in_production: bool | None = None
    destroyed: bool | None = None
    labels: tuple[str, ...] = ()
    """Texts like ``k=v``, or just ``k``."""

    @field_validator("product", mode="before")
    @classmethod
    def _no_product(cls, data: Any) -> Any:
        return data or None

    @field_validator("labels", mode="before")
    @classmethod
    def _from_object(cls, data: Any) -> Any:
        # Some endpoints answer {"k": "v", "text": null} (CONTRACT.md 2.8).
        if isinstance(data, dict):
            return [key if value is None else f"{key}={value}" for key, value in data.items()]
        return data


class Progress(ApiModel):
    """How far a flow is."""

    running: tuple[str, ...] = ()
    """Names of the tasks at work."""
    total: int = 0
    completed: int = 0


class Tracker(ApiModel):
    """What ties the flows of one change together."""

    uuid: str | None = None
    description: str | None = None


class Flow(ApiModel):
    """One job in a node's logbook (source: GET /logbook/v1/logbooks/{node}/flows/, CONTRACT.md 1.7)."""

    uuid: str
    state: str | None = None
    """``waiting``, ``running``, ``success``, ``reverted`` or a word nobody has attested; None: not started yet."""
    name: str = ""
    created_at: datetime | None = None
    """Aware, UTC."""
    updated_at: datetime | None = None
    """Last sign of life; None before the start."""
    node: str | None = Field(default=None, validation_alias="logbook")
    progress: Progress = Progress()
    """Missing in some answers, as `tracker` is (CONTRACT.md 1.7)."""
    tracker: Tracker = Tracker()

    @property
    def is_over(self) -> bool:
        """Whether the flow has ended, well or not; a state that nobody has attested counts as going on."""
        return self.state in ("success", "reverted")
