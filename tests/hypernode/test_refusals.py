"""Bodies and statuses become errors, whatever the server says (CONTRACT.md 1.4, 1.5)."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hypernode.errors import (
    ApiError,
    ApiUseSwitchedOff,
    Forbidden,
    HypernodeError,
    NotFound,
    Rejected,
    TokenRefused,
    TryLater,
)
from hypernode.refusals import failure, messages
from hypernode.secrets import Secret

WHAT = "GET /v2/app/kaasshop/"
GATEWAY = b"<!DOCTYPE html>\n<html><head><TITLE>\n502 Bad Gateway </TITLE></head></html>"
SWITCHED_OFF = b'{"detail": "Due to the financial nature of this command API token usage has to be enabled."}'
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
STATUSES = [
    (
        401,
        b'{"detail": "Invalid token."}',
        TokenRefused,
        "the API refused the token (401): Invalid token.",
        "Take the token from /etc/hypernode/hypernode_api_token on the node itself",
    ),
    (
        400,
        b'{"rabbitmq_enabled": ["not on this plan"], "detail": "x"}',
        Rejected,
        "the API refused it (400): rabbitmq_enabled: not on this plan; x",
        None,
    ),
    (
        403,
        b'{"detail": "You do not have permission."}',
        Forbidden,
        "the token may not do this (403): You do not have permission.",
        "A token belongs to one node: is this the token of that node?",
    ),
    (
        404,
        b'{"detail": "Not found."}',
        NotFound,
        "GET /v2/app/kaasshop/ was not found (404): Not found.",
        "Either there is no such node, or the token belongs to another one",
    ),
    (429, b"", TryLater, "GET /v2/app/kaasshop/ answered 429", "Try again later"),
    (
        502,
        GATEWAY,
        TryLater,
        "GET /v2/app/kaasshop/ answered 502: an HTML page, 502 Bad Gateway",
        "Try again later",
    ),
    (503, b"", TryLater, "GET /v2/app/kaasshop/ answered 503", "Try again later"),
    (504, b"", TryLater, "GET /v2/app/kaasshop/ answered 504", "Try again later"),
    (500, b'{"non_field_errors": ["oops"]}', ApiError, "GET /v2/app/kaasshop/ answered 500: oops", None),
    (418, b"", ApiError, "GET /v2/app/kaasshop/ answered 418", None),
]
CANARY = 'canary/5e"3f\\0bé😀'


def made(status: int, body: bytes = b"", secrets: tuple[Secret, ...] = ()) -> ApiError | TokenRefused:
    return failure(status, body, what=WHAT, node="kaasshop", secrets=secrets)


@pytest.mark.parametrize(
    ("what", "hint"),
    [
        ("GET /v2/app/kaasshop/", "Either there is no such node, or the token belongs to another one"),
        ("GET /v2/app/kaasshop/?destroyed=false", "Either there is no such node, or the token belongs to another one"),
        (
            "GET /v2/app/kaasshop/nope/",
            "Either there is no such node or nothing at this path, or the token belongs to another one",
        ),
        (
            "GET /v2/nosuch/",
            "The path does not name kaasshop, whose token was sent: either it leads nowhere, or what it names belongs "
            "to another node",
        ),
        ("DELETE /v2/brancher/kaasshop-eph7h2k9q/", "It may be gone: hnctl brancher list -n kaasshop"),
    ],
)
def test_what_a_404_can_mean_depends_on_what_the_path_names(what: str, hint: str):
    assert failure(404, b"", what=what, node="kaasshop").hint == hint


def test_a_404_about_no_node_is_no_hint_at_one():
    assert failure(404, b"", what="GET /v2/product/", node=None).hint is None


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"", {}),
        (b'{"rabbitmq_enabled": ["not on this plan"]}', {"rabbitmq_enabled": ("not on this plan",)}),
        (b'{"non_field_errors": ["one", "two"]}', {"": ("one", "two")}),
        (b'{"detail": "Not found."}', {"": ("Not found.",)}),
        (b'{"errors": ["one"], "detail": "two"}', {"": ("one", "two")}),
        (
            b'["Brancher app x-eph1 is gone"]',
            {"": ("Brancher app x-eph1 is gone",)},
        ),
        (b'"a bare text"', {"": ("a bare text",)}),
        (b"no JSON at all", {"": ("no JSON at all",)}),
        (b'{"php_version": ["8.', {"": ('{"php_version": ["8.',)}),
        (b"null", {"": ()}),
        (b"[]", {"": ()}),
        (b"{}", {}),
        (b"3", {"": ("3",)}),
        (b'{"a": {"b": ["c"]}}', {"a": ('{"b": ["c"]}',)}),
        (b'{"a": [["x"], [null, "y"]], "b": true}', {"a": ("x", "y"), "b": ("true",)}),
        (GATEWAY, {"": ("an HTML page, 502 Bad Gateway",)}),
        (b"<html></html>", {"": ("an HTML page",)}),
        (b"\xff\xfe", {"": ("\ufffd\ufffd",)}),
    ],
)
def test_the_servers_messages_are_found_in_any_shape_of_body(body: bytes, fields: dict[str, tuple[str, ...]]):
    assert messages(body) == fields


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
@example(b'"\\ud800"')
@example(b"\xef\xbb\xbf{}")
@example(b"[" * 100_000)
def test_messages_are_texts_whatever_the_bytes(body: bytes):
    for name, texts in messages(body).items():
        assert isinstance(name, str)
        assert all(isinstance(text, str) for text in texts)


@pytest.mark.parametrize("depth", [10, 100, 300, 600, 900, 960])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_messages_survive_any_depth(depth: int, opening: bytes, closing: bytes):
    assert messages(opening * depth + b'"x"' + closing * depth)


@given(st.integers(300, 599), st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
@example(400, b'{"php_version": ["\\ud83d"]}')
@example(400, json.dumps({f"field_{number}": ["x" * 400] for number in range(100)}).encode())
def test_every_failing_answer_becomes_one_printable_line_of_bounded_length(status: int, body: bytes):
    error = made(status, body)
    assert isinstance(error, ApiError | TokenRefused)
    text = str(error)
    text.encode()
    assert len(text) < 2200
    assert all(letter.isprintable() or letter not in "\n\r\x1b\x00\x08\x7f\x9b" for letter in text)


@pytest.mark.parametrize(("status", "body", "kind", "text", "hint"), STATUSES)
def test_each_status_is_an_error_of_its_own_with_the_servers_words(
    status: int, body: bytes, kind: type[HypernodeError], text: str, hint: str | None
):
    error = made(status, body)
    assert type(error) is kind
    assert error.message == text
    assert (error.hint, error.node) == (hint, "kaasshop")
    if isinstance(error, ApiError):
        assert error.status == status


@pytest.mark.parametrize(
    "body",
    [SWITCHED_OFF, b'{"detail": "API Token Usage is disabled"}', b'["set allow_api_token_usage first"]'],
)
def test_a_403_of_the_switched_off_account_says_where_to_switch_it_on(body: bytes):
    error = made(403, body)
    assert type(error) is ApiUseSwitchedOff
    assert isinstance(error, Forbidden)
    assert error.hint == "An owner or admin turns it on in the control panel: Configuration, Settings, API token usage"


def test_the_switched_off_account_is_told_with_the_servers_words():
    assert made(403, SWITCHED_OFF).message == (
        "use of the API token is switched off for this (403): "
        "Due to the financial nature of this command API token usage has to be enabled."
    )
    assert type(made(400, SWITCHED_OFF)) is Rejected


def test_the_fields_of_a_refusal_are_kept():
    error = made(400, b'{"php_version": ["no"], "detail": "x", "errors": ["y"]}')
    assert isinstance(error, Rejected)
    assert error.fields == {"php_version": ("no",), "": ("x", "y")}


def test_the_servers_words_are_cut_and_cannot_move_the_cursor():
    error = made(400, json.dumps({"detail": "a\nb\x1b[2J\r\x07" + "x" * 10_000}).encode())
    assert error.message == "the API refused it (400): a b [2J  " + "x" * (500 - len("a b [2J  ")) + "..."
    assert isinstance(error, Rejected)
    assert len(error.fields[""][0]) == 503


@pytest.mark.parametrize(
    "body",
    [
        CANARY,
        json.dumps({"new_relic_secret": [f"{CANARY} is wrong"]}),
        json.dumps({CANARY: ["is wrong"]}),
        json.dumps({"new_relic_secret": {"value": CANARY}}),
        json.dumps({"a": {CANARY: 1}}),
        json.dumps({"detail": json.dumps({"new_relic_secret": CANARY})}),
        json.dumps({"a": {"b": json.dumps({"new_relic_secret": CANARY}).replace("/", "\\/")}}),
        json.dumps([CANARY]),
        json.dumps(CANARY),
        json.dumps(CANARY, ensure_ascii=False),
        json.dumps({"detail": CANARY}).replace("/", "\\/"),
        json.dumps({"detail": CANARY})[:-2],
        json.dumps({"detail": CANARY}).replace("/", "\\/")[:-2],
        f"<html><title>{CANARY}</title></html>",
        f"<html><title>{'x' * 190} {CANARY}</title></html>",
        json.dumps({"detail": "x" * 490 + CANARY}),
    ],
)
@pytest.mark.parametrize("status", [400, 401, 503])
def test_a_secret_that_the_server_echoes_is_in_no_part_of_the_error(status: int, body: str):
    error = made(status, body.encode(), secrets=(Secret("token"), Secret(CANARY)))
    shown = [str(error), repr(error), error.message, str(error.args)]
    if isinstance(error, ApiError):
        shown += [*error.fields, *(text for texts in error.fields.values() for text in texts)]
    for text in shown:
        for spelled in (CANARY, json.dumps(CANARY)[1:-1], json.dumps(CANARY).replace("/", "\\/")[1:-1], "canary"):
            assert spelled not in text, text


@pytest.mark.parametrize(
    "body", [b"4815162342", b'{"pin": 4815162342}', b'{"pin": {"value": [4815162342]}}', b"[4815162342"]
)
def test_a_secret_of_digits_may_come_back_as_a_number(body: bytes):
    error = made(400, body, secrets=(Secret("4815162342"),))
    assert isinstance(error, Rejected)
    assert "48" not in str(error) + repr(error.fields)
