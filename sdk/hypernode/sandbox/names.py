"""Names, tokens and products of made-up nodes, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import count, islice

LONGEST_NAME = 16  # CONTRACT.md 2.9

FIRST = (
    "kaasshop",
    "fietsenwinkel",
    "bloemenhuis",
    "theeplein",
    "boekenhal",
    "wijnkelder",
    "tuinmarkt",
    "schoenenstore",
    "koffiehoek",
    "lampenloods",
    "speelgoedxl",
    "dierenplaza",
)
"""The first twelve are the same for every seed, so that examples and the demo can name them."""

_FRONTS = """
    kaas fiets boek thee koffie wijn bier brood bloem tuin schoen sok jas hoed tas ring klok lamp stoel tafel bed
    kast deur raam verf hout steen tegel kraan bad zeep geur kaars spel puzzel pop baby kinder honden katten
    paarden vogel vis noten fruit groente kruiden olie honing choco drop snoep taart slager camping zeil ski sport
    yoga muziek gitaar piano foto laptop kabel printer game papier pen stempel cadeau feest ballon stof wol naai
    schroef motor auto band scooter vinyl sieraad parfum matras gordijn vloer haard sauna vijver plant zaad
"""
_BACKS = """
    shop winkel store huis hal plein markt wereld outlet depot paleis koning gigant expert online direct totaal
    centrum boetiek atelier magazijn kelder zolder hoek stal loods club box kraam plaza gilde huys punt specials
"""


def make_names(count_: int, seed: int) -> tuple[str, ...]:
    """Return `count_` different names; asking for more never changes the first ones."""
    return tuple(islice(_iter_names(seed), count_))


def _iter_names(seed: int) -> Iterator[str]:
    made = dict.fromkeys(front + back for front in _FRONTS.split() for back in _BACKS.split())
    names = [name for name in made if len(name) <= LONGEST_NAME and name not in FIRST]
    random.Random(f"{seed}:names").shuffle(names)
    yield from FIRST
    yield from names
    short = [name for name in names if len(name) <= LONGEST_NAME - 4]
    for number in count(2):
        yield from (f"{name}{number}" for name in short)


def make_token(seed: int, node: str) -> str:
    """Return the node's token: 40 hexadecimal digits, as Django REST framework makes them."""
    return sha256(f"{seed}:{node}:token".encode()).hexdigest()[:40]


@dataclass(frozen=True, slots=True)
class Product:
    """A hosting tier; the sizes are those of the public price list, `price` is made up."""

    code: str
    name: str
    cpus: int
    ram_gb: int
    disk_gb: int
    price: int
    varnish: bool = True

    def as_json(self) -> dict[str, object]:
        """Return the product as the detail of an app holds it (CONTRACT.md 2.8)."""
        return {
            "code": self.code,
            "name": self.name,
            "backups_enabled": True,
            "storage_size_in_gb": self.disk_gb,
            "price": self.price,
            "is_development": self.code.endswith("DEV"),
            "provider": "combell",
            "varnish_supported": self.varnish,
            "supports_sla": not self.code.endswith("DEV"),
        }

    def flavor(self) -> dict[str, str]:
        """Return what `flavor` of an app holds."""
        title = f"{self.cpus}CPU/{self.ram_gb}GB/{self.disk_gb}GB ({self.name} 202202)"
        return {"name": title, "redis_size": str(self.ram_gb * 128)}


PRODUCTS = (
    Product("FALCON_XS_202203", "Falcon XS", 2, 4, 44, 40, varnish=False),
    Product("FALCON_S_202203", "Falcon S", 2, 8, 44, 70),
    Product("FALCON_M_202203", "Falcon M", 3, 16, 62, 100),
    Product("FALCON_L_202203", "Falcon L", 5, 24, 138, 170),
    Product("FALCON_XL_202203", "Falcon XL", 8, 32, 286, 250),
    Product("FALCON_S_202203DEV", "Falcon S Development", 2, 8, 44, 35),
)
