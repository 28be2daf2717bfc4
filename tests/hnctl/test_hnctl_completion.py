"""`hnctl completion` and the words that Tab offers."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from odd_servers import by_path, serving
from processes import run
from runs import Hnctl

from hypernode.sandbox.server import Sandbox

Offered = Callable[[str], list[str]]

FLEET = """\
version: 1
groups: {magento: {}, shopware: {}}
nodes: {kaasshop: {}, kaasplank: {}, theeplein: {}}
"""


@pytest.fixture
def offered(hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch) -> Offered:
    """Return what bash would be offered after a line that ends in the word to complete."""

    def ask(line: str) -> list[str]:
        words = line.split(" ")
        monkeypatch.setenv("_HNCTL_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        answer = hnctl()
        monkeypatch.delenv("_HNCTL_COMPLETE")
        assert (answer.status, answer.err) == (0, "")
        return [word.partition(",")[2] for word in answer.out.split()]

    return ask


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("hnctl se", ["services", "settings"]),
        ("hnctl brancher l", ["labels", "list"]),
        ("hnctl products change FALCON_L_202203 -n th", ["theeplein"]),
        ("hnctl settings ", ["describe", "get", "list", "set"]),
        ("hnctl settings get php_v", ["php_version"]),
        ("hnctl settings set php_version 8.", ["8.0", "8.1", "8.2", "8.3", "8.4", "8.5"]),
        ("hnctl settings set permissive_memory_management ", ["false", "true"]),
        ("hnctl settings set new_relic_app_name ", []),
        ("hnctl settings describe mysql_v", ["mysql_version"]),
        ("hnctl settings get php_version -n kaas", ["kaasplank", "kaasshop"]),
        ("hnctl settings get php_version --node t", ["theeplein"]),
        ("hnctl settings get php_version --group ", ["magento", "shopware"]),
        ("hnctl diff --exclude th", ["theeplein"]),
        ("hnctl diff -f other.yaml -n ", ["boekenhal", "kaasshop"]),
        ("hnctl explain kaass", ["kaasshop"]),
        ("hnctl explain kaasshop composer", ["composer_version"]),
        ("hnctl nodes show th", ["theeplein"]),
        ("hnctl flows list -n th", ["theeplein"]),
        ("hnctl diff -o j", ["json", "jsonl"]),
        ("hnctl diff --det", ["--detailed-exitcode"]),
        ("hnctl completion ", ["bash", "zsh", "fish"]),
    ],
)
def test_tab_offers_what_fits(
    line: str, words: list[str], offered: Offered, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    (folder / "fleet.yaml").write_text(FLEET)
    (folder / "other.yaml").write_text("version: 1\nnodes: {boekenhal: {}}\n")
    monkeypatch.setenv("HYPERNODE_API_TOKENS", '{"kaasshop": "token"}')
    assert offered(line) == words


def test_runs_are_offered_the_newest_first(offered: Offered, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    assert offered("hnctl resume ") == ["last"]
    runs = folder / "state" / "hnctl" / "runs"
    runs.mkdir(parents=True)
    for name in ("20261123-100000-aaaaaa", "20261124-100000-aaaaaa", "20251124-100000-aaaaaa"):
        (runs / f"{name}.jsonl").write_text("{}\n")
    (runs / "20261125-100000-aaaaaa.jsonl").write_text("")
    newest = ["20261124-100000-aaaaaa", "20261123-100000-aaaaaa"]
    for command in ("resume", "rollback", "history"):
        assert offered(f"hnctl {command} 2026") == newest
    assert offered("hnctl history l") == ["last"]


def test_the_shell_offers_its_files_after_f(offered: Offered):
    assert offered("hnctl diff -f fl") == ["fl"]


def test_nodes_are_offered_from_a_file_that_is_not_right_yet(offered: Offered, folder: Path):
    (folder / "fleet.yaml").write_text(FLEET + "defaults: {settings: {new_relic_secret: 'env:NOT_SET', typo: 1}}\n")
    assert offered("hnctl diff -n kaas") == ["kaasplank", "kaasshop"]


@pytest.mark.parametrize(
    "content",
    [None, b"", b"nodes: [\n", b"\xff\xfe", b"just text"],
    ids=["missing", "empty", "no yaml", "binary", "text"],
)
def test_where_nothing_can_be_read_nothing_is_offered_and_nothing_is_said(
    content: bytes | None, offered: Offered, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    if content is not None:
        (folder / "fleet.yaml").write_bytes(content)
    monkeypatch.setenv("HYPERNODE_API_TOKENS", "nonsense")
    monkeypatch.setenv("HNCTL_PARALLEL", "nonsense")
    assert offered("hnctl diff -n ") == []
    assert offered("hnctl diff --group ") == []
    assert offered("hnctl settings get php_ver") == ["php_version"]


def test_a_broken_config_offers_nothing_and_says_nothing(
    offered: Offered, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    (folder / "config.toml").write_text("nonsense")
    monkeypatch.setenv("HNCTL_CONFIG", str(folder / "config.toml"))
    assert offered("hnctl diff -n ") == []
    assert offered("hnctl settings get php_ver") == ["php_version"]


def test_what_the_api_was_asked_for_is_offered_too(offered: Offered, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HYPERNODE_API_TOKENS", '{"kaasshop": "token"}')
    with serving(by_path({"/v2/app/eav_descriptions/": {"brand_new": ["calm", "wild"]}})) as odd:
        monkeypatch.setenv("HNCTL_API_URL", odd.url)
        assert hnctl("settings", "describe", "--refresh").status == 0
    assert offered("hnctl settings get brand") == ["brand_new"]
    assert offered("hnctl settings set brand_new ") == ["calm", "wild"]


def test_tab_sends_nothing(offered: Offered, box: Sandbox, folder: Path):
    for line in (
        "hnctl settings get -n ",
        "hnctl settings get ",
        "hnctl settings set php_version ",
        "hnctl nodes show ",
    ):
        assert offered(line)
    assert box.log() == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_asks_hnctl(shell: str, folder: Path):
    script = run("completion", shell)
    assert (script.status, script.err) == (0, "")
    assert f"_HNCTL_COMPLETE={shell}_complete" in script.out
    if shutil.which(shell):
        checked = subprocess.run([shell, "-n"], input=script.out, capture_output=True, text=True)
        assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize(("kind", "cword"), [("zsh", "3"), ("fish", "php_v")])
def test_zsh_and_fish_are_offered_the_same(kind: str, cword: str, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("_HNCTL_COMPLETE", f"{kind}_complete")
    monkeypatch.setenv("COMP_WORDS", "hnctl settings get php_v")
    monkeypatch.setenv("COMP_CWORD", cword)
    assert "php_version" in hnctl().out
