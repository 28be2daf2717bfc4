"""The README, the documents and the changelog: what they say is run, and held against the code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hnctl.exits import Exit
from hnctl.main import COMMANDS
from hypernode.catalogue import Catalogue
from hypernode.fleet.spec import parse
from hypernode.sandbox.server import Sandbox
from hypernode.version import __version__

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "benchmarks" / "README.md"]


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment in which the recipes can be run: a sandbox, an empty home, hnctl on the path."""
    with Sandbox(nodes=12, flow_time=0.2) as box:
        yield {
            **os.environ,
            "HOME": str(tmp_path),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HNCTL_API_URL": box.url,
            "HYPERNODE_API_TOKENS": json.dumps(dict(box.tokens)),
            "HNCTL_POLL_INTERVAL": "50ms",
        }


def test_every_shell_command_of_the_readme_works_as_it_stands(shell: dict[str, str], tmp_path: Path):
    (tmp_path / "fleet.yaml").write_text(blocks(README, "yaml")[0])
    make, *recipes = blocks(README, "sh")
    assert re.findall(r"^(make \w+)", make, re.MULTILINE) == ["make demo", "make test"]
    assert len(recipes) == 4
    for recipe in recipes:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", recipe],
            cwd=tmp_path,
            env=shell,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{recipe}\n{done.stdout}\n{done.stderr}"
    assert (tmp_path / "summary.md").read_text() == "**In sync**: 3 nodes compared, no difference\n"
    assert (tmp_path / "existing.yaml").read_text().startswith("# Made by hnctl export.\n")


def test_the_python_of_the_readme_runs_and_does_what_it_says(shell: dict[str, str], tmp_path: Path):
    (script,) = blocks(README, "python")
    done = subprocess.run([sys.executable, "-c", script], env=shell, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "update_node success\n"


def test_the_python_about_the_sandbox_runs_and_does_what_it_says(capsys: pytest.CaptureFixture[str]):
    (script,) = blocks((ROOT / "docs" / "sandbox.md").read_text("utf-8"), "python")
    exec(script, {})
    assert capsys.readouterr().out == "[] [True]\n"


def test_the_make_targets_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in ("demo", "test", "check", "bench"):
        assert re.search(rf"^{target}: \$\(STAMP\)$", makefile, re.MULTILINE), target


def test_ci_runs_what_the_readme_says_and_nothing_else():
    lines = [line for line in (ROOT / ".ci" / "run").read_text("utf-8").splitlines() if line.startswith("make")]
    assert lines == ["make check", "make test"]


def test_the_table_of_exit_codes_is_the_enum():
    told = [int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)]
    assert told == [int(status) for status in Exit]


def test_the_fleet_files_of_the_documents_are_good(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NR_KEY", "anything")
    files = [(path, block) for path in DOCUMENTS for block in blocks(path.read_text("utf-8"), "yaml")]
    files += [(path, path.read_text("utf-8")) for path in sorted((ROOT / "examples").glob("*.yaml"))]
    assert len(files) >= 3
    for path, text in files:
        assert parse(text.encode(), Catalogue.bundled(), path=str(path)).nodes


def test_the_picture_is_fresh():
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "make_picture.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_is_documented():
    text = "\n".join(path.read_text("utf-8") for path in DOCUMENTS) + (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert [name for name in COMMANDS if f"hnctl {name}" not in text and f"`{name}" not in text] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_between_documents_lead_somewhere(path: Path):
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text("utf-8")):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


def test_files_that_the_documents_name_exist():
    text = (ROOT / "docs" / "from-file-to-flow.md").read_text("utf-8")
    named = re.findall(r"`((?:cli/)?[a-z_/]+\.py)`", text)
    assert len(named) > 10
    for name in named:
        assert (ROOT / name if name.startswith("cli/") else ROOT / "sdk" / "hypernode" / name).exists(), name


def test_every_command_line_in_the_documents_has_options_that_exist():
    """Pasted commands go stale; each is parsed by the command it names, and not run."""
    import click

    from hnctl.main import main

    lines = [
        line.removeprefix("$ ").partition(" #")[0]
        for path in DOCUMENTS
        for block in blocks(path.read_text("utf-8"), "console")
        for line in block.splitlines()
        if line.startswith("$ hnctl ")
    ]
    assert len(lines) >= 15
    for line in lines:
        words = _words(line)
        command: click.Command = main
        context = click.Context(main)
        while isinstance(command, click.Group) and words:
            found = command.get_command(context, words.pop(0))
            assert found is not None, line
            command = found
        known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        for word in words:
            if word.startswith("-") and word != "-":
                assert word in known, line


def _words(line: str) -> list[str]:
    import shlex

    words = shlex.split(line)[1:]
    return words[: next((i for i, word in enumerate(words) if word in (">", "|", "&", "--")), len(words))]


def test_the_changelog_names_the_version_of_the_package():
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert newest is not None
    assert newest[1] == __version__


def test_no_requirements_file_holds_an_address_of_an_index():
    text = (ROOT / "requirements-dev.txt").read_text("utf-8")
    assert "--hash=sha256:" in text
    assert not re.search(r"https?://|index-url|find-links", text)
