from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypernode.errors import FileError
from hypernode.fleet.yamlfile import LARGEST_FILE, compose, read_file


def problems(raw: bytes) -> list[tuple[int, int, str]]:
    with pytest.raises(FileError) as caught:
        compose(raw, "fleet.yaml")
    return [(p.line, p.column, p.message) for p in caught.value.problems]


def test_scalars_keep_their_source_text():
    tree = compose(b"a: 8.10\nb: 0x10\nc: yes", "fleet.yaml")
    assert [value.value for _, value in tree.value] == ["8.10", "0x10", "yes"]


@pytest.mark.parametrize("raw", [b"", b"\n\n", b"# only a comment\n", b"---\n", b"---\n...\n", b"~", b"null\n"])
def test_a_file_without_content_is_empty(raw):
    # Through the reader of fleet files, for which a lone null is no content either.
    from hypernode.catalogue import Catalogue
    from hypernode.fleet.spec import parse

    with pytest.raises(FileError) as caught:
        parse(raw, Catalogue.bundled())
    assert [p.message for p in caught.value.problems] == ["the file is empty"]


def test_a_second_document_is_refused_where_it_begins():
    assert problems(b"version: 1\n---\nversion: 1\n") == [(2, 1, "a second document begins here: a file has one")]


@pytest.mark.parametrize(
    ("raw", "line", "column", "words"),
    [
        (b"a: [1, 2", 2, 1, "did not find expected ',' or ']'"),
        (b"a: b: c", 1, 5, "mapping values are not allowed in this context"),
        (b"a:\n\t- b", 2, 1, "found character that cannot start any token"),
        (b'a: "x', 1, 6, "found unexpected end of stream"),
        (b"a: *nowhere", 1, 4, "found undefined alias"),
        (b"a: @x", 1, 4, "found character that cannot start any token"),
        (b'a: "\\q"', 1, 5, "found unknown escape character"),
    ],
)
def test_what_is_no_yaml_is_refused_with_its_place(raw, line, column, words):
    assert problems(raw) == [(line, column, f"the file is not YAML: {words}")]


def test_a_byte_that_is_no_text_is_named_by_line_and_column():
    assert problems(b"version: 1\nnodes: \xff\xfe") == [
        (2, 8, "the file is not UTF-8 text: invalid leading UTF-8 octet")
    ]


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", id="a picture"),
        pytest.param(b"\x00" * 100, id="zeros"),
        pytest.param(b"\x1f\x8b\x08\x00" + os.urandom(64), id="gzip"),
        pytest.param(b"a: \x1b[31m", id="a terminal's escape"),
    ],
)
def test_a_binary_file_is_refused_and_none_of_it_is_shown(raw):
    (problem,) = problems(raw)
    assert problem[2].isprintable()
    assert len(problem[2]) < 200


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet="[]{}-?:*&!|>'\"#%@ \n\tab1~,", max_size=80).map(str.encode))
def test_any_bytes_give_a_tree_or_a_file_error(raw):
    try:
        assert compose(raw, "fleet.yaml") is not None
    except FileError as exc:
        assert all(p.line >= 1 and p.column >= 1 for p in exc.problems)  # noqa: PT017  # either answer is right


# Aliases


def test_an_alias_may_be_used_many_times():
    compose(b"base: &b {x: 1}\nlist: [" + b"*b, " * 1000 + b"]", "fleet.yaml")


def test_aliases_that_multiply_are_refused():
    laughs = b"l0: &l0 [lol]\n" + b"".join(
        b"l%d: &l%d [%s]\n" % (n, n, b", ".join([b"*l%d" % (n - 1)] * 10)) for n in range(1, 30)
    )
    assert problems(laughs) == [(1, 1, "the file has aliases that expand to more than 1,000,000 values")]


@pytest.mark.parametrize("raw", [b"a: &a [*a]", b"&a {x: *a}", b"&a [[[*a]]]", b"a: &a {b: &b [*a, *b]}"])
def test_an_alias_of_what_it_stands_in_is_refused(raw):
    assert problems(raw) == [(1, 1, "the file has aliases that form a circle")]


def test_the_order_of_aliases_does_not_matter_to_a_long_chain_of_them():
    compose(b"l0: &l0 [x]\n" + b"".join(b"l%d: &l%d [*l%d]\n" % (n, n, n - 1) for n in range(1, 1400)), "fleet.yaml")


# Depth: libyaml's caller recurses in C, so a file that is too deep would take the process down without a word.

