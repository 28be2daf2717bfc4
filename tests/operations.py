"""Each operation of openapi/hypernode.yaml, and the one method of the SDK that it is."""

from __future__ import annotations

import ast
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

CALLS: Mapping[str, Callable[[Client, str], object]] = {
    "list_nodes": lambda node, copy: list(node.iter_nodes()),
    "get_node": lambda node, copy: node.get_node(),
    "change_settings": lambda node, copy: node.settings.set(php_version="8.3"),
    "list_setting_values": lambda node, copy: node.settings.allowed(),
    "get_flavor": lambda node, copy: node.products.flavor(),
    "get_next_best_product": lambda node, copy: node.products.next_best(),
    "check_node_name": lambda node, copy: node.check_name("kaasshop"),
    "order_node": lambda node, copy: node.products.order("kaasshop", "FALCON_M_202203", "magento_2"),
    "cancel_brancher": lambda node, copy: node.branchers.cancel(copy),
    "check_payment_information": lambda node, copy: node.products.payment(),
    "list_relations": lambda node, copy: node.get_relations(),
    "perform_preinstall": lambda node, copy: node.preinstall("magento_2"),
    "list_attacks": lambda node, copy: node.attacks.descriptions(),
    "block_attack": lambda node, copy: node.attacks.block("BlockSqliBruteForce"),
    "get_fpm_status": lambda node, copy: node.get_fpm_status(),
    "list_backups": lambda node, copy: list(node.backups.iter()),
    "create_backup": lambda node, copy: node.backups.create(),
    "check_product_change": lambda node, copy: node.products.check(CODE),
    "change_product": lambda node, copy: node.products.change(CODE),
    "list_products": lambda node, copy: node.products.list(),
    "get_current_product": lambda node, copy: node.products.current(),
    "get_product": lambda node, copy: node.products.get(CODE),
    "list_slas": lambda node, copy: node.products.slas(),
    "get_sla": lambda node, copy: node.products.sla("sla-standard"),
    "list_configurations": lambda node, copy: list(node.products.iter_configurations()),
    "list_branchers": lambda node, copy: node.branchers.account(),
    "create_brancher": lambda node, copy: node.branchers.create(labels={"ticket": "42", "demo": None}),
    "change_brancher_labels": lambda node, copy: node.branchers.set_labels(copy, {"ticket": "42", "demo": None}),
    "destroy_brancher": lambda node, copy: node.branchers.destroy(copy),
    "get_brancher_year_history": lambda node, copy: node.branchers.year_history(),
    "get_brancher_month_history": lambda node, copy: node.branchers.month_history(2026, 8),
    "describe_allowlist": lambda node, copy: node.allowlist.types(),
    "list_allowlist": lambda node, copy: node.allowlist.list("database"),
    "add_allowlist_entry": lambda node, copy: node.allowlist.add("database", "192.0.2.9", "office"),
    "remove_allowlist_entry": lambda node, copy: node.allowlist.remove("database", "192.0.2.9"),
    "list_flows": lambda node, copy: list(node.flows.iter(1)),
    "list_annotations": lambda node, copy: list(node.insights.iter()),
    "create_annotation": lambda node, copy: node.insights.add("release 12", WHEN, metrics=["memory_usage"]),
}
"""Operation to a call of it: about `kaasshop`, or a Brancher of it."""


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


def method_of(operation: str) -> str:
    """Return the method that `CALLS` calls, as ``products.get``."""
    tree = ast.parse(Path(__file__).read_text("utf-8"))
    table = next(each for each in ast.walk(tree) if isinstance(each, ast.AnnAssign))
    assert isinstance(table.value, ast.Dict)
    for key, value in zip(table.value.keys, table.value.values, strict=True):
        if isinstance(key, ast.Constant) and key.value == operation:
            calls = [each for each in ast.walk(value) if isinstance(each, ast.Call)]
            return next(name for call in calls if (name := ast.unparse(call.func)).startswith("node.")).removeprefix(
                "node."
            )
    raise KeyError(operation)


def load_contract() -> Any:
    """Return the contract as decoded YAML."""
    return yaml.load(CONTRACT.read_text("utf-8"), yaml.CSafeLoader)


def iter_operations() -> Iterator[Operation]:
    """Yield the operations in the order of the contract."""
    for path, item in load_contract()["paths"].items():
        for method, description in item.items():
            if method != "parameters":
                yield Operation(description["operationId"], method.upper(), path, description)
