"""The journal of a run: what is about to be done is on the disk before it is done.

One file a run, of JSON lines that are only ever appended. A line that was cut off at the end is what a run leaves that
was killed while it wrote; any other line that is no record means that somebody edited the file. Values of secret
settings are kept as hashes with a salt of the run's own: enough to tell whether a value is still the one that was set.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, get_args

from hypernode.allowlists import Entries
from hypernode.errors import JournalFailed, RunIsUnderWay
from hypernode.fleet.managed import Managed, as_json
from hypernode.private_files import make_folder
from hypernode.secrets import Secret

logger = logging.getLogger(__name__)

State = Literal["done", "unchanged", "failed", "unknown", "not_attempted"]
"""How a node can end in a run."""
STATES: tuple[State, ...] = get_args(State)
FORMAT_VERSION = 1
SUFFIX = ".jsonl"


class NoJournal:
    """Writes nothing down, for whoever carries out a plan without a history."""

    run: str | None = None
    failure: JournalFailed | None = None
    owner: Mapping[str, object] | None = None

    def announce(self, record: str, **fields: Any) -> None:
        """Write nothing."""

    def note(self, record: str, **fields: Any) -> None:
        """Write nothing."""

    def values(self, wished: Mapping[str, Managed]) -> dict[str, Any]:
        """Return nothing to write."""
        return {}


NO_JOURNAL = NoJournal()


class Journal:
    """Writes one run down. It can be used by all threads of the run.

    The file is locked for as long as the run lasts: that is how others tell whether it does.

    Args:
        folder: Where the journals are; a new one is begun there.
        clock: Returns the time, aware.

    Raises:
        JournalFailed: It cannot be begun; nothing may be done then.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        try:
            make_folder(folder)
            path = folder / f"{_new_name(folder, clock())}{SUFFIX}"
            file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)  # that there is a file at all has to outlive a crash too
            finally:
                os.close(handle)
        except OSError as exc:
            raise _failed(folder, exc) from exc
        self._set_up(path, file, clock)

    def _set_up(self, path: Path, file: int, clock: Callable[[], datetime]) -> None:
        self.run = path.stem
        self.failure: JournalFailed | None = None
        """Why nothing more can be written; whoever sees it begins nothing more."""
        self.owner: dict[str, object] | None = None
        """Who runs this, for those who come to a node that it has locked; known once it has begun."""
        self._clock = clock
        self._path = path
        self._file = file
        self._lock = threading.Lock()
        self._sync_lock = threading.Lock()
        self._written = self._synced = 0
        """Records that were written, and how many of them are on the disk."""
        self._salt = secrets.token_hex(16)

    @classmethod
    def reopen(cls, path: Path, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> tuple[Journal, str]:
        """Return the journal of a run that is not under way any more, to go on with it, and what it says so far.

        A line that was cut off at its end is taken away.

        Raises:
            RunIsUnderWay: It is; the message has its first record's words of who.
            JournalFailed: It cannot be written.
        """
        try:
            file = os.open(path, os.O_RDWR | os.O_APPEND)
        except OSError as exc:
            raise _failed(path, exc) from exc
        try:
            _lock(file, path.stem)
            raw = path.read_bytes()
            whole = raw[: raw.rfind(b"\n") + 1]
            if whole != raw:
                os.ftruncate(file, len(whole))
        except OSError as exc:
            os.close(file)
            raise _failed(path, exc) from exc
        except RunIsUnderWay:
            os.close(file)
            raise
        journal = cls.__new__(cls)
        journal._set_up(path, file, clock)
        return journal, whole.decode("utf-8", "backslashreplace")

    def announce(self, record: str, **fields: Any) -> None:
        """Write down what is about to be done; when this returns it is on the disk.

        Raises:
            JournalFailed: It is not, and so must not be done.
        """
        line = json.dumps({"record": record, "at": self._clock().isoformat(timespec="milliseconds"), **fields})
        with self._lock, self._failing():
            self._append(f"{line}\n".encode())
            self._written += 1
            mine = self._written
        # Who waits here finds, as a rule, that the one before has brought this record to the disk too.
        with self._sync_lock, self._failing():
            if self._synced < mine:
                written = self._written
                os.fsync(self._file)
                self._synced = written

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Do something with the file, unless that has failed before: what nobody could append to stays as it is."""
        if self.failure is not None:
            raise JournalFailed(self.failure.message, hint=self.failure.hint)
        try:
            yield
        except OSError as exc:
            self.failure = _failed(self._path, exc)
            raise _failed(self._path, exc) from exc

    def _append(self, line: bytes) -> None:
        """Write a whole line, or nothing of it."""
        end = os.fstat(self._file).st_size
        left = memoryview(line)
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError:
            with suppress(OSError):  # then it is cut off, and the last one: nothing more is appended
                os.ftruncate(self._file, end)
            raise

    def note(self, record: str, **fields: Any) -> None:
        """Write down what was seen or has ended. That it cannot be is told by `failure`: it is so all the same."""
        try:
            self.announce(record, **fields)
        except JournalFailed as exc:
            logger.debug("not written down: %s (%s)", record, exc.message)

    def begin(self, *, who: str, pid: int, **fields: Any) -> None:
        """Write the first record: that the run begins, and all that is known of it.

        Raises:
            JournalFailed: It cannot be written; there is no journal then.
        """
        self.owner = {"who": who, "pid": pid, "run": self.run}
        fields = {"who": who, "pid": pid, **fields}
        try:
            self.announce("run begun", format_version=FORMAT_VERSION, run=self.run, salt=self._salt, **fields)
        except JournalFailed:
            with suppress(OSError):
                self._path.unlink()
            raise

    def go_on(self, *, salt: str, who: str, pid: int, **fields: Any) -> None:
        """Write that the run, whose first record has `salt`, is gone on with."""
        self._salt = salt
        self.owner = {"who": who, "pid": pid, "run": self.run}
        self.announce("run resumed", who=who, pid=pid, **fields)

    def values(self, wished: Mapping[str, Managed]) -> dict[str, Any]:
        """Return values as they may be written down: the secret ones as hashes."""
        return {
            name: hashed(value, self._salt) if isinstance(value, Secret) else as_json(value)
            for name, value in wished.items()
        }

    def close(self) -> None:
        """Let the file go."""
        os.close(self._file)


def _new_name(folder: Path, now: datetime) -> str:
    """Return a name for a new run that comes after those of all others, whatever the clock was set to meanwhile."""
    names = (path.stem for path in folder.glob(f"*{SUFFIX}"))
    newest = max((name for name in names if _NAME.fullmatch(name)), default="")
    name = _name_at(now)
    if name > newest:
        return name
    with suppress(ValueError, OverflowError):  # somebody's own file, of a day that there is not
        return _name_at(datetime.strptime(newest[:15], _SECOND) + timedelta(seconds=1))
    return name


def _name_at(now: datetime) -> str:
    # Runs of one second are in order by the fraction of it.
    return f"{now.strftime(_SECOND)}-{now.microsecond * 256 // 1_000_000:02x}{secrets.token_hex(2)}"


_SECOND = "%Y%m%d-%H%M%S"
_NAME = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}")


def _lock(file: int, run: str) -> None:
    """Lock a journal that is there already.

    Raises:
        RunIsUnderWay: Somebody has it.
    """
    for _ in range(10):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)  # hnctl history holds it for a moment, to see whether it is held
        else:
            return
    raise RunIsUnderWay(f"the run {run} is under way", hint=f"Wait for it to end: hnctl history {run} shows it")


def _failed(path: Path, exc: OSError) -> JournalFailed:
    return JournalFailed(
        f"the journal {path} cannot be written: {exc.strerror or exc}",
        hint="Make room or rights there, or set XDG_STATE_HOME to another folder",
    )


def is_under_way(path: Path) -> bool:
    """Tell whether the run of a journal is under way: the process that runs it holds its file."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def hashed(value: Secret, salt: str) -> dict[str, str]:
    """Return what a journal with `salt` keeps of a secret."""
    return {"sha256": hashlib.sha256(f"{salt}{value.reveal()}".encode()).hexdigest()}


def is_kept(value: Managed, kept: object, salt: str) -> bool:
    """Tell whether `value` is the one that a journal has `kept`; for Python True equals 1, and here it does not."""
    spelled = hashed(value, salt) if isinstance(value, Secret) else value
    if isinstance(value, Entries):
        return isinstance(kept, dict) and value == kept
    return spelled.__class__ is kept.__class__ and spelled == kept


def describe_person(environment: Mapping[str, str], user: str, host: str) -> tuple[str, str | None]:
    """Return who runs this, and the address of the pipeline's job if it is one, out of the usual variables."""
    names = ("GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILDKITE_BUILD_CREATOR", "BITBUCKET_STEP_TRIGGERER_UUID")
    who = next((environment[name] for name in names if environment.get(name)), user)
    job = environment.get("CI_JOB_URL") or environment.get("BUILDKITE_BUILD_URL") or environment.get("BUILD_URL")
    if not job and (run := environment.get("GITHUB_RUN_ID")):
        server = environment.get("GITHUB_SERVER_URL", "https://github.com")
        job = f"{server}/{environment.get('GITHUB_REPOSITORY', '')}/actions/runs/{run}"
    return f"{who}@{host}", job or None


def run_state(states: Sequence[str], stopped: str | None) -> str:
    """Return the state of a run that has ended out of those of its nodes, and of why it was stopped if it was."""
    if stopped == "interrupted":
        return "interrupted"
    if stopped in ("window", "gate undecided"):
        return "paused"
    if stopped is not None:
        return "stopped"
    good = [state for state in states if state in ("done", "unchanged")]
    if len(good) == len(states):
        return "done"
    return "partly done" if good else "failed"
