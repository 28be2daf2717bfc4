"""`hnctl api`: any call, with what holds everywhere: the token stays here, secrets are masked, writes are agreed to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from odd_servers import by_path, serving
from processes import run_in_terminal
from runs import Hnctl

from hypernode.sandbox.server import Sandbox

APP = "/v2/app/kaasshop/"
SHOP = ("-n", "kaasshop")
PHP = '{"php_version": "8.4"}'


def writes(box: Sandbox) -> list[str]:
    return [f"{entry.method} {entry.path}" for entry in box.log() if entry.method not in ("GET", "OPTIONS")]


def test_an_answer_is_one_line_of_json_in_a_pipe_and_laid_out_on_a_terminal(hnctl: Hnctl, box: Sandbox):
    piped = hnctl("api", "GET", f"{APP}flavor/")
    assert (piped.status, piped.err) == (0, "")
    assert set(piped.json) == {"name", "redis_size"}
    assert piped.out.count("\n") == 1
    shown = run_in_terminal("api", "get", f"{APP}flavor/").out
    assert shown.startswith('{\r\n  "name": ')


def test_secrets_are_masked_and_personal_data_stays(hnctl: Hnctl, box: Sandbox):
    box.set("kaasshop", new_relic_secret="hush-hush")
    hidden = ["hush-hush", str(box.settings("kaasshop")["varnish_secret"]), *box.tokens.values()]
    answered = hnctl("api", "GET", f"{APP}?destroyed=false", "--debug")
    assert [word for word in hidden if word in answered.out + answered.err] == []
    assert (answered.json["new_relic_secret"], answered.json["tideways_api_key"]) == ("***", None)
    assert answered.json["account_user"]["email"]


def test_secrets_of_any_shape_are_masked(hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch):
    answer = {
        "access_url": "https://portal.example/?key=hush",
        "some_new_token": ["hush", None, ""],
        "varnish_secret": {"a": "hush"},
        "detail": "your t0ken-of-kaasshop is fine",
        "allow_api_token_usage": True,
        "php_version": "8.3",
    }
    monkeypatch.setenv("HYPERNODE_API_TOKEN", "t0ken-of-kaasshop")
    with serving(by_path({"/": answer})) as odd:
        monkeypatch.setenv("HNCTL_API_URL", odd.url)
        answered = hnctl("api", "GET", "/v1/chargebee/sso/jan@example.com/", "-n", "kaasshop")
    assert answered.json == {
        "access_url": "***",
        "some_new_token": ["***", None, ""],
        "varnish_secret": "***",
        "detail": "your *** is fine",
        "allow_api_token_usage": True,
        "php_version": "8.3",
    }


def test_the_token_is_that_of_n_or_of_the_node_in_the_path_or_the_own_one(
    hnctl: Hnctl, box: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    assert hnctl("api", "GET", "/v2/app/theeplein/flavor/").status == 0
    assert hnctl("api", "GET", "/v2/app/theeplein/flavor/", "-n", "kaasshop").status in (1, 4)
    assert hnctl("api", "GET", "/v2/product/").status == 64
    monkeypatch.setenv("HYPERNODE_APP_NAME", "kaasshop")
    assert [app["name"] for app in hnctl("api", "GET", "/v2/app/").json["results"]] == ["kaasshop"]


def test_pages_are_joined(hnctl: Hnctl, box: Sandbox):
    flows = hnctl("api", "GET", "/logbook/v1/logbooks/boekenhal/flows/", "--paginate").json
    assert len(flows) > 100
    assert len({flow["uuid"] for flow in flows}) == len(flows)
    assert "answered no page of results" in hnctl("api", "GET", "/v2/product/", "--paginate", "-n", "kaasshop").err


@pytest.mark.parametrize(
    "path",
    [
        "https://example.com/v2/",
        "//example.com/v2/",
        "/v2/../x",
        "/v2/%2e%2e/x",
        "v2/app/",
        "/v2//app/",
        "/v2/a b",
        "",
        "\x1b[2J",
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(path: str, hnctl: Hnctl, box: Sandbox):
    refused = hnctl("api", "GET", path, "-n", "kaasshop")
    assert (refused.status, refused.out) == (64, "")
    assert "\x1b[2J" not in refused.err
    assert box.log() == []


def test_a_write_is_asked_about_and_sent_once(hnctl: Hnctl, box: Sandbox):
    refused = hnctl("api", "PATCH", APP, "-d", PHP)
    assert refused.status == 5
    assert refused.err == (
        "`hnctl settings set` does the same, with its checks; here nothing is looked after.\n"
        f"PATCH {APP} is sent with the token of kaasshop.\n"
        "Error: nobody is there to say yes; nothing was sent\n"
        "  hint: Add --yes\n"
    )
    assert writes(box) == []
    sent = hnctl("api", "PATCH", APP, "-d", PHP, "--yes")
    assert (sent.status, sent.out) == (0, "")
    assert "\n202, Location: https://api.hypernode.com/logbook/v1/jobs/" in sent.err
    assert writes(box) == [f"PATCH {APP}"]


def test_whose_the_token_of_a_brancher_is_and_where_it_may_be_is_told(hnctl: Hnctl, box: Sandbox):
    path = "/v2/brancher/kaasshop-eph7h2k9q/"
    asked = hnctl("api", "DELETE", path)
    assert f"DELETE {path} is sent with the token of kaasshop, the parent of kaasshop-eph7h2k9q.\n" in asked.err
    gone = hnctl("api", "DELETE", path, "--yes")
    assert gone.status == 1
    assert "hint: It may be gone: hnctl brancher list -n kaasshop\n" in gone.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("DELETE", APP), "is never sent: the API lists it in a header"),
        (("PUT", "/v2/app/kaasshop", "-d", "{}"), "is never sent: the API lists it in a header"),
        (("POST", f"{APP}cancel/"), "kaasshop is no Brancher, and it would end the node's contract"),
        (("DELETE", "/v2/brancher/kaasshop/"), "kaasshop is no Brancher"),
    ],
    ids=str,
)
def test_what_would_end_a_node_is_never_sent(words: tuple[str, ...], says: str, hnctl: Hnctl, box: Sandbox):
    refused = hnctl("api", *words, "--yes")
    assert (refused.status, says in refused.err) == (5, True)
    assert box.log() == []


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("PATCH", APP, "-d", '{"mysql_version": "8.4"}'), "kaasshop:mysql_version"),
        (("PATCH", APP, "-d", '{"password_auth": false}'), "kaasshop:password_auth"),
        (("POST", "/v2/whitelist/kaasshop/", "-d", '{"type": "ssh", "ip": "192.0.2.9"}'), "kaasshop:allowlist.ssh"),
        (("DELETE", "/v2/whitelist/kaasshop/", "-d", '{"type": "ssh", "ip": "192.0.2.9"}'), "kaasshop:allowlist.ssh"),
        (("PATCH", "/v2/app/xgrade/kaasshop/", "-d", '{"product": "FALCON_L_202203"}'), "kaasshop:FALCON_L_202203"),
        (("POST", "/v2/app/order/", "-n", "kaasshop", "-d", '{"app_name": "x", "product": "Y"}'), "x:Y"),
        (("POST", f"{APP}perform_preinstall/", "-d", '{"preinstall_type": "x"}'), "kaasshop:perform_preinstall"),
    ],
    ids=str,
)
def test_yes_covers_no_more_than_it_does_elsewhere(words: tuple[str, ...], name: str, hnctl: Hnctl, box: Sandbox):
    refused = hnctl("api", *words, "--yes")
    assert (refused.status, f"hint: --confirm {name} allows it" in refused.err) == (5, True), refused.err
    assert writes(box) == []
    assert hnctl("api", *words, "--confirm", name).status == 5, "an ordinary yes is needed besides"
    hnctl("api", *words, "--confirm", name, "--yes")
    assert len(writes(box)) == 1


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        (("POST", "/v2/app/order/", "-d", "{}", *SHOP), "no app_name and no product"),
        (("POST", "/v2/app/order/", *SHOP), "no app_name and no product"),
        (("POST", "/v2/app/order/", "-d", '{"app_name": "x", "product": 5}', *SHOP), "no product"),
        (("PATCH", "/v2/app/xgrade/kaasshop/", "-d", '{"product": null}'), "no product"),
    ],
    ids=str,
)
def test_a_body_that_cannot_be_confirmed_by_name_is_refused_with_what_it_lacks(
    words: tuple[str, ...], missing: str, hnctl: Hnctl, box: Sandbox
):
    refused = hnctl("api", *words, "--yes", "--confirm", "None:None", "--confirm", "kaasshop:None")
    assert (refused.status, f"the body has {missing}, by which" in refused.err) == (64, True), refused.err
    assert writes(box) == []


def test_an_answer_that_is_lost_leaves_the_outcome_open(hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HYPERNODE_API_TOKEN", "token")
    with serving(lambda _: (502, "text/html", b"<html>")) as odd:
        monkeypatch.setenv("HNCTL_API_URL", odd.url)
        lost = hnctl("api", "POST", "/v2/new/", "-n", "kaasshop", "-y")
    assert (lost.status, odd.calls) == (6, ["POST /v2/new/"])
    assert "hint: Find out what became of it before you send it again" in lost.err


def test_a_refusal_tells_the_words_of_the_api_and_no_secret(hnctl: Hnctl, box: Sandbox, folder: Path):
    (folder / "body.json").write_text('{"new_relic_secret": "hush-hush", "php_version": "9.9"}')
    refused = hnctl("api", "PATCH", APP, "-d", "@body.json", "-y")
    assert (refused.status, "(400)" in refused.err, "hush" in refused.err) == (1, True, False)
    missing = hnctl("api", "GET", "/v2/app/kaasshop/nope/")
    assert (missing.status, "was not found (404)" in missing.err) == (1, True)


@pytest.mark.parametrize(
    ("data", "status", "says"),
    [
        ('{"php_version": "8.4', 64, "--data is no JSON: Unterminated string"),
        ("", 64, "--data is no JSON"),
        ("NaN", 64, "NaN is no number of JSON"),
        ("[" * 100_000, 64, "nested too deeply"),
        ('{"new_relic_secret": "hush-hush"}', 64, "must not stand on the command line"),
        (
            "@nope.json",
            65,
            "nope.json:1:1: the file cannot be read: No such file or directory\n  hint: It is the file of --data @FILE",
        ),
        ("@", 65, "the file cannot be read"),
        ("@latin.json", 65, "latin.json:1:1: it is not UTF-8 text"),
        ("@bad.json", 65, "bad.json:2:1: it is no JSON"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_body_that_is_none_is_refused_before_anything_is_sent(
    data: str, status: int, says: str, hnctl: Hnctl, box: Sandbox, folder: Path
):
    (folder / "latin.json").write_bytes(b'"\xe9"')
    (folder / "bad.json").write_text("{\n")
    refused = hnctl("api", "PATCH", APP, "-d", data, "-y")
    assert (refused.status, refused.out) == (status, "")
    assert says in refused.err
    assert "hush" not in refused.err
    assert box.log() == []


def test_a_body_comes_from_stdin_or_a_file(hnctl: Hnctl, box: Sandbox, folder: Path):
    (folder / "body.json").write_text('{"php_version": "8.2"}')
    assert hnctl("api", "PATCH", APP, "-d", "-", "-y", stdin='{"new_relic_secret": null}').status == 0
    assert hnctl("api", "PATCH", APP, "-d", "@body.json", "-y").status == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("GET", APP, "-d", "{}"), "takes no --data"),
        (("POST", APP, "--paginate"), "Only what is read with GET has pages"),
        (("BREW", APP), "is not one of"),
        (("GET", APP, "-n", "kaasshop", "-n", "theeplein"), "one node at a time"),
        (("GET", APP, "-n", "../x"), "cannot be the name of a node"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(words: tuple[str, ...], says: str, hnctl: Hnctl, box: Sandbox):
    refused = hnctl("api", *words, "-y")
    assert (refused.status, says in refused.err) == (64, True)
    assert box.log() == []


def test_a_post_that_only_reads_is_not_asked_about(hnctl: Hnctl, box: Sandbox):
    answered = hnctl("api", "POST", "/v2/nats/kaasshop/hypernode.show-fpm-status")
    assert (answered.status, answered.json["status"]) == (0, 200)


def test_nested_beyond_measure_is_told_in_words(hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HYPERNODE_API_TOKEN", "token")
    deep = b"[" * 600 + b"]" * 600
    with serving(lambda _: (200, "application/json", deep)) as odd:
        monkeypatch.setenv("HNCTL_API_URL", odd.url)
        answered = hnctl("api", "GET", "/v2/x/", "-n", "kaasshop")
    assert answered.status in (0, 1)
    assert "This is a bug" not in answered.err
    assert json.loads(answered.out) if answered.status == 0 else "nested too deeply" in answered.err
