"""What a command needs to reach nodes: configuration, transport, tokens and the catalogue, made from its options."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import click

from hnctl import value_types
from hypernode.catalogue import Catalogue
from hypernode.config import Config, load_config
from hypernode.credentials import Token, find_token, own_name
from hypernode.errors import CredentialsError, InputError, InvalidNode
from hypernode.secrets import Secret

if TYPE_CHECKING:
    from hypernode.api.client import Client
    from hypernode.api.transport import Transport
    from hypernode.fleet.dask_stores import Cluster, DaskReader
    from hypernode.fleet.stores import Reader, Store
    from hypernode.fleet.ways import Way
    from hypernode.node.shell import Shell
    from hypernode.node.ssh import Ssh


D = TypeVar("D", bound="DaskReader")


class Connection:
    """The ways to nodes for one run of a command: the API, SSH, and the machine we stand on.

    Args:
        options: The values of `connection_options`; None stands for the config's or the default.
    """

    def __init__(self, **options: Any) -> None:
        self.config: Config = load_config()
        self._options = options
        self.api_url = str(self.value("api_url")).rstrip("/")
        self.parallel = int(self.value("parallel"))
        self._transport: Transport | None = None
        self._ssh: Ssh | None = None
        self._cluster: Cluster | None = None
        self._tokens: dict[str, Token | CredentialsError] = {}
        self._lock = threading.Lock()
        self._only_node: str | None = None
        if context := click.get_current_context(silent=True):  # there is none while a shell completes a line
            context.call_on_close(self._close)

    def value(self, key: str) -> Any:
        """Return the option, variable, config value or default called `key`, typed.

        Raises:
            InputError: A variable or the config file holds what the option would not take.
        """
        given = self._options.get(key)
        if given is not None:
            return given
        value, source = self.config.find(key)
        kind = value_types.OF_CONFIG.get(key)
        if value is None or kind is None:
            return value
        try:
            return kind.convert(value, None, None)
        except click.BadParameter as exc:
            raise InputError(f"{key} from {source}: {exc.message}") from None

    @property
    def transport(self) -> Transport:
        """The transport, made when it is first needed: it imports requests."""
        with self._lock:
            if self._transport is None:
                self._transport = self.make_transport()
            return self._transport

    def make_transport(self, **limits: Any) -> Transport:
        """Return a transport of its own to the same API, with other limits than usual; see `Transport`."""
        from hypernode.api.transport import Transport

        usual = {
            "timeout": float(self.value("timeout")),
            "pool_size": self.parallel,
            "rps": self.value("rps"),
            "ca_file": self.value("ca_file"),
        }
        return Transport(self.api_url, **{**usual, **limits})

    def client(self, node: str) -> Client:
        """Return what speaks of `node` over the shared transport, with the token that was found for it.

        Raises:
            CredentialsError: There is none.
        """
        from hypernode.api.client import Client

        return Client(node, token=self.token(node), transport=self.transport)

    def address(self, nodes: Sequence[str]) -> None:
        """Tell which nodes the command is about: an unnamed HYPERNODE_API_TOKEN counts only for a single one."""
        only_node = nodes[0] if len(nodes) == 1 else None
        if only_node != self._only_node:
            self._only_node = only_node
            self._tokens.clear()  # what was not found for one of many may be found for a single one

    def token(self, node: str) -> Secret:
        """Return the token of `node`, looked up once.

        Raises:
            CredentialsError: There is none.
        """
        return self.find_token(node).secret

    def find_token(self, node: str) -> Token:
        """Return the token of `node` with the place it was found in, looked up once.

        Raises:
            CredentialsError: There is none.
        """
        with self._lock:
            found = self._tokens.get(node)
        if found is None:
            try:
                found = find_token(node, api_url=self.api_url, config=self.config, only_node=node == self._only_node)
            except CredentialsError as exc:
                found = exc
            else:
                if self._options.get("verbose"):
                    self._tell_unlike(node, found)
            with self._lock:
                self._tokens[node] = found
        if isinstance(found, CredentialsError):
            raise found
        return found

    def _tell_unlike(self, node: str, token: Token) -> None:
        from hnctl.printing import print_note
        from hypernode.credentials import unlike

        only_node = node == self._only_node
        others = unlike(token, node, api_url=self.api_url, config=self.config, only_node=only_node)
        if others:
            there = ", ".join(dict.fromkeys(others))
            print_note(f"{node}: the token of {token.source} is used; there is another one in {there}.")

    @property
    def ssh(self) -> Ssh:
        """SSH for this run, made when it is first needed; its connections end with the command."""
        with self._lock:
            if self._ssh is None:
                from hypernode.node.ssh import Ssh

                file = self.value("ssh_config")
                config = None if file is None else Path(file).expanduser()
                self._ssh = Ssh(config=config, connect_timeout=float(self.value("timeout")))
        return self._ssh

    def ssh_address(self, node: str, host: str | None = None, port: int | None = None) -> tuple[str, int | None]:
        """Return the host and the port of SSH on `node`; what is not given comes from the configuration.

        Without a port it is left to ssh, whose own default is 22.
        """
        return (host or str(self.value("ssh_host"))).replace("{node}", node), port or self.value("ssh_port")

    @property
    def lock_folder(self) -> Path:
        """Where the locks of nodes are; one folder per API host."""
        from hypernode.places import state_folder

        return state_folder() / "locks" / urlsplit(self.api_url).netloc.replace(":", "_")

    def shell(self, node: str, way: Way, *, check: bool = True) -> Shell:
        """Return what runs commands on `node`: here if its way is local, else over SSH.

        With `check` the machine is asked first whether it is that node.

        Raises:
            InvalidNode: Its way is local, and this machine is another one.
        """
        if way.via != "local":
            from hypernode.node.target import Target

            host, port = self.ssh_address(node, way.host, way.port)
            return self.ssh.shell(Target(host, way.user or str(self.value("ssh_user")), port), node if check else None)
        from hypernode.node.shell import LocalShell

        own = own_name()
        if own != node:
            here = f"this machine is {own}" if own else "this machine is no node"
            raise InvalidNode(
                f"it is reached via: local, and {here}", hint="Run hnctl there, or use via: ssh", node=node
            )
        return LocalShell()

    def reader(self, catalogue: Catalogue, ways: Mapping[str, Way]) -> Reader:
        """Return the way to read nodes, which cannot write; `ways` as in `Plan.ways`."""
        from hypernode.fleet.stores import ApiReader, EachReader

        api: Reader
        if self._on_cluster:
            from hypernode.fleet.dask_stores import DaskReader

            api = self._dask(DaskReader, catalogue)
        else:
            api = ApiReader(self.transport, self.token)
        if not ways:
            return api
        from hypernode.fleet.tool_stores import ToolReader

        tool = ToolReader(
            lambda node: self.shell(node, ways[node]), catalogue, read_timeout=float(self.value("timeout"))
        )
        return EachReader(lambda node: tool if node in ways else api)

    def store(self, catalogue: Catalogue, ways: Mapping[str, Way]) -> Store:
        """Return the way to read and write nodes; `ways` as in `Plan.ways`."""
        from hypernode.fleet.stores import ApiStore, EachStore

        api: Store
        if self._on_cluster:
            from hypernode.fleet.dask_stores import DaskStore

            api = self._dask(DaskStore, catalogue)
        else:
            api = ApiStore(self.transport, self.token, catalogue, interval=float(self.value("poll_interval")))
        if not ways:
            return api
        from hypernode.fleet.tool_stores import ToolStore

        tool = ToolStore(
            lambda node: self.shell(node, ways[node]),
            catalogue,
            read_timeout=float(self.value("timeout")),
            timeout=float(self.value("wait")),
        )
        return EachStore(lambda node: tool if node in ways else api)

    @property
    def _on_cluster(self) -> bool:
        """Whether the API is talked to from the workers of a Dask cluster.

        Raises:
            InputError: There is none to send tokens to.
        """
        if self._options.get("executor") is None and self._options.get("send_tokens"):
            raise InputError("--send-tokens goes with --executor dask+tls://HOST:PORT")
        return self._options.get("executor") is not None

    def _dask(self, kind: type[D], catalogue: Catalogue) -> D:
        """Return a way to nodes by the cluster, which is connected to when it is first needed.

        Raises:
            MissingPart: The extra is not installed.
            SafetyError: Tokens are to be sent to it, and others could read them.
            ConnectionFailed: It cannot be used.
        """
        from hnctl.extras import require_extra

        require_extra("dask", "distributed")
        from hypernode.fleet.dask_stores import Cluster, check_secure
        from hypernode.fleet.dask_tasks import Site

        address, send_tokens = str(self._options["executor"]), bool(self._options.get("send_tokens"))
        if send_tokens:
            check_secure(address.startswith("tls://"))
        if self._cluster is None:
            self._cluster = Cluster(address)
        ca_file, rps = self.value("ca_file"), self.value("rps")
        site = Site(
            run=self._cluster.run_id,
            api_url=self.api_url,
            timeout=float(self.value("timeout")),
            interval=float(self.value("poll_interval")),
            pool_size=self.parallel,
            rps=None if rps is None else float(rps),
            ca_file=None if ca_file is None else str(Path(ca_file).absolute()),
            only_node=self._only_node,
        )
        return kind(self._cluster, site, catalogue, find_token=self.token if send_tokens else None)

    def catalogue(self) -> Catalogue:
        """Return the settings of this version, with the API's own list laid over them if it was fetched today."""
        from hypernode.api import live_catalogue

        live = live_catalogue.cached(self.api_url)
        return Catalogue.bundled().overlay(live) if live else Catalogue.bundled()

    def fresh_catalogue(self, nodes: Sequence[str]) -> Catalogue:
        """Fetch the API's own list now, with the token of the first of `nodes` that has one, and lay it over ours."""
        from hypernode.api import live_catalogue

        self.address(nodes)
        return Catalogue.bundled().overlay(live_catalogue.fetch(self.transport, self._any_token(nodes)))

    def _any_token(self, nodes: Sequence[str]) -> Secret:
        failure: CredentialsError | None = None
        for node in nodes:
            try:
                return self.token(node)
            except CredentialsError as exc:
                failure = failure or exc
        raise failure or InputError(
            "--refresh asks the API, and so needs a node whose token it can use",
            hint="Name it with -n NODE, or set HYPERNODE_APP_NAME",
        )

    def _close(self) -> None:
        if self._ssh is not None:
            self._ssh.close()
        if self._cluster is not None:
            self._cluster.close()

    @contextmanager
    def executor(self) -> Iterator[ThreadPoolExecutor]:
        """Run threads, as many as nodes are worked on at once; what has not begun is dropped at the end."""
        pool = ThreadPoolExecutor(self.parallel, thread_name_prefix="node")
        wait = True
        try:
            yield pool
        except KeyboardInterrupt:
            # Only reads are interrupted so, and those can take as long as the API keeps silent: see `main.run`.
            wait = False
            raise
        finally:
            pool.shutdown(wait=wait, cancel_futures=True)
