"""The products that a node can be of, out of the catalogue that ships with this package (`data/products.json`)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Product:
    """One hosting tier."""

    code: str
    name: str
    family: str
    """Falcon, Eagle and their like; sizes can be compared within one family only."""
    ram_gb: int
    is_development: bool


@cache
def bundled() -> tuple[Product, ...]:
    """Return the products of this version, small to large within a family."""
    document = json.loads(Path(__file__).with_name("data").joinpath("products.json").read_bytes())
    return tuple(
        Product(one["code"], one["name"], one["family"], one["ram_gb"], one["is_development"])
        for one in document["products"]
    )
