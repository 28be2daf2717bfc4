"""A plan as a JSON document: what `plan -o json` writes and `apply plan.json` reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import yaml

from hypernode.allowlists import Entries
from hypernode.catalogue import Catalogue
from hypernode.errors import CredentialsError, FileError, InputError, PlanIsStale, Problem, SecretUnavailable
from hypernode.fleet.keys import ROLLOUT_KEYS
from hypernode.fleet.managed import AddressList, Managed, as_json, managed
from hypernode.fleet.plan import Change, Plan
from hypernode.fleet.rules import Rules, read_rules
from hypernode.fleet.shares import Share, parse_share
from hypernode.fleet.spec import Limits
from hypernode.fleet.tree import Problems, mapping
from hypernode.fleet.ways import VIAS, Way
from hypernode.fleet.yamlfile import compose
from hypernode.names import check_node
from hypernode.node.target import check_host, check_port, check_user
from hypernode.secrets import Reference, Secret, parse_reference

FORMAT_VERSION = 1
KIND = "hnctl-plan"


def dump(plan: Plan, *, api_url: str, unread: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return `plan` as a JSON document. It holds no secret.

    Args:
        plan: The plan.
        api_url: The API that it was made against, and can be applied to.
        unread: Nodes that could not be read, and why; they are told and not part of the plan.
    """
    return {
        "format_version": FORMAT_VERSION,
        "kind": KIND,
        "api_url": api_url,
        "checksum": plan.checksum,
        "fleet_size": plan.fleet_size,
        "compared": list(plan.compared),
        "unread": [{"node": node, "reason": reason} for node, reason in (unread or {}).items()],
        "rollout": plan.rules.spelled(),
        "order": list(plan.order),
        "limits": {
            "max_nodes": _spelled(plan.limits.max_nodes),
            "max_changes": plan.limits.max_changes,
            "max_monthly_increase": plan.limits.max_monthly_increase,
        },
        "increase": plan.increase,
        "ways": {
            node: {name: said for name, said in way._asdict().items() if said is not None}
            for node in plan.nodes
            if (way := plan.ways.get(node)) is not None
        },
        "groups": {group: list(nodes) for group, nodes in plan.groups.items()},
        "changes": [
            {
                "node": change.node,
                "setting": change.setting,
                "current": change.before if change.secret and change.current is not None else as_json(change.current),
                "desired": None if change.secret else as_json(change.desired),
                "secret": change.secret,
                "reference": change.reference,
                "hazards": list(change.hazards),
            }
            for change in plan.changes
        ],
    }


