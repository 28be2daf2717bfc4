"""`hnctl products`: what there is, what a change would mean, and the change, which is agreed to by name only."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from odd_servers import by_path, serving
from processes import run_in_terminal
from runs import Hnctl, Result, point_to, writes

from hypernode.sandbox.server import Sandbox

NODE, CODE = "theeplein", "FALCON_L_202203"
CHANGE = ["products", "change", CODE, "-n", NODE]
CONFIRM = ["--confirm", f"{NODE}:{CODE}"]


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A node of Falcon M and others; a change takes a fifth of a second."""
    with Sandbox(nodes=5, flow_time=0.2) as box:
        point_to(box, monkeypatch)
        monkeypatch.setenv("HNCTL_POLL_INTERVAL", "20ms")
        box.set_product(NODE, "FALCON_M_202203")
        yield box


def has_no_unit(run: Result) -> bool:
    return re.search(r"[€$£]|EUR|cent|month", run.out + run.err) is None


@pytest.mark.parametrize("output", ["table", "json", "jsonl", "yaml", "markdown"])
def test_the_products_are_listed_with_prices_that_have_no_unit(output: str, hnctl: Hnctl, box: Sandbox):
    run = hnctl("products", "list", "-n", NODE, "-o", output)
    assert run.status == 0
    assert has_no_unit(run)
    if output in ("table", "markdown"):
        assert re.search(rf"{CODE}\W+170\W+5\W+24576\W+138\W+true\W+false", run.out)
        assert run.err == "Price: unit not stated by the API.\n"
        return
    assert run.err == ""
    rows = (
        [json.loads(line) for line in run.out.splitlines()]
        if output == "jsonl"
        else yaml.safe_load(run.out)["products"]
    )
    large = next(row for row in rows if row["code"] == CODE)
    assert (large["price"], large["price_unit"], large["machines"][0]["vcpus"]) == (170, "not stated by the API", 5)


def test_one_product_is_shown_and_that_of_a_node(hnctl: Hnctl, box: Sandbox):
    shown = hnctl("products", "show", CODE, "-n", NODE)
    assert "price               170 (unit not stated by the API)\n" in shown.out
    assert "related product     FALCON_L_202203DEV\n" in shown.out
    current = hnctl("products", "current", "-n", NODE)
    assert current.out.startswith("code                  FALCON_M_202203\n")
    assert "at Combell OpenStack  3 vCPUs, 16384 MB of memory, 62 GB of disk\n" in current.out
    assert has_no_unit(shown)
    assert has_no_unit(current)
    assert hnctl("products", "current", "-n", NODE, "-o", "json").json["product"]["code"] == "FALCON_M_202203"


@pytest.mark.parametrize("command", ["show", "check", "change"])
def test_a_code_that_there_is_not_is_told_with_where_to_look(command: str, hnctl: Hnctl, box: Sandbox):
    refused = hnctl("products", command, "FALCON_L", "-n", NODE)
    assert refused.status == 1
    assert refused.err == f"Error: there is no product FALCON_L\n  hint: See `hnctl products list -n {NODE}`\n"
    assert hnctl("products", command, "../x", "-n", NODE).status == 64
    assert writes(box) == []


