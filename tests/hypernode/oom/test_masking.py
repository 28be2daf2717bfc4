"""What customers typed, and passwords, do not get out of the other logs of a shop."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernode.oom.logs import CUT, cron, magento, masked, mysql_slow

CANARY = "canary-5c1"


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        (
            "SELECT * FROM c WHERE a='canary-5c1' AND b=\"canary-5c1\" AND d=61",
            "SELECT * FROM c WHERE a=? AND b=? AND d=?",
        ),
        ("SELECT 1 /* don't */ FROM c WHERE a='canary-5c1'", "SELECT ? ? FROM c WHERE a=?"),
        ("SELECT a -- it's\nFROM c WHERE a='canary-5c1'", "SELECT a ?\nFROM c WHERE a=?"),
        ("SELECT a # it's canary-5c1\nFROM c", "SELECT a ?\nFROM c"),
        ("SELECT `it's` FROM c WHERE a='canary-5c1'", "SELECT `it's` FROM c WHERE a=?"),
        ("SELECT a-b, c--1 FROM t", "SELECT a-b, c--? FROM t"),
        (r"SELECT 'it\'s canary-5c1', 'it''s canary-5c1'", "SELECT ?, ?"),
        ("SELECT 'canary-5c1", "SELECT ?"),
        ("SELECT a /* canary-5c1", "SELECT a ?"),
        ("SELECT `a canary-5c1", "SELECT ?"),
    ],
)
def test_sql_is_shown_without_its_literals_and_comments(statement: str, shown: str):
    assert masked(statement) == shown


_TEXT = st.text(alphabet="ab'\"`\\-#/* \n", max_size=12).map(lambda text: f"{text}{CANARY}{text[::-1]}")
_TOKENS = st.one_of(
    _TEXT.map(lambda text: "'{}'".format(text.replace("\\", "\\\\").replace("'", "''"))),
    _TEXT.map(lambda text: '"{}"'.format(text.replace("\\", "\\\\").replace('"', '\\"'))),
    _TEXT.map(lambda text: "/* {} */".format(text.replace("*/", "").replace("*", ""))),
    _TEXT.map(lambda text: "-- {}\n".format(text.replace("\n", " "))),
    _TEXT.map(lambda text: "#{}\n".format(text.replace("\n", " "))),
    st.sampled_from(["SELECT", "`it's`", '`a"b`', "`#`", "a.b", "=", "(", "17", "a--b", "`/*`", "`--`"]),
)


@given(st.lists(_TOKENS, max_size=8), st.integers(0, 200))
def test_no_literal_and_no_comment_is_ever_shown_wherever_a_statement_is_cut(tokens: list[str], cut: int):
    statement = " ".join(tokens)
    assert CANARY not in masked(statement)
    assert CANARY not in masked(statement[: len(statement) - cut])


def test_a_line_of_a_literal_that_looks_like_a_command_is_part_of_it():
    lines = [
        "# Time: 2024-03-05T10:15:30Z",
        "# Query_time: 5.0  Lock_time: 0.0 Rows_sent: 1  Rows_examined: 1",
        "use shop;",
        "SET timestamp=1709633718;",
        "INSERT INTO t VALUES ('first",
        "use the canary-5c1",
        "SET timestamp= canary-5c1');",
    ]
    (entry,) = mysql_slow(lines)
    assert entry.text == "5 s, 1 rows examined: INSERT INTO t VALUES (?);"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("SQLSTATE[23000]: Duplicate entry 'canary-5c1' VALUES ('canary-5c1')", "Duplicate entry ? VALUES (?)"),
        ("Couldn't mail canary-5c1@example.nl, don't know 'canary-5c1'", "Couldn't mail ? don't know ?"),
        ('The product "canary-5c1" isn\'t there', "The product ? isn't there"),
    ],
)
def test_magento_is_shown_without_what_is_quoted(message: str, shown: str):
    line = f"[2024-03-05T10:15:30+00:00] main.ERROR: {message} [] []"
    (entry,) = magento([line])
    assert shown in entry.text
    assert CANARY not in entry.text
    (raw,) = magento([line], raw=True)
    assert CANARY in raw.text


def test_cron_jobs_are_shown_without_their_passwords():
    command = "mysqldump -pcanary-5c1 --password=canary-5c1 x && curl https://u:canary-5c1@h"
    (entry,) = cron([f"Mar  5 10:15:01 shop CRON[1]: (app) CMD ({command})"], lambda month, day: 2024)
    assert entry.text == "app: mysqldump -p*** --password=*** x && curl https://***@h"


def test_a_command_that_is_too_long_says_so():
    (entry,) = cron([f"Mar  5 10:15:01 shop CRON[1]: (app) CMD (php {'x' * 2000})"], lambda month, day: 2024)
    assert entry.text.endswith(CUT)
    assert len(entry.text) < 1100
