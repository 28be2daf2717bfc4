"""`hnctl validate`, `schema`, `export` and `explain`: the fleet file itself."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from processes import run
from runs import Hnctl, writes

from hypernode.sandbox.server import Sandbox

MISTAKES = """\
version: 1
defaults: {settings: {php_versio: 8.3}}
groups:
  magento: {settings: {php_version: 9.9, permissive_memory_management: maybe}}
nodes:
  ../x: {}
  KaasShop: {}
  kaasshop: {groups: [magneto], settings: {new_relic_secret: hush, allow_api_token_usage: true}}
  theeplein: {settings: {tideways_api_key: "env:NOT_SET_ANYWHERE", autoscale_trigger_load_percentage: many}}
limitz: {max_nodes: 1}
"""
WRONG = ["php_versio:", "9.9", "maybe", "../x", "KaasShop", "magneto", "hush", "allow_api", '"env:', "many", "limitz"]
PLACES = [
    (number, line.index(word) + 1)
    for number, line in enumerate(MISTAKES.splitlines(), 1)
    for word in WRONG
    if word in line
]


@pytest.fixture
def fleet(folder: Path) -> Path:
    path = folder / "fleet.yaml"
    path.write_text(
        "version: 1\n"
        "defaults: {settings: {php_version: 8.2}}\n"
        "groups:\n"
        "  magento: {settings: {php_version: 8.3, varnish_enabled: true}}\n"
        "nodes:\n"
        "  kaasshop: {groups: [magento], settings: {php_version: 8.4, varnish_enabled: null}}\n"
        "  theeplein: {settings: {new_relic_secret: 'env:HOME'}}\n"
    )
    return path


def test_validate_says_that_a_file_is_good_and_sends_nothing(hnctl: Hnctl, box: Sandbox, fleet: Path):
    assert hnctl("validate") == (0, "fleet.yaml: good, 2 nodes in 1 group\n", "")
    assert hnctl("validate", "-o", "json").json["nodes"] == 2
    assert box.log() == []
    fleet.write_text("version: 1\nnodes: {kaasshop: {}}\n")
    assert hnctl("validate").out == "fleet.yaml: good, 1 node in 0 groups\n"


@pytest.mark.parametrize("command", ["validate", "diff", "plan", "apply"])
def test_all_mistakes_of_a_file_are_told_at_once_with_their_places(
    command: str, hnctl: Hnctl, box: Sandbox, folder: Path
):
    (folder / "fleet.yaml").write_text(MISTAKES)
    bad = hnctl(command, *(["--yes"] if command == "apply" else []))
    assert (bad.status, bad.out) == (65, "")
    told = [line for line in bad.err.splitlines() if not line.startswith("  hint: ")]
    places = [re.match(r"fleet\.yaml:(\d+):(\d+): ", line) for line in told]
    assert [(int(place[1]), int(place[2])) for place in places if place] == PLACES
    assert "Did you mean php_version?" in bad.err
    assert "Did you mean magento?" in bad.err
    assert "Did you mean limits?" in bad.err
    assert "hush" not in bad.err
    assert box.log() == []


def test_mistakes_as_json_agree_with_those_for_people(hnctl: Hnctl, folder: Path):
    (folder / "fleet.yaml").write_text(MISTAKES)
    bad = hnctl("validate", "-o", "json")
    assert bad.status == 65
    assert bad.json["format_version"] == 1
    problems = bad.json["error"]["problems"]
    assert [(problem["line"], problem["column"]) for problem in problems] == PLACES
    assert all(problem["file"] == "fleet.yaml" and problem["message"] in bad.err for problem in problems)


def test_the_schema_accepts_a_good_file_and_refuses_a_bad_one(hnctl: Hnctl, fleet: Path):
    schema = hnctl("schema").json
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(fleet.read_text()), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"version": 1, "nodes": {"kaasshop": {"settings": {"php_version": "9.9"}}}}, schema)


def test_what_is_exported_is_in_sync_once_its_secrets_are_set(
    hnctl: Hnctl, box: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    box.set("kaasshop", new_relic_secret="hush", new_relic_app_name="wink€l: #1")
    box.set("theeplein", mysql_version="8.0", opensearch_version="2.12")
    exported = hnctl("export")
    assert exported.status == 0
    assert "hush" not in exported.out
    (folder / "fleet.yaml").write_text(exported.out, "utf-8")
    assert sorted(yaml.safe_load(exported.out)["nodes"]) == sorted(box.names)

    assert hnctl("diff").status == 65, "the secret is still to be filled in"
    (variable,) = re.findall(r"env:(\w+)", exported.out)
    monkeypatch.setenv(variable, "hush")
    same = hnctl("diff", "--detailed-exitcode")
    assert same == (0, "In sync: 12 nodes compared, no difference\n", "")
    assert writes(box) == []


def test_an_export_into_the_fleet_file_itself_does_not_read_the_emptied_file(hnctl: Hnctl, box: Sandbox, folder: Path):
    (folder / "fleet.yaml").touch()
    exported = hnctl("export")
    assert exported.status == 0, exported.err
    assert len(yaml.safe_load(exported.out)["nodes"]) == 12


def test_an_export_leaves_out_the_defaults_unless_they_are_asked_for(hnctl: Hnctl, box: Sandbox):
    box.set("kaasshop", php_version="8.3", nodejs_version="20")
    small = yaml.safe_load(hnctl("export", "-n", "kaasshop").out)["nodes"]["kaasshop"]["settings"]
    whole = yaml.safe_load(hnctl("export", "-n", "kaasshop", "--all").out)["nodes"]["kaasshop"]["settings"]
    assert "php_version" not in small
    assert small["nodejs_version"] == whole["nodejs_version"] == "20"
    assert whole["php_version"] == "8.3"
    assert not {"allow_api_token_usage", "varnish_secret"} & whole.keys(), "a token cannot change them"


def test_an_export_is_utf_8_in_every_locale(box: Sandbox, folder: Path):
    box.set("kaasshop", new_relic_app_name="wink€l")
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    exported = run("export", "-n", "kaasshop", variables=plain)
    assert exported.status == 0, exported.err
    assert yaml.safe_load(exported.out)["nodes"]["kaasshop"]["settings"]["new_relic_app_name"] == "wink€l"


def test_an_export_of_what_can_be_read_tells_what_could_not(hnctl: Hnctl, box: Sandbox):
    part = hnctl("export", "-n", "kaasshop", "-n", "nosuch")
    assert part.status == 3
    assert list(yaml.safe_load(part.out)["nodes"]) == ["kaasshop"]
    assert "nosuch: there is no API token for nosuch" in part.err
    nothing = hnctl("export", "-n", "nosuch")
    assert (nothing.status, nothing.out) == (4, "")


def test_explain_names_the_winning_line_the_losing_ones_and_the_live_value(hnctl: Hnctl, box: Sandbox, fleet: Path):
    box.set("kaasshop", php_version="8.1")
    told = hnctl("explain", "kaasshop", "php_version")
    assert told.status == 0, told.err
    lines = told.out.splitlines()
    assert lines[:6] == [
        "php_version on kaasshop",
        "  live      8.1",
        "  desired   8.4",
        "    wins  8.4  node kaasshop, fleet.yaml:6:57",
        "    loses 8.3  group magento, fleet.yaml:4:37",
        "    loses 8.2  defaults, fleet.yaml:2:36",
    ]
    assert "  default   8.3" in lines
    assert any(line.startswith("  takes     5.6, 7.0") for line in lines)
    assert any(line.startswith("  risk      ") for line in lines)


def test_explain_tells_the_last_flow_that_changed_settings(hnctl: Hnctl, box: Sandbox, fleet: Path):
    box.set("kaasshop", php_version="8.1")
    assert hnctl("settings", "set", "php_version", "8.2", "-n", "kaasshop").status == 0
    document = hnctl("explain", "kaasshop", "php_version", "-o", "json").json
    assert (document["last_flow"]["name"], document["last_flow"]["state"]) == ("update_node", "success")
    assert (document["live"], document["desired"], document["managed"]) == ("8.2", "8.4", True)
    assert [layer["wins"] for layer in document["layers"]] == [True, False, False]


def test_explain_says_when_the_file_does_not_manage_a_setting_on_a_node(hnctl: Hnctl, box: Sandbox, fleet: Path):
    lifted = hnctl("explain", "kaasshop", "varnish_enabled").out
    assert "desired   not managed by the file" in lifted
    assert "null (not managed)  node kaasshop" in lifted
    assert "desired   not managed by the file" in hnctl("explain", "theeplein", "nodejs_version").out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["kaasshp", "php_version"], "Did you mean kaasshop?"),
        (["../x", "php_version"], "'../x' cannot be the name of a node"),
        (["kaasshop", "php_versio"], "Did you mean php_version?"),
    ],
)
def test_explain_refuses_what_is_not_there(words: list[str], says: str, hnctl: Hnctl, box: Sandbox, fleet: Path):
    refused = hnctl("explain", *words)
    assert refused.status == 64
    assert says in refused.err
    assert box.log() == []


def test_the_file_can_be_named_by_option_variable_and_config(
    hnctl: Hnctl, fleet: Path, clean_environment: Path, monkeypatch: pytest.MonkeyPatch
):
    fleet.rename("other.yaml")
    assert hnctl("validate").status == 65
    assert hnctl("validate", "-f", "other.yaml").status == 0
    monkeypatch.setenv("HNCTL_FILE", "other.yaml")
    assert hnctl("validate").status == 0
    monkeypatch.delenv("HNCTL_FILE")
    config = clean_environment / "config.toml"
    config.write_text(f"file = {json.dumps('other.yaml')}\n")
    monkeypatch.setenv("HNCTL_CONFIG", str(config))
    assert hnctl("validate").status == 0