DEEP = {
    "brackets": "b'[' * 100_000",
    "braces": "b'{a: ' * 100_000",
    "mixed brackets": "b'[{a: ' * 50_000",
    "brackets on lines of their own": "b'[\\n' * 100_000",
    "compact lists": "b'- ' * 100_000",
    "compact lists with tabs": "b'-\\t' * 100_000",
    "compact keys": "b'? ' * 100_000",
    "indented lists": "b''.join(b' ' * n + b'-\\n' for n in range(5_000))",
    "indented mappings": "b''.join(b' ' * n + b'a:\\n' for n in range(5_000))",
    "indented mappings, windows": "b''.join(b' ' * n + b'a:\\r\\n' for n in range(5_000))",
    "indented lists, old macintosh": "b''.join(b' ' * n + b'-\\r' for n in range(5_000))",
    "closing brackets in a comment before": "b'# ' + b']' * 100_000 + b'\\n' + b'[' * 100_000",
    "closing brackets in comments between": "b'[ # ]\\n' * 100_000",
    "closing brackets in a text before": "b'x: \"' + b']' * 100_000 + b'\"\\ny: ' + b'[' * 100_000",
    "closing brackets in texts between": "b'[ \"]\", ' * 100_000",
    "closing brackets in a plain text before": "b'x: a' + b']' * 100_000 + b'\\ny: ' + b'[' * 100_000",
    "closing brackets in a block before": "b'x: |\\n  ' + b']' * 100_000 + b'\\ny: ' + b'[' * 100_000",
    "UTF-16 lists": "('\\ufeff' + '- ' * 100_000).encode('utf-16-le')",
    "UTF-16 brackets": "('\\ufeff' + '[' * 100_000).encode('utf-16-be')",
}
_CHILD = """
import sys
from hypernode.errors import FileError
from hypernode.fleet.yamlfile import compose
try:
    compose({raw}, "fleet.yaml")
except FileError as exc:
    sys.stdout.write(exc.problems[0].message)
"""


@pytest.mark.parametrize("raw", DEEP.values(), ids=DEEP.keys())
def test_a_file_nested_too_deep_is_refused_and_does_not_crash_the_process(raw):
    child = subprocess.run(
        [sys.executable, "-c", _CHILD.format(raw=raw)], capture_output=True, text=True, timeout=60, check=False
    )
    assert child.returncode == 0, f"ended with {child.returncode}: {child.stderr[-500:]}"
    # Whether it is refused for its depth, or (UTF-16) for its encoding, is all the same.
    assert child.stdout.startswith(("the file is nested more than 100 levels deep", "the file is not "))


def test_the_place_at_which_a_file_gets_too_deep_is_told():
    (problem,) = problems(b"version: 1\nnodes: " + b"[" * 101)
    assert problem == (2, 107, "the file is nested more than 100 levels deep")
    (problem,) = problems(b"version: 1\na:\n" + b"".join(b" " * n + b"a:\n" for n in range(1, 500)))
    assert problem == (102, 101, "the file is nested more than 100 levels deep")


def test_brackets_up_to_the_bound_are_read_however_often_they_come():
    compose(b"- " + b"[" * 99 + b"]" * 99 + b"\n- " + b"[" * 99 + b"]" * 99, "fleet.yaml")
    compose(b"[" + b"[], " * 5000 + b"]", "fleet.yaml")


def test_a_deep_file_with_an_alias_is_read_or_refused_without_a_traceback():
    raw = b"x: &a 1\ny:\n" + b"".join(b" " * n + b"-\n" for n in range(1, 399)) + b" " * 399 + b"- " * 99 + b"*a"
    try:
        compose(raw, "fleet.yaml")
    except FileError as exc:
        assert "levels deep" in str(exc)  # noqa: PT017  # either answer is right


# Files


def test_a_missing_file_is_told_with_its_path(tmp_path):
    path = tmp_path / "fleet.yaml"
    with pytest.raises(FileError) as caught:
        read_file(path)
    assert str(caught.value) == (
        f"{path}:1:1: the file cannot be read: No such file or directory\n  hint: Name another file with -f"
    )


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(FileError) as caught:
        read_file(tmp_path)
    assert str(caught.value) == f"{tmp_path}:1:1: this is a folder, not a file"


def test_a_file_that_may_not_be_read_is_told(tmp_path, as_nobody):
    path = tmp_path / "fleet.yaml"
    path.write_text("version: 1")
    path.chmod(0)
    with pytest.raises(FileError) as caught, as_nobody():
        read_file(path)
    assert str(caught.value) == f"{path}:1:1: the file cannot be read: Permission denied"


def test_a_path_through_a_file_is_told(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(FileError) as caught:
        read_file(tmp_path / "a" / "fleet.yaml")
    assert "the file cannot be read: Not a directory" in str(caught.value)


def test_a_file_of_exactly_the_largest_size_is_read(tmp_path):
    path = tmp_path / "fleet.yaml"
    with path.open("wb") as file:
        file.truncate(LARGEST_FILE)
    assert len(read_file(path)) == LARGEST_FILE
    with path.open("ab") as file:
        file.write(b"x")
    with pytest.raises(FileError, match="the file is larger than 16 MiB, the most that is read"):
        read_file(path)


def test_fifty_megabytes_of_garbage_are_refused_unread(tmp_path):
    path = tmp_path / "fleet.yaml"
    with path.open("wb") as file:
        for _ in range(50):
            file.write(os.urandom(1 << 20))
    with pytest.raises(FileError, match="the file is larger than 16 MiB"):
        read_file(path)
    with pytest.raises(FileError, match="the file is larger than 16 MiB"):
        read_file(Path("/dev/zero"))


def test_a_tag_that_touches_a_bracket_gets_a_hint():
    with pytest.raises(FileError) as caught:
        compose(b"a: {x: !clear}", "fleet.yaml")
    assert caught.value.problems[0].hint == "After a tag such as !clear, leave a blank before } or ,"
