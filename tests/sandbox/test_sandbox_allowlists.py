"""Allowlists of the sandbox."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from hypernode.errors import InputError
from hypernode.sandbox.server import Sandbox

PATH = "/v2/whitelist/kaasshop/"


def test_an_entry_is_added_listed_and_removed_by_type_and_address(box: Sandbox, ask: Any) -> None:
    added = ask("POST", PATH, json={"type": "database", "ip": "192.0.2.9", "description": "office"})
    entry = added.json()
    assert added.status_code == 201
    assert {name: value for name, value in entry.items() if name != "created"} == {
        "id": 5,
        "domainname": "kaasshop.hypernode.io",
        "ip": "192.0.2.9",
        "type": "database",
        "description": "office",
    }
    assert entry["created"].endswith("Z")
    ask("POST", PATH, data={"type": "ftp", "ip": "198.51.100.0/24"})
    assert [(e["id"], e["type"]) for e in ask("GET", PATH).json()] == [(5, "database"), (6, "ftp")]
    assert ask("GET", PATH, params={"type": "database"}).json() == [entry]
    assert ask("GET", PATH.replace("kaasshop", "theeplein"), token="theeplein").json() == []
    assert ask("DELETE", PATH, data={"type": "ftp", "ip": "198.51.100.0/24"}).status_code == 204
    assert ask("GET", PATH).json() == [entry]
    assert [e.changed for e in box.log()] == [True, True, False, False, False, True, False]


@pytest.mark.parametrize(
    ("written", "again", "shown"),
    [
        ("192.0.2.9", "192.0.2.9/32", "192.0.2.9"),
        ("2001:DB8::0001", "2001:db8:0:0:0:0:0:1", "2001:db8::1"),
        ("2001:db8::/32", "2001:0db8::/32", "2001:db8::/32"),
        ("0.0.0.0/0", "0.0.0.0/0", "0.0.0.0/0"),
    ],
)
def test_the_same_addresses_are_the_same_entry_however_they_are_written(
    written: str, again: str, shown: str, ask: Any
) -> None:
    assert ask("POST", PATH, json={"type": "waf", "ip": written}).json()["ip"] == shown
    twice = ask("POST", PATH, json={"type": "waf", "ip": again})
    assert (twice.status_code, twice.json()) == (
        400,
        {"non_field_errors": ["The fields type, ip must make a unique set."]},
    )
    assert ask("POST", PATH, json={"type": "ftp", "ip": again}).status_code == 201
    assert ask("DELETE", PATH, json={"type": "waf", "ip": again}).status_code == 204
    gone = ask("DELETE", PATH, json={"type": "waf", "ip": written})
    assert (gone.status_code, gone.json()) == (404, {"detail": "Not found."})


@pytest.mark.parametrize("method", ["POST", "DELETE"])
@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({}, {"type": ["This field is required."], "ip": ["This field is required."]}),
        ({"type": "ssh", "ip": "192.0.2.9"}, {"type": ['"ssh" is not a valid choice.']}),
        ({"type": "waf", "ip": ""}, {"ip": ["This field may not be blank."]}),
        *(
            ({"type": "waf", "ip": ip}, {"ip": ["Enter a valid IPv4 or IPv6 address, or a range in CIDR form."]})
            for ip in ("192.0.2.9/24", "192.0.2.256", "192.0.2.0/33", "shop.example", "fe80::1%eth0")
        ),
    ],
)
def test_a_bad_entry_is_refused_by_field(method: str, body: Any, problems: Any, box: Sandbox, ask: Any) -> None:
    answer = ask(method, PATH, json=body)
    assert (answer.status_code, answer.json()) == (400, problems)
    assert not any(entry.changed for entry in box.log())


def test_types_can_be_added_and_options_tell_which_there_are(box: Sandbox, ask: Any) -> None:
    def types() -> list[str]:
        described = ask("OPTIONS", PATH).json()["actions"]["POST"]["type"]
        return [choice["value"] for choice in described["choices"]]

    assert types() == ["waf", "database", "ftp"]
    assert ask("GET", PATH, params={"type": "ssh"}).status_code == 400
    box.set_allowlist_types("waf", "ssh", "phpmyadmin")
    assert types() == ["waf", "ssh", "phpmyadmin"]
    assert ask("POST", PATH, json={"type": "ssh", "ip": "192.0.2.9"}).status_code == 201
    control = f"{box.url}/_sandbox/allowlist"
    assert requests.put(control, json={"types": ["ftp"]}, timeout=5).status_code == 200
    assert types() == ["ftp"]
    with pytest.raises(InputError, match="an allowlist has no type 'sftp'"):
        box.set_allowlist_types("sftp")
    for wrong in ({}, {"types": "ftp"}, {"types": ["sftp"]}):
        assert requests.put(control, json=wrong, timeout=5).status_code == 400
    assert types() == ["ftp"]
