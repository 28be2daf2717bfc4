"""What the API answers, as frozen values. Lenient: unknown fields are ignored, and one that is null is missing.

The API says "app" where we say node; that word is translated here and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from hypernode.api.labels import parse_label


class ApiModel(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if value is not None}
        return data


def _read_labels(data: Any) -> Any:
    """Return labels as an object, whichever of their forms `data` has (CONTRACT.md 2.8)."""
    if isinstance(data, list) and all(isinstance(text, str) for text in data):
        return dict(parse_label(text) for text in data)
    return data


class Provider(ApiModel):
    """Whose machines a product runs on."""

    name: str | None = None
    display_name: str | None = None


class Machine(ApiModel):
    """The machine of a product at one provider (``provider_flavors``, CONTRACT.md 2.8)."""

    vcpus: int | None = None
    ram_in_mb: int | None = None
    disk_size_in_gb: int | None = None
    provider: Provider = Provider()


class Product(ApiModel):
    """The hosting tier of a node, with the fields that any of its three forms has (CONTRACT.md 2.8).

    A node's own lacks `machines`, the list of products `provider` and `storage_size_in_gb`, and lists of nodes name
    the `code` only.
    """

    code: str
    name: str | None = None
    price: int | None = None
    """In a unit that no source states."""
    provider: str | None = None
    storage_size_in_gb: int | None = None
    backups_enabled: bool | None = None
    is_active: bool | None = None
    is_development: bool | None = None
    varnish_supported: bool | None = None
    supports_sla: bool | None = None
    related_product: Product | None = None
    """The development counterpart."""
    machines: tuple[Machine, ...] = Field(default=(), validation_alias="provider_flavors")

    @model_validator(mode="before")
    @classmethod
    def _from_code(cls, data: Any) -> Any:
        # Lists and Brancher answers name the product by its code only (CONTRACT.md 6).
        return {"code": data} if isinstance(data, str) else data


class ProductChange(ApiModel):
    """What moving a node to a product would mean (source: GET /v2/app/xgrade/{app}/check/{code}/)."""

    has_valid_vat_number: bool
    has_valid_payment_method: bool
    will_change_ip: bool
    will_do_volswap: bool
    """True: the volume is swapped, which by the docs takes under a minute; False: the data is copied (2.11)."""
    will_disk_fit: bool


class PaymentInformation(ApiModel):
    """Whether the account of a node can pay (source: GET /v2/app/{app}/check-payment-information/)."""

    has_valid_vat_number: bool
    has_valid_payment_method: bool


class Sla(ApiModel):
    """A service level (source: GET /v2/addon/slas/)."""

    code: str
    id: int | None = None
    name: str | None = None
    price: int | None = None
    """In a unit that no source states."""
    billing_period: int | None = None
    billing_period_unit: str | None = None


class Configuration(ApiModel):
    """What a new node can start with (source: GET /v2/configuration/)."""

    id: str = Field(validation_alias="configuration_id")
    name: str | None = None
    allow_preinstall: bool | None = None
    settings: Mapping[str, Any] = {}
    """All other fields as decoded: settings such as ``php_version``."""

    @model_validator(mode="before")
    @classmethod
    def _with_settings(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        own = {key: data[key] for key in ("configuration_id", "name", "allow_preinstall") if key in data}
        return {**own, "settings": {key: value for key, value in data.items() if key not in own}}


class Flavor(ApiModel):
    """The machine under a node."""

    name: str | None = None
    redis_size: str | None = None
    """A text that reads like a number, in a unit that no source states (CONTRACT.md 3)."""


Labels = Annotated[Mapping[str, str | None], BeforeValidator(_read_labels)]
"""Label to its value; None: it has none."""


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
    labels: Labels = {}

    @field_validator("product", mode="before")
    @classmethod
    def _no_product(cls, data: Any) -> Any:
        return data or None


class Relation(ApiModel):
    """One relation between two nodes of a cluster."""

    parent: str
    child: str
    type: str | None = Field(default=None, validation_alias="relation_type")
    """``mysql``, ``loadbalancer`` and ``nfs`` were seen."""
    cluster_description: str | None = None


class Relations(ApiModel):
    """The cluster that a node is part of (source: GET /v2/app/{app}/relations/)."""

    parents: tuple[Relation, ...] = ()
    children: tuple[Relation, ...] = ()


class Brancher(ApiModel):
    """A copy of a node that is paid by the minute (source: GET /v2/brancher/app/{app}/)."""

    name: str
    id: int | None = None
    created: datetime | None = None
    """Aware."""
    ip: str | None = None
    """None until an address is assigned, which can take a quarter of an hour (CONTRACT.md 2.10)."""
    end_time: datetime | None = None
    elapsed_time: float = Field(default=0.0, allow_inf_nan=False)
    """Seconds since it was made."""
    cost: int | None = None
    """Started minutes times `BrancherAccount.price_per_minute`; apparently in cents (CONTRACT.md 2.8)."""
    labels: Labels = {}

    @property
    def minutes(self) -> int:
        """The minutes that it is paid for: each that was started, from its creation on (CONTRACT.md 2.10)."""
        return max(1, math.ceil(self.elapsed_time / 60))


class BrancherAccount(ApiModel):
    """The Branchers of a node and this month's bill for them; fields that older answers lack are None."""

    branchers: tuple[Brancher, ...]
    monthly_total_time: float | None = Field(default=None, allow_inf_nan=False)
    """Seconds."""
    total_minutes_elapsed: int | None = None
    """Minutes."""
    actual_monthly_total_cost: int | None = None
    """Probably before the free minutes (CONTRACT.md 2.8)."""
    monthly_total_cost: int | None = None
    """Probably after the free minutes (CONTRACT.md 2.8)."""
    currency: str | None = None
    price_per_minute: int | None = None
    """Apparently in cents (CONTRACT.md 2.8)."""

    @property
    def minutes(self) -> int | None:
        """The minutes of this month, about: older answers have seconds in all only. None: the answer has neither."""
        if self.total_minutes_elapsed is not None or self.monthly_total_time is None:
            return self.total_minutes_elapsed
        return math.ceil(self.monthly_total_time / 60)


