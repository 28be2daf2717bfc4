"""The tree of errors: one root, a stable code each, and messages that name the node."""

from __future__ import annotations

import ast
import builtins
import inspect
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

import hypernode.errors
from hypernode.errors import (
    ApiError,
    ConnectionFailed,
    FileError,
    FlowFailed,
    Forbidden,
    HypernodeError,
    NotFound,
    Problem,
    TryLater,
    UnsafePlan,
)

SDK = Path(hypernode.errors.__file__).parent

CODES = {
    "HypernodeError": "error",
    "InputError": "bad_input",
    "UnknownSetting": "unknown_setting",
    "InvalidValue": "invalid_value",
    "ReadOnlySetting": "read_only_setting",
    "InvalidNode": "invalid_node",
    "FileError": "bad_file",
    "SecretUnavailable": "secret_unavailable",
    "MissingPart": "missing_part",
    "CredentialsError": "credentials",
    "NoKeyring": "no_keyring",
    "NoToken": "no_token",
    "KeyRefused": "key_refused",
    "TokenRefused": "token_refused",
    "ApiError": "api_error",
    "Rejected": "rejected",
    "Forbidden": "forbidden",
    "ApiUseSwitchedOff": "api_use_switched_off",
    "NotFound": "not_found",
    "TryLater": "try_later",
    "BadAnswer": "bad_answer",
    "ConnectionFailed": "connection_failed",
    "HostKeyRefused": "host_key_refused",
    "ToolError": "tool_error",
    "ToolMissing": "tool_missing",
    "ToolAsked": "tool_asked",
    "ToolTimedOut": "tool_timed_out",
    "FlowError": "flow_error",
    "FlowFailed": "flow_failed",
    "FlowTimedOut": "flow_timed_out",
    "NotApplied": "not_applied",
    "WrongNode": "wrong_node",
    "NotVerified": "not_verified",
    "OutcomeUnknown": "outcome_unknown",
    "SafetyError": "refused",
    "UnsafePlan": "unsafe_plan",
    "PlanIsStale": "plan_is_stale",
    "JournalFailed": "journal_failed",
    "RunIsUnderWay": "run_is_under_way",
    "NodeIsBusy": "node_is_busy",
    "NotAgreed": "not_agreed",
}


def error_classes() -> dict[str, type[BaseException]]:
    return {
        name: kind
        for name, kind in vars(hypernode.errors).items()
        if inspect.isclass(kind) and issubclass(kind, BaseException)
    }


def exception_classes(source: str, known: set[str]) -> Iterator[str]:
    """Yield the names of the exception classes that `source` defines, given those known from elsewhere."""
    builtin = {
        name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, BaseException)
    }
    kinds = known | builtin
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
            if bases & kinds or any(base.endswith(("Error", "Exception")) for base in bases):
                kinds.add(node.name)
                yield node.name


def test_every_class_of_the_errors_file_derives_from_the_root():
    assert error_classes()
    assert all(issubclass(kind, HypernodeError) for kind in error_classes().values())


def test_every_error_has_a_stable_code_of_its_own():
    assert {name: kind.__dict__.get("code") for name, kind in error_classes().items()} == CODES
    assert len(set(CODES.values())) == len(CODES)


def test_the_drawn_tree_names_every_error_below_its_parent():
    drawn = hypernode.errors.__doc__ or ""
    for name in error_classes():
        assert name in drawn, f"{name} is missing from the tree in the docstring of errors.py"


def test_no_error_class_of_ours_is_defined_outside_the_errors_file():
    known = set(error_classes())
    for path in sorted(SDK.rglob("*.py")):
        if path != SDK / "errors.py":
            public = [name for name in exception_classes(path.read_text(), known) if not name.startswith("_")]
            assert not public, f"{path.relative_to(SDK)} defines {public}; errors belong into errors.py"


def test_the_search_for_stray_errors_finds_them():
    source = (
        "class A(RuntimeError): ...\nclass B(A): ...\nclass C(x.OddError): ...\nclass D(NotFound): ...\nclass E: ...\n"
    )
    assert list(exception_classes(source, {"NotFound"})) == ["A", "B", "C", "D"]