def test_a_check_tells_address_data_disk_payment_and_price(hnctl: Hnctl, box: Sandbox, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    run = hnctl("products", "check", CODE, "-n", NODE)
    assert (run.status, run.err) == (0, "")
    assert run.out.splitlines() == [
        f"{NODE}: FALCON_M_202203 (Falcon M) -> {CODE} (Falcon L)",
        "  address     stays",
        "  data        copied: by the documentation twice, at the end with services stopped",
        "  disk        it fits",
        "  payment     there is a valid payment method",
        "  VAT number  there is a valid one",
        "  price       110 now, 170 then; unit not stated by the API",
        "By Hypernode's documentation:",
        "  - While it lasts SSH and FTP are closed, nothing should be changed, and the",
        "    shop is down for the last part.",
        "  - An address changes between Falcon and Eagle, or to another region.",
        "  - It is billed by the day; going back within 2 hours is free.",
        "  - While autoscaling has moved the node up, its product cannot be changed.",
    ]
    document = hnctl("products", "check", CODE, "-n", NODE, "-o", "json").json["check"]
    assert (document["will_change_ip"], document["price_now"], document["obstacles"]) == (False, 110, [])


def test_a_move_to_another_family_a_swap_and_a_development_product_are_told(hnctl: Hnctl, box: Sandbox):
    eagle = hnctl("products", "check", "EAGLE_M_202203DEV", "-n", NODE).out
    assert "address     CHANGES; DNS and the allowlists of others have to follow\n" in eagle
    assert "A development product cannot go live, and has no monitoring." in eagle
    swapped = hnctl("products", "check", "FALCON_2XL_202203", "-n", NODE).out
    assert "data        the volume is swapped: by the documentation in under a minute\n" in swapped


@pytest.mark.parametrize(
    ("yes", "because"),
    [
        ([], "it was not confirmed"),
        (["--confirm", f"{NODE}:mysql_version"], f"--confirm {NODE}:mysql_version does not cover it"),
        (["--confirm", CODE], f"--confirm {CODE} does not cover it"),
        (
            ["--confirm", f"{NODE}:FALCON_M_202203", "--confirm", "\x1b[2J"],
            f"--confirm {NODE}:FALCON_M_202203 --confirm \\x1b[2J does not cover it",
        ),
    ],
    ids=str,
)
def test_nothing_but_the_node_and_the_product_by_name_agrees_to_it(
    yes: list[str], because: str, hnctl: Hnctl, box: Sandbox
):
    refused = hnctl(*CHANGE, *yes)
    assert refused.status == 5
    assert "price       110 now, 170 then" in refused.out
    assert refused.err == (
        f"Error: {NODE}: FALCON_M_202203 -> {CODE} costs money, and the shop is down for a part of it; {because}, "
        f"and nothing was sent\n  hint: --confirm {NODE}:{CODE} allows it\n"
    )
    assert writes(box) == []


def test_what_is_confirmed_is_sent_once_and_told_how_to_be_looked_at(hnctl: Hnctl, box: Sandbox):
    done = hnctl(*CHANGE, *CONFIRM)
    assert done.status == 0
    assert done.out.splitlines()[-1] == (
        f"{NODE}: the change was accepted. Look at it with `hnctl flows watch -n {NODE}` and "
        f"`hnctl products current -n {NODE}`."
    )
    assert [entry.path for entry in writes(box)] == [f"/v2/app/xgrade/{NODE}/"]


def test_it_is_followed_until_the_node_has_the_product(hnctl: Hnctl, box: Sandbox):
    done = hnctl(*CHANGE, *CONFIRM, "--wait", "-o", "json")
    assert done.status == 0, done.err
    assert done.json["change"]["result"] == "done"
    assert f"{NODE}: xgrade_app success 8/8\n" in done.err
    assert hnctl("products", "current", "-n", NODE, "-o", "json").json["product"]["code"] == CODE
    again = hnctl(*CHANGE, "--wait")
    assert (again.status, again.out) == (0, f"{NODE} is of {CODE} already; nothing was sent.\n")
    assert len(writes(box)) == 1


def test_one_that_is_rolled_back_fails_and_one_that_takes_too_long_is_unknown(hnctl: Hnctl, box: Sandbox):
    late = hnctl(*CHANGE, *CONFIRM, "--wait", "--within", "0")
    assert late.status == 6
    box.set_faults({"revert": [NODE]})
    failed = hnctl(*CHANGE, *CONFIRM, "--wait", "--ignore-running")
    assert failed.status == 1
    assert "the flow xgrade_app was reverted" in failed.err


def test_of_a_change_whose_answer_is_lost_nothing_is_sent_twice(hnctl: Hnctl, box: Sandbox):
    box.set_faults({"lost_answer": [NODE]})
    lost = hnctl(*CHANGE, *CONFIRM, "--wait")
    assert lost.status == 6
    assert f"hint: Look for xgrade_app with `hnctl flows list -n {NODE}` before you try again" in lost.err
    assert len(writes(box)) == 1


def test_a_disk_that_is_too_small_stands_in_the_way_whatever_was_confirmed(hnctl: Hnctl, box: Sandbox):
    large = next(name for name in box.names if "XL" in product_of(hnctl, name) or "_L_" in product_of(hnctl, name))
    small = "FALCON_XS_202203"
    assert "disk        it does NOT FIT\n" in hnctl("products", "check", small, "-n", large).out
    refused = hnctl("products", "change", small, "-n", large, "--confirm", f"{large}:{small}")
    assert refused.status == 5
    assert f"what is on the disk of {large} does not fit on that of {small}\n" in refused.err
    assert "--confirm" not in refused.err
    assert writes(box) == []


def product_of(hnctl: Hnctl, node: str) -> str:
    return str(hnctl("products", "current", "-n", node, "-o", "json").json["product"]["code"])


GOOD = {
    "has_valid_vat_number": True,
    "has_valid_payment_method": True,
    "will_change_ip": False,
    "will_do_volswap": False,
    "will_disk_fit": True,
}


def answers(current: str = "OLD", **check: bool) -> dict[str, Any]:
    """Return what an API answers that offers the product CODE and no longer that of the node."""
    return {
        f"/v2/product/{CODE}/with_price/": {"code": CODE, "price": 170},
        f"/v2/product/app/{NODE}/current/": {"code": current, "name": "An old one"},
        f"/v2/app/xgrade/{NODE}/check/": {**GOOD, **check},
        f"/v2/app/xgrade/{NODE}/": None,
        "/logbook/": {"results": [], "next": None},
    }


def test_an_account_that_cannot_pay_stands_in_the_way(hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HYPERNODE_API_TOKEN", "token")
    with serving(by_path(answers(has_valid_payment_method=False, has_valid_vat_number=False))) as odd:
        monkeypatch.setenv("HNCTL_API_URL", odd.url)
        refused = hnctl(*CHANGE, *CONFIRM)
        assert not any(call.startswith("PATCH") for call in odd.calls)
    assert refused.status == 5
    assert "payment     there is NO valid payment method\n" in refused.out
    assert "VAT number  there is NO valid one; whether that keeps it from being changed is open\n" in refused.out
    assert "price       - now, 170 then; unit not stated by the API\n" in refused.out
    assert f"the account of {NODE} has no valid payment method\n" in refused.err


def test_a_flow_that_never_shows_up_leaves_it_unknown(hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HYPERNODE_API_TOKEN", "token")
    with serving(by_path(answers())) as odd:
        monkeypatch.setenv("HNCTL_API_URL", odd.url)
        sent = hnctl(*CHANGE, *CONFIRM, "--wait", "--within", "100ms", "--poll-interval", "10ms")
    assert sent.status == 6
    assert f"{NODE}: no flow of it showed up so far. Look at it with `hnctl flows watch -n {NODE}`" in sent.out


def test_a_node_that_got_another_product_meanwhile_is_left_alone(hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HYPERNODE_API_TOKEN", "token")
    seen: list[str] = []

    def respond(path: str) -> tuple[int, str, bytes]:
        seen.append(path)
        looks = sum(path.endswith("/current/") for path in seen)
        return by_path(answers(current="OLD" if looks < 2 else "OTHER"))(path)

    with serving(respond) as odd:
        monkeypatch.setenv("HNCTL_API_URL", odd.url)
        refused = hnctl(*CHANGE, *CONFIRM)
        assert not any(call.startswith("PATCH") for call in odd.calls)
    assert refused.status == 5
    assert "it is of OTHER by now, and was of OLD when it was checked; nothing was sent" in refused.err


def test_a_node_that_is_being_changed_is_left_alone(hnctl: Hnctl, box: Sandbox):
    box.start_flow(NODE, "update_node", 30)
    refused = hnctl(*CHANGE, *CONFIRM)
    assert refused.status == 5
    assert "the flow update_node is running; nothing was sent" in refused.err
    assert writes(box) == []
    assert hnctl(*CHANGE, *CONFIRM, "--ignore-running").status == 0


def test_a_change_can_be_scheduled_with_its_offset(hnctl: Hnctl, box: Sandbox):
    run = hnctl(*CHANGE, *CONFIRM, "--at", "2099-09-01T03:00+02:00")
    assert run.status == 0
    assert run.out.splitlines()[-1] == (
        f"{NODE}: scheduled for 2099-09-01T03:00:00+02:00. No call of the API lists what is scheduled; "
        "the control panel does, and `hypernode-systemctl list_xgrades` there."
    )
    assert hnctl(*CHANGE, *CONFIRM, "--at", "2099-09-01T03:00Z", "-o", "json").json["change"]["result"] == "scheduled"


@pytest.mark.parametrize(
    ("at", "says"),
    [
        ("2099-09-01T03:00", "is no time with its zone; write 2026-09-01T03:00+02:00"),
        ("2099-09-01", "is no time with its zone"),
        ("tonight", "is no time with its zone"),
        ("2020-09-01T03:00+02:00", "2020-09-01T03:00:00+02:00 is over"),
    ],
)
def test_a_time_that_cannot_be_meant_is_refused(at: str, says: str, hnctl: Hnctl, box: Sandbox):
    refused = hnctl(*CHANGE, *CONFIRM, "--at", at)
    assert refused.status == 64
    assert says in refused.err
    assert hnctl(*CHANGE, *CONFIRM, "--at", "2099-09-01T03:00Z", "--wait").status == 64
    assert writes(box) == []


def test_an_account_that_does_not_let_the_api_spend_is_told_how_to(hnctl: Hnctl, box: Sandbox):
    box.set("theeplein", allow_api_token_usage=False)
    refused = hnctl(*CHANGE, *CONFIRM)
    assert refused.status == 4
    assert "API token usage" in refused.err


@pytest.mark.parametrize(("typed", "status"), [(f"{NODE}:{CODE}", 0), ("y", 5)])
def test_on_a_terminal_its_name_is_typed(typed: str, status: int, box: Sandbox):
    shown = run_in_terminal(*CHANGE, "--wait", answers=[(f"Type {NODE}:{CODE} to agree:", f"{typed}\n")])
    assert shown.status == status, shown.out
    assert len(writes(box)) == (status == 0)
    assert shown.out.index("price       110 now") < shown.out.index("Type ")
