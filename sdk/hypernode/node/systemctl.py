"""hypernode-systemctl: a node's settings through its own tool (CONTRACT.md 4.1).

The tool speaks to people. Its answers are prose on either stream, its exit status says nothing, and before some changes
it asks. What it says in words that are not known is shown whole and taken for nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from hypernode.catalogue import UNREADABLE, Catalogue, Setting, SettingValue, as_text
from hypernode.errors import InvalidValue, OutcomeUnknown, SafetyError, ToolAsked, ToolError
from hypernode.node.shell import Output, Shell
from hypernode.refusals import failure
from hypernode.secrets import Secret

TOOL = "hypernode-systemctl"
READ_TIMEOUT = 60.0
_NOT_KNOWN = f"{TOOL} answered in words that are not known: "
_NO_VALUES = ("", "None", "list", UNREADABLE)
"""Texts that the tool, or who reads its answers, takes for something else."""
_YES = "y\n"  # what public deploy code answers (CONTRACT.md 3)
_REFUSED = re.compile(r"Looks like something went wrong: *(.*)", re.DOTALL)
_BYTES = re.compile(r"""b(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")""", re.DOTALL)
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}
# A choice such as [y/N], a line that ends with a question or waits for an answer, or a tool that missed its answer.
_QUESTION = re.compile(
    r"[\[(]\s*y(?:es)?\s*/\s*no?\s*[\])]|\?[ \t]*$|(?:\(yes\)|confirm|continue|sure)[^\n]*[:>][ \t]*$|EOFError",
    re.IGNORECASE | re.MULTILINE,
)
_LISTED = re.compile(r"([a-z][a-z0-9_]*) *\t *(\[.*\])")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LONGEST_SHOWN = 4_000


class Systemctl:
    """hypernode-systemctl on one node, as user ``app``.

    Args:
        shell: Runs commands on the node.
        catalogue: Types the values; None: the settings of this version.
        node: The node's name, for errors.
        read_timeout: Seconds that reading one value may take.
    """

    def __init__(
        self,
        shell: Shell,
        catalogue: Catalogue | None = None,
        *,
        node: str | None = None,
        read_timeout: float = READ_TIMEOUT,
    ) -> None:
        self._shell = shell
        self._catalogue = Catalogue.bundled() if catalogue is None else catalogue
        self._node = node
        self._read_timeout = read_timeout

    def get(self, name: str) -> SettingValue:
        """Return the live value of one setting; None when it is not set. A secret one comes as `Secret`.

        Raises:
            UnknownSetting: The catalogue does not have it.
            Rejected: The tool refuses, with the API's words.
            ToolError: It answers something else; shown whole, but for a secret.
            HypernodeError: The node cannot be reached; see `Shell.run`.
        """
        setting = self._catalogue.find(name)
        text = self._read(setting)
        if text == UNREADABLE:
            raise not_told(name, self._node)
        return setting.typed(text)

    def read(self, names: Sequence[str] | None = None) -> dict[str, SettingValue]:
        """Return the live values of several settings, asked one after the other, sorted by name.

        Args:
            names: None: all that both the tool and the catalogue know.

        Returns:
            As for `get`; what the tool does not tell is `UNREADABLE`.
        """
        wanted = [name for name in self.choices() if name in self._catalogue] if names is None else names
        settings = [self._catalogue.find(name) for name in sorted(wanted)]
        return {setting.name: setting.typed(self._read(setting)) for setting in settings}

    def choices(self) -> dict[str, tuple[str, ...]]:
        """Return the settings that the tool knows, with the values that it takes, spelled as it spells them.

        Raises:
            ToolError: It lists none.
        """
        answer = self._run(["settings"])
        listed = dict(_listed(line) for line in answer.text.split("\n") if _LISTED.fullmatch(line.strip()))
        if not listed:
            raise self._not_known(answer.text)
        return listed

    def set(
        self, name: str, value: SettingValue, *, block: bool = True, timeout: float = 900.0, agreed: bool = False
    ) -> str | None:
        """Change one setting. Nobody is asked: what it risks is the caller's to know (`Setting.risk`).

        Args:
            name: A setting that can be changed.
            value: Texts are read as the catalogue types them.
            block: Whether to wait until the change is applied; what that found out is not told, so read it back.
            timeout: Seconds; the tool itself sets no limit (CONTRACT.md 4.1). Running out of them cancels no flow.
            agreed: Whether somebody has agreed to this change, for a setting that the tool is known to ask about
                (`Setting.tool_prompts`); the question's words are not known beforehand. All others are left unanswered.

        Returns:
            What it asked and was answered with yes, with all else that it said; None when it asked nothing.

        Raises:
            UnknownSetting, ReadOnlySetting, InvalidValue, SafetyError: Nothing was sent. A secret cannot go this way:
                the tool takes values from its command line only, which all processes can read.
            Rejected: The API's refusal, by field.
            ToolAsked: It asked a question that was not agreed to; nothing was answered.
            ToolTimedOut: It did not end in time.
            OutcomeUnknown: It answered in words that are not known.
            HypernodeError: See `Shell.run`.
        """
        setting = self._catalogue.writable(name)
        text = spelled(setting, value)
        given = _YES if agreed and setting.tool_prompts else ""
        argv = ["settings", name, text, *(["--block"] if block else [])]
        return self._judge(self._run(argv, timeout=timeout, stdin=given), name, answered=bool(given))

    def _judge(self, answer: Output, name: str, *, answered: bool) -> str | None:
        said = answer.text
        questions = len(_QUESTION.findall(said))
        if "Operation was successful" in said:
            return shown(said) if answered and questions else None
        self._raise_if_refused(said)
        if answered and questions > 1:
            raise OutcomeUnknown(
                f"{TOOL} asked about {name}, was answered with yes, and asked again; it said: {shown(said)}",
                hint="Do it by hand on the node, where the second question can be answered, or use via: api",
                node=self._node,
            )
        if not answered and questions:
            raise ToolAsked(
                f"{TOOL} asked about {name} and was not answered; it said: {shown(said)}",
                hint="If it is to be done, answer it by hand on the node, or use via: api, which does not ask",
                node=self._node,
            )
        raise OutcomeUnknown(
            _NOT_KNOWN + shown(said),
            hint="Look at the node with `hnctl settings get`, and at its livelog",
            node=self._node,
        )

    def _read(self, setting: Setting) -> str | None:
        """Return the value of `setting` as the tool spells it; None for a Python None."""
        answer = self._run(["settings", setting.name])
        value = ".*" if setting.type == "string" else r"[^\n]*"  # a free text may have several lines
        pattern = f"^{setting.name} is set to value ?({value})"
        for stream in (answer.out, answer.err):
            if found := re.search(pattern, stream.rstrip("\r\n"), re.MULTILINE | re.DOTALL):
                return None if found[1] == "None" else found[1]
        said = answer.text
        self._raise_if_refused(said)
        # One page of the docs shows the possible values in place of the value (CONTRACT.md 4.1, 6).
        words = said.lower().split()
        if words and setting.values is not None and set(words) <= {str(value).lower() for value in setting.values}:
            return UNREADABLE
        raise self._not_known("(not shown, as it may hold the secret)" if setting.secret else said)

    def _raise_if_refused(self, said: str) -> None:
        refused = _REFUSED.search(said)
        if refused is None:
            return
        literal = _BYTES.match(refused[1])
        body = refused[1].encode() if literal is None else _plain((literal[1] or literal[2] or "").encode())
        raise failure(400, body, what=TOOL, node=self._node)

    def _not_known(self, said: str) -> ToolError:
        return ToolError(
            _NOT_KNOWN + shown(said),
            hint="Try it by hand on the node, or use via: api",
            node=self._node,
        )

    def _run(self, words: Sequence[str], *, timeout: float | None = None, stdin: str = "") -> Output:
        return self._shell.run([TOOL, *words], timeout=timeout or self._read_timeout, stdin=stdin)


