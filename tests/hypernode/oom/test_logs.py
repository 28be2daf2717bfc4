"""The other logs of a shop: what is told of them, when it was, and what is kept back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernode.oom.logs import Entry, cron, magento, masked, mysql_slow, php_fpm, php_slow

SLOW = """\
# Time: 2024-03-05T10:15:30.123456Z
# User@Host: app[app] @ localhost []  Id:    42
# Query_time: 12.345678  Lock_time: 0.000123 Rows_sent: 1  Rows_examined: 900000
use shop;
SET timestamp=1709633718;
SELECT * FROM customer
  WHERE email = 'jan@example.com' AND id = 42;
"""
BANNER = """\
/usr/sbin/mysqld, Version: 8.0.36-28 (Percona Server (GPL)). started with:
Tcp port: 3306  Unix socket: /var/run/mysqld/mysqld.sock
Time                 Id Command    Argument
"""
AT = datetime(2024, 3, 5, 10, 15, 30, tzinfo=UTC)


def lines(text: str) -> list[str]:
    return text.split("\n")


def test_a_slow_query_is_told_with_its_time_rows_and_masked_statement():
    assert list(mysql_slow(lines(SLOW))) == [
        Entry(
            AT,
            "mysql query",
            "12 s, 900000 rows examined: SELECT * FROM customer WHERE email = ? AND id = ?;",
            "logged at its end",
        )
    ]


def test_literals_are_shown_when_they_are_asked_for():
    assert "jan@example.com" in next(mysql_slow(lines(SLOW), raw=True)).text


def test_a_restart_of_mysql_is_told_with_its_doubt():
    found = list(mysql_slow(lines(BANNER + SLOW)))
    assert [entry.kind for entry in found] == ["mysql restart", "mysql query"]
    assert found[0].at == AT
    assert found[0].doubt == "some time before the next slow query"


def test_the_time_of_an_old_mysql_counts_for_all_queries_of_its_second():
    old = """\
# Time: 240305 10:15:30
# User@Host: app[app] @ localhost []
# Query_time: 2.0  Lock_time: 0.0 Rows_sent: 1  Rows_examined: 1
SELECT 1;
# User@Host: app[app] @ localhost []
# Query_time: 3.0  Lock_time: 0.0 Rows_sent: 1  Rows_examined: 1
SELECT 2;
"""
    found = list(mysql_slow(lines(old)))
    assert [entry.at for entry in found] == [datetime(2024, 3, 5, 10, 15, 30)] * 2
    assert [entry.text[:3] for entry in found] == ["2 s", "3 s"]


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("SELECT 'it''s', \"a\\\"b\", 0x1F, 3.14, t1.c2", "SELECT ?, ?, ?, ?, t1.c2"),
        ("SELECT 'cut off in the mid", "SELECT ?"),
        ("INSERT INTO t VALUES ('a\\'b', 5)", "INSERT INTO t VALUES (?, ?)"),
    ],
)
def test_literals_are_masked_in_every_spelling(statement: str, shown: str):
    assert masked(statement) == shown


@given(st.text(alphabet="ab '\"\\\\19", max_size=40))
def test_masking_any_text_ends_and_leaves_no_number(text: str):
    assert not any(word.isdecimal() for word in masked(text).replace("?", " ").split())


def test_a_slow_trace_is_told_by_its_top_frame_and_module():
    text = """
[05-Mar-2024 10:15:30]  [pool www] pid 12345
script_filename = /data/web/public/index.php
[0x00007f2a1c0137d0] execute() /data/web/vendor/magento/framework/Statement.php:93
[0x00007f2a1c0137d0] run() /data/web/app/code/Acme/Import/Model/Run.php:7

[05-Mar-2024 10:15:31]  [pool www] pid 12346
script_filename = /data/web/public/index.php
"""
    assert list(php_slow(lines(text))) == [
        Entry(
            datetime(2024, 3, 5, 10, 15, 30),
            "php slow",
            "pool www, pid 12345: execute() /data/web/vendor/magento/framework/Statement.php:93 in magento/framework",
        )
    ]


def test_children_killed_by_signal_9_and_phps_own_limits_are_told_apart():
    text = """\
