"""Names and tokens of made-up nodes, the same for the same seed."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
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


def make_brancher_name(parent: str, number: int, seed: int) -> str:
    """Return what Brancher number `number` of `parent` is called: -eph and six of a-z0-9 more (CONTRACT.md 2.9)."""
    chance = random.Random(f"{seed}:{parent}:brancher:{number}")
    return f"{parent}-eph{''.join(chance.choices(string.ascii_lowercase + string.digits, k=6))}"


def make_token(seed: int, node: str) -> str:
    """Return the node's token: 40 hexadecimal digits, as Django REST framework makes them."""
    return sha256(f"{seed}:{node}:token".encode()).hexdigest()[:40]
