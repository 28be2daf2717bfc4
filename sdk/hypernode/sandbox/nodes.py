"""One made-up node: its fields and settings, the logbook it has from before, and what a copy of it is like."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from hypernode.catalogue import Catalogue, Value
from hypernode.sandbox.flows import Ending, Flow, Job, make_other
from hypernode.sandbox.names import make_token
from hypernode.sandbox.products import Product, all_products

FIRST_PRODUCTS = (
    "FALCON_XS_202203",
    "FALCON_S_202203",
    "FALCON_M_202203",
    "FALCON_L_202203",
    "FALCON_XL_202203",
    "FALCON_S_202203DEV",
)
"""What nodes start as."""

_VARIETY: Mapping[str, tuple[Value, ...]] = {
    "php_version": ("8.1", "8.2", "8.3", "8.3", "8.4"),
    "mysql_version": ("5.7", "8.0", "8.0", "8.4"),
    "nodejs_version": ("18", "20", "22"),
    "composer_version": ("2.2", "2.x"),
    "redis_version": ("6.x", "7.x"),
    "opensearch_version": ("2.6", "2.12", "2.19"),
    "modern_ssl_config_enabled": (True, False),
    "permissive_memory_management": (True, False, False),
    "supervisor_enabled": (True, False),
    "rabbitmq_enabled": (True, False, False),
    "mysql_long_query_time": (2, 5),
    "php_apcu_enabled": (True, False),
}
"""What nodes differ in; all other settings start at the catalogue's default."""

_OLD_FLOWS = ("update_node", "create_backup", "update_node", "ensure_monitoring_for_app", "xgrade_app")
_FIRST_NAMES = ("Anna", "Bram", "Chris", "Daan", "Eva", "Femke", "Gijs", "Hanna", "Iris", "Joost")
_LAST_NAMES = ("de Vries", "Jansen", "Bakker", "Visser", "Smit", "Mulder", "de Boer", "Peters")
_HOUR = 3600.0
_DISK_IN_USE = 0.6


@dataclass(slots=True)
class Brancher:
    """What a Brancher has besides what every node has. Times are seconds on the world's clock."""

    id: int
    parent: str
    address: str
    """The address that it gets."""
    created_at: float
    delivered_at: float
    """When it has that address; infinity: never."""
    labels: dict[str, str | None]
    cleared: tuple[str, ...]
    """The services that started without their data."""
    ended_at: float | None = None
    """When somebody destroyed it; from then on it costs nothing."""
    gone_at: float = math.inf
    """When nothing is left of it."""

    def list_labels(self) -> list[str]:
        """Return the labels as they are written."""
        return [name if value is None else f"{name}={value}" for name, value in self.labels.items()]


@dataclass(slots=True)
class Node:
    """A node of the sandbox. `World` changes it; everybody else reads."""

    name: str
    token: str
    """A Brancher's is its parent's."""
    index: int
    """Its place in the list of nodes; a third of all nodes lack a logbook, another third makes two flows."""
    product: Product
    fields: Mapping[str, object]
    settings: dict[str, Value | None]
    flows: list[Flow] = field(default_factory=list)
    """Oldest first."""
    pending: list[Job] = field(default_factory=list)
    """Jobs not yet over, in their order."""
    busy: int = 1
    """How many of its PHP-FPM workers are at work."""
    broken: Mapping[str, Value | None] | None = None
    """With which settings its shop is broken; with an empty mapping it always is, with None never."""
    used_gb: int = 0
    """How much of its disk is in use."""
    brancher: Brancher | None = None
    """None: it is none."""
    branchers: list[Node] = field(default_factory=list)
    """All that were ever made of it, oldest first."""
    _body: bytes | None = None

    @property
    def flows_per_update(self) -> int:
        """How many flows a change of settings takes."""
        return 2 if self.index % 3 == 2 else 1

    def set(self, settings: Mapping[str, Value | None]) -> None:
        """Give the node these values at once."""
        self.settings.update(settings)
        self._body = None

    def change(self, **fields: object) -> None:
        """Give the node these fields at once."""
        self.fields = {**self.fields, **fields}
        self._body = None

    def move(self, product: Product) -> None:
        """Let the node be of another product."""
        self.product = product
        self.change(product=product.code, flavor=product.flavor(), in_production=not product.is_development)

    def is_gone(self, now: float) -> bool:
        """Tell whether it is a Brancher of which nothing is left."""
        return self.brancher is not None and now >= self.brancher.gone_at

    def as_json(self) -> dict[str, object]:
        """Return the app as a list shows it, with the product's code (CONTRACT.md 2.8)."""
        return {**self.fields, "product": self.product.code, **self.settings}

    def body(self) -> bytes:
        """Return the app's detail as JSON; kept until something changes."""
        if self._body is None:
            self._body = json.dumps({**self.as_json(), "product": self.product.as_json()}).encode()
        return self._body