def load(raw: bytes, catalogue: Catalogue, *, path: str, api_url: str, with_secrets: bool = True) -> Plan:
    """Return the plan that `raw` holds, its secrets still to be fetched: nothing of an unchecked plan is followed.

    Args:
        raw: The document.
        catalogue: Types the values and gives the risk of each change.
        path: For messages.
        api_url: The API it is to be applied to.
        with_secrets: Whether its secrets have to lead somewhere: not for one who does not write them.

    Raises:
        FileError: It is no plan.
        PlanIsStale: It was made for another API, or changed since it was made.
    """
    try:
        document = json.loads(raw)
        if document["kind"] != KIND or document["format_version"] != FORMAT_VERSION:
            raise ValueError("it is not of this kind or version")
        changes = tuple(_change(item, catalogue, with_secrets) for item in document["changes"])
        limits = document["limits"]
        most, dearest = limits["max_changes"], limits.get("max_monthly_increase")
        plan = Plan(
            tuple(sorted(changes, key=lambda change: (change.node, change.setting))),
            _nodes(document["compared"]),
            _number(document["fleet_size"]),
            Limits(
                _share(limits["max_nodes"]),
                None if most is None else _number(most),
                None if dearest is None else _number(dearest),
            ),
            {group: _nodes(members) for group, members in document["groups"].items()},
            _rules(document["rollout"]),
            _nodes(document["order"]),
            None if (increase := document.get("increase", 0)) is None else _number(increase),
            {check_node(node): _way(said) for node, said in document["ways"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InputError) as exc:
        what = f"no {exc.args[0]}" if isinstance(exc, KeyError) else str(exc)
        if isinstance(exc, TypeError | AttributeError | RecursionError):
            what = "a part of it has another shape"  # Python's words would help nobody
        hint = "Make one with: hnctl plan -o json > plan.json"
        if path.endswith((".yaml", ".yml")):
            hint = f"A fleet file is named with -f: hnctl apply -f {path}"
        raise FileError(path, [Problem(1, 1, f"the file is not a plan that can be applied: {what}", hint)]) from None
    if document.get("checksum") != plan.checksum:
        raise PlanIsStale(
            f"{path}: the changes are not those that the checksum was made of", hint="Make the plan again"
        )
    if sorted(plan.order) != list(plan.nodes):
        raise FileError(path, [Problem(1, 1, "the order of the plan is not made of the nodes that it changes")])
    if document.get("api_url") != api_url:
        raise PlanIsStale(
            f"{path} was made against {document.get('api_url')}, not {api_url}",
            hint="Make the plan again, or set HNCTL_API_URL to that address",
        )
    return plan


def fetch_secrets(
    plan: Plan,
    resolve: Callable[[Reference], Secret],
    *,
    path: str,
    ask: Callable[[str], Secret] | None = None,
) -> Plan:
    """Return `plan`, which was loaded and checked, with the secrets that it refers to; each is fetched once.

    Args:
        plan: The plan.
        resolve: Fetches a secret.
        path: For messages.
        ask: Returns the secret for a setting whose value was typed in and not kept; None: `load` has refused those.

    Raises:
        FileError: References lead nowhere; all of them.
    """
    secrets: dict[str, Secret] = {}
    problems: dict[str, Problem] = {}
    for text, setting in {change.reference: change.setting for change in plan.changes}.items():
        if text is None:
            continue
        reference = parse_reference(text)
        if reference is None:
            assert ask is not None, text  # noqa: S101  # `load` has looked
            secrets[text] = ask(setting)
            continue
        try:
            secrets[text] = resolve(reference)
        except (SecretUnavailable, CredentialsError) as exc:
            problems[text] = Problem(1, 1, exc.message, exc.hint)
    if problems:
        raise FileError(path, [problems[text] for text in sorted(problems)])
    return replace(
        plan,
        changes=tuple(
            change if change.reference is None else replace(change, desired=secrets[change.reference])
            for change in plan.changes
        ),
    )


def _change(item: Mapping[str, Any], catalogue: Catalogue, with_secrets: bool) -> Change:
    setting = managed(catalogue, item["setting"])
    node = check_node(item["node"])
    current, desired, reference = item["current"], item["desired"], item["reference"]
    if bool(item["secret"]) is not setting.secret:
        raise ValueError(f"{setting.name} is wrongly marked")
    if isinstance(setting, AddressList):
        return Change(node, setting.name, _entries(current), _entries(desired))
    if not setting.secret:
        wished = None if desired is None else setting.typed(desired)
        return Change(node, setting.name, setting.typed(current), wished, None, setting.risk)
    # Nobody kept what was set: an empty Secret stands for "something" (see Change.moved_to).
    now: Managed = None if current is None else Secret("")
    if reference is None:
        return Change(node, setting.name, now, None, None, setting.risk)
    if with_secrets and parse_reference(reference) is None:
        raise ValueError(f"{setting.name} has a value that was typed in and not kept")
    return Change(node, setting.name, now, Secret(""), reference, setting.risk)


def _entries(said: object) -> Entries:
    if not isinstance(said, dict) or not all(isinstance(text, str) for text in said.values()):
        raise ValueError("an allowlist is an object of address to description")
    return Entries(said)


def _way(said: Mapping[str, Any]) -> Way:
    way = Way(**said)
    if way.via not in VIAS:
        raise ValueError(f"there is no way {way.via!r}")
    if way.host is not None:
        check_host(way.host)
    if way.user is not None:
        check_user(way.user)
    return way._replace(port=None if way.port is None else check_port(str(way.port)))


def _spelled(share: Share | None) -> str | None:
    return None if share is None else str(share)


def _share(text: object) -> Share | None:
    return None if text is None else parse_share(str(text))


def _rules(said: object) -> Rules:
    """Return the rules as the reader of fleet files reads them."""
    if not isinstance(said, Mapping):
        raise TypeError(said)
    problems = Problems("")
    # JSON would be YAML too, but for letters that it writes as two halves.
    tree = compose(yaml.safe_dump(said).encode(), "")
    rules = read_rules(mapping(tree, "rollout", ROLLOUT_KEYS, problems), problems, None)
    try:
        problems.raise_if_any()
    except FileError as exc:
        raise ValueError("; ".join(problem.message for problem in exc.problems)) from None
    return rules


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no number from 0")
    return value


def _nodes(names: object) -> tuple[str, ...]:
    if not isinstance(names, list):
        raise TypeError(names)
    return tuple(check_node(name) for name in names)
