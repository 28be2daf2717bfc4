from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

ROOT = Path(__file__).parents[2]
CONTRACT = ROOT / "openapi" / "hypernode.yaml"
SCRIPT = ROOT / "openapi" / "make_settings.py"
CATALOGUE = ROOT / "sdk" / "hypernode" / "data" / "settings.json"

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
GRADES = set("LCPDTXI")
APP_NAME = "^[a-z0-9]{1,16}(-eph[a-z0-9]+)?$"
BASE = "urn:hypernode"

# Numbers of CONTRACT section 2, paths as printed there; {br} is {brancher} here.
CURRENT = {
    1: "GET /v2/app/",
    2: "GET /v2/app/{app}/",
    3: "PATCH /v2/app/{app}/",
    5: "GET /v2/app/eav_descriptions/",
    6: "GET /v2/app/{app}/flavor/",
    7: "GET /v2/app/{app}/next_best_plan/",
    8: "GET /v2/app/name/validate/",
    9: "POST /v2/app/order/",
    10: "POST /v2/app/{app}/cancel/",
    11: "GET /v2/app/{app}/check-payment-information/",
    12: "GET /v2/app/{app}/relations/",
    13: "POST /v2/app/{app}/perform_preinstall/",
    18: "GET /v2/app/block_attack_descriptions/",
    19: "POST /v2/app/{app}/block_attack/",
    20: "POST /v2/nats/{app}/hypernode.show-fpm-status",
    21: "GET /v2/app/{app}/backup/",
    22: "POST /v2/app/{app}/backup/",
    23: "GET /v2/app/xgrade/{app}/check/{code}/",
    24: "PATCH /v2/app/xgrade/{app}/",
    25: "GET /v2/product/",
    27: "GET /v2/product/app/{app}/current/",
    28: "GET /v2/product/{code}/with_price/",
    29: "GET /v2/addon/slas/",
    30: "GET /v2/addon/{code}/",
    32: "GET /v2/configuration/",
    33: "GET /v2/brancher/app/{app}/",
    34: "POST /v2/brancher/app/{app}/",
    35: "PUT /v2/brancher/{brancher}/",
    36: "DELETE /v2/brancher/{brancher}/",
    37: "GET /v2/brancher/app/{app}/year-history/",
    38: "GET /v2/brancher/app/{app}/month-history/{year}/{month}",
    41: "OPTIONS /v2/whitelist/{app}/",
    42: "GET /v2/whitelist/{app}/",
    43: "POST /v2/whitelist/{app}/",
    44: "DELETE /v2/whitelist/{app}/",
    48: "GET /logbook/v1/logbooks/{app}/flows/",
    51: "GET /v2/insights-annotation/",
    52: "POST /v2/insights-annotation/create/",
}
LEFT_OUT = {
    4: r"GET /v2/app/\{app\}/with_addons/?",
    14: r"GET /v1/app/\{app\}/",
    15: r"PATCH /v1/app/\{app\}/",
    16: r"PUT /v[12]/app/\{app\}/",
    17: r"DELETE /v[12]/app/\{app\}/",
    26: r"GET /v2/product/app/\{app\}/",
    31: r"GET /v2/addon/",
    39: r"GET /v2/app/\{app\}/brancher/",
    40: r"POST /v2/app/\{app\}/brancher/",
    45: r"GET /v1/whitelist/\{app\}/",
    46: r"POST /v1/whitelist/\{app\}/",
    47: r"DELETE /v1/whitelist/\{app\}/",
    49: r"GET /logbook/v1/jobs/.*",
    50: r"GET /api/logbook/.*",
    53: r"GET /v1/chargebee/.*",
    54: r"HEAD .*|OPTIONS (?!/v2/whitelist/).*",
}


@pytest.fixture(scope="module")
def contract() -> dict[str, Any]:
    return yaml.safe_load(CONTRACT.read_text("utf-8"))