def make_node(name: str, index: int, *, seed: int, now: float) -> Node:
    """Return node number `index`; only its name, its number and the seed decide what it is like."""
    chance = random.Random(f"{seed}:{name}:node")
    product = all_products()[chance.choice(FIRST_PRODUCTS)]
    settings: dict[str, Value | None] = {s.name: s.default for s in Catalogue.bundled().values()}
    settings.update({setting: chance.choice(values) for setting, values in _VARIETY.items()})
    settings["varnish_secret"] = f"{chance.getrandbits(128):032x}"
    settings["varnish_enabled"] = product.varnish and chance.random() < 0.3
    settings["allow_api_token_usage"] = True
    node = Node(name, make_token(seed, name), index, product, _make_fields(name, index, product, chance), settings)
    node.used_gb = int(product.disk_gb * _DISK_IN_USE)
    if index % 3:
        _add_history(node, chance, seed=seed, now=now)
    return node


def copy_node(parent: Node, name: str, brancher: Brancher) -> Node:
    """Return the Brancher `name` of `parent` as it is at first: everything is as on its parent, but no address."""
    fields = {
        **parent.fields,
        "name": name,
        "type": "brancher",
        "parent": parent.name,
        "domainname": f"{name}.hypernode.io",
        "ip": None,
        "labels": brancher.list_labels(),
    }
    return Node(
        name,
        parent.token,
        parent.index,
        parent.product,
        fields,
        dict(parent.settings),
        broken=parent.broken,
        used_gb=parent.used_gb,
        brancher=brancher,
    )


def _make_fields(name: str, index: int, product: Product, chance: random.Random) -> dict[str, object]:
    first, last = chance.choice(_FIRST_NAMES), chance.choice(_LAST_NAMES)
    user = f"{first}.{last}".lower().replace(" ", "")
    return {
        "name": name,
        "type": "persistent",
        "parent": None,
        "product": product.code,
        "flavor": product.flavor(),
        "domainname": f"{name}.hypernode.io",
        "ip": make_address(index),
        "backup_ips": [],
        "ssh_keys": [],
        "destroyed": False,
        "in_production": not product.is_development,
        "is_international": False,
        "state": "production",
        "provider": "combell",
        "provider_location": "combell",
        "provider_name_override": "",
        "account_user": {
            "id": 1000 + index,
            "email": f"{user}@example.com",
            "username": user,
            "first_name": first,
            "last_name": last,
        },
        "subscription_id": f"sub{chance.getrandbits(32):08x}",
        "opendkim_public_key": f"v=DKIM1; k=rsa; p={chance.getrandbits(128):032x}",
        "labels": [],
    }


def make_address(number: int) -> str:
    """Return one of the 762 addresses set aside for documentation."""
    network = ("192.0.2", "198.51.100", "203.0.113")[number // 254 % 3]
    return f"{network}.{number % 254 + 1}"


def _add_history(node: Node, chance: random.Random, *, seed: int, now: float) -> None:
    """Give `node` some finished flows; every tenth node gets more than two pages of them."""
    count = 120 if node.index % 10 == 4 else chance.randint(1, 12)
    for number in range(count):
        ending: Ending = "reverted" if chance.random() < 0.05 else "success"
        posted = now - (count - number) * 6 * _HOUR + chance.random() * _HOUR
        job = make_other(
            f"{seed}:{node.name}:old:{number}",
            chance.choice(_OLD_FLOWS),
            now=posted,
            seconds=chance.uniform(20, 300),
            ending=ending,
        )
        node.flows.extend(job.flows)
