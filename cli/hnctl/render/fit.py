"""Products in question, for a person and as documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hnctl.render.listing import markdown_table
from hnctl.render.products import NOT_STATED, UNIT
from hypernode.fleet.fit import Need

_COLUMNS = ("node", "why", "product", "wanted", "what it means")


def need_row(need: Need) -> dict[str, Any]:
    """Return one as JSON values."""
    change = need.change
    return {
        "node": need.node,
        "setting": need.setting,
        "current": need.current,
        "has": need.has,
        "wanted": need.wanted,
        "price": need.price,
        "wanted_price": need.wanted_price,
        "price_unit": NOT_STATED,
        **{
            name: None if change is None else getattr(change, name)
            for name in ("will_change_ip", "will_do_volswap", "will_disk_fit", "has_valid_payment_method")
        },
    }


def needs_told(needs: Sequence[Need]) -> list[str]:
    """Return what a person is told of products in question, line by line; nothing when there are none."""
    lines = ["Products (no plan changes them; prices are in a unit that the API does not state)"] if needs else []
    for need in needs:
        lines.append(f"  {need.node}  {_why(need)}")
        if meaning := _meaning(need):
            lines.append(f"      {meaning}")
        if need.wanted and need.change is not None:
            lines.append(f"      hnctl products change {need.wanted} -n {need.node}")
    return lines


def needs_markdown(needs: Sequence[Need]) -> str:
    """Return them for a comment under a pull request; nothing when there are none."""
    rows = [[need.node, need.setting or "product", need.current, need.wanted or "-", _meaning(need)] for need in needs]
    return f"{markdown_table(_COLUMNS, rows)}\n\nPrice: {UNIT}." if rows else ""


def _why(need: Need) -> str:
    if need.setting is None:
        return f"is {need.current}, and the file says {need.wanted}"
    if need.has is None:
        return f"{need.setting}: whether {need.current} has it only the API knows, which refuses it if not"
    following = f"; the next that has it is {need.wanted}" if need.wanted else "; no larger one is known that has it"
    return f"{need.setting}: {need.current} has it not{following}"


def _meaning(need: Need) -> str:
    if need.wanted is None:
        return ""
    price = f"price {_number(need.price)} -> {_number(need.wanted_price)}"
    if (change := need.change) is None:
        return f"{price}; the API knows no such move"
    return ", ".join(
        [
            price,
            "the address changes" if change.will_change_ip else "the address stays",
            "the disk fits" if change.will_disk_fit else "the disk does NOT fit",
            "the volume is swapped" if change.will_do_volswap else "the data is copied",
            *([] if change.has_valid_payment_method else ["the account cannot pay"]),
        ]
    )


def _number(price: int | None) -> str:
    return "not known" if price is None else str(price)
