"""`hnctl allowlist`: entries by what they mean, and nobody locked out by a slip of the pen."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from odd_servers import serving
from processes import run_in_terminal
from runs import Hnctl, Result, point_to

from hypernode.sandbox.server import Sandbox

Allowlist = Callable[..., Result]
CONFIRM = ("--confirm", "kaasshop:allowlist.ssh")


@pytest.fixture
def ssh_box(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(nodes=2) as box:
        box.set_allowlist_types("waf", "database", "ftp", "ssh", "phpmyadmin")
        point_to(box, monkeypatch)
        yield box


@pytest.fixture
def allowlist(hnctl: Hnctl, ssh_box: Sandbox) -> Allowlist:
    return lambda *words: hnctl("allowlist", *words, "-n", "kaasshop")


def written(box: Sandbox) -> list[str]:
    return [entry.method for entry in box.log() if entry.method in ("POST", "DELETE")]


def entries(allowlist: Allowlist) -> list[tuple[str, str]]:
    return [(entry["type"], entry["ip"]) for entry in allowlist("list", "-o", "json").json["entries"]]


def test_an_address_is_added_listed_and_removed(allowlist: Allowlist):
    assert allowlist("list") == (0, "", "No entries.\n")
    added = allowlist("add", "database", "192.0.2.9", "--description", "office")
    assert added == (0, "kaasshop: database 192.0.2.9 added\n", "")
    heads, row = allowlist("list").out.splitlines()
    assert heads.split() == ["type", "ip", "created", "description"]
    assert row.split()[:2] + row.split()[3:] == ["database", "192.0.2.9", "office"]
    assert allowlist("remove", "database", "192.0.2.9") == (0, "kaasshop: database 192.0.2.9 removed\n", "")
    assert entries(allowlist) == []


def test_no_entries_are_of_so_many_nodes(hnctl: Hnctl, box: Sandbox):
    assert hnctl("allowlist", "list", "--type", "database", "-n", "kaasshop") == (0, "", "No entries.\n")
    two = hnctl("allowlist", "list", "--type", "database", "-n", "kaasshop", "-n", "theeplein")
    assert two == (0, "", "No entries of 2 nodes.\n")


def test_what_is_so_already_is_a_success_that_says_so(allowlist: Allowlist, ssh_box: Sandbox):
    assert allowlist("remove", "ftp", "192.0.2.9") == (0, "kaasshop: ftp 192.0.2.9 not there\n", "")
    allowlist("add", "ftp", "2001:DB8:0:0::9", "--description", "office")
    ssh_box.clear_log()
    again = allowlist("add", "ftp", "2001:db8::9/128", "--description", "home", "-o", "json")
    assert again.json == {
        "format_version": 1,
        "node": "kaasshop",
        "type": "ftp",
        "ip": "2001:db8::9",
        "result": "already there",
        "remark": "its description stays 'office'",
    }
    assert written(ssh_box) == []


@pytest.mark.parametrize(
    "spelled",
    [
        "2001:db8::9",
        "2001:DB8::9",
        "2001:db8:0:0:0:0:0:9",
        "2001:0db8:0000:0000:0000:0000:0000:0009",
        "2001:db8::9/128",
    ],
)
def test_five_spellings_of_one_address_are_one_entry(spelled: str, allowlist: Allowlist):
    allowlist("add", "database", "2001:db8::0:9")
    assert "already there" in allowlist("add", "database", spelled).out
    assert "removed" in allowlist("remove", "database", spelled).out


def test_a_range_goes_by_its_prefix_and_what_it_still_lets_in_is_told(allowlist: Allowlist):
    added = allowlist("add", "database", "192.0.2.9/24")
    assert added == (0, "kaasshop: database 192.0.2.0/24 added\n", "192.0.2.9/24 means 192.0.2.0/24.\n")
    assert allowlist("remove", "database", "192.0.2.9").out == (
        "kaasshop: database 192.0.2.9 not there, still let in by 192.0.2.0/24\n"
    )


@pytest.mark.parametrize("command", ["add", "remove"])
@pytest.mark.parametrize("ip", ["office", "192.0.2.256", "192.0.2.9:22", "", "fe80::1%eth0", "\x1b[2J", "1" * 4000])
def test_what_is_no_address_is_refused_before_anything_is_sent(
    command: str, ip: str, allowlist: Allowlist, ssh_box: Sandbox
):
    refused = allowlist(command, "database", ip)
    assert (refused.status, refused.out) == (64, "")
    assert "is no address and no range" in refused.err
    assert "\x1b[2J" not in refused.err
    assert ssh_box.log() == []


def test_the_types_are_those_of_the_api_and_a_wrong_one_names_them(hnctl: Hnctl, box: Sandbox):
    listed = hnctl("allowlist", "types", "-n", "kaasshop", "-o", "json").json["types"]
    assert [row["type"] for row in listed] == ["waf", "database", "ftp"]
    for words in (["list", "--type", "databse"], ["add", "databse", "192.0.2.9"], ["remove", "databse", "192.0.2.9"]):
        refused = hnctl("allowlist", *words, "-n", "kaasshop")
        assert (refused.status, refused.out) == (64, "")
        assert "the API knows no allowlist of type 'databse'; there are waf, database, ftp\n" in refused.err
        assert "hint: Did you mean database?" in refused.err
    assert (
        "hypernode-systemctl whitelist add ssh" in hnctl("allowlist", "add", "ssh", "192.0.2.9", "-n", "kaasshop").err
    )
    assert written(box) == []


def test_entries_of_one_type_on_many_nodes_are_listed(hnctl: Hnctl, allowlist: Allowlist):
    allowlist("add", "database", "192.0.2.9")
    allowlist("add", "ftp", "192.0.2.9")
    table = hnctl("allowlist", "list", "--type", "ftp", "--all").out.splitlines()
    assert [line.split()[:3] for line in table] == [["node", "type", "ip"], ["kaasshop", "ftp", "192.0.2.9"]]


@pytest.mark.parametrize(
    ("ip", "words"),
    [
        ("0.0.0.0/0", "lets everybody in"),
        ("::/0", "lets everybody in"),
        ("2000::/3", "lets so many in that hnctl counts it as everybody"),
        ("10.0.0.0/7", "lets so many in that hnctl counts it as everybody"),
        ("0.0.0.0", "lets everybody in where a program takes it for all addresses"),
    ],
)
def test_a_range_of_everybody_is_asked_about(ip: str, words: str, allowlist: Allowlist, ssh_box: Sandbox):
    refused = allowlist("add", "database", ip)
    assert refused.status == 5
    assert refused.err == (
        f"kaasshop: {ip} in the allowlist of database {words}.\n"
        "Error: nobody is there to say yes; nothing was sent\n  hint: Add --yes\n"
    )
    assert written(ssh_box) == []
    assert allowlist("add", "database", ip, "--yes").status == 0


def test_the_first_entry_of_ssh_takes_a_confirmation_by_name_and_no_yes(allowlist: Allowlist, ssh_box: Sandbox):
    for words in ([], ["--yes"], ["--confirm", "theeplein:allowlist.ssh"], ["--confirm", "kaasshop:ssh", "-y"]):
        refused = allowlist("add", "ssh", "192.0.2.9", *words)
        assert refused.status == 5
        assert "the first entry of ssh closes SSH for everybody else" in refused.err
        assert "hint: --confirm kaasshop:allowlist.ssh allows it" in refused.err
    assert written(ssh_box) == []
    assert allowlist("add", "ssh", "192.0.2.9", *CONFIRM).status == 0
    assert allowlist("add", "ssh", "198.51.100.7").status == 0, "a further one locks nobody out"


def test_a_removal_of_ssh_that_leaves_others_takes_one_too(
    allowlist: Allowlist, ssh_box: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    """Elsewhere than on the node, the variables of SSH tell nothing of how the node sees us."""
    allowlist("add", "ssh", "192.0.2.9", *CONFIRM)
    allowlist("add", "ssh", "198.51.100.7")
    monkeypatch.setenv("SSH_CONNECTION", "198.51.100.7 50022 10.0.0.1 22")
    refused = allowlist("remove", "ssh", "192.0.2.9", "--yes")
    assert refused.status == 5
    assert "whoever comes from 192.0.2.9 cannot log in any more, and nothing tells whether that is you" in refused.err
    assert written(ssh_box).count("DELETE") == 0
    assert allowlist("remove", "ssh", "192.0.2.9", *CONFIRM).status == 0
    last = allowlist("remove", "ssh", "198.51.100.7")
    assert last.status == 5
    assert "SSH is open to everybody" in last.err
    assert allowlist("remove", "ssh", "198.51.100.7", "--yes").status == 0


@pytest.mark.parametrize("variable", ["SSH_CONNECTION", "SSH_CLIENT"])
def test_on_the_node_itself_one_s_own_address_is_known(
    variable: str, allowlist: Allowlist, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    allowlist("add", "ssh", "192.0.2.9", *CONFIRM)
    allowlist("add", "ssh", "198.51.100.7")
    place = folder / "etc" / "hypernode" / "app.json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps({"tag": "kaasshop"}))
    monkeypatch.setenv("HNCTL_NODE_ROOT", str(folder))
    monkeypatch.setenv(variable, "198.51.100.7 50022 22")
    own = allowlist("remove", "ssh", "198.51.100.7", "--yes")
    assert (own.status, "you (198.51.100.7) cannot log in any more" in own.err) == (5, True)
    assert allowlist("remove", "ssh", "192.0.2.9", "--yes").status == 0, "somebody else's"
    monkeypatch.setenv(variable, "no address at all")
    allowlist("add", "ssh", "192.0.2.9")
    assert allowlist("remove", "ssh", "192.0.2.9", "--yes").status == 5


def test_at_a_terminal_the_name_is_typed(ssh_box: Sandbox):
    words = ("allowlist", "add", "ssh", "192.0.2.9", "-n", "kaasshop")
    refused = run_in_terminal(*words, answers=[("to agree", "yes\n")])
    assert refused.status == 5
    agreed = run_in_terminal(*words, answers=[("Type kaasshop:allowlist.ssh to agree", "kaasshop:allowlist.ssh\n")])
    assert (agreed.status, "ssh 192.0.2.9 added" in agreed.out) == (0, True)
    assert written(ssh_box) == ["POST"]


def test_a_change_is_about_one_node(allowlist: Allowlist, ssh_box: Sandbox):
    refused = allowlist("add", "database", "192.0.2.9", "-n", "theeplein")
    assert (refused.status, "one node at a time" in refused.err) == (64, True)
    assert ssh_box.log() == []


@pytest.mark.parametrize("answer", [b"{}", b"null", b"[1]", b'[{"type": "database"}]'])
def test_an_odd_answer_is_an_error_and_no_traceback(answer: bytes, hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HYPERNODE_API_TOKEN", "token")
    with serving(lambda _: (200, "application/json", answer)) as odd:
        monkeypatch.setenv("HNCTL_API_URL", odd.url)
        for words in (["list"], ["types"], ["add", "database", "192.0.2.9"]):
            assert hnctl("allowlist", *words, "-n", "kaasshop").status == 1
    assert not [call for call in odd.calls if call.startswith("POST")]
