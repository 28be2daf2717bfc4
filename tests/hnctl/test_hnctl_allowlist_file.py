"""Allowlists in the fleet file, as whole commands: compared, applied, journaled, drifting and taken back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from runs import Hnctl, boxed

from hypernode.api.allowlist import Allowlist
from hypernode.api.client import Client
from hypernode.api.flows import Flows
from hypernode.errors import Rejected, SafetyError
from hypernode.fleet.managed import refuse_lists
from hypernode.sandbox.server import Sandbox

OFFICE = """\
version: 1
defaults:
  settings: {php_version: 8.4}
  allowlist:
    database:
      - 192.0.2.9        # office
      - 2001:DB8::/32
nodes:
  kaasshop: {}
  fietsenwinkel: {}
"""


@pytest.fixture
def box(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Two nodes, as the file says but for their empty allowlists; the state of this test's own."""
    with boxed(folder, monkeypatch, nodes=2, settings={"php_version": "8.4"}) as running:
        running.set_allowlist_types("waf", "database", "ftp", "ssh")
        (folder / "fleet.yaml").write_text(OFFICE)
        yield running


def client(box: Sandbox, node: str = "kaasshop") -> Client:
    return Client(node, token=box.tokens[node], api_url=box.url)


def there(box: Sandbox, kind: str = "database", node: str = "kaasshop") -> dict[str, str]:
    with client(box, node) as api:
        return dict(api.allowlist.by_type().get(kind, {}))


def methods(box: Sandbox) -> list[str]:
    return [entry.method for entry in box.log() if "/whitelist/" in entry.path and entry.method != "GET"]


def test_what_is_missing_is_shown_applied_and_then_in_sync(hnctl: Hnctl, box: Sandbox):
    shown = hnctl("diff", "--detailed-exitcode")
    assert shown.status == 2
    assert "allowlist.database  no entries -> 2 entries: +192.0.2.9 (office) +2001:db8::/32  on 2 nodes" in shown.out
    assert methods(box) == []
    done = hnctl("apply", "--yes")
    assert done.status == 0
    assert "kaasshop: done in 0 s: allowlist.database no entries -> 2 entries: +192.0.2.9 (office)" in done.err
    assert there(box) == there(box, node="fietsenwinkel") == {"192.0.2.9": "office", "2001:db8::/32": ""}
    assert hnctl("diff", "--detailed-exitcode").status == 0
    assert methods(box) == ["POST"] * 4
    assert not [entry for entry in box.log() if entry.method == "PATCH"], "no setting had to change"


def test_settings_and_allowlists_of_a_node_are_one_change(hnctl: Hnctl, box: Sandbox):
    box.set("kaasshop", php_version="8.3")
    assert hnctl("apply", "--yes", "-n", "kaasshop").status == 0
    assert box.settings("kaasshop")["php_version"] == "8.4"
    assert len(there(box)) == 2
    (node,) = hnctl("history", "last", "-o", "json").json["nodes"]
    assert {change["setting"]: change["desired"] for change in node["changes"]} == {
        "php_version": "8.4",
        "allowlist.database": {"192.0.2.9": "office", "2001:db8::/32": ""},
    }
    assert (
        "allowlist.database +192.0.2.9 (office) +2001:db8::/32; php_version 8.3 -> 8.4" in hnctl("history", "last").out
    )


def test_only_exact_mode_removes_what_is_not_listed(hnctl: Hnctl, box: Sandbox, folder: Path):
    with client(box) as api:
        api.allowlist.add("database", "203.0.113.5", "somebody else")
    assert hnctl("apply", "--yes", "-n", "kaasshop").status == 0
    assert set(there(box)) == {"192.0.2.9", "2001:db8::/32", "203.0.113.5"}
    (folder / "fleet.yaml").write_text(OFFICE.replace("  kaasshop: {}", "  kaasshop: {allowlist_mode: exact}"))
    assert "+" not in (shown := hnctl("diff", "-n", "kaasshop").out)
    assert "3 entries -> 2 entries: -203.0.113.5" in shown
    assert hnctl("apply", "--yes", "-n", "kaasshop").status == 0
    assert set(there(box)) == {"192.0.2.9", "2001:db8::/32"}
    assert hnctl("diff", "--detailed-exitcode", "-n", "kaasshop").status == 0


SSH = OFFICE.replace("database", "ssh").replace("  fietsenwinkel: {}\n", "")