@pytest.fixture(scope="module")
def cards() -> list[dict[str, Any]]:
    return json.loads(CATALOGUE.read_text("utf-8"))["settings"]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """Give make_settings.py with a copy of the contract to work on."""
    spec = importlib.util.spec_from_file_location("make_settings", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    copy = tmp_path / "hypernode.yaml"
    copy.write_text(CONTRACT.read_text("utf-8"), "utf-8")
    monkeypatch.setattr(module, "CONTRACT", copy)
    return module


def operations(contract: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": item[method]
        for path, item in contract["paths"].items()
        for method in METHODS
        if method in item
    }


def walk(node: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value below `node` with its JSON pointer; the values of examples are data and are passed over."""
    yield pointer, node
    if isinstance(node, dict):
        for key, value in node.items():
            if key not in ("example", "examples"):
                yield from walk(value, f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from walk(value, f"{pointer}/{index}")


def examples(contract: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield where an example stands, the pointer of its schema, and the example."""
    for pointer, node in walk(contract):
        if not isinstance(node, dict):
            continue
        in_properties = pointer.rpartition("/")[2] == "properties"  # there `examples` would be a field's name
        if "schema" in node:  # a parameter, a header or a media type
            if "example" in node:
                yield f"{pointer}/example", f"{pointer}/schema", node["example"]
            for name, example in node.get("examples", {}).items():
                yield f"{pointer}/examples/{name}", f"{pointer}/schema", example["value"]
        elif isinstance(node.get("examples"), list) and not in_properties:
            for index, value in enumerate(node["examples"]):
                yield f"{pointer}/examples/{index}", pointer, value


def complaints(contract: dict[str, Any]) -> list[str]:
    """Check every example against its schema, formats included, and say what is wrong."""
    registry = Registry().with_resource(BASE, Resource(contents=contract, specification=DRAFT202012))
    found = []
    for where, schema, value in examples(contract):
        validator = Draft202012Validator(
            {"$ref": f"{BASE}#{quote(schema, safe='/~')}"},
            registry=registry,
            format_checker=Draft202012Validator.FORMAT_CHECKER,
        )
        found += [f"{where}: {error.message}" for error in validator.iter_errors(value)]
    return found


def test_the_contract_is_valid_openapi_3_1(contract: dict[str, Any]) -> None:
    assert contract["openapi"].startswith("3.1.")
    assert [error.message for error in OpenAPIV31SpecValidator(contract).iter_errors()] == []


def test_the_contract_has_the_38_current_endpoints_and_no_other(contract: dict[str, Any]) -> None:
    assert len(CURRENT) == 38
    assert sorted(operations(contract)) == sorted(CURRENT.values())


@pytest.mark.parametrize("number", LEFT_OUT)
def test_an_endpoint_that_is_dead_internal_or_implied_is_left_out(contract: dict[str, Any], number: int) -> None:
    assert [op for op in operations(contract) if re.fullmatch(LEFT_OUT[number], op)] == []


def test_current_and_left_out_endpoints_are_all_of_the_54_rows() -> None:
    assert sorted([*CURRENT, *LEFT_OUT]) == list(range(1, 55))


def test_every_operation_says_how_sure_it_is(contract: dict[str, Any]) -> None:
    assert [name for name, op in operations(contract).items() if "x-evidence" not in op] == []


def test_every_evidence_has_a_grade_and_a_source(contract: dict[str, Any]) -> None:
    found = {pointer: node for pointer, node in walk(contract) if pointer.rpartition("/")[2] == "x-evidence"}
    assert len(found) > len(CURRENT)
    for pointer, evidence in found.items():
        assert set(evidence) == {"grade", "source"}, pointer
        assert evidence["grade"] in GRADES, pointer
        assert evidence["source"].strip(), pointer


def test_a_429_is_marked_as_our_inference(contract: dict[str, Any]) -> None:
    for name, op in operations(contract).items():
        assert op["responses"]["429"] == {"$ref": "#/components/responses/TooManyRequests"}, name
    answer = contract["components"]["responses"]["TooManyRequests"]
    assert answer["x-evidence"]["grade"] == "I"
    assert "Retry-After" in answer["headers"]


def test_every_operation_describes_its_failures_and_a_success(contract: dict[str, Any]) -> None:
    for name, op in operations(contract).items():
        statuses = {str(status) for status in op["responses"]}
        assert {"401", "403", "429", "5XX"} <= statuses, name
        assert any(status.startswith("2") for status in statuses), name


def test_every_operation_has_a_summary_a_known_tag_and_an_id_in_snake_case(contract: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in contract["tags"]}
    for name, op in operations(contract).items():
        assert op["summary"], name
        assert op["tags"], name
        assert set(op["tags"]) <= tags, name
        assert re.fullmatch(r"[a-z]+(_[a-z]+)+", op["operationId"]), name
    ids = [op["operationId"] for op in operations(contract).values()]
    assert len(ids) == len(set(ids))


def test_names_are_checked_before_they_go_into_a_path(contract: dict[str, Any]) -> None:
    schemas = contract["components"]["schemas"]
    assert schemas["NodeName"]["pattern"] == APP_NAME
    for path, item in contract["paths"].items():
        for listed in item.get("parameters", []):
            parameter = listed
            if "$ref" in listed:
                parameter = contract["components"]["parameters"][listed["$ref"].rpartition("/")[2]]
            if parameter["name"] == "app":
                # To cancel a node that is no Brancher would end its subscription.
                wanted = "BrancherName" if path.endswith("/cancel/") else "NodeName"
                assert parameter["schema"] == {"$ref": f"#/components/schemas/{wanted}"}, path
    assert re.fullmatch(schemas["NodeName"]["pattern"], "kaasshop-eph7h2k9q")
    assert not re.fullmatch(schemas["NodeName"]["pattern"], "../kaasshop")
    assert not re.fullmatch(schemas["BrancherName"]["pattern"], "kaasshop")


def test_every_example_fits_its_schema(contract: dict[str, Any]) -> None:
    assert len(list(examples(contract))) > 100
    assert complaints(contract) == []


def test_every_json_answer_that_is_described_has_an_example(contract: dict[str, Any]) -> None:
    """An answer may take it from its schema; one whose shape is unknown has none."""
    schemas = contract["components"]["schemas"]
    without = []
    for name, op in operations(contract).items():
        for status, answer in op["responses"].items():
            for media in answer.get("content", {}).values():
                schema = media["schema"]
                target = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
                open_ended = set(schema) == {"description"}
                if not (open_ended or {"example", "examples"} & (media.keys() | target.keys())):
                    without.append(f"{name} {status}")
    assert without == []


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (("components", "parameters", "Limit", "example"), 0),
        (("components", "responses", "NotFound", "content", "application/json", "example"), {"detail": 7}),
        (("components", "schemas", "Flavor", "examples"), [{"redis_size": 2048}]),
        (("components", "schemas", "Backup", "examples"), [{"backup_created_at": "yesterday"}]),
    ],
)
def test_an_example_that_does_not_fit_is_found(contract: dict[str, Any], path: tuple[str, ...], wrong: object) -> None:
    spoiled = deepcopy(contract)
    node = spoiled
    for key in path[:-1]:
        node = node[key]
    assert path[-1] in node
    node[path[-1]] = wrong
    assert len(complaints(spoiled)) == 1


