"""`hnctl config list`, config files that cannot be used, and variables that make no sense."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from runs import Hnctl

from hypernode.config import KEYS
from hypernode.sandbox.server import Sandbox


@pytest.fixture
def config(clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = clean_environment / "config.toml"
    monkeypatch.setenv("HNCTL_CONFIG", str(path))
    return path


def listed(hnctl: Hnctl) -> dict[str, tuple[object, str]]:
    document = hnctl("config", "list", "-o", "json").json
    return {row["key"]: (row["value"], row["source"]) for row in document["config"]}


def test_every_value_is_listed_with_where_it_came_from(hnctl: Hnctl, config: Path, monkeypatch: pytest.MonkeyPatch):
    config.write_text('parallel = 3\napi_url = "https://api.example.com"\n')
    monkeypatch.setenv("HNCTL_API_URL", "https://other.example.com")
    values = listed(hnctl)
    assert KEYS.keys() <= values.keys()
    assert values["parallel"] == (3, str(config))
    assert values["api_url"] == ("https://other.example.com", "HNCTL_API_URL")
    assert values["timeout"] == (20.0, "default")
    assert values["config_file"][0] == str(config)


def test_no_token_is_listed_only_that_there_is_one(hnctl: Hnctl, config: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HYPERNODE_API_TOKEN", "canary-token")
    monkeypatch.setenv("HYPERNODE_API_TOKENS", '{"kaasshop": "canary-token-2"}')
    monkeypatch.setenv("HYPERNODE_APP_NAME", "kaasshop")
    values = listed(hnctl)
    assert values["token"] == ("set", "HYPERNODE_API_TOKEN")
    assert values["tokens"][0] == "of 1 nodes"
    assert values["node"] == ("kaasshop", "HYPERNODE_APP_NAME")
    assert "canary" not in "".join(hnctl("config", "list", "-o", output).out for output in ("table", "yaml", "json"))


@pytest.mark.parametrize("tokens", ["canary", '["canary"]', '{"kaasshop": 1}'])
def test_tokens_that_cannot_be_read_are_told_beside_all_other_values(
    tokens: str, hnctl: Hnctl, config: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HYPERNODE_API_TOKENS", tokens)
    values = listed(hnctl)
    assert values["tokens"] == ("cannot be read", "HYPERNODE_API_TOKENS")
    assert KEYS.keys() <= values.keys()
    assert "canary" not in hnctl("config", "list").out


def test_an_address_that_cannot_be_one_is_listed_all_the_same(
    hnctl: Hnctl, config: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HNCTL_API_URL", "nonsense")
    assert listed(hnctl)["api_url"] == ("nonsense", "HNCTL_API_URL")


@pytest.mark.parametrize(
    ("variable", "value", "shown"),
    [
        ("HTTPS_PROXY", "http://anna:p%40ss@proxy.example.com:8080", "http://***@proxy.example.com:8080"),
        ("https_proxy", "http://anna:p@ss/w@proxy.example.com:8080", "http://***@proxy.example.com:8080"),
        ("ALL_PROXY", "anna:pass@proxy.example.com", "***@proxy.example.com"),
        ("HTTPS_PROXY", "http://proxy.example.com:8080", "http://proxy.example.com:8080"),
        ("HNCTL_API_URL", "https://anna:pass@api.example.com", "https://***@api.example.com"),
    ],
)
def test_a_password_in_an_address_is_masked(
    variable: str, value: str, shown: str, hnctl: Hnctl, config: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(variable, value)
    run = hnctl("config", "list")
    assert run.status == 0, run.err
    assert shown in run.out.split()
    assert "pass" not in run.out
    assert "p@ss" not in run.out


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("api_url", "the file is not TOML"),
        ("paralel = 3", ":1:1: unknown key paralel; known are api_url, ca_file"),
        ("parallel = 'many'", ":1:1: parallel must be a number"),
        ("parallel = true", ":1:1: parallel must be a number"),
        ("\nfile = 5", ":2:1: file must be a text"),
        ('token_command = "pass show"', ":1:1: token_command must be a list of words"),
        ("token_command = []", ":1:1: token_command must be a list of words"),
        ("x = 1\ny = 2", ":2:1: unknown key y"),
        ("\ud800".encode("utf-8", "surrogatepass"), "the file is not TOML"),
    ],
)
def test_a_config_file_that_cannot_be_used_is_told_with_its_place(
    text: str | bytes, says: str, hnctl: Hnctl, config: Path, box: Sandbox
):
    config.write_bytes(text if isinstance(text, bytes) else text.encode())
    for command in (["settings", "get", "php_version", "-n", "kaasshop"], ["validate"], ["config", "list"]):
        bad = hnctl(*command)
        assert (bad.status, bad.out) == (65, "")
        assert bad.err.startswith(f"{config}:")
        assert says in bad.err
    assert box.log() == []


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("parallel = 0", "0 is not in the range 1<=x<=256"),
        ("parallel = 100_000", "100000 is not in the range 1<=x<=256"),
        ("timeout = 0", "0 is not between 1ms and 7d"),
        ("timeout = nan", "nan is not between 1ms and 7d"),
        ("timeout = -1.5", "-1.5 is not between 1ms and 7d"),
        ("rps = 0", "0.0 is not in the range 0.01<=x<=100000"),
        ('output = "xml"', "'xml' is not one of 'table', 'json', 'jsonl', 'yaml', 'markdown'"),
    ],
)
def test_a_value_of_the_config_that_the_option_would_not_take_is_refused(
    line: str, says: str, hnctl: Hnctl, config: Path, box: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("HNCTL_TIMEOUT")
    config.write_text(line)
    bad = hnctl("settings", "get", "php_version", "-n", "kaasshop")
    assert bad.status in (64, 65)
    assert line.split()[0] in bad.err
    assert str(config) in bad.err
    assert says in bad.err
    assert box.log() == []


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("HNCTL_PARALLEL", "abc", "'abc' is no whole number; write one from 1 to 256 (from HNCTL_PARALLEL)"),
        ("HNCTL_PARALLEL", "0", "0 is not in the range 1<=x<=256. (from HNCTL_PARALLEL)"),
        ("HNCTL_TIMEOUT", "nonsense", "'nonsense' is no time; write 90s, 250ms, 15m, 2h or 7d (from HNCTL_TIMEOUT)"),
        ("HNCTL_TIMEOUT", "0", "'0' is not between 1ms and 7d (from HNCTL_TIMEOUT)"),
        ("HNCTL_OUTPUT", "nonsense", "'nonsense' is not one of 'table', 'json', 'jsonl', 'yaml', 'markdown'"),
        ("HNCTL_RPS", "fast", "'fast' is no number; write one from 0.01 to 100000 (from HNCTL_RPS)"),
        ("HNCTL_REFRESH", "maybe", "'maybe' is not a valid boolean"),
        ("HNCTL_ALL", "maybe", "'maybe' is not a valid boolean"),
        ("HNCTL_API_URL", "nonsense", "the API address must read like https://api.hypernode.com"),
        ("HNCTL_API_URL", "http://api.example.com", "plain http to api.example.com would show the token"),
        ("HNCTL_CA_FILE", "/not/there.pem", "the file of certificates /not/there.pem does not exist"),
    ],
)
def test_a_variable_that_makes_no_sense_is_refused_by_name(
    variable: str, value: str, says: str, hnctl: Hnctl, box: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(variable, value)
    bad = hnctl("settings", "get", "php_version", "-n", "kaasshop")
    assert (bad.status, bad.out) == (64, "")
    assert says in bad.err
    assert box.log() == []


@pytest.mark.parametrize("variable", ["HNCTL_PARALLEL", "HNCTL_OUTPUT"])
def test_a_command_without_the_option_refuses_the_variable_too(
    variable: str, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(variable, "nonsense")
    bad = hnctl("validate")
    assert bad.status == 64
    assert variable in bad.err


def test_an_output_format_of_the_config_counts_and_an_option_outranks_it(hnctl: Hnctl, config: Path, box: Sandbox):
    config.write_text('output = "json"')
    assert hnctl("settings", "get", "php_version", "-n", "kaasshop").json["format_version"] == 1
    assert hnctl("settings", "get", "php_version", "-n", "kaasshop", "-o", "jsonl").out.count("\n") == 1
    assert hnctl("settings", "get", "php_versio", "-n", "kaasshop").json["error"]["code"] == "unknown_setting"


def test_the_config_can_lie_in_the_users_folder(hnctl: Hnctl, clean_environment: Path):
    folder = clean_environment / ".config" / "hnctl"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(f"file = {json.dumps('mine.yaml')}")
    assert listed(hnctl)["file"] == ("mine.yaml", str(folder / "config.toml"))
