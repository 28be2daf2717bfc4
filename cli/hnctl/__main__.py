"""Lets `python -m hnctl` be the same as `hnctl`."""

from hnctl.main import run

run()