def test_the_token_is_sent_as_token_and_never_as_bearer(contract: dict[str, Any]) -> None:
    scheme = contract["components"]["securitySchemes"]["token"]
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", "Authorization")
    assert "Token <token>" in scheme["description"]
    assert contract["security"] == [{"token": []}]
    assert "bearer" not in CONTRACT.read_text("utf-8").lower()


def test_examples_use_addresses_set_aside_for_documentation(contract: dict[str, Any]) -> None:
    addresses = re.findall(r"\b\d{1,3}(?:\.\d{1,3}){3}\b", CONTRACT.read_text("utf-8"))
    assert addresses
    assert [address for address in addresses if not address.startswith("192.0.2.")] == []


def test_the_settings_blocks_are_fresh() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_schemas_have_the_settings_of_the_catalogue(contract: dict[str, Any], cards: list[dict[str, Any]]) -> None:
    schemas = contract["components"]["schemas"]
    assert list(schemas["Settings"]["properties"]) == [card["name"] for card in cards]
    assert list(schemas["SettingsChange"]["properties"]) == [
        card["name"] for card in cards if not card.get("read_only")
    ]


def test_a_setting_may_be_unset_when_read_and_a_new_value_is_still_a_good_answer(
    contract: dict[str, Any],
) -> None:
    for name, schema in contract["components"]["schemas"]["Settings"]["properties"].items():
        assert "null" in schema["type"], name
        assert "enum" not in schema, name


