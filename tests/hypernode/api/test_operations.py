"""Every operation of the contract, as the SDK calls it: what is sent, and that odd answers end in our own errors."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import hypernode.api
from hypernode.api.client import Client
from hypernode.api.transport import Transport
from hypernode.errors import ApiError, CredentialsError, HypernodeError, OutcomeUnknown
from operations import BRANCHER, CALLS, Operation, iter_operations, load_contract, method_of

API = "https://api.hypernode.com"
OPERATIONS = list(iter_operations())
DOCUMENT = load_contract()

Net = responses.RequestsMock
by_name = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)


@pytest.fixture
def node(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    return Client("kaasshop", token="t0ken", transport=transport, sleep=lambda seconds: None)


def resolve(part: Any) -> Any:
    """Return a part of the contract, or what its reference points to."""
    while isinstance(part, Mapping) and "$ref" in part:
        found: Any = DOCUMENT
        for key in part["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        part = found
    return part


def examples(media: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the examples that the contract gives of a body."""
    if "example" in media:
        yield media["example"]
    for each in media.get("examples", {}).values():
        yield each["value"]
    schema = resolve(media.get("schema", {}))
    yield from schema.get("examples", [])


def good_answer(operation: Operation) -> tuple[int, str]:
    """Return the status and the body of a good answer."""
    status, answer = next(
        (status, resolve(answer)) for status, answer in operation.description["responses"].items() if status[0] == "2"
    )
    media = answer.get("content", {}).get("application/json", {})
    return 200 if status == "2XX" else int(status), next((json.dumps(body) for body in examples(media)), "")


def prepare(net: Net, operation: Operation) -> None:
    """Let the API answer `operation` well, and what its method reads besides."""
    status, body = good_answer(operation)
    net.add(operation.method, API + operation.path, body=body, status=status)
    if operation.name == "remove_allowlist_entry":
        net.get(API + operation.path, json=[{"type": "database", "ip": "192.0.2.9"}])
    if operation.name == "change_brancher_labels":
        net.get(f"{API}/v2/brancher/app/kaasshop/", json={"branchers": [{"name": BRANCHER}]})


def test_every_operation_is_called_by_one_method_and_the_reverse():
    assert sorted(CALLS) == sorted(operation.name for operation in OPERATIONS)
    assert len({method_of(operation.name) for operation in OPERATIONS}) == len(OPERATIONS)


@by_name
def test_the_method_of_an_operation_sends_what_the_contract_says(net: Net, node: Client, operation: Operation):
    prepare(net, operation)
    CALLS[operation.name](node, BRANCHER)
    sent = [call.request for call in net.calls if call.request.method == operation.method]
    assert [str(request.url).partition("?")[0] for request in sent] == [API + operation.path]
    (request,) = sent
    assert request.headers["Authorization"] == "Token t0ken"
    asked = operation.description.get("requestBody")
    if asked is None:
        assert not request.body
    else:
        assert request.headers["Content-Type"] == "application/json"
        schema = {**asked["content"]["application/json"]["schema"], "components": DOCUMENT["components"]}
        Draft202012Validator(schema).validate(json.loads(request.body or ""))


@by_name
def test_the_source_of_an_operation_stands_in_one_docstring(operation: Operation):
    source = f"{operation.method} {operation.template}"
    if operation.name == "cancel_brancher":
        source = source.replace("{app}", "{brancher}")
    pattern = re.compile(re.escape(source) + r"(?![\w{])")
    assert len([name for name, text in docstrings() if pattern.search(text)]) == 1


@cache
def docstrings() -> list[tuple[str, str]]:
    """Return what the functions of the API layer say, each with its name."""
    return [
        (each.name, ast.get_docstring(each) or "")
        for path in Path(hypernode.api.__path__[0]).glob("*.py")
        for each in ast.walk(ast.parse(path.read_text()))
        if isinstance(each, ast.FunctionDef)
    ]


@by_name
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, '{"non_field_errors": ["no"]}'),
        (401, '{"detail": "Invalid token."}'),
        (403, '{"detail": "Because of the financial nature of this command."}'),
        (404, '{"detail": "Not found."}'),
        (418, '["bare", "list"]'),
        (500, "<html><title>500 Internal Server Error</title></html>"),
    ],
)
def test_a_refusal_of_any_operation_is_an_error_of_ours(
    net: Net, node: Client, operation: Operation, status: int, body: str
):
    net.add(operation.method, API + operation.path, body=body, status=status)
    if operation.method in ("DELETE", "POST", "PUT"):
        net.get(re.compile(f"{API}/v2/whitelist/kaasshop/.*"), json=[{"type": "database", "ip": "192.0.2.9"}])
        net.get(f"{API}/v2/brancher/app/kaasshop/", json={"branchers": [{"name": "kaasshop-eph7h2k9q"}]})
    if operation.name == "add_allowlist_entry":
        net.replace(responses.GET, re.compile(f"{API}/v2/whitelist/kaasshop/.*"), json=[])
    tolerant = {("list_flows", 404), ("check_node_name", 400)}  # no logbook yet; what is wrong with the name
    if (operation.name, status) in tolerant:
        CALLS[operation.name](node, BRANCHER)
        return
    with pytest.raises((ApiError, CredentialsError, OutcomeUnknown)) as caught:
        CALLS[operation.name](node, BRANCHER)
    if operation.writes and status == 500:
        assert isinstance(caught.value, OutcomeUnknown)
    if status == 403:
        assert caught.value.code == "api_use_switched_off"


ONLY_ONCE = {
    "order_node",
    "change_product",
    "create_backup",
    "block_attack",
    "perform_preinstall",
    "create_annotation",
    "create_brancher",
}
"""What must not happen twice, and what it costs to see whether it did."""


@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if each.name in ONLY_ONCE], ids=lambda operation: operation.name
)
@pytest.mark.parametrize("answer", [{"status": 500}, {"body": requests.ReadTimeout()}], ids=["500", "timed out"])
def test_what_must_not_happen_twice_is_sent_once(net: Net, node: Client, operation: Operation, answer: Any):
    net.add(operation.method, API + operation.path, **answer)
    net.get(f"{API}/v2/brancher/app/kaasshop/", json={"branchers": []})
    with pytest.raises(OutcomeUnknown) as caught:
        CALLS[operation.name](node, BRANCHER)
    assert caught.value.hint
    assert [call.request.method for call in net.calls].count(operation.method) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "results",
                    "next",
                    "branchers",
                    "name",
                    "code",
                    "years",
                    "labels",
                    "actions",
                    "POST",
                    "type",
                    "choices",
                ]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@by_name
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answer=JSON)
def test_an_answer_of_any_shape_is_read_or_refused(transport: Transport, operation: Operation, answer: Any):
    node = Client("kaasshop", token="t0ken", transport=transport, sleep=lambda seconds: None)
    with responses.RequestsMock(assert_all_requests_are_fired=False) as net:
        net.add(operation.method, API + operation.path, body=json.dumps(answer))
        net.get(re.compile(f"{API}/.*"), body=json.dumps(answer))
        with suppress(HypernodeError):
            CALLS[operation.name](node, BRANCHER)
