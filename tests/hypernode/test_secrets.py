"""Secrets show themselves to nobody, and references lead to them."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hypernode.secrets
from hypernode.errors import SecretUnavailable
from hypernode.secrets import MASK, Reference, Secret, check_present, parse_reference, redact, resolve

CANARY = "canary-5e3f0b"

# The mask is made of stars, so a secret of stars would be found in it.
secret_texts = st.text(st.characters(codec="utf-8", exclude_characters="*"), min_size=1, max_size=30)


def unavailable(reference: str, folder: Path, **more: object) -> str:
    parsed = parse_reference(reference)
    assert parsed is not None
    with pytest.raises(SecretUnavailable) as caught:
        resolve(parsed, folder=folder, **more)  # type: ignore[arg-type]
    return str(caught.value)


def fetched(reference: str, folder: Path = Path("/")) -> str:
    parsed = parse_reference(reference)
    assert parsed is not None
    return resolve(parsed, folder=folder).reveal()


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!{sys.executable}\n{body}\n")
    path.chmod(0o755)
    return path


def test_a_secret_prints_as_its_mask_however_it_is_printed(caplog: pytest.LogCaptureFixture):
    secret = Secret(CANARY)
    logging.getLogger("test").warning("%s %r", secret, secret)
    shown = [str(secret), repr(secret), f"{secret}", f"{secret!r:>20}", f"{secret:>12}", "%s" % secret]  # noqa: UP031
    shown += [format(secret), str([secret]), str({"a": secret}), caplog.text, str(vars(type(secret)).get("_text"))]
    assert CANARY not in "".join(shown)
    assert str(secret) == MASK
    assert repr(secret) == "Secret('***')"
    assert f"{secret:>5}" == "  ***"


def test_a_secret_opens_only_when_asked():
    assert Secret(CANARY).reveal() == CANARY


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_does_not_pickle(protocol: int):
    with pytest.raises(TypeError) as caught:
        pickle.dumps({"token": Secret(CANARY)}, protocol)
    assert str(caught.value) == "a Secret cannot be pickled"


def test_a_secret_is_not_turned_into_json_by_accident():
    with pytest.raises(TypeError):
        json.dumps({"token": Secret(CANARY)})


def test_a_secret_is_not_copied_by_accident():
    with pytest.raises(TypeError):
        copy.copy(Secret(CANARY))


def test_a_secret_takes_no_further_attributes():
    with pytest.raises(AttributeError):
        Secret(CANARY).note = "x"  # type: ignore[attr-defined]


@given(st.text(), st.text())
def test_secrets_are_equal_exactly_when_their_texts_are(one: str, other: str):
    assert (Secret(one) == Secret(other)) is (one == other)
    assert Secret(one) == Secret(one)
    assert hash(Secret(one)) == hash(Secret(one))


def test_a_secret_equals_no_plain_text():
    assert Secret(CANARY) != CANARY
    assert CANARY not in {Secret(CANARY)}


def test_an_empty_secret_counts_as_none():
    assert not Secret("")
    assert Secret(" ")


def test_a_variable_of_bytes_that_are_no_text_is_refused(monkeypatch: pytest.MonkeyPatch):
    """Python hands such bytes of the environment on as lone surrogates, which no JSON carries."""
    monkeypatch.setitem(os.environb, b"NR_KEY", b"abc\xff")
    with pytest.raises(SecretUnavailable) as caught:
        resolve(Reference("env", "NR_KEY"), folder=Path("/"))
    assert str(caught.value) == "environment variable NR_KEY is not UTF-8 text"


@given(st.text(), secret_texts, st.text())
def test_no_text_keeps_a_secret_after_redaction(before: str, secret: str, after: str):
    assert secret not in redact(before + secret + after, [Secret(secret)])


@given(secret_texts, st.booleans(), st.booleans())
def test_no_text_keeps_the_json_spelling_of_a_secret_after_redaction(secret: str, ascii_only: bool, slashes: bool):
    spelled = json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
    if slashes:  # as PHP writes them
        spelled = spelled.replace("/", "\\/")
    assert spelled not in redact(f'{{"new_relic_secret": "{spelled}"}}', [Secret(secret)])


@given(st.text(), st.text(min_size=1))
def test_redaction_leaves_a_text_without_the_secret_as_it_is(text: str, secret: str):
    spellings = {secret, secret.encode("unicode_escape").decode(), secret.replace("\\", "\\\\").replace('"', '\\"')}
    spellings |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    spellings |= {spelling.replace("/", "\\/") for spelling in spellings}
    if not any(spelling in text for spelling in spellings):
        assert redact(text, [Secret(secret)]) == text


@pytest.mark.parametrize("spelled", ["caf\\u00e9/x", "caf\\u00E9\\/x", "caf\u00e9\\/x", "\\u0063af\u00e9\\u002fx"])
def test_every_letter_of_a_secret_may_be_spelled_in_its_own_way(spelled: str):
    assert json.loads(f'"{spelled}"') == "caf\u00e9/x"
    assert redact(f'{{"a": "{spelled}', [Secret("caf\u00e9/x")]) == '{"a": "***'


def test_redaction_passes_over_what_is_no_secret():
    assert redact("nothing here", [None, Secret("")]) == "nothing here"


def test_of_two_secrets_the_longer_goes_first_so_that_no_rest_of_it_stays():
    assert redact("it is canary-long", [Secret("canary"), Secret("canary-long")]) == "it is ***"


@pytest.mark.parametrize(
    ("text", "kind", "target"),
    [
        ("env:NR_KEY", "env", "NR_KEY"),
        ("file:secrets/nr.txt", "file", "secrets/nr.txt"),
        ("keyring:hnctl/kaasshop", "keyring", "hnctl/kaasshop"),
        ("cmd: pass show nr ", "cmd", "pass show nr"),
        ("cmd:a:b", "cmd", "a:b"),
    ],
)
def test_a_reference_names_its_kind_and_its_target(text: str, kind: str, target: str):
    parsed = parse_reference(text)
    assert parsed == Reference(kind, target)
    assert str(parsed) == f"{kind}:{target}"


@pytest.mark.parametrize("text", ["", "env", "env:", "env:  ", ":x", "ENV:x", "vault:x", "canary-5e3f0b", "https://x"])
def test_any_other_text_is_no_reference(text: str):
    assert parse_reference(text) is None


def test_an_environment_variable_gives_its_text(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("NR_KEY", CANARY + "\n")
    assert fetched("env:NR_KEY") == CANARY
    check_present(Reference("env", "NR_KEY"), folder=tmp_path)


def test_a_missing_environment_variable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert unavailable("env:NR_KEY", tmp_path) == "environment variable NR_KEY is not set"
    monkeypatch.setenv("NR_KEY", "")
    assert unavailable("env:NR_KEY", tmp_path) == "env:NR_KEY is empty"
    with pytest.raises(SecretUnavailable, match="environment variable NR_KEY is not set"):
        check_present(Reference("env", "NR_KEY"), folder=tmp_path)


def test_a_file_gives_its_text_without_the_last_newline(tmp_path: Path):
    (tmp_path / "nr").write_text(f" {CANARY}\n two\r\n")
    assert fetched("file:nr", tmp_path) == f" {CANARY}\n two"
    assert fetched(f"file:{tmp_path}/nr") == f" {CANARY}\n two"
    check_present(Reference("file", "nr"), folder=tmp_path)


def test_a_file_that_gives_nothing_is_told_by_its_reference_only(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe" + CANARY.encode())
    (tmp_path / "long").write_text(CANARY * 10_000)
    assert unavailable("file:none", tmp_path) == "file:none cannot be read: No such file or directory"
    assert unavailable("file:folder", tmp_path) == "file:folder is a folder"
    assert unavailable("file:empty", tmp_path) == "file:empty is empty"
    assert unavailable("file:bytes", tmp_path) == "file:bytes is not UTF-8 text"
    assert unavailable("file:long", tmp_path) == "file:long is longer than 65536 characters"
    with pytest.raises(SecretUnavailable, match="file:none cannot be read"):
        check_present(Reference("file", "none"), folder=tmp_path)


def test_a_file_that_we_may_not_read_is_told(tmp_path: Path, as_nobody: Callable[[], AbstractContextManager[None]]):
    (tmp_path / "nr").write_text(CANARY)
    (tmp_path / "nr").chmod(0)
    with as_nobody():
        assert unavailable("file:nr", tmp_path) == "file:nr cannot be read: Permission denied"


def test_a_path_that_no_file_can_have_leads_nowhere(tmp_path: Path):
    assert unavailable("file:a\0b", tmp_path).startswith("file:a\0b cannot be read")


def test_the_keyring_is_asked_for_service_and_user(tmp_path: Path):
    asked: list[tuple[str, str]] = []

    def read(service: str, user: str) -> Secret | None:
        asked.append((service, user))
        return Secret(CANARY)

    assert resolve(Reference("keyring", "a/b/c"), folder=tmp_path, read_keyring=read).reveal() == CANARY
    assert asked == [("a/b", "c")]


def test_a_keyring_without_the_entry_is_told(tmp_path: Path):
    assert unavailable("keyring:hnctl/x", tmp_path) == "the keyring has nothing for hnctl/x"
    assert unavailable("keyring:hnctl/x", tmp_path, read_keyring=lambda *_: None) == (
        "the keyring has nothing for hnctl/x"
    )
    assert unavailable("keyring:hnctl", tmp_path) == "keyring:hnctl must read keyring:SERVICE/USER"


def test_a_command_gives_what_it_prints_and_runs_without_a_shell(tmp_path: Path):
    tell = script(tmp_path / "tell", "import sys; print('|'.join(sys.argv[1:]))")
    assert fetched(f"cmd:{tell} 'two words' $HOME ;ls") == "two words|$HOME|;ls"


def test_checking_a_reference_runs_no_command_and_opens_no_keyring(tmp_path: Path):
    check_present(Reference("cmd", "/no/such/command"), folder=tmp_path)
    check_present(Reference("keyring", "no/entry"), folder=tmp_path)


def test_a_command_that_fails_is_told_with_its_stderr_and_never_its_stdout(tmp_path: Path):
    fail = script(tmp_path / "fail", f"import sys; print({CANARY!r}); print('no entry', file=sys.stderr); sys.exit(3)")
    assert unavailable(f"cmd:{fail}", tmp_path) == f"command '{fail}' ended with 3: no entry"
    silent = script(tmp_path / "silent", "raise SystemExit(1)")
    assert unavailable(f"cmd:{silent}", tmp_path) == f"command '{silent}' ended with 1"
    nothing = script(tmp_path / "nothing", "")
    assert unavailable(f"cmd:{nothing}", tmp_path) == f"cmd:{nothing} is empty"
    odd = script(tmp_path / "odd", "import sys; sys.stdout.buffer.write(b'\\xff')")
    assert unavailable(f"cmd:{odd}", tmp_path) == f"command '{odd}' did not print UTF-8 text"


def test_a_command_that_cannot_be_run_is_told(tmp_path: Path):
    assert unavailable("cmd:/no/such --raw", tmp_path) == (
        "command '/no/such' cannot be run: [Errno 2] No such file or directory: '/no/such'"
    )
    assert unavailable("cmd:pass 'open", tmp_path) == "cannot split the command cmd:pass 'open: No closing quotation"


def test_a_command_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hypernode.secrets, "COMMAND_TIMEOUT", 0.2)
    hang = script(tmp_path / "hang", "import time; time.sleep(60)")
    assert unavailable(f"cmd:{hang}", tmp_path) == f"command '{hang}' took longer than 0 seconds"
    assert hypernode.secrets.COMMAND_TIMEOUT == 0.2