def not_told(name: str, node: str | None) -> ToolError:
    """Return the error for a value that the tool does not tell: `UNREADABLE` must not be printed as one."""
    return ToolError(f"{TOOL} does not tell the value of {name}", node=node)


def _listed(line: str) -> tuple[str, tuple[str, ...]]:
    found = _LISTED.fullmatch(line.strip())
    assert found is not None, line  # noqa: S101  # the caller has looked
    try:
        values = ast.literal_eval(found[2])
    except (ValueError, SyntaxError, TypeError):
        values = []
    return found[1], tuple(str(value) for value in values)


def _plain(escaped: bytes) -> bytes:
    """Return the bytes that stand between the quotes of a Python text around bytes."""

    def byte(match: re.Match[bytes]) -> bytes:
        sign = match[1]
        return bytes.fromhex(sign[1:].decode()) if len(sign) == 3 else _ESCAPES.get(sign, sign)

    return _ESCAPE.sub(byte, escaped)


def spelled(setting: Setting, value: SettingValue) -> str:
    """Return `value` as the tool takes it, once it is sure that it arrives as it is.

    Raises:
        InvalidValue: The setting does not take it.
        SafetyError: It cannot be handed over safely.
    """
    if setting.secret or isinstance(value, Secret):
        raise SafetyError(
            f"{setting.name} is secret, and {TOOL} takes values from its command line only, which every process of the "
            "node can read; nothing was changed",
            hint="Use via: api for this node",
        )
    if value is None:
        raise SafetyError(
            f"{TOOL} has no known way to clear {setting.name}; nothing was changed", hint="Use via: api for this node"
        )
    typed = setting.parse(as_text(value))
    text = str(typed)  # True and False, as the tool spells them
    if text.startswith("-") or "\0" in text or text in _NO_VALUES or text != text.rstrip("\r\n"):
        raise InvalidValue(
            f"{TOOL} would not take {text!r} for the value of {setting.name}",
            hint="Use via: api for this node",
        )
    return text


def shown(said: str) -> str:
    """Return what a tool said as one line that can be printed, as good as whole."""
    lines = [_UNPRINTABLE.sub(" ", line).strip() for line in said.split("\n")]
    text = " / ".join(line for line in lines if line)
    return (text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "...") or "(nothing)"