class BrancherMonth(ApiModel):
    """What the Branchers of a month came to; no source states units, seconds and cents are likely."""

    month: int
    total_time: int | None = None
    total_cost: int | None = None


class BrancherYear(ApiModel):
    """A year's months (source: GET /v2/brancher/app/{app}/year-history/)."""

    year: int
    months: tuple[BrancherMonth, ...] = ()


class AllowlistEntry(ApiModel):
    """An address that may pass (source: GET /v2/whitelist/{app}/)."""

    type: str
    """``waf``, ``database``, ``ftp`` or what `Allowlist.types` answers besides."""
    ip: str
    """An address or a range, as the API spells it."""
    id: int | None = None
    created: datetime | None = None
    description: str = ""


class Backup(ApiModel):
    """A backup of a node (source: GET /v2/app/{app}/backup/)."""

    id: str = Field(validation_alias="backup_id")
    type: str | None = None
    """``periodic`` was seen."""
    created_at: datetime | None = Field(default=None, validation_alias="backup_created_at")
    """Aware, with the offset of the place where it lies."""
    expired_at: datetime | None = None


class Annotation(ApiModel):
    """A mark on the graphs of Insights (source: GET /v2/insights-annotation/)."""

    id: int | None = None
    name: str
    node: str | None = Field(default=None, validation_alias="app")
    at: datetime | None = Field(default=None, validation_alias="x_axis")
    """Sent as Unix seconds; a text is read too (CONTRACT.md 6)."""
    metrics: tuple[str, ...] = ()
    metadata: Any = None
    created: datetime | None = None
    modified: datetime | None = None

    @field_validator("metrics", mode="before")
    @classmethod
    def _from_text(cls, data: Any) -> Any:
        # A text with commas, or perhaps a list (CONTRACT.md 6).
        return [name.strip() for name in data.split(",") if name.strip()] if isinstance(data, str) else data


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