def test_a_lock_out_is_refused_with_yes_and_done_with_its_confirmation(hnctl: Hnctl, box: Sandbox, folder: Path):
    (folder / "fleet.yaml").write_text(SSH)
    refused = hnctl("apply", "--yes")
    assert refused.status == 5
    assert "kaasshop: allowlist.ssh no entries -> 2 entries" in refused.err
    assert "may lock people out: the first entry of ssh closes SSH for everybody else" in refused.err
    assert "--confirm kaasshop:allowlist.ssh allows it" in refused.err
    assert methods(box) == []
    assert hnctl("apply", "--yes", "--confirm", "kaasshop:allowlist.ssh").status == 0
    assert len(there(box, "ssh")) == 2
    (folder / "fleet.yaml").write_text(
        SSH.replace("      - 192.0.2.9        # office\n", "") + "    allowlist_mode: exact\n"
    )
    (folder / "fleet.yaml").write_text(
        SSH.replace("      - 192.0.2.9        # office\n", "").replace(
            "kaasshop: {}", "kaasshop: {allowlist_mode: exact}"
        )
    )
    assert hnctl("apply", "--yes").status == 5
    assert hnctl("apply", "--yes", "--confirm", "all:allowlist.ssh=1").status == 0
    assert set(there(box, "ssh")) == {"2001:db8::/32"}


def test_a_type_that_the_api_does_not_know_is_its_refusal(hnctl: Hnctl, box: Sandbox, folder: Path):
    (folder / "fleet.yaml").write_text(OFFICE.replace("database", "phpmyadmin"))
    done = hnctl("apply", "--yes", "-n", "kaasshop")
    assert done.status == 1
    assert "kaasshop" in done.err
    assert "the allowlist of phpmyadmin: the API refused it (400)" in done.err
    assert "`hnctl allowlist types -n kaasshop` lists the types that the node takes" in done.err


def test_a_list_that_changed_meanwhile_makes_the_plan_stale(hnctl: Hnctl, box: Sandbox, folder: Path):
    (folder / "plan.json").write_text(hnctl("plan", "-o", "json").out)
    with client(box) as api:
        api.allowlist.add("database", "203.0.113.5")
    stale = hnctl("apply", "plan.json", "--yes")
    assert stale.status == 5
    assert "the node changed since the plan was made: allowlist.database is now" in stale.err
    assert set(there(box)) == {"203.0.113.5"}


