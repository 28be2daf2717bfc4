"""How a Dask cluster is named. Apart from `dask_stores`, so that a command line is read without loading that."""

from __future__ import annotations

import re

from hypernode.errors import InputError

_ADDRESS = re.compile(r"dask(\+tls)?://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+):([0-9]{1,5})/?")


def parse_address(text: str) -> str:
    """Return Dask's own address of the scheduler that `text` names: dask://HOST:PORT, or dask+tls://HOST:PORT.

    Raises:
        InputError: It names none.
    """
    match = _ADDRESS.fullmatch(text.strip())
    if match is None or not 0 < int(match[3]) < 65536:
        raise InputError(f"{text!r} is no Dask cluster; write dask://HOST:PORT or, with TLS, dask+tls://HOST:PORT")
    return f"{'tls' if match[1] else 'tcp'}://{match[2]}:{match[3]}"
