"""`hnctl oom report`: one page, and what a real browser makes of it."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from runs import Hnctl

INCIDENTS = Path(__file__).parents[2] / "examples" / "incident"
SHOPS = ("nightly", "one-task", "php-limits", "too-little")
ATTACK = "<script>alert(1)</script>"
COMM = "<img src=x oner"
"""As much of an attack as the name of a process can hold."""


@pytest.fixture
def page(hnctl: Hnctl, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Return what makes the report of one of the incidents."""

    def make(shop: str) -> str:
        monkeypatch.setenv("HNCTL_NODE_ROOT", str(INCIDENTS / shop))
        assert hnctl("oom", "report", "-o", f"{shop}.html").status == 0
        return (folder / f"{shop}.html").read_text("utf-8")

    return make


@pytest.fixture
def attacked(hnctl: Hnctl, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The report of a node whose process names, cron jobs and errors are an attacker's."""
    root = folder / "root"
    shutil.copytree(INCIDENTS / "nightly", root)
    changes = {
        "var/log/kern.log": [("php8.3", COMM), ("java", "$x_{1}$ & <b>")],
        "var/log/syslog": [("/data/web/bin/backup.sh", f"backup '{ATTACK}' </code>{ATTACK}")],
        "data/web/public/var/log/system.log": [("the process was ended", f"{ATTACK}\x1b[2J\u202eevil")],
    }
    for name, pairs in changes.items():
        text = (root / name).read_text("utf-8")
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        (root / name).write_text(text, "utf-8")
    monkeypatch.setenv("HNCTL_NODE_ROOT", str(root))
    assert hnctl("oom", "report", "-o", "attacked.html", "--title", ATTACK).status == 0
    return folder / "attacked.html"


class Outline(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_a_report_has_every_picture_with_its_words_and_a_table(page: Callable[[str], str]):
    text = page("nightly")
    outline = Outline(text)
    pictures = [attributes for attributes in outline.all("div") if attributes.get("role") == "img"]
    assert len(pictures) == len(outline.all("figure")) == len(outline.all("table")) == 5
    assert all(picture["aria-label"] for picture in pictures)
    assert len(outline.all("svg")) == 10, "each for a wide page and for a phone"
    for title in (
        "Kills each day",
        "Memory by service",
        "Incidents by hour",
        "Who held most",
        "Around the worst event",
    ):
        assert title in text
    assert "mysql held most in 6 of 6 incidents." in text
    assert "hnctl memory release-mysql -m 832 -c 60 --dry-run" in text
    assert "In none of 6 incidents (6 kills) would the platform&#39;s own killer have stepped in" in text


def test_no_part_of_a_page_has_the_name_of_another(page: Callable[[str], str]):
    names = [str(attributes["id"]) for _, attributes in Outline(page("nightly")).tags if "id" in attributes]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("shop", SHOPS)
def test_a_report_asks_nothing_of_anybody(shop: str, page: Callable[[str], str]):
    text = page(shop)
    outline = Outline(text)
    for tag in ("script", "iframe", "img", "object", "embed", "form", "base"):
        assert not outline.all(tag)
    assert [link["href"] for link in outline.all("link")] == ["data:,"]
    addresses = re.findall(r"""(?:src|href|xlink:href|url)\s*(?:=\s*["']|\()\s*([^"')]+)""", text)
    assert all(address.startswith(("#", "data:,")) for address in addresses)


def test_the_same_logs_make_the_same_pictures(page: Callable[[str], str]):
    first, second = (re.sub(r"Made by .*", "", page("one-task")) for _ in range(2))
    assert first == second


def test_a_quiet_node_has_a_report_too(page: Callable[[str], str]):
    text = page("php-limits")
    assert "The kernel killed nothing; other limits" in text
    assert not Outline(text).all("svg")


def test_names_chosen_by_attackers_are_words_and_nothing_else(attacked: Path):
    text = attacked.read_text("utf-8")
    assert not Outline(text).all("script")
    assert not Outline(text).all("img")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "$x_{1}$ &amp; &lt;b" in text, "no formula is made of a name"
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_a_report_can_go_to_stdout_and_is_private_as_a_file(hnctl: Hnctl, folder: Path):
    log = INCIDENTS / "one-task" / "var" / "log" / "kern.log"
    shown = hnctl("oom", "report", "-o", "-", log)
    assert shown.status == 0
    assert shown.out.startswith("<!DOCTYPE html>")
    written = hnctl("oom", "report", "--html", "report.html", log)
    assert (written.status, written.out) == (0, "")
    assert written.err == "report.html: 1 kill in 1 incident\n"
    assert (folder / "report.html").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("path", ["file/report.html", "missing/report.html", "/proc/report.html"])
def test_a_page_that_cannot_be_written_is_told_and_changes_nothing(path: str, hnctl: Hnctl, folder: Path):
    (folder / "file").write_text("mine")
    log = INCIDENTS / "one-task" / "var" / "log" / "kern.log"
    refused = hnctl("oom", "report", "-o", path, log)
    assert refused.status == 1
    assert f"{path} cannot be written: " in refused.err
    assert (folder / "file").read_text() == "mine"
    assert not (folder / "missing").exists()


def test_a_page_goes_into_a_pipe_and_to_what_a_link_points_to(hnctl: Hnctl, folder: Path):
    log = INCIDENTS / "one-task" / "var" / "log" / "kern.log"
    os.mkfifo(folder / "pipe")
    with ThreadPoolExecutor(1) as executor:
        read = executor.submit((folder / "pipe").read_text, "utf-8")
        assert hnctl("oom", "report", "-o", "pipe", log).status == 0
        assert read.result(10).startswith("<!DOCTYPE html>")
    assert (folder / "pipe").is_fifo()
    (folder / "link.html").symlink_to("real.html")
    assert hnctl("oom", "report", "-o", "link.html", log).status == 0
    assert (folder / "link.html").is_symlink()
    assert (folder / "real.html").read_text("utf-8").startswith("<!DOCTYPE html>")


def test_without_the_extra_a_user_is_told_what_to_install(hnctl: Hnctl, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("hnctl.extras.find_spec", lambda name: None if name == "matplotlib" else object())
    refused = hnctl("oom", "report", INCIDENTS / "one-task" / "var" / "log" / "kern.log")
    assert refused.status == 64
    assert "pip install 'hnctl[report]'" in refused.err


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A real Chromium. CI has one; a user's machine may lack it."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    driver = shutil.which("chromedriver")
    binary = shutil.which("chromium")
    if driver is None or binary is None:
        assert not os.environ.get("CI"), "CI installs chromium and chromium-driver"
        pytest.skip("chromium or its driver is not here")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(argument)
    chrome = webdriver.Chrome(options, Service(driver))
    yield chrome
    chrome.quit()


def visit(browser: Any, path: Path, width: int, **media: str) -> None:
    """Open a page in a window of so many pixels."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": media.get("scheme", "light")}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media.get("media", ""), "features": features})
    browser.get_log("performance")
    browser.get_log("browser")
    browser.get(path.as_uri())


def requests(browser: Any) -> list[str]:
    """Return the addresses that were asked for since the visit."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]


OVERFLOWING = """
const wide = document.documentElement.clientWidth;
return [...document.querySelectorAll('body *')].filter(element => {
  const box = element.getBoundingClientRect();
  return box.width && (box.right > wide + 0.5 || box.left < -0.5) && element.checkVisibility();
}).map(element => element.tagName + ' ' + element.textContent.slice(0, 40));
"""


@pytest.mark.parametrize("width", [360, 1440])
@pytest.mark.parametrize("open_all", [False, True])
def test_nothing_overflows_fails_or_leaves_the_page(width: int, open_all: bool, attacked: Path, browser: Any):
    visit(browser, attacked, width)
    if open_all:
        browser.execute_script("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert browser.get_log("browser") == []
    assert [address for address in requests(browser) if not address.startswith(("file:", "data:,"))] == []
    assert browser.execute_script(OVERFLOWING) == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert ATTACK in browser.title


@pytest.mark.parametrize(("width", "shown"), [(360, "n"), (1440, "w")])
def test_each_width_has_its_own_pictures_with_words_that_can_be_read(
    width: int, shown: str, attacked: Path, browser: Any
):
    visit(browser, attacked, width)
    script = "return [...document.querySelectorAll('figure svg')].filter(one => one.checkVisibility())"
    assert set(browser.execute_script(f"{script}.map(one => one.getAttribute('class'))")) == {shown}
    words = "return [...document.querySelectorAll('svg.%s text')].map(one => one.getBoundingClientRect().height)"
    heights = browser.execute_script(words % shown)
    assert min(heights) >= 9


def test_it_can_be_read_in_the_dark_and_on_paper(attacked: Path, browser: Any):
    def colours() -> tuple[str, str]:
        style = "getComputedStyle(document.body)"
        ink = browser.execute_script("return getComputedStyle(document.querySelector('svg.w text')).fill")
        return browser.execute_script(f"return {style}.backgroundColor"), ink

    visit(browser, attacked, 1440)
    assert colours() == ("rgb(255, 255, 255)", "rgb(29, 29, 31)")
    visit(browser, attacked, 1440, scheme="dark")
    assert colours() == ("rgb(22, 22, 24)", "rgb(236, 236, 234)")
    visit(browser, attacked, 800, media="print", scheme="dark")
    assert colours()[0] == "rgb(255, 255, 255)"
    rows = "return [...document.querySelectorAll('table')].every(one => one.getBoundingClientRect().height > 20)"
    assert browser.execute_script(rows), "on paper nobody can open a table"


def test_a_screen_reader_is_told_of_each_picture(attacked: Path, browser: Any):
    visit(browser, attacked, 1440)
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    pictures = [node["name"]["value"] for node in nodes if node.get("role", {}).get("value") == "image"]
    assert len(pictures) == 5
    assert any(name.startswith("6 processes were killed between 2026-11-16") for name in pictures)
    headings = [node["name"]["value"] for node in nodes if node.get("role", {}).get("value") == "heading"]
    assert "What to do" in headings