def test_half_a_list_is_named_gone_on_with_and_taken_back(
    hnctl: Hnctl, box: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    (folder / "fleet.yaml").write_text(SSH)
    add, added = Allowlist.add, 0

    def once(self: Allowlist, *entry: str) -> bool:
        nonlocal added
        added += 1
        if added == 2:
            raise Rejected("the API refused it (400): ip: no IPv6", status=400)
        return add(self, *entry)

    monkeypatch.setattr(Allowlist, "add", once)
    confirmed = ["--yes", "--confirm", "kaasshop:allowlist.ssh"]
    half = hnctl("apply", *confirmed)
    assert half.status == 1
    assert "the allowlist of ssh: the API refused it (400): ip: no IPv6; changed before it: +192.0.2.9" in half.err
    assert hnctl("rollback", "last", "--yes").status == 0
    assert there(box, "ssh") == {}
    added = 0
    hnctl("apply", *confirmed)
    assert set(there(box, "ssh")) == {"192.0.2.9"}
    assert hnctl("resume", "last", "--yes").status == 0
    assert len(there(box, "ssh")) == 2


def test_an_entry_that_comes_in_at_the_last_moment_is_left_alone(
    hnctl: Hnctl, box: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    blocking = Flows.blocking

    def meanwhile(self: Flows) -> Any:
        with client(box) as api:
            api.allowlist.add("database", "198.51.100.7", "a colleague")
        return blocking(self)

    monkeypatch.setattr(Flows, "blocking", meanwhile)
    assert hnctl("apply", "--yes", "-n", "kaasshop").status == 0
    assert set(there(box)) == {"192.0.2.9", "2001:db8::/32", "198.51.100.7"}


def test_opening_a_list_to_everybody_is_told_before_it_is_agreed_to(hnctl: Hnctl, box: Sandbox, folder: Path):
    (folder / "fleet.yaml").write_text(OFFICE.replace("192.0.2.9", "0.0.0.0/0"))
    assert "0.0.0.0/0 in the allowlist of database lets everybody in." in hnctl("diff").out


def test_a_run_is_taken_back(hnctl: Hnctl, box: Sandbox):
    with client(box) as api:
        api.allowlist.add("database", "203.0.113.5", "there before")
    assert hnctl("apply", "--yes").status == 0
    assert hnctl("rollback", "last", "--yes").status == 0
    assert there(box) == {"203.0.113.5": "there before"}
    assert there(box, node="fietsenwinkel") == {}


def test_drift_tells_what_was_changed_there_from_what_is_not_applied_yet(hnctl: Hnctl, box: Sandbox, folder: Path):
    assert hnctl("apply", "--yes").status == 0
    with client(box) as api:
        api.allowlist.remove("database", "192.0.2.9")
    (folder / "fleet.yaml").write_text(
        OFFICE.replace("  fietsenwinkel: {}", "  fietsenwinkel: {allowlist: {database: [192.0.2.8]}}")
    )
    causes = {row["node"]: row["cause"] for row in hnctl("drift", "-o", "json").json["drift"]}
    assert causes == {"kaasshop": "changed there", "fietsenwinkel": "not applied yet"}
    assert hnctl("apply", "--only-drift", "--yes").status == 0
    assert len(there(box)) == 2
    assert "192.0.2.8" not in there(box, node="fietsenwinkel")


def test_what_somebody_took_away_is_put_back_also_when_he_added_another(hnctl: Hnctl, box: Sandbox):
    assert hnctl("apply", "--yes", "-n", "kaasshop").status == 0
    with client(box) as api:
        api.allowlist.remove("database", "192.0.2.9")
        api.allowlist.add("database", "203.0.113.200", "a colleague")
    found = hnctl("drift", "-n", "kaasshop")
    assert "allowlist.database  192.0.2.9, 2001:db8::/32 -> 203.0.113.200, 2001:db8::/32" in found.out
    assert "the file wishes another value since" not in found.out
    assert hnctl("apply", "--only-drift", "--yes", "-n", "kaasshop").status == 0
    assert set(there(box)) == {"192.0.2.9", "2001:db8::/32", "203.0.113.200"}


def test_what_a_colleague_added_does_not_make_a_new_line_of_the_file_his_doing(
    hnctl: Hnctl, box: Sandbox, folder: Path
):
    assert hnctl("apply", "--yes", "-n", "kaasshop").status == 0
    with client(box) as api:
        api.allowlist.add("database", "203.0.113.200")
    (folder / "fleet.yaml").write_text(OFFICE.replace("- 2001:DB8::/32", "- 2001:DB8::/32\n      - 192.0.2.77"))
    (row,) = hnctl("drift", "-n", "kaasshop", "-o", "json").json["drift"]
    assert row["cause"] == "not applied yet"


def test_under_faults_each_entry_is_there_in_the_end(hnctl: Hnctl, box: Sandbox, monkeypatch: pytest.MonkeyPatch):
    box.set_faults({"lost_answer": 0.3, "bad_gateway": 0.2})
    for _ in range(10):
        if hnctl("apply", "--yes").status == 0:
            break
    box.set_faults({})
    assert there(box) == there(box, node="fietsenwinkel") == {"192.0.2.9": "office", "2001:db8::/32": ""}


def test_it_is_refused_on_a_dask_cluster_before_anything_is_sent(box: Sandbox):
    with pytest.raises(SafetyError, match=r"allowlist\.database: allowlists are managed through the API"):
        refuse_lists(["allowlist.database", "php_version"], "kaasshop")


def test_the_schema_knows_allowlists(hnctl: Hnctl, folder: Path):
    schema: Any = json.loads(hnctl("schema").out)
    validator = Draft202012Validator(schema)
    assert validator.is_valid(yaml.safe_load(OFFICE))
    assert not validator.is_valid(yaml.safe_load(OFFICE.replace("database", "databse")))


def test_explain_tells_which_layer_a_list_comes_from_and_what_the_node_has(hnctl: Hnctl, box: Sandbox, folder: Path):
    (folder / "fleet.yaml").write_text(
        OFFICE.replace("kaasshop: {}", "kaasshop: {allowlist_mode: exact, allowlist: {database: [198.51.100.7]}}")
    )
    assert hnctl("allowlist", "add", "database", "203.0.113.5", "--description", "Jan", "-n", "kaasshop").status == 0
    told = hnctl("explain", "kaasshop", "allowlist.database")
    assert told.status == 0, told.err
    assert told.out.splitlines() == [
        "allowlist.database on kaasshop",
        "  live      203.0.113.5 (Jan)",
        "  desired   198.51.100.7",
        "    wins  198.51.100.7  node kaasshop, fleet.yaml:9:59",
        "    loses 192.0.2.9 (office), 2001:db8::/32  defaults, fleet.yaml:6:7",
        "  mode      exact: entries that are not listed are removed",
        "  takes     addresses and ranges",
    ]
    document = hnctl("explain", "fietsenwinkel", "allowlist.database", "-o", "json").json
    assert (document["live"], document["mode"]) == ({}, "add")
    assert document["desired"] == {"192.0.2.9": "office", "2001:db8::/32": ""}
    unmanaged = hnctl("explain", "kaasshop", "allowlist.ssh").out
    for line in (
        "  live      no entries\n",
        "  desired   not managed by the file\n",
        "  risk      locks out: SSH is open",
    ):
        assert line in unmanaged


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("allowlist.databse", "there is no allowlist allowlist.databse\n  hint: Did you mean allowlist.database?"),
        (
            "allowlist",
            "Known are allowlist.database, allowlist.ftp, allowlist.phpmyadmin, allowlist.ssh, allowlist.waf",
        ),
    ],
)
def test_an_allowlist_that_there_is_not_is_not_looked_for_among_the_settings(
    name: str, told: str, hnctl: Hnctl, box: Sandbox
):
    refused = hnctl("explain", "kaasshop", name)
    assert (refused.status, refused.out) == (64, "")
    assert told in refused.err


def test_that_an_export_has_no_allowlists_is_said(hnctl: Hnctl, folder: Path):
    assert "Allowlists are not in it" in " ".join(hnctl("export", "--help").out.split())
