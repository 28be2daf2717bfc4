"""`hnctl sandbox serve`: shops that break."""

from __future__ import annotations

import math
import re
import signal
import subprocess

import pytest
import requests
from processes import start
from runs import Hnctl

from hnctl.commands.sandbox import serve


def test_shops_break_as_they_are_told_to():
    options = ["--break-page", "kaasshop", "--break-page", "theeplein:php_version=8.4"]
    with start("sandbox", "serve", "--port", "0", "--nodes", "12", *options, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        address = re.search(r"HNCTL_API_URL=(\S+)", process.stdout.readline().decode())
        assert address is not None

        def status(node: str) -> int:
            return requests.get(f"{address[1]}/_shops/{node}/", timeout=5).status_code

        settings = f"{address[1]}/_sandbox/nodes/theeplein/settings"
        requests.put(settings, json={"php_version": "8.3"}, timeout=5)
        assert (status("kaasshop"), status("theeplein"), status("boekenhal")) == (500, 200, 200)
        requests.put(settings, json={"php_version": "8.4"}, timeout=5)
        assert status("theeplein") == 500
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("nowhere", "the sandbox has no node 'nowhere'"),
        ("", "write NODE, or NODE:SETTING=VALUE"),
        (":php_version=8.4", "write NODE, or NODE:SETTING=VALUE"),
        ("kaasshop:php_version", "write NODE, or NODE:SETTING=VALUE"),
        ("kaasshop:php_versoin=8.4", "there is no setting php_versoin"),
        ("kaasshop:php_version=9.9", "php_version cannot be 9.9"),
        ("kaasshop:new_relic_secret=hunter2", "new_relic_secret is secret"),
    ],
)
def test_a_shop_that_cannot_be_broken_is_refused(hnctl: Hnctl, value: str, says: str):
    done = hnctl("sandbox", "serve", "--port", "0", "--break-page", value)
    assert done.status == 64
    assert says in done.err
    assert "hunter2" not in done.err


@pytest.mark.parametrize(("written", "seconds"), [([], 3.0), (["250ms"], 0.25), (["never"], math.inf)])
def test_a_brancher_takes_its_time_or_for_ever(written: list[str], seconds: float):
    options = [f"--brancher-time={text}" for text in written]
    assert serve.make_context("serve", options).params["brancher_time"] == seconds
