"""Each operation of openapi/hypernode.yaml, and the one method of the SDK that it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from hypernode.api.client import Client

CONTRACT = Path(__file__).parents[1] / "openapi" / "hypernode.yaml"
BRANCHER = "kaasshop-eph7h2k9q"
CODE = "FALCON_L_202203"
WHEN = datetime.fromtimestamp(1_780_000_000, UTC)

CALLS: Mapping[str, Callable[[Client], object]] = {
    "list_nodes": lambda node: list(node.iter_nodes()),
    "get_node": lambda node: node.get_node(),
    "change_settings": lambda node: node.settings.set(php_version="8.3"),
    "list_setting_values": lambda node: node.settings.allowed(),
    "get_flavor": lambda node: node.products.flavor(),
    "get_next_best_product": lambda node: node.products.next_best(),
    "check_node_name": lambda node: node.check_name("kaasshop"),
    "order_node": lambda node: node.products.order("kaasshop", "FALCON_M_202203", "magento_2"),
    "cancel_brancher": lambda node: node.branchers.cancel(BRANCHER),
    "check_payment_information": lambda node: node.products.payment(),
    "list_relations": lambda node: node.get_relations(),
    "perform_preinstall": lambda node: node.preinstall("magento_2"),
    "list_attacks": lambda node: node.attacks.descriptions(),
    "block_attack": lambda node: node.attacks.block("BlockSqliBruteForce"),
    "get_fpm_status": lambda node: node.get_fpm_status(),
    "list_backups": lambda node: list(node.backups.iter()),
    "create_backup": lambda node: node.backups.create(),
    "check_product_change": lambda node: node.products.check(CODE),
    "change_product": lambda node: node.products.change(CODE),
    "list_products": lambda node: node.products.list(),
    "get_current_product": lambda node: node.products.current(),
    "get_product": lambda node: node.products.get(CODE),
    "list_slas": lambda node: node.products.slas(),
    "get_sla": lambda node: node.products.sla("sla-standard"),
    "list_configurations": lambda node: list(node.products.iter_configurations()),
    "list_branchers": lambda node: node.branchers.account(),
    "create_brancher": lambda node: node.branchers.create(labels={"ticket": "42", "demo": None}),
    "change_brancher_labels": lambda node: node.branchers.set_labels(BRANCHER, {"ticket": "42", "demo": None}),
    "destroy_brancher": lambda node: node.branchers.destroy(BRANCHER),
    "get_brancher_year_history": lambda node: node.branchers.year_history(),
    "get_brancher_month_history": lambda node: node.branchers.month_history(2026, 8),
    "describe_allowlist": lambda node: node.allowlist.types(),
    "list_allowlist": lambda node: node.allowlist.list("database"),
    "add_allowlist_entry": lambda node: node.allowlist.add("database", "192.0.2.9", "office"),
    "remove_allowlist_entry": lambda node: node.allowlist.remove("database", "192.0.2.9"),
    "list_flows": lambda node: list(node.flows.iter(1)),
    "list_annotations": lambda node: list(node.insights.iter()),
    "create_annotation": lambda node: node.insights.add("release 12", WHEN, metrics=["memory_usage"]),
}
"""Operation to a call of it; all are about `kaasshop`."""


@dataclass(frozen=True)
class Operation:
    """One operation as the contract describes it."""

    name: str
    method: str
    template: str
    """The path with its parameters in braces."""
    description: Mapping[str, Any]

    @property
    def path(self) -> str:
        """The path of the call in `CALLS`."""
        given = {"app": "kaasshop", "brancher": BRANCHER, "code": CODE, "year": "2026", "month": "8"}
        if self.name == "cancel_brancher":
            given["app"] = BRANCHER
        if self.name == "get_sla":
            given["code"] = "sla-standard"
        return self.template.format(**given)

    @property
    def writes(self) -> bool:
        """Whether it changes something; a POST that only reads does not."""
        return self.method in ("POST", "PATCH", "PUT", "DELETE") and self.name != "get_fpm_status"


def load_contract() -> Any:
    """Return the contract as decoded YAML."""
    return yaml.load(CONTRACT.read_text("utf-8"), yaml.CSafeLoader)


def iter_operations() -> Iterator[Operation]:
    """Yield the operations in the order of the contract."""
    for path, item in load_contract()["paths"].items():
        for method, description in item.items():
            if method != "parameters":
                yield Operation(description["operationId"], method.upper(), path, description)
