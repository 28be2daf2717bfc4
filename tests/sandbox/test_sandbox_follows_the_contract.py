"""schemathesis sends good and bad requests made from ``openapi/hypernode.yaml`` to a running sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import yaml
from hypothesis import settings

from hypernode.catalogue import Catalogue, Setting
from hypernode.sandbox.server import Sandbox

CONTRACT = Path(__file__).parents[2] / "openapi" / "hypernode.yaml"


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


def _load() -> schemathesis.BaseSchema:
    raw = yaml.safe_load(CONTRACT.read_text("utf-8"))
    change = raw["components"]["schemas"]["SettingsChange"]
    change["additionalProperties"] = False
    change["properties"] = {
        setting.name: _narrow(setting) for setting in Catalogue.bundled().values() if not setting.read_only
    }
    # One node is the token's own, one is somebody else's.
    raw["components"]["parameters"]["App"]["schema"] = {"enum": ["kaasshop", "bloemenhuis"]}
    schema = schemathesis.openapi.from_dict(raw)
    # The token is always ours, and a parameter that nobody knows is passed over, as Django does.
    schema.config.generation.update(with_security_parameters=False, allow_extra_parameters=False)
    return schema.include(lambda ctx: ctx.operation.definition.raw.get("x-sandbox", False))


SCHEMA = _load()


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with Sandbox(nodes=3, flow_time=0.05) as box:
        yield box


@SCHEMA.parametrize()
@settings(max_examples=40, deadline=None, derandomize=True)
def test_every_answer_agrees_with_the_contract(case: schemathesis.Case, box: Sandbox) -> None:
    case.call_and_validate(base_url=box.url, headers={"Authorization": f"Token {box.tokens['kaasshop']}"}, timeout=10)


def test_all_six_operations_are_tried() -> None:
    assert sorted(each.ok().label for each in SCHEMA.get_all_operations()) == [
        "GET /logbook/v1/logbooks/{app}/flows/",
        "GET /v2/app/",
        "GET /v2/app/eav_descriptions/",
        "GET /v2/app/{app}/",
        "PATCH /v2/app/{app}/",
        "POST /v2/nats/{app}/hypernode.show-fpm-status",
    ]
