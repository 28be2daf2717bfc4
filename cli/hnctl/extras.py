"""Parts of hnctl that are installed only on request."""

from __future__ import annotations

from importlib.util import find_spec

from hypernode.errors import MissingPart


def require_extra(extra: str, *modules: str) -> None:
    """Tell a user in words that an optional extra is missing.

    Raises:
        MissingPart: One of its modules is not there.
    """
    if missing := [name for name in modules if find_spec(name) is None]:
        raise MissingPart(
            f"hnctl was installed without {extra} ({', '.join(missing)} missing)", hint=f"pip install 'hnctl[{extra}]'"
        )
