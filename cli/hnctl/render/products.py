"""Products, and what moving a node to one would mean, as documents and in words. No price has a unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hnctl.render.bullets import bullets
from hnctl.render.listing import cell

if TYPE_CHECKING:
    from hnctl.product_change import Check
    from hypernode.api.models import Product

COLUMNS = ("code", "price", "vcpus", "ram_in_mb", "disk_in_gb", "varnish", "development")
NOT_STATED = "not stated by the API"
UNIT = f"unit {NOT_STATED}"


def product_document(product: Product) -> dict[str, Any]:
    """Return a product as JSON values."""
    return {**product.model_dump(mode="json"), "price_unit": NOT_STATED}


def product_row(product: Product) -> dict[str, Any]:
    """Return a product as a row of a table: of its machines at several providers each figure once."""
    machines = product.machines
    return {
        "code": product.code,
        "price": product.price,
        "vcpus": _once(machine.vcpus for machine in machines),
        "ram_in_mb": _once(machine.ram_in_mb for machine in machines),
        "disk_in_gb": _once(machine.disk_size_in_gb for machine in machines),
        "varnish": product.varnish_supported,
        "development": product.is_development,
    }


def product_card(product: Product) -> str:
    """Return one product line by line; what the API did not say of it is left out."""
    fields: dict[str, Any] = product.model_dump(exclude={"machines", "related_product"}, exclude_none=True)
    if product.price is not None:
        fields["price"] = f"{product.price} ({UNIT})"
    for machine in product.machines:
        whose = machine.provider.display_name or machine.provider.name
        figures = (
            (machine.vcpus, "vCPUs"),
            (machine.ram_in_mb, "MB of memory"),
            (machine.disk_size_in_gb, "GB of disk"),
        )
        machine_in_words = ", ".join(f"{count} {what}" for count, what in figures if count is not None)
        fields[f"at {whose}" if whose else "machine"] = machine_in_words
    if product.related_product:
        fields["related product"] = product.related_product.code
    width = max(map(len, fields)) + 2
    return "\n".join(cell(f"{name.replace('_', ' '):<{width}}{cell(value)}") for name, value in fields.items())


def check_document(check: Check) -> dict[str, Any]:
    """Return what moving a node would mean as JSON values."""
    return {
        "node": check.node,
        "from": check.now.code,
        "to": check.then.code,
        **check.change.model_dump(),
        "price_now": check.now.price,
        "price_then": check.then.price,
        "price_unit": NOT_STATED,
        "obstacles": [reason for reason, _ in check.obstacles()],
    }


def check_in_words(check: Check) -> str:
    """Return what moving a node would mean, with where each statement comes from."""
    change, then = check.change, check.then
    address = "CHANGES; DNS and the allowlists of others have to follow" if change.will_change_ip else "stays"
    method = "copied: by the documentation twice, at the end with services stopped"
    if change.will_do_volswap:
        method = "the volume is swapped: by the documentation in under a minute"
    vat = "there is a valid one"
    if not change.has_valid_vat_number:
        vat = "there is NO valid one; whether that keeps it from being changed is open"
    fields = {
        "address": address,
        "data": method,
        "disk": "it fits" if change.will_disk_fit else "it does NOT FIT",
        "payment": f"there is {'a' if change.has_valid_payment_method else 'NO'} valid payment method",
        "VAT number": vat,
        "price": f"{cell(check.now.price)} now, {cell(then.price)} then; {UNIT}",
    }
    lines = [f"{check.node}: {_named(check.now)} -> {_named(then)}"]
    lines += [f"  {name:<12}{text}" for name, text in fields.items()]
    sentences = [
        "While it lasts SSH and FTP are closed, nothing should be changed, and the shop is down for the last part.",
        "An address changes between Falcon and Eagle, or to another region.",
        "It is billed by the day; going back within 2 hours is free.",
        "While autoscaling has moved the node up, its product cannot be changed.",
    ]
    if then.is_development and not check.now.is_development:
        sentences.append("A development product cannot go live, and has no monitoring.")
    lines.append("By Hypernode's documentation:")
    return "\n".join([cell(line) for line in lines] + bullets(sentences))


def _named(product: Product) -> str:
    return f"{product.code} ({product.name})" if product.name else product.code


def _once(figures: Any) -> list[int]:
    return list(dict.fromkeys(figure for figure in figures if figure is not None))
