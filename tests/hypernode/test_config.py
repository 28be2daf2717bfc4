"""config.toml: what it may say, all its problems at once, and which source wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypernode.config import DEFAULT_API_URL, KEYS, load_config
from hypernode.errors import FileError, InputError


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "config.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def problems(tmp_path: Path, text: str | bytes) -> list[tuple[int, str]]:
    with pytest.raises(FileError) as caught:
        load_config(written(tmp_path, text))
    return [(problem.line, problem.message) for problem in caught.value.problems]


def test_a_missing_file_says_nothing_and_every_key_has_its_default(tmp_path: Path):
    config = load_config(tmp_path / "none" / "config.toml")
    assert config.values == {}
    assert {key: config.find(key) for key in KEYS} == {key: (spec[1], "default") for key, spec in KEYS.items()}
    assert config.find("api_url") == (DEFAULT_API_URL, "default") == ("https://api.hypernode.com", "default")


def test_the_file_is_looked_for_in_the_home_or_where_a_variable_says(
    clean_environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    home = load_config().path
    assert home.is_relative_to(clean_environment)
    assert home.parts[-2:] == ("hnctl", "config.toml")
    monkeypatch.setenv("HNCTL_CONFIG", str(written(tmp_path, "parallel = 3\n")))
    assert load_config().find("parallel") == (3, str(tmp_path / "config.toml"))


def test_a_variable_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = load_config(written(tmp_path, 'api_url = "https://one.example"\nrps = 3\n'))
    assert config.find("api_url") == ("https://one.example", str(config.path))
    assert config.find("rps") == (3, str(config.path))
    monkeypatch.setenv("HNCTL_API_URL", "https://two.example")
    assert config.find("api_url") == ("https://two.example", "HNCTL_API_URL")
    monkeypatch.setenv("HNCTL_API_URL", "")
    assert config.find("api_url") == ("https://one.example", str(config.path))


def test_no_variable_names_the_command_that_gives_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An argv in one text would need a shell's rules."""
    monkeypatch.setenv("HNCTL_TOKEN_COMMAND", "rm -rf /")
    config = load_config(written(tmp_path, 'token_command = ["pass", "show"]\n'))
    assert config.find("token_command") == (["pass", "show"], str(config.path))


def test_all_problems_are_reported_at_once_each_on_its_line(tmp_path: Path):
    text = 'api_url = 3\n# a word\napi_ulr = "x"\nparallel = "8"\ntimeout = true\ntoken_command = "pass"\n'
    assert problems(tmp_path, text) == [
        (1, "api_url must be a text"),
        (3, f"unknown key api_ulr; known are {', '.join(sorted(KEYS))}"),
        (4, "parallel must be a number"),
        (5, "timeout must be a number"),
        (6, "token_command must be a list of words, the command and its arguments"),
    ]


@pytest.mark.parametrize("value", ["[]", "[1]", '["pass", 3]', '{a = "b"}'])
def test_a_command_is_a_list_of_words(tmp_path: Path, value: str):
    assert problems(tmp_path, f"token_command = {value}\n") == [
        (1, "token_command must be a list of words, the command and its arguments")
    ]


@pytest.mark.parametrize(
    "text", ["api_url = ", b"api_url = '\xff'", "a = 1\na = 2\n", "[", b"\0", "a = " + "[" * 100_000]
)
def test_a_file_that_is_no_toml_is_one_problem(tmp_path: Path, text: str | bytes):
    ((line, message),) = problems(tmp_path, text)
    assert line == 1
    assert message.startswith("the file is not TOML: ")


def test_a_folder_in_the_place_of_the_file_is_told(tmp_path: Path):
    with pytest.raises(FileError) as caught:
        load_config(tmp_path)
    assert str(caught.value) == f"{tmp_path}:1:1: the file cannot be read: Is a directory"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("900", 900), ("1.5", 1.5), ("250ms", 0.25), ("2s", 2), ("15m", 900), (" 2h ", 7200), ("0", 0)],
)
def test_a_time_in_a_variable_may_have_a_unit(monkeypatch: pytest.MonkeyPatch, text: str, seconds: float):
    """As on the command line, which reads the same variable."""
    monkeypatch.setenv("HNCTL_WAIT", text)
    assert load_config().seconds("wait") == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf", "1e9", "2 s", "s", "2d"])
def test_what_is_no_time_is_told_with_its_variable(monkeypatch: pytest.MonkeyPatch, text: str):
    monkeypatch.setenv("HNCTL_WAIT", text)
    with pytest.raises(InputError) as caught:
        load_config().seconds("wait")
    assert str(caught.value) == f"wait from HNCTL_WAIT: {text!r} is no time; write 90s, 250ms, 15m or 2h"


def test_a_time_of_the_file_or_by_default_is_a_number_of_seconds(tmp_path: Path):
    config = load_config(written(tmp_path, "timeout = 3\n"))
    assert (config.seconds("timeout"), config.seconds("wait")) == (3.0, 900.0)
