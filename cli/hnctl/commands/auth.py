"""`hnctl auth`: tokens kept and tried. One comes in by stdin or a hidden prompt, and is never shown."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from hnctl.command import Command
from hnctl.completion import complete_node
from hnctl.connection import Connection
from hnctl.exits import Exit, exit_for_failures
from hnctl.options import connection_options, option, output_option, selection_options
from hnctl.printing import print_data, print_note
from hnctl.selection import Selection, choose, load_fleet
from hypernode.errors import CredentialsError, InputError
from hypernode.names import check_node

if TYPE_CHECKING:
    from hnctl.bootstrap import Form
    from hypernode.secrets import Secret

_LONGEST_INPUT = 64 * 1024
_insecure_option = option(
    "--insecure-storage", is_flag=True, help="Keep it in a plain file that only you can read, not in the keyring."
)


@click.group()
def auth() -> None:
    """Keep, list and try the API tokens of nodes."""


@auth.command(cls=Command)
@click.argument("node", shell_complete=complete_node)
@option("--with-token", is_flag=True, help="Read the token from stdin instead of asking for it.")
@_insecure_option
@connection_options
def login(node: str, with_token: bool, insecure_storage: bool, **connection: Any) -> None:
    """Keep the token of a node in the keyring.

    It is tried against the API first. On the node itself the token is in /etc/hypernode/hypernode_api_token.

    Examples:
      hnctl auth login kaasshop
      ssh app@kaasshop.hypernode.io cat /etc/hypernode/hypernode_api_token | hnctl auth login kaasshop --with-token
    """
    from hypernode.api.client import Client
    from hypernode.credentials import explicit, keep_token

    link = Connection(**connection)
    transport = link.transport  # an address that cannot be used is told before anything is asked
    token = explicit(_read_token(check_node(node), piped=with_token), node).secret
    with Client(node, token=token, transport=transport) as client:
        client.get_node()
    place = keep_token(node, token, link.api_url, insecurely=insecure_storage)
    print_data(f"{node}: the API takes this token; it is kept in {_told(place)}")
    _tell_if_unused(link, node, place)


@auth.command(cls=Command)
@click.argument("command", metavar="[-- COMMAND...]", nargs=-1, type=click.UNPROCESSED)
@option("--export", "form", type=click.Choice(["github", "gitlab", "env"]), help="Export them; keep none here.")
@_insecure_option
@selection_options
@connection_options
@output_option
def bootstrap(
    command: tuple[str, ...], form: Form | None, insecure_storage: bool, selection: Selection, **connection: Any
) -> Exit:
    """Fetch the tokens of nodes over SSH into the keyring.

    Each is read from /etc/hypernode/hypernode_api_token on its node and tried against the API. Needs SSH keys, and no
    token; without -n or --group it is about all nodes of the fleet file. With --export the value for
    HYPERNODE_API_TOKENS goes to the stdin of the command after --, or into a file that only you can read: once the
    tokens of all nodes are there.

    Examples:
      hnctl auth bootstrap --group magento
      hnctl auth bootstrap --all --export github -- gh secret set HYPERNODE_API_TOKENS
    """
    from hnctl.bootstrap import export, fetch_tokens, owners
    from hnctl.reading import print_rows
    from hnctl.ways import shell_of
    from hypernode.credentials import keep_token

    if command and form is None:
        raise click.UsageError("Nodes are named with -n; a command after -- goes with --export only.")
    if form is not None and insecure_storage:
        raise click.UsageError("With --export nothing is kept here, so --insecure-storage has no meaning.")
    if selection.where:
        raise click.UsageError("--where asks the API, for which the tokens are needed first.")
    link = Connection(**connection)
    chosen = selection.or_all()
    fleet = load_fleet(chosen, link, link.catalogue()) if chosen.groups or chosen.all_nodes else None
    nodes = owners(choose(chosen, link, fleet))
    tokens: dict[str, Secret] = {}
    kept: dict[str, str] = {}

    def keep(node: str, token: Secret) -> None:
        tokens[node] = token
        if form is None:
            kept[node] = keep_token(node, token, link.api_url, insecurely=insecure_storage)

    try:
        # Which node it is, the API tells by the token.
        failures = fetch_tokens(link, nodes, shell_of(link, chosen, fleet, check=False), keep)
    except (CredentialsError, KeyboardInterrupt):
        if kept:
            last = "".join(f", and perhaps that of {node}" for node in tokens if node not in kept)
            print_note(f"Kept before it failed: the tokens of {', '.join(kept)}{last}.")
        raise
    place = export(tokens, form, command) if form is not None and not failures else None
    done = "kept" if form is None else "exported" if place else "read, not exported"
    rows = [
        {"node": node, "result": "failed" if node in failures else done, "kept_in": kept.get(node)} for node in nodes
    ]
    status = print_rows(link, "nodes", ["node", "result"], rows, failures)
    if place:
        print_note(f"The value for HYPERNODE_API_TOKENS went to {place}.")
    elif form is None:
        _tell_unused(link, kept)
    else:
        print_note("Nothing was exported: leave out those that failed with --exclude, or mend them first.")
    return status if kept or not failures else exit_for_failures(failures.values(), some_succeeded=False)


@auth.command(cls=Command)
@click.argument("nodes", metavar="NODE...", nargs=-1, required=True, shell_complete=complete_node)
@option("--api-url", metavar="URL", help="Address of the API.")
def logout(nodes: tuple[str, ...], api_url: str | None) -> None:
    """Forget the tokens of nodes that login kept.

    Example: hnctl auth logout kaasshop
    """
    from hypernode.credentials import forget_token

    link = Connection(api_url=api_url)
    for node in [check_node(name) for name in nodes]:
        places = forget_token(node, link.api_url)
        told = " and ".join(_told(place) for place in places)
        print_data(f"{node}: removed from {told}" if places else f"{node}: no token was kept")


@auth.command("list", cls=Command)
@option("--api-url", metavar="URL", help="Address of the API.")
@output_option
def list_(api_url: str | None, output: str | None) -> None:
    """List which nodes have a token, and from where.

    Tokens are never shown, and a token_command is not run: whether it has one for a node is known when it is asked.

    Example: hnctl auth list
    """
    from hnctl.printing import print_listing
    from hnctl.render.listing import Listing
    from hypernode.credentials import known_tokens

    link = Connection(api_url=api_url, output=output)
    known = known_tokens(link.api_url)
    rows = [asdict(token) for token in known]
    listing = Listing("tokens", ["node", "source", "used"], rows, empty="No tokens.")
    print_listing(listing, link.value("output"))
    if plain := {token.source for token in known if token.insecure}:
        print_note(f"Insecure: {plain.pop()} holds tokens in clear; every program of yours can read them.")


@auth.command(cls=Command)
@selection_options
@connection_options
@output_option
def check(selection: Selection, **connection: Any) -> Exit:
    """Try the tokens of nodes against the API.

    Each works, is refused, works with API use switched off, or could not be tried. Ends with 4 when any is refused or
    missing.

    Example: hnctl auth check --all
    """
    from hnctl.reading import print_rows
    from hnctl.token_check import TokenCheck, check_tokens

    link = Connection(**connection)
    checks = check_tokens(link, selection.or_all())
    rows = [{name: value for name, value in asdict(one).items() if name != "hint"} for one in checks]
    print_rows(link, "nodes", ["node", "result", "source", "reason"], rows, {})
    if hint := next((one.hint for one in checks if one.hint), None):  # it is much the same for all
        print_note(f"  hint: {hint}")
    return TokenCheck.exit_of(checks)


def _read_token(node: str, *, piped: bool) -> str:
    if piped:
        if sys.stdin is None or sys.stdin.isatty():
            raise InputError("--with-token reads the token from stdin, and nothing is piped into it")
        try:
            text = sys.stdin.read(_LONGEST_INPUT)
        except (OSError, UnicodeDecodeError) as exc:
            reason = getattr(exc, "strerror", None) or "not text"
            raise InputError(f"the token cannot be read from stdin: {reason}") from None
    elif sys.stdin is not None and sys.stdin.isatty():
        text = click.prompt(f"Token of {node}", hide_input=True, err=True)
    else:
        raise InputError("there is no terminal to ask for the token", hint="Pipe it in: --with-token")
    if not text.strip():
        raise InputError("no token was given")
    return text


def _tell_if_unused(link: Connection, node: str, place: str) -> None:
    link.address([node])
    try:
        source = link.find_token(node).source
    except CredentialsError as exc:
        print_note(f"It is not used as long as this is so: {exc.message}")
        return
    if source != place:
        print_note(f"It is not used as long as there is a token of {node} from {_told(source)}.")


def _tell_unused(link: Connection, kept: Mapping[str, str]) -> None:
    from hypernode.credentials import known_tokens

    known = known_tokens(link.api_url)
    if unused := [token.node for token in known if kept.get(token.node) == token.source and not token.used]:
        print_note(f"Not used, as an earlier source has tokens too (hnctl auth list): {', '.join(unused)}.")


def _told(place: str) -> str:
    return "the keyring" if place == "keyring" else place
