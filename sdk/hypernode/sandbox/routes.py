"""Which operation answers which method on which path: one table, in the words of ``openapi/hypernode.yaml``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hypernode.sandbox.answers import Answer
from hypernode.sandbox.calls import Call, Done
from hypernode.sandbox.faults import JOB, READ, SETTINGS, WRITE, Kinds
from hypernode.sandbox.operations import (
    allowlists,
    apps,
    attacks,
    backups,
    branchers,
    configurations,
    flows,
    fpm,
    insights,
    products,
    settings,
)


@dataclass(frozen=True, slots=True)
class Route:
    """One operation."""

    method: str
    path: str
    """As the contract writes it. ``{app}`` and ``{brancher}`` name nodes."""
    act: Callable[[Call], Answer | Done]
    faults: Kinds = READ
    """What can go wrong with it."""

    @property
    def operation(self) -> str:
        """Its operationId."""
        return self.act.__name__

    @property
    def writes(self) -> bool:
        """Whether it has a body and changes something."""
        return self.faults is not READ


# Where two paths fit, the first counts: xgrade, order and the like are no nodes.
ROUTES = (
    Route("GET", "/v2/app/{app}/", apps.get_node),
    Route("PATCH", "/v2/app/{app}/", settings.change_settings, SETTINGS),
    Route("GET", "/logbook/v1/logbooks/{app}/flows/", flows.list_flows),
    Route("GET", "/v2/app/", apps.list_nodes),
    Route("GET", "/v2/app/eav_descriptions/", settings.list_setting_values),
    Route("GET", "/v2/app/block_attack_descriptions/", attacks.list_attacks),
    Route("POST", "/v2/app/order/", apps.order_node, WRITE),
    Route("GET", "/v2/app/name/validate/", apps.check_node_name),
    Route("PATCH", "/v2/app/xgrade/{app}/", products.change_product, JOB),
    Route("GET", "/v2/app/xgrade/{app}/check/{code}/", products.check_product_change),
    Route("GET", "/v2/app/{app}/flavor/", apps.get_flavor),
    Route("GET", "/v2/app/{app}/next_best_plan/", products.get_next_best_product),
    Route("GET", "/v2/app/{app}/check-payment-information/", apps.check_payment_information),
    Route("GET", "/v2/app/{app}/relations/", apps.list_relations),
    Route("POST", "/v2/app/{app}/cancel/", branchers.cancel_brancher, WRITE),
    Route("POST", "/v2/app/{app}/perform_preinstall/", apps.perform_preinstall, JOB),
    Route("POST", "/v2/app/{app}/block_attack/", attacks.block_attack, JOB),
    Route("GET", "/v2/app/{app}/backup/", backups.list_backups),
    Route("POST", "/v2/app/{app}/backup/", backups.create_backup, JOB),
    # A POST that only reads, and without a slash at its end (CONTRACT.md 2.2 #20, 1.2).
    Route("POST", "/v2/nats/{app}/hypernode.show-fpm-status", fpm.get_fpm_status),
    Route("GET", "/v2/product/", products.list_products),
    Route("GET", "/v2/product/app/{app}/current/", products.get_current_product),
    Route("GET", "/v2/product/{code}/with_price/", products.get_product),
    Route("GET", "/v2/addon/slas/", products.list_slas),
    Route("GET", "/v2/addon/{code}/", products.get_sla),
    Route("GET", "/v2/configuration/", configurations.list_configurations),
    Route("GET", "/v2/brancher/app/{app}/", branchers.list_branchers),
    Route("POST", "/v2/brancher/app/{app}/", branchers.create_brancher, JOB),
    Route("PUT", "/v2/brancher/{brancher}/", branchers.change_brancher_labels, WRITE),
    Route("DELETE", "/v2/brancher/{brancher}/", branchers.destroy_brancher, WRITE),
    Route("GET", "/v2/brancher/app/{app}/year-history/", branchers.get_brancher_year_history),
    Route("GET", "/v2/brancher/app/{app}/month-history/{year}/{month}", branchers.get_brancher_month_history),
    Route("OPTIONS", "/v2/whitelist/{app}/", allowlists.describe_allowlist),
    Route("GET", "/v2/whitelist/{app}/", allowlists.list_allowlist),
    Route("POST", "/v2/whitelist/{app}/", allowlists.add_allowlist_entry, WRITE),
    Route("DELETE", "/v2/whitelist/{app}/", allowlists.remove_allowlist_entry, WRITE),
    Route("GET", "/v2/insights-annotation/", insights.list_annotations),
    Route("POST", "/v2/insights-annotation/create/", insights.create_annotation, WRITE),
)

OF_THE_PAST = frozenset({"get_node", "list_flows", "cancel_brancher", "destroy_brancher"})
"""Operations that know a Brancher of which nothing is left; for all others there is none."""

# Both spellings work for reading (CONTRACT.md 1.2).
_SLASH_OR_NOT = frozenset({"/logbook/v1/logbooks/{app}/flows/"})


@dataclass(frozen=True, slots=True)
class Place:
    """One path and its operations by method."""

    pattern: re.Pattern[str]
    routes: dict[str, Route] = field(default_factory=dict)

    @property
    def allow(self) -> str:
        """The methods, as an Allow header lists them."""
        methods = [*self.routes, *(["HEAD"] if "GET" in self.routes else []), "OPTIONS"]
        return ", ".join(dict.fromkeys(methods))


def _lay_out() -> tuple[dict[str, Place], tuple[Place, ...]]:
    """Return the places without braces by their paths, and the others in the order of the table."""
    places: dict[str, Place] = {}
    for route in ROUTES:
        if route.path not in places:
            pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(route.path))
            optional = "?" if route.path in _SLASH_OR_NOT else ""
            places[route.path] = Place(re.compile(pattern + optional))
        places[route.path].routes[route.method] = route
    return {path: place for path, place in places.items() if "{" not in path}, tuple(
        place for path, place in places.items() if "{" in path
    )


_FIXED, _NAMED = _lay_out()


def find_place(path: str) -> tuple[Place, Mapping[str, str]] | None:
    """Return what is at `path`, with what stands where the contract has braces; None: nothing."""
    if place := _FIXED.get(path):
        return place, {}
    for place in _NAMED:
        if found := place.pattern.fullmatch(path):
            return place, found.groupdict()
    return None
