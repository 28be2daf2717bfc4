"""A good answer is decoded, whatever its body is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernode.api.answers import decode
from hypernode.errors import (
    BadAnswer,
)

WHAT = "GET /v2/app/kaasshop/"
GATEWAY = b"<!DOCTYPE html>\n<html><head><TITLE>\n502 Bad Gateway </TITLE></head></html>"


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"", None),
        (b" \r\n", None),
        (b"null", None),
        (b'{"a": [1, "x", null]}', {"a": [1, "x", None]}),
        (b"[]", []),
        (b'"posted"', "posted"),
        (b"3", 3),
        ('{"a": "é"}'.encode(), {"a": "é"}),
    ],
)
def test_any_json_is_decoded_and_an_empty_body_is_none(body: bytes, value: object):
    assert decode(body, status=200, what=WHAT, node=None) == value


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (GATEWAY, "an HTML page"),
        (b"\n <p>", "an HTML page"),
        (b'{"php_version": "8.', "19 bytes that are no JSON"),
        (b"posted", "6 bytes that are no JSON"),
        (b"\xff\xfe\x00", "3 bytes that are no JSON"),
        (b"[" * 100_000, "100000 bytes that are no JSON"),
        (b"1" * 5000, "5000 bytes that are no JSON"),
    ],
)
def test_a_body_that_is_no_json_is_a_bad_answer_and_is_not_shown(body: bytes, kind: str):
    with pytest.raises(BadAnswer) as caught:
        decode(body, status=200, what=WHAT, node="kaasshop")
    assert str(caught.value) == f"GET /v2/app/kaasshop/ answered 200 with {kind}"
    assert caught.value.hint == "A proxy or a gateway may stand between you and the API; see `hnctl config list`"
    assert (caught.value.status, caught.value.node) == (200, "kaasshop")


@given(st.binary())
def test_decoding_any_bytes_raises_nothing_but_a_bad_answer(body: bytes):
    try:
        decode(body, status=200, what=WHAT, node=None)
    except BadAnswer:
        return
