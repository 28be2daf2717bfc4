"""A file as it grows: what is appended comes once, over rotations and truncations."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from hypernode.oom.tail import Tail


class Followed:
    """A file that is followed, and what was told of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[str] = []
        self.tail = Tail(path, self.problems.append)

    def append(self, text: str, path: Path | None = None) -> None:
        with (path or self.path).open("a") as file:
            file.write(text)

    def rest(self) -> str:
        """Return all that is there to be read now."""
        parts = []
        while part := self.tail.read():
            parts.append(part)
        return b"".join(parts).decode()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Followed]:
    """A file with a line in it, followed from its end on."""
    path = tmp_path / "kern.log"
    path.write_text("old\n")
    followed = Followed(path)
    yield followed
    followed.tail.close()


def test_only_what_is_appended_comes_and_it_comes_once(log: Followed):
    assert log.rest() == ""
    log.append("one\n")
    log.append("two\n")
    assert (log.rest(), log.rest()) == ("one\ntwo\n", "")


def test_a_line_that_was_begun_before_the_start_comes_whole(tmp_path: Path):
    path = tmp_path / "kern.log"
    path.write_text("old\nhalf ")
    followed = Followed(path)
    followed.append("a line\n")
    assert followed.rest() == "half a line\n"
    followed.tail.close()


def test_a_file_that_comes_later_is_read_from_its_beginning(tmp_path: Path):
    followed = Followed(tmp_path / "kern.log")
    assert (followed.rest(), followed.rest()) == ("", "")
    assert followed.problems == ["it is not there yet, and waited for"], "once"
    followed.append("first\n")
    assert followed.rest() == "first\n"
    followed.tail.close()


def test_after_a_rotation_the_rest_of_the_old_file_comes_first(log: Followed, tmp_path: Path):
    log.append("before\n")
    old = log.path.rename(tmp_path / "kern.log.1")
    log.append("last of the old\n", old)
    log.append("first of the new\n")
    assert log.rest() == "before\nlast of the old\nfirst of the new\n"


def test_the_old_file_is_read_until_the_new_one_is_written_to(log: Followed, tmp_path: Path):
    old = log.path.rename(tmp_path / "kern.log.1")
    assert log.rest() == ""
    log.path.touch()
    assert log.rest() == ""
    log.append("the writer was not told yet\n", old)
    assert log.rest() == "the writer was not told yet\n"
    log.append("now it was\n")
    assert log.rest() == "now it was\n"
    assert log.problems == []


def test_several_rotations_one_after_the_other(log: Followed, tmp_path: Path):
    for number in range(5):
        log.append(f"{number}a\n")
        log.path.rename(tmp_path / f"kern.log.{number}")
        log.append(f"{number}b\n")
        assert log.rest() == f"{number}a\n{number}b\n"


def test_a_deleted_file_may_come_back(log: Followed):
    log.path.unlink()
    assert log.rest() == ""
    log.append("again\n")
    assert log.rest() == "again\n"


@pytest.mark.parametrize("after", ["x\n", "new line\n", "old\none\nlonger than it was before\n", "a\nb\n"])
def test_after_a_truncation_it_is_read_from_its_beginning_however_long_it_has_become(log: Followed, after: str):
    log.append("one\n")
    log.rest()
    log.path.write_text("")
    log.append(after.replace("old", "odd"))
    assert log.rest() == after.replace("old", "odd")


def test_a_truncation_before_anything_was_appended_is_seen_too(log: Followed):
    log.path.write_text("new and longer\n")
    assert log.rest() == "new and longer\n"


def test_a_line_without_its_end_is_ended_where_the_file_begins_anew(log: Followed, tmp_path: Path):
    log.append("half")
    assert log.rest() == "half"
    log.path.write_text("truncated\n")
    assert log.rest() == "\ntruncated\n"
    log.append("half")
    log.path.rename(tmp_path / "kern.log.1")
    log.append("rotated\n")
    assert log.rest() == "half\nrotated\n"


def test_what_is_no_file_is_not_waited_in(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    followed = Followed(tmp_path / "pipe")
    assert followed.rest() == ""
    assert followed.problems == ["it is no file that grows"]


def test_a_file_that_may_not_be_read_is_read_once_it_may(as_nobody: Callable[[], AbstractContextManager[None]]):
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are not for everyone
        Path(folder).chmod(0o755)
        path = Path(folder, "kern.log")
        path.write_text("secret\n")
        path.chmod(0)
        with as_nobody():
            followed = Followed(path)
            assert (followed.rest(), followed.rest()) == ("", "")
        assert followed.problems == ["Permission denied"]
        path.chmod(0o644)
        assert followed.rest() == "secret\n"
        followed.tail.close()
