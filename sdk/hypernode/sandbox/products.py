"""Hosting tiers, as the public price list and the API's examples have them; prices are made up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_CARDS = Path(__file__).parents[1] / "data" / "products.json"
_FIRST_SWAPPED = 5
"""The rank of 2XL, from which on a volume is swapped and not copied (CONTRACT.md 2.11)."""


@dataclass(frozen=True, slots=True)
class Product:
    """One hosting tier."""

    code: str
    name: str
    family: str
    rank: int
    """Its place in its family; 5 is 2XL."""
    cpus: int
    ram_gb: int
    disk_gb: int
    varnish: bool
    provider: str
    provider_name: str
    counterpart: str | None
    """The development product of a production one, and the other way round."""
    next_larger: str | None
    """Within its family; None at the top."""

    @property
    def is_development(self) -> bool:
        """Whether it is a development product."""
        return self.code.endswith("DEV")

    @property
    def supports_sla(self) -> bool:
        """Whether an SLA can be had for it."""
        return not self.is_development

    @property
    def price(self) -> int:
        """A made-up number; the unit of the real one is not stated."""
        price = 10 * self.cpus + 5 * self.ram_gb
        return price // 2 if self.is_development else price

    def flavor(self) -> dict[str, str]:
        """Return what `flavor` of an app holds."""
        title = f"{self.cpus}CPU/{self.ram_gb}GB/{self.disk_gb}GB ({self.name} 202202)"
        return {"name": title, "redis_size": str(self.ram_gb * 128)}

    def as_json(self) -> dict[str, object]:
        """Return the product as the detail of an app holds it (CONTRACT.md 2.8)."""
        return {**self._core(), "storage_size_in_gb": self.disk_gb, "provider": self.provider}

    def short(self) -> dict[str, object]:
        """Return the short form of CONTRACT.md 2.8, with the product's counterpart in the same form."""
        return {**self.as_json(), "related_product": (other := self._related()) and other.as_json()}

    def long(self) -> dict[str, object]:
        """Return the long form of CONTRACT.md 2.8; as in the official client's examples with the counterpart, too."""
        return {**self._long(), "related_product": (other := self._related()) and other._long()}

    def _related(self) -> Product | None:
        return find(self.counterpart) if self.counterpart else None

    def _core(self) -> dict[str, object]:
        return {
            "code": self.code,
            "name": self.name,
            "backups_enabled": True,
            "price": self.price,
            "is_development": self.is_development,
            "varnish_supported": self.varnish,
            "supports_sla": self.supports_sla,
        }

    def _long(self) -> dict[str, object]:
        disk_kib = self.disk_gb * 1024 * 1024
        machine = {
            "vcpus": self.cpus,
            "ram_in_mb": self.ram_gb * 1024,
            "disk_size_in_gb": self.disk_gb,
            "exact_disk_size_in_kb": disk_kib,
            "inodes": disk_kib // 16,
            "provider": {"name": self.provider, "display_name": self.provider_name},
        }
        return {**self._core(), "is_active": True, "flavor": self.flavor(), "provider_flavors": [machine]}


@cache
def all_products() -> Mapping[str, Product]:
    """Return every product by its code, small to large within a family."""
    return {
        card["code"]: Product(
            code=card["code"],
            name=card["name"],
            family=card["family"],
            rank=card["rank"],
            cpus=card["cpus"],
            ram_gb=card["ram_gb"],
            disk_gb=card["disk_gb"],
            varnish=bool(card["supports"]["varnish"]),
            # Only combell is attested as a word of the API's (CONTRACT.md 2.8); the other is ours.
            provider=card["provider"] or "other",
            provider_name=card["provider_name"],
            counterpart=card["counterpart"],
            next_larger=card["next_larger"],
        )
        for card in json.loads(_CARDS.read_bytes())["products"]
    }


def find(code: str) -> Product | None:
    """Return the product called `code`."""
    return all_products().get(code)


def compare(old: Product, new: Product, *, used_gb: int) -> dict[str, bool]:
    """Return what moving from `old` to `new` would mean (CONTRACT.md 2.4 #23, 2.11).

    Args:
        old: What the node has.
        new: What it would get.
        used_gb: How much of its disk is in use.
    """
    changes_family = old.family != new.family
    return {
        "has_valid_vat_number": True,
        "has_valid_payment_method": True,
        "will_change_ip": changes_family,
        "will_do_volswap": new.rank >= _FIRST_SWAPPED and not changes_family,
        "will_disk_fit": used_gb <= new.disk_gb,
    }
