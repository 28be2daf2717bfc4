"""Never run: mypy checks that every public name can be used as its users would, and has the type they expect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import assert_type

import hypernode
from hypernode import (
    AllowlistEntry,
    Annotation,
    ApiError,
    ApiUseSwitchedOff,
    Backup,
    BadAnswer,
    Brancher,
    BrancherAccount,
    Catalogue,
    Client,
    ConnectionFailed,
    CredentialsError,
    FileError,
    Flow,
    FlowError,
    FlowFailed,
    FlowTimedOut,
    Forbidden,
    HostKeyRefused,
    HypernodeError,
    InputError,
    InvalidNode,
    InvalidValue,
    JournalFailed,
    KeyRefused,
    LocalShell,
    MissingPart,
    Node,
    NodeIsBusy,
    NoKeyring,
    NotAgreed,
    NotApplied,
    NotFound,
    NoToken,
    NotVerified,
    OutcomeUnknown,
    Output,
    PlanIsStale,
    Problem,
    Product,
    ProductChange,
    ReadOnlySetting,
    Rejected,
    RunIsUnderWay,
    SafetyError,
    Secret,
    SecretUnavailable,
    Servicectl,
    Setting,
    Shell,
    Ssh,
    Systemctl,
    Target,
    TokenRefused,
    ToolAsked,
    ToolError,
    ToolMissing,
    ToolTimedOut,
    Transport,
    TryLater,
    UnknownSetting,
    UnsafePlan,
    Update,
    WrongNode,
    __version__,
)


def read_many_nodes(names: Sequence[str]) -> None:
    """Share one transport, and with it connections and pace."""
    with Transport(rps=5, pool_size=16) as transport:
        for name in names:
            client = Client(name, transport=transport)
            for node in client.iter_nodes():
                assert_type(node, Node)


def use_the_tools_of_a_node(here: Shell) -> None:
    """The same tools, over SSH and on the node itself."""
    with Ssh() as ssh:
        there = ssh.shell(Target("kaasshop.hypernode.io", port=22))
        for shell in (here, there, LocalShell()):
            tool = Systemctl(shell, node="kaasshop")
            assert_type(tool.get("php_version"), bool | int | str | Secret | None)
            assert_type(tool.read(["php_version"]), dict[str, bool | int | str | Secret | None])
            assert_type(tool.choices(), dict[str, tuple[str, ...]])
            tool.set("permissive_memory_management", True, block=False)
            services = Servicectl(shell)
            services.do("reload", ["nginx"])
            assert_type(services.running_queries(), list[str] | None)
            assert_type(services.wait_for_mysql(60), bool | None)
        answer = there.run(["cat", "/etc/hostname"], timeout=10)
        assert_type(answer, Output)
        assert_type(answer.status, int)


def read_a_node() -> None:
    assert_type(__version__, str)
    assert_type(hypernode.__version__, str)
    with Client("kaasshop", token="...", api_url="https://api.hypernode.com") as node:
        assert_type(node, Client)
        assert_type(node.node, str)
        value = node.settings.get("php_version")
        assert_type(value, bool | int | str | Secret | None)
        if isinstance(value, Secret):
            assert_type(value.reveal(), str)
        assert_type(node.settings.read(), dict[str, bool | int | str | Secret | None])
        described = node.get_node()
        assert_type(described, Node)
        assert_type(described.ip, str | None)
        if described.product is not None:
            assert_type(described.product.code, str)
        assert_type(described.labels, Mapping[str, str | None])


def change_a_node(client: Client, key: Secret) -> None:
    update = client.settings.set({"varnish_enabled": True}, php_version="8.4", new_relic_secret=key, redis_version=None)
    assert_type(update, Update)
    assert_type(update.posted, bool)
    assert_type(update.tracker, str | None)

    def show(flows: Sequence[Flow]) -> None:
        for flow in flows:
            assert_type(flow.state, str | None)
            assert_type(flow.progress.completed, int)
            assert_type(flow.is_over, bool)

    assert_type(update.wait(timeout=900, interval=2, on_look=show), tuple[Flow, ...])


def list_flows(client: Client) -> None:
    flows = client.flows.iter(limit=20)
    assert_type(flows, Iterator[Flow])
    for flow in flows:
        assert_type(flow.uuid, str)
        if flow.created_at is not None:
            assert_type(flow.created_at.isoformat(), str)
    assert_type(client.flows.newest(tracker="..."), tuple[Flow, ...])


def use_the_rest_of_the_api(client: Client) -> None:
    assert_type(client.products.current(), Product)
    assert_type(client.products.check("FALCON_L_202203"), ProductChange)
    made = client.branchers.create(labels={"ticket": "42"}, ttl=3600)
    assert_type(made, Brancher)
    assert_type(made.labels, Mapping[str, str | None])
    assert_type(client.branchers.account(), BrancherAccount)
    assert_type(client.branchers.destroy(made.name), bool)
    assert_type(client.allowlist.list("database"), tuple[AllowlistEntry, ...])
    assert_type(client.backups.iter(), Iterator[Backup])
    assert_type(client.attacks.descriptions(), Mapping[str, str])
    assert_type(client.insights.iter(), Iterator[Annotation])
    assert_type(client.check_name("kaasshop"), tuple[str, ...])


def look_into_the_catalogue(catalogue: Catalogue) -> None:
    assert_type(Catalogue.bundled(), Catalogue)
    for name, setting in catalogue.items():
        assert_type(name, str)
        assert_type(setting, Setting)
        assert_type(setting.values, tuple[bool | int | str, ...] | None)
        assert_type(setting.risk.hazards(True), tuple[str, ...])
    assert_type(catalogue.parse("php_version", "8.4"), bool | int | str | Secret)
    live: Mapping[str, object] = {"php_version": ["8.6"]}
    assert_type(catalogue.overlay(live), Catalogue)


def handle_every_error(client: Client) -> str | None:
    """Catch each error, the narrow ones first."""
    try:
        client.settings.set(php_version="8.4").wait()
    except (InvalidNode, InvalidValue, ReadOnlySetting, UnknownSetting, SecretUnavailable, MissingPart) as exc:
        return exc.hint
    except FileError as exc:
        assert_type(exc.problems, tuple[Problem, ...])
        return "\n".join(f"{problem.line}:{problem.column} {problem.message}" for problem in exc.problems)
    except InputError as exc:
        return exc.message
    except (NoKeyring, NoToken, TokenRefused) as exc:
        return exc.node
    except KeyRefused as exc:
        return exc.hint
    except CredentialsError as exc:
        return exc.code
    except ApiUseSwitchedOff as exc:
        return exc.hint
    except TryLater as exc:
        return f"{exc.retry_after or 60:.0f}"
    except Rejected as exc:
        return "; ".join(text for texts in exc.fields.values() for text in texts)
    except (Forbidden, NotFound, BadAnswer) as exc:
        return str(exc.status)
    except ApiError as exc:
        return str(exc.status)
    except HostKeyRefused as exc:
        return exc.hint
    except ConnectionFailed as exc:
        return "perhaps applied" if exc.maybe_applied and not exc.permanent else None
    except (FlowFailed, FlowTimedOut) as exc:
        return exc.flow or exc.state
    except FlowError as exc:
        return exc.state
    except (ToolAsked, ToolMissing, ToolTimedOut) as exc:
        return exc.hint
    except ToolError as exc:
        return exc.message
    except (NotApplied, NotVerified, OutcomeUnknown, WrongNode) as exc:
        return exc.message
    except UnsafePlan as exc:
        return "; ".join(allow for _, allow in exc.reasons)
    except PlanIsStale as exc:
        return exc.node
    except (JournalFailed, NodeIsBusy, NotAgreed, RunIsUnderWay) as exc:
        return exc.hint
    except SafetyError as exc:
        return exc.code
    except HypernodeError as exc:
        return f"{exc.code}: {exc} ({exc.hint})"
    return None
