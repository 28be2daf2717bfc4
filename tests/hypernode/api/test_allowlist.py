"""The allowlist: entries are the same when their addresses mean the same (CONTRACT.md 2.6, 7)."""

from __future__ import annotations

import json
from typing import Any

import pytest
import responses

from hypernode.api.allowlist import Allowlist
from hypernode.api.client import Client
from hypernode.api.transport import Transport
from hypernode.errors import BadAnswer, OutcomeUnknown, Rejected

URL = "https://api.hypernode.com/v2/whitelist/kaasshop/"
ENTRY = {"id": 5, "created": "2026-05-01T10:00:00Z", "ip": "192.0.2.9", "type": "database", "description": ""}

Net = responses.RequestsMock


@pytest.fixture
def allowlist(transport: Transport, clock: Any) -> Allowlist:
    return Client("kaasshop", token="t0ken", transport=transport, sleep=clock.sleep).allowlist


@pytest.mark.parametrize(
    "choices",
    [["waf", "ssh"], [{"value": "waf", "display_name": "WAF"}, {"value": "ssh", "display_name": "SSH"}]],
    ids=["texts", "objects"],
)
def test_the_types_are_those_that_the_options_say(net: Net, allowlist: Allowlist, choices: Any):
    net.options(URL, json={"actions": {"POST": {"type": {"choices": choices}}}})
    assert allowlist.types() == ("waf", "ssh")


@pytest.mark.parametrize("answer", [None, [], {}, {"actions": []}, {"actions": {"POST": {"type": {"choices": 3}}}}])
def test_options_without_types_are_a_bad_answer(net: Net, allowlist: Allowlist, answer: Any):
    net.options(URL, body=json.dumps(answer))
    with pytest.raises(BadAnswer, match="no types of the allowlist"):
        allowlist.types()


def test_what_is_there_already_is_done(net: Net, allowlist: Allowlist):
    net.post(URL, json={"non_field_errors": ["This entry exists."]}, status=400)
    net.get(URL, json=[ENTRY])
    assert allowlist.add("database", "192.0.2.9/32") is False


def test_what_is_refused_is_told(net: Net, allowlist: Allowlist):
    net.post(URL, json={"ip": ["Enter a valid address."]}, status=400)
    net.get(URL, json=[])
    with pytest.raises(Rejected, match="Enter a valid address"):
        allowlist.add("database", "x")


def test_a_lost_addition_is_looked_for_and_sent_again_only_when_it_is_not_there(net: Net, allowlist: Allowlist):
    net.post(URL, status=502)
    net.get(URL, json=[])
    net.post(URL, json=ENTRY, status=201)
    assert allowlist.add("database", "192.0.2.9") is True
    assert [call.request.method for call in net.calls] == ["POST", "GET", "POST"]


def test_a_lost_addition_that_is_there_is_not_sent_again(net: Net, allowlist: Allowlist):
    net.post(URL, status=502)
    net.get(URL, json=[ENTRY])
    assert allowlist.add("database", "192.0.2.9") is True
    assert [call.request.method for call in net.calls] == ["POST", "GET"]


def test_a_loss_that_cannot_be_looked_for_is_unknown(net: Net, allowlist: Allowlist):
    net.post(URL, status=502)
    net.get(URL, json={"detail": "Invalid token."}, status=401)
    with pytest.raises(OutcomeUnknown, match="its answer was lost"):
        allowlist.add("database", "192.0.2.9")


def test_an_entry_is_removed_as_it_was_spelled(net: Net, allowlist: Allowlist):
    net.get(URL, json=[ENTRY | {"ip": "2001:DB8::1"}])
    net.delete(URL, status=204)
    assert allowlist.remove("database", "2001:db8:0:0:0:0:0:1/128") is True
    assert json.loads(net.calls[-1].request.body or "") == {"type": "database", "ip": "2001:DB8::1"}


def test_removing_what_is_not_there_sends_nothing(net: Net, allowlist: Allowlist):
    net.get(URL, json=[])
    assert allowlist.remove("database", "192.0.2.9") is False
    assert [call.request.method for call in net.calls] == ["GET"]


def test_a_lost_removal_that_happened_is_done(net: Net, allowlist: Allowlist):
    net.get(URL, json=[ENTRY])
    net.delete(URL, status=504)
    net.get(URL, json=[])
    assert allowlist.remove("database", "192.0.2.9") is True
    assert [call.request.method for call in net.calls] == ["GET", "DELETE", "GET"]


def test_an_address_in_two_spellings_is_removed_in_both(net: Net, allowlist: Allowlist):
    there = [ENTRY | {"ip": "2001:DB8::1"}, ENTRY | {"ip": "2001:db8::1"}]
    net.get(URL, json=there)
    net.delete(URL, status=204)
    net.delete(URL, status=502)
    net.get(URL, json=[])
    assert allowlist.remove("database", "2001:db8::1") is True
    assert [json.loads(call.request.body or "{}").get("ip") for call in net.calls if call.request.body] == [
        "2001:DB8::1",
        "2001:db8::1",
    ]


def test_entries_of_other_types_do_not_count_when_the_api_passes_the_query_over(net: Net, allowlist: Allowlist):
    net.get(URL, json=[ENTRY, ENTRY | {"type": "ftp", "ip": "192.0.2.10"}])
    assert [entry.ip for entry in allowlist.list("ftp")] == ["192.0.2.10"]
    assert allowlist.remove("ftp", "192.0.2.9") is False
