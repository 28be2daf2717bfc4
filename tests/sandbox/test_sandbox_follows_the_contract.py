"""schemathesis sends good and bad requests made from ``openapi/hypernode.yaml`` to a running sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import yaml
from hypothesis import settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from hypernode.catalogue import Catalogue, Setting
from hypernode.sandbox.allowlists import KNOWN_TYPES
from hypernode.sandbox.names import make_brancher_name
from hypernode.sandbox.operations.attacks import ATTACKS
from hypernode.sandbox.routes import ROUTES
from hypernode.sandbox.server import Sandbox

CONTRACT = Path(__file__).parents[2] / "openapi" / "hypernode.yaml"
OWN, OTHERS = "kaasshop", "bloemenhuis"
BRANCHERS = [make_brancher_name(OWN, 0, 7), "kaasshop-ephnowhere"]
ONCE = {"destroy_brancher", "cancel_brancher", "add_allowlist_entry"}
"""Operations that refuse a good request when it comes a second time."""


def _narrow(setting: Setting) -> dict[str, Any]:
    """Say of a setting what it takes.

    The contract gives the known values as examples only, because the live API may take more.
    """
    forms: list[dict[str, Any]] = [] if setting.type == "boolean" else [{"type": "null"}]
    match setting.type:
        case "boolean":
            forms.append({"type": "boolean"})
        case "integer" if setting.values is None:
            forms += [{"type": "integer"}, {"type": "string", "pattern": "^-?[0-9]{1,18}$"}]
        case _ if setting.values is None:
            forms.append({"type": "string"})
        case _:
            values = list(setting.values)
            forms.append({"enum": values + [str(v) for v in values if isinstance(v, int)]})
    return {"anyOf": forms}


def _body(raw: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    return raw["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"]


def _load() -> schemathesis.BaseSchema:
    raw = yaml.load(CONTRACT.read_bytes(), yaml.CSafeLoader)
    schemas, parameters = raw["components"]["schemas"], raw["components"]["parameters"]
    change = schemas["SettingsChange"]
    change["additionalProperties"] = False
    change["properties"] = {
        setting.name: _narrow(setting) for setting in Catalogue.bundled().values() if not setting.read_only
    }
    # One node is the token's own, one is somebody else's; one Brancher is there, one is not.
    parameters["App"]["schema"] = {"enum": [OWN, OTHERS]}
    parameters["Brancher"]["schema"] = {"enum": BRANCHERS}
    raw["paths"]["/v2/app/{app}/cancel/"]["parameters"][0]["schema"] = {"enum": BRANCHERS}
    parameters["ProductCode"]["schema"] = {"enum": ["FALCON_L_202203", "EAGLE_M_202203", "FALCON_OF_TOMORROW"]}
    # What the contract leaves to the API, and what the sandbox says to it.
    schemas["AllowlistType"] = {"enum": list(KNOWN_TYPES[:3])}
    schemas["AllowlistKey"]["properties"]["ip"] = {"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}], "type": "string"}
    _body(raw, "patch", "/v2/app/xgrade/{app}/")["properties"]["product"] = {
        "enum": ["FALCON_L_202203", "FALCON_XL_202203"]
    }
    _body(raw, "post", "/v2/app/{app}/block_attack/")["properties"]["attack_name"] = {"enum": list(ATTACKS)}
    preinstall = _body(raw, "post", "/v2/app/{app}/perform_preinstall/")
    preinstall["required"] = ["preinstall_type"]
    preinstall["properties"]["preinstall_type"] = {"enum": ["magento_2", "akeneo_4_0"]}
    annotation = _body(raw, "post", "/v2/insights-annotation/create/")["properties"]
    annotation["name"]["minLength"] = 1
    annotation["app"] = {"enum": [OWN, OTHERS]}
    schema = schemathesis.openapi.from_dict(raw)
    # The token is always ours, and a parameter that nobody knows is passed over, as Django does.
    schema.config.generation.update(with_security_parameters=False, allow_extra_parameters=False)
    return schema


SCHEMA = _load()


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with Sandbox(nodes=3, flow_time=0.05, brancher_time=0.05) as box:
        box.set_product(OWN, "FALCON_M_202203")
        yield box


@SCHEMA.parametrize()
@settings(max_examples=10, deadline=None, derandomize=True)
def test_every_answer_agrees_with_the_contract(case: schemathesis.Case, box: Sandbox) -> None:
    case.call_and_validate(
        base_url=box.url,
        headers={"Authorization": f"Token {box.tokens[OWN]}"},
        timeout=10,
        excluded_checks=[positive_data_acceptance] if case.operation.definition.raw["operationId"] in ONCE else [],
    )


def test_all_operations_are_tried() -> None:
    tried = {each.ok().label for each in SCHEMA.get_all_operations()}
    assert tried == {f"{route.method} {route.path}" for route in ROUTES}