[05-Mar-2024 10:15:30] WARNING: [pool www] child 12345 exited on signal 9 (SIGKILL) after 31.2 seconds from start
[05-Mar-2024 10:15:30] WARNING: [pool www] child 12346 exited on signal 11 (SIGSEGV) after 31.2 seconds from start
[05-Mar-2024 10:15:31 UTC] PHP Fatal error:  Allowed memory size of 134217728 bytes exhausted (tried to allocate 20480 \
bytes) in /data/web/a.php on line 5
[05-Mar-2024 10:15:32 UTC] PHP Fatal error:  Out of memory (allocated 1520447488) (tried to allocate 134217736 bytes)
[05-Mar-2024 10:15:33] NOTICE: ready to handle connections
"""
    found = list(php_fpm(lines(text)))
    assert [(entry.kind, entry.at.tzinfo) for entry in found] == [
        ("php-fpm killed", None),
        ("php limit", UTC),
        ("php out of memory", UTC),
    ]
    assert "128 MB" in found[1].text
    assert all("nothing was killed" in entry.text for entry in found[1:])


def test_magento_tells_from_warnings_on_and_writes_utc():
    text = """\
[2024-03-05T10:15:30.123456+00:00] main.CRITICAL: Broken {"exception":"(Exception(code: 0): at /data/web/A.php:7)"} []
#0 /data/web/A.php(7): trace
[2024-03-05 10:15:30] report.ERROR: old style [] []
[2024-03-05T10:15:31+00:00] main.INFO: fine [] []
[2024-03-05T10:15:32+00:00] main.CRITICAL: OOM command not allowed when used memory > 'maxmemory'. [] []
"""
    found = list(magento(lines(text)))
    assert [(entry.kind, entry.text) for entry in found] == [
        ("magento", "main.CRITICAL: Broken"),
        ("magento", "report.ERROR: old style"),
        ("redis limit", "Redis refused a write: its own maxmemory was reached"),
    ]
    assert {entry.at for entry in found[:2]} == {AT}


def test_the_start_of_a_cron_job_is_told_with_its_year_from_outside():
    text = """\
Mar  5 10:15:01 shop CRON[123]: (app) CMD (php /data/web/import.php)
Mar  5 10:15:01 shop CRON[124]: pam_unix(cron:session): session opened for user app
Mar  5 10:15:02 shop systemd[1]: Started CRON[9]: (app) CMD (x)
2024-03-05T11:15:03.123456+01:00 shop CRON[125]: (app) CMD (php /data/web/export.php)
2024-03-05T99:15:03+01:00 shop CRON[125]: (app) CMD (x)
Foo  5 10:15:01 shop CRON[123]: (app) CMD (x)
Feb 30 10:15:01 shop CRON[123]: (app) CMD (x)
"""
    assert list(cron(lines(text), lambda month, day: 2024)) == [
        Entry(datetime(2024, 3, 5, 10, 15, 1), "cron", "app: php /data/web/import.php"),
        Entry(datetime(2024, 3, 5, 10, 15, 3, tzinfo=UTC), "cron", "app: php /data/web/export.php"),
    ]


@given(st.lists(st.sampled_from([*lines(SLOW + BANNER), "[05-Mar-2024 10:15:30] x", "[99-Foo-0000 99:99:99] y", ""])))
def test_no_order_of_lines_raises(found: list[str]):
    for read in (mysql_slow, php_slow, php_fpm, magento):
        list(read(found))
    list(cron(found, lambda month, day: 2023))


@given(st.lists(st.text(max_size=80), max_size=20))
def test_no_text_raises(found: list[str]):
    for read in (mysql_slow, php_slow, php_fpm, magento):
        list(read(found))
