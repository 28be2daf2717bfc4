"""Backups, attacks, preinstalls and annotations of the sandbox."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import pytest
from patience import until

from hypernode.sandbox.server import Sandbox

PATH = "/v2/app/kaasshop/backup/"


def names(ask: Any, node: str = "kaasshop") -> list[str]:
    answer = ask("GET", f"/logbook/v1/logbooks/{node}/flows/")
    return [flow["name"] for flow in answer.json().get("results", [])]


def test_backups_are_listed_newest_first_by_pages_with_local_offsets(ask: Any) -> None:
    page = ask("GET", PATH, params={"limit": 4, "offset": 4}).json()
    assert (page["count"], len(page["results"])) == (9, 4)
    assert page["next"] == f"https://api.hypernode.com{PATH}?limit=4&offset=8"
    listed = ask("GET", PATH).json()["results"]
    assert listed[4:8] == page["results"]
    made = [datetime.fromisoformat(backup["backup_created_at"]) for backup in listed]
    assert made == sorted(made, reverse=True)
    assert all(datetime.fromisoformat(b["expired_at"]) > at for b, at in zip(listed, made, strict=True))
    assert all(re.fullmatch(r".*T.*\+0[12]:00", backup["expired_at"]) for backup in listed)
    assert len({backup["backup_id"] for backup in listed}) == 9
    assert ask("GET", PATH, params={"limit": 0}).json() == {"limit": ["Enter a whole number from 1 to 100."]}


@pytest.mark.parametrize("fault", [None, "revert"])
def test_a_backup_appears_when_its_flow_is_over_even_if_that_says_reverted(
    fault: str | None, box: Sandbox, ask: Any
) -> None:
    box.set_product("kaasshop", "FALCON_M_202203")
    box.set_faults({fault: ["kaasshop"]} if fault else {})
    answer = ask("POST", PATH)
    assert (answer.status_code, answer.json()) == (200, "The backup is being made.")
    assert ask("GET", PATH).json()["count"] == 9
    until(lambda: ask("GET", PATH).json()["count"], lambda count: count == 10)
    flow = ask("GET", "/logbook/v1/logbooks/kaasshop/flows/").json()["results"][0]
    assert (flow["name"], flow["state"]) == ("create_backup", "reverted" if fault else "success")


def test_a_product_without_an_sla_makes_no_backups(ask: Any) -> None:
    refused = ask("POST", PATH)
    assert (refused.status_code, refused.json()) == (400, {"non_field_errors": ["This node has no SLA Standard."]})


def test_a_brancher_starts_without_backups(ask: Any) -> None:
    name = ask("POST", "/v2/brancher/app/kaasshop/").json()["name"]
    assert ask("GET", f"/v2/app/{name}/backup/").json()["count"] == 0


def test_blocking_an_attack_and_a_preinstall_are_flows(box: Sandbox, ask: Any) -> None:
    blocked = ask("POST", "/v2/app/kaasshop/block_attack/", json={"attack_name": "BlockAhrefsBot"})
    assert (blocked.status_code, blocked.content) == (202, b"")
    installed = ask(
        "POST", "/v2/app/kaasshop/perform_preinstall/", data={"preinstall_type": "magento_2", "sample_data": "True"}
    )
    assert installed.status_code == 202
    assert [(entry.changed, entry.overlap) for entry in box.log()] == [(True, False), (True, True)]
    until(lambda: names(ask), lambda found: found == ["perform_preinstall", "block_attack"])


@pytest.mark.parametrize(
    ("path", "body", "problems"),
    [
        ("block_attack", {"attack_name": "BlockMe"}, {"attack_name": ['"BlockMe" is not a valid choice.']}),
        ("block_attack", {}, {"attack_name": ["This field is required."]}),
        (
            "perform_preinstall",
            {"preinstall_type": "magento1", "sample_data": "maybe"},
            {"preinstall_type": ['"magento1" is not a valid choice.'], "sample_data": ["Must be a valid boolean."]},
        ),
    ],
)
def test_what_nobody_knows_is_refused_by_field(path: str, body: Any, problems: Any, ask: Any) -> None:
    answer = ask("POST", f"/v2/app/kaasshop/{path}/", json=body)
    assert (answer.status_code, answer.json()) == (400, problems)
    assert names(ask) == []


def test_annotations_are_one_s_own_and_can_be_narrowed_to_a_node(ask: Any) -> None:
    create = "/v2/insights-annotation/create/"
    brancher = ask("POST", "/v2/brancher/app/kaasshop/").json()["name"]
    body = {
        "name": "release 12",
        "x_axis": 1780000000,
        "app": "kaasshop",
        "metrics": "memory_usage",
        "metadata": {"a": 1},
    }
    made = ask("POST", create, json=body)
    assert made.status_code == 201
    assert made.json() == {**made.json(), **body, "id": 1}
    ask("POST", create, data={"name": "copy", "x_axis": "1780000001", "app": brancher})
    ask("POST", create, json={"name": "theirs", "x_axis": 1, "app": "theeplein"}, token="theeplein")

    def listed(**query: str) -> list[tuple[str, int]]:
        results = ask("GET", "/v2/insights-annotation/", params=query).json()["results"]
        return [(annotation["name"], annotation["x_axis"]) for annotation in results]

    assert listed() == [("release 12", 1780000000), ("copy", 1780000001)]
    assert listed(app=brancher) == [("copy", 1780000001)]
    assert listed(app="theeplein") == []
    assert listed(limit="1", offset="1") == [("copy", 1780000001)]
    assert ask("POST", create, json={"name": "x", "x_axis": 1, "app": "theeplein"}).status_code == 403
    wrong = ask("POST", create, json={"name": "", "x_axis": "2026-08-20T09:00:00Z", "metrics": ["cpu"]})
    assert wrong.json() == {
        "name": ["This field may not be blank."],
        "x_axis": ["A valid integer is required."],
        "app": ["This field is required."],
        "metrics": ["Not a valid string."],
    }
