"""Products in diff, plan and apply: shown with what the API says of them, counted against a limit, never changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from runs import Hnctl, boxed

from hypernode.errors import TryLater
from hypernode.sandbox.server import Sandbox

XS, S = "FALCON_XS_202203", "FALCON_S_202203"


@pytest.fixture
def box(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """One node of the smallest product; the state of this test's own."""
    with boxed(folder, monkeypatch, nodes=1, settings={"varnish_enabled": False}) as running:
        running.set_product("kaasshop", XS)
        yield running


def write(folder: Path, node: str, more: str = "") -> None:
    (folder / "fleet.yaml").write_text(f"version: 1\nnodes: {{kaasshop: {{{node}}}}}\n{more}")


VARNISH = "settings: {varnish_enabled: true}"


def test_a_product_that_lacks_varnish_is_told_with_the_next_that_has_it(hnctl: Hnctl, box: Sandbox, folder: Path):
    write(folder, VARNISH)
    shown = hnctl("diff").out
    assert f"  kaasshop  varnish_enabled: {XS} has it not; the next that has it is {S}\n" in shown
    assert "      price 40 -> 60, the address stays, the disk fits, the data is copied\n" in shown
    assert f"      hnctl products change {S} -n kaasshop\n" in shown
    assert "in a unit that the API does not state" in shown
    assert "EUR" not in shown
    (row,) = hnctl("plan", "-o", "json").json["products"]
    assert (row["setting"], row["current"], row["wanted"], row["has"]) == ("varnish_enabled", XS, S, False)
    assert row["will_disk_fit"] is True


def test_another_product_in_the_file_is_a_difference_that_apply_only_tells(hnctl: Hnctl, box: Sandbox, folder: Path):
    write(folder, f"product: {S}")
    shown = hnctl("diff", "--detailed-exitcode")
    assert shown.status == 2
    assert f"kaasshop  is {XS}, and the file says {S}" in shown.out
    assert "In sync" not in shown.out
    done = hnctl("apply", "--yes")
    assert done.status == 0
    assert f"kaasshop  is {XS}, and the file says {S}" in done.err
    assert [entry.method for entry in box.log() if entry.method not in ("GET", "HEAD")] == []
    write(folder, f"product: {XS}")
    assert hnctl("diff", "--detailed-exitcode").status == 0


def test_every_format_tells_it_and_says_that_the_unit_of_prices_is_not_stated(hnctl: Hnctl, box: Sandbox, folder: Path):
    write(folder, f"product: {S}")
    shown = hnctl("diff", "-o", "markdown").out
    assert f"| kaasshop | product | {XS} | {S} | price 40 -> 60" in shown
    assert "In sync" not in shown
    assert "Price: unit not stated by the API." in shown
    (line,) = hnctl("diff", "-o", "jsonl").out.splitlines()
    assert json.loads(line)["product"]["wanted"] == S
    for row in (hnctl("plan", "-o", "json").json["products"][0], json.loads(line)["product"]):
        assert row["price_unit"] == "not stated by the API"
    for command in ("diff", "plan"):
        assert "unit" in hnctl(command, "--help").out
    drift = hnctl("drift")
    assert (drift.status, drift.out) == (0, "No drift: 1 node compared\n")
    assert f"kaasshop  is {XS}, and the file says {S}" in drift.err


def test_a_product_that_does_not_exist_is_told(hnctl: Hnctl, box: Sandbox, folder: Path):
    write(folder, "product: FALCON_XXS_1999")
    assert "price 40 -> not known; the API knows no such move" in hnctl("diff").out


def test_what_only_the_api_knows_is_said_to_be_open(hnctl: Hnctl, box: Sandbox, folder: Path):
    box.set("kaasshop", rabbitmq_enabled=False)
    write(folder, "settings: {rabbitmq_enabled: true}")
    assert f"rabbitmq_enabled: whether {XS} has it only the API knows" in hnctl("diff").out


def test_beyond_the_limit_a_plan_is_refused(hnctl: Hnctl, box: Sandbox, folder: Path):
    write(folder, VARNISH, "limits: {max_monthly_increase: 19}")
    assert "limits.max_monthly_increase is 19" in hnctl("plan").err
    refused = hnctl("apply", "--yes")
    assert refused.status == 5
    assert "cost 20 more, in a unit that the API does not state; limits.max_monthly_increase is 19" in refused.err
    (folder / "plan.json").write_text(hnctl("plan", "-o", "json").out)
    assert hnctl("apply", "plan.json", "--yes").status == 5
    write(folder, VARNISH, "limits: {max_monthly_increase: 20}")
    assert hnctl("apply", "--yes").status == 0


def test_when_the_api_does_not_tell_a_limit_refuses_and_without_one_it_is_told(
    hnctl: Hnctl, box: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("hypernode.api.products.Products.list", _fails)
    write(folder, VARNISH)
    shown = hnctl("diff")
    assert (shown.status, "What the products cost is not known: no answer" in shown.err) == (0, True)
    write(folder, VARNISH, "limits: {max_monthly_increase: 20}")
    assert hnctl("diff").status == 75


def _fails(self: object) -> None:
    raise TryLater("no answer", status=503)


def test_a_fleet_that_asks_for_no_product_asks_the_api_nothing_more(hnctl: Hnctl, box: Sandbox, folder: Path):
    write(folder, "settings: {varnish_enabled: false}")
    box.clear_log()
    hnctl("diff")
    assert [entry.path.partition("?")[0] for entry in box.log()] == ["/v2/app/kaasshop/"]
