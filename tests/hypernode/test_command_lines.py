"""Command lines out of /proc, and the secrets in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernode.command_lines import mask_words, parse_command


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("mysql -u app -psesame db", "mysql -u app -p*** db"),
        ("mysql --password=sesame db", "mysql --password=*** db"),
        ("mysql --password sesame db", "mysql --password *** db"),
        ("sshpass -p sesame ssh x", "sshpass -p *** ssh x"),
        ("env MYSQL_PWD=sesame mysql", "env MYSQL_PWD=*** mysql"),
        ("php x.php token=sesame", "php x.php token=***"),
        ("php x.php --admin-password=sesame --force", "php x.php --admin-password=*** --force"),
        ("php x.php --apiKey sesame --api-key=sesame", "php x.php --apiKey *** --api-key=***"),
        ("magento config:set carriers/dhl/password sesame", "magento config:set carriers/dhl/password ***"),
        ("redis-cli -h x -a sesame info", "redis-cli -h x -a *** info"),
        ("redis-cli -u redis://:sesame@cache:6379/1", "redis-cli -u redis://***@cache:6379/1"),
        ("curl -u app:sesame https://x", "curl -u *** https://x"),
        ("curl -uapp:sesame https://x", "curl -u*** https://x"),
        ("curl https://x/?token=sesame&page=2", "curl https://x/?token=***&page=2"),
        ("curl https://x/?a=1&secret=sesame&token=sesame&b=2", "curl https://x/?a=1&secret=***&token=***&b=2"),
        ("php x.php --secret=sesame&sesame", "php x.php --secret=***"),
        ("git clone https://ghp_sesamesesamesesame@github.com/x", "git clone https://***@github.com/x"),
        ("find . -path ./x -print0", "find . -path ./x -print0"),
        ("php artisan queue:work --tries 3 --author Jan", "php artisan queue:work --tries 3 --author Jan"),
        ("mysqld --basedir=/usr --port=3306", "mysqld --basedir=/usr --port=3306"),
        ("x --token", "x --token"),
        ("x --token= sesame", "x --token= ***"),
    ],
)
def test_secrets_in_command_lines_are_masked(words: str, shown: str):
    assert parse_command("\0".join(words.split()).encode() + b"\0") == shown


@pytest.mark.parametrize(
    "words",
    [
        ["mysql", "--password=open sesame now"],
        ["mysql", "--password", "open sesame"],
        ["mysql", "-popen sesame"],
        ["mysql", "-e", "CREATE USER app IDENTIFIED BY 'open sesame'"],
        ["mysql", "-e", "SET PASSWORD = 'sesame'"],
        ["mysql", "-e", "SET PASSWORD FOR app = PASSWORD('sesame')"],
        ["sh", "-c", "cd /x && mysql -p'open sesame' db"],
        ["sh", "-c", 'mysql --password="open sesame" db'],
        ["sh", "-c", "'mysql -psesame'"],
        ["sh", "-c", "run --do='mysql --password=sesame db'"],
        ["sh", "-c", "redis-cli -a sesame info"],
        ["sh", "-c", "MYSQL_PWD=sesame mysql"],
        ["sh", "-c", "mysql -p'unclosed sesame"],
        ["curl", "-H", "Authorization: Bearer sesame"],
        ["curl", "-H", "authorization: sesame"],
        ["curl", "-H", "X-Api-Key: sesame"],
        ["curl", "--header=Authorization: Bearer sesame"],
        ["sh", "-c", "curl -H 'Authorization: Basic sesame' https://x"],
        ["curl", "-d", '{"user": "x", "password": "sesame"}'],
        ["curl", "-d", '{"password":"sesame"}'],
        ["curl", "-d", "user=x&password=sesame"],
        ["worker: token=sesame"],
        ["php", "x.php", "params[password]=sesame"],
    ],
    ids=" ".join,
)
def test_no_secret_is_left_inside_of_quotations_headers_and_queries(words: list[str]):
    shown = parse_command("\0".join(words).encode())
    assert shown is not None
    assert "sesame" not in shown
    assert "***" in shown


def test_no_command_line_is_none_and_odd_bytes_are_written_out():
    assert parse_command(b"") is None
    assert parse_command(b"\0\0") is None
    assert parse_command(b"php-fpm: pool www          ") == "php-fpm: pool www"
    assert parse_command(b"a\0\xff\x1b[2J") == "a \\xff\x1b[2J"


@given(st.lists(st.one_of(st.text(), st.from_regex(r"\A[-'\" =:/@p]*(password|token)?[-'\" =:/@(&?]*\Z")), max_size=8))
def test_any_words_can_be_masked(words: list[str]):
    assert len(mask_words(words)) == len(words)


@given(st.binary(max_size=300))
def test_any_bytes_can_be_read(raw: bytes):
    parse_command(raw)


@pytest.mark.parametrize("part", ["pass", "a", "password ", "'", "\"'", "-", "://a:", "token=", "(", "password=\"'"])
def test_a_command_line_made_to_be_slow_is_quick(part: str):
    import time

    began = time.perf_counter()
    parse_command((part * 4096)[:4096].encode())
    assert time.perf_counter() - began < 0.5