def test_the_text_names_the_node_unless_the_message_does_already():
    assert str(HypernodeError("it broke", node="kaasshop")) == "kaasshop: it broke"
    assert str(HypernodeError("GET /v2/app/kaasshop/ answered 500", node="kaasshop")) == (
        "GET /v2/app/kaasshop/ answered 500"
    )
    assert str(HypernodeError("it broke")) == "it broke"


def test_a_node_whose_name_is_part_of_another_word_is_named_all_the_same():
    assert str(HypernodeError("the API refused the token (401)", node="he")) == "he: the API refused the token (401)"
    assert str(HypernodeError("shop12 is busy", node="shop1")) == "shop1: shop12 is busy"
    assert str(HypernodeError("shop1-eph7 is busy", node="shop1")) == "shop1: shop1-eph7 is busy"


def test_an_error_carries_message_hint_and_node_as_data():
    error = HypernodeError("it broke", hint="mend it", node="kaasshop")
    assert (error.message, error.hint, error.node, error.code) == ("it broke", "mend it", "kaasshop", "error")


def test_a_file_error_shows_each_problem_with_its_position_and_hint():
    error = FileError("fleet.yaml", [Problem(3, 5, "no such setting", "Did you mean x?"), Problem(9, 1, "odd")])
    assert str(error) == "fleet.yaml:3:5: no such setting\n  hint: Did you mean x?\nfleet.yaml:9:1: odd"
    assert error.message == "fleet.yaml: 2 problems"
    assert error.problems[0].line == 3
    assert FileError("a.yaml", [Problem(1, 1, "odd")]).message == "a.yaml: 1 problem"


def test_an_unsafe_plan_shows_each_reason_with_what_would_allow_it():
    error = UnsafePlan([("mysql_version cannot be undone", "--confirm shop1:mysql_version"), ("40 nodes", "--force")])
    assert str(error) == (
        "refused as unsafe:\n"
        "  - mysql_version cannot be undone\n    --confirm shop1:mysql_version\n"
        "  - 40 nodes\n    --force"
    )
    assert error.reasons[1] == ("40 nodes", "--force")


def test_an_api_error_keeps_the_status_and_the_messages_by_field():
    error = ApiError("refused", status=400, fields={"php_version": ["no"], "": ["bad"]})
    assert error.status == 400
    assert error.fields == {"php_version": ("no",), "": ("bad",)}
    assert ApiError("refused", status=500).fields == {}


def test_errors_of_the_wire_carry_what_a_caller_decides_by():
    failed = ConnectionFailed("lost", maybe_applied=True)
    assert (failed.maybe_applied, failed.permanent) == (True, False)
    flow = FlowFailed("reverted", flow="u-1", state="reverted")
    assert (flow.flow, flow.state) == ("u-1", "reverted")
    assert TryLater("later", status=503).retry_after is None


@pytest.mark.parametrize("kind", [Forbidden, NotFound, TryLater])
def test_one_except_clause_catches_every_failing_answer(kind: type[ApiError]):
    with pytest.raises(ApiError, match="no"):
        raise kind("no", status=418)


def one_of(kind: type[BaseException]) -> BaseException:
    """Make an error of any of our kinds."""
    match kind.__name__:
        case "FileError":
            return kind("fleet.yaml", [hypernode.errors.Problem(1, 2, "wrong", "mend it")])
        case "UnsafePlan":
            return kind([("too much", "--force allows it")])
    more = {"status": 400, "fields": {"php_version": ["no"]}} if issubclass(kind, hypernode.errors.ApiError) else {}
    return kind("it failed", hint="mend it", node="kaasshop", **more)


@pytest.mark.parametrize("kind", error_classes().values())
def test_an_error_survives_the_way_out_of_a_worker_process(kind: type[BaseException]):
    error = one_of(kind)
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is kind
    assert (str(back), back.args, vars(back)) == (str(error), error.args, vars(error))