def test_secrets_are_marked_where_they_are_read_and_where_they_are_written(
    contract: dict[str, Any], cards: list[dict[str, Any]]
) -> None:
    schemas = contract["components"]["schemas"]
    secret = {card["name"] for card in cards if card.get("secret")}
    assert secret
    for block in ("Settings", "SettingsChange"):
        properties = schemas[block]["properties"]
        marked = {name for name, schema in properties.items() if schema.get("format") == "password"}
        assert marked == secret & properties.keys(), block


def test_values_that_look_like_numbers_stay_texts(contract: dict[str, Any]) -> None:
    for block in ("Settings", "SettingsChange"):
        properties = contract["components"]["schemas"][block]["properties"]
        for name in ("php_version", "mysql_ft_min_word_len", "nodejs_version"):
            assert properties[name]["type"] == ["string", "null"]
            assert all(isinstance(value, str) for value in properties[name]["examples"])
        assert "2.12" in properties["opensearch_version"]["examples"]


def test_a_number_is_read_as_a_number_or_a_text_and_marked_as_doubtful(
    contract: dict[str, Any], cards: list[dict[str, Any]]
) -> None:
    properties = contract["components"]["schemas"]["Settings"]["properties"]
    numbers = [card["name"] for card in cards if card["type"] == "integer"]
    assert numbers
    for name in numbers:
        assert properties[name]["type"] == ["integer", "string", "null"]
        assert properties[name]["x-evidence"]["grade"] == "I"


def test_a_change_is_never_empty_and_may_name_settings_that_only_the_live_catalogue_knows(
    contract: dict[str, Any],
) -> None:
    change = contract["components"]["schemas"]["SettingsChange"]
    assert not Draft202012Validator(change).is_valid({})
    assert Draft202012Validator(change).is_valid({"a_setting_of_tomorrow": "on"})
    assert not Draft202012Validator(change).is_valid({"varnish_enabled": "on"})


def test_a_stale_block_fails_the_check_and_changes_nothing(
    script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    text = script.CONTRACT.read_text("utf-8")
    stale = text.replace("        php_version:\n", "        php_vresion:\n", 1)
    assert stale != text
    script.CONTRACT.write_text(stale, "utf-8")
    assert script.main(["--check"]) == 1
    assert script.CONTRACT.read_text("utf-8") == stale
    assert capsys.readouterr().err == "hypernode.yaml is stale: run python openapi/make_settings.py\n"


def test_making_the_settings_mends_the_blocks_and_touches_nothing_else(script: ModuleType) -> None:
    text = script.CONTRACT.read_text("utf-8")
    begin = "# settings: begin (made by make_settings.py)\n"
    emptied = re.sub(rf"({re.escape(begin)}).*?( *# settings: end\n)", r"\1\2", text, flags=re.DOTALL)
    assert len(emptied) < len(text)
    script.CONTRACT.write_text(f"# a comment of ours\n{emptied}", "utf-8")
    assert script.main([]) == 0
    assert script.CONTRACT.read_text("utf-8") == f"# a comment of ours\n{text}"


def test_a_contract_without_its_markers_is_refused(script: ModuleType, cards: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match="expected two blocks of settings between markers, found 0"):
        script.splice("openapi: 3.1.0\n", cards)
