"""Typed Python SDK for Hypernode: all that the API says of a node, its own tools, and whole fleets from one file.

    import hypernode

    with hypernode.Client("kaasshop") as node:
        if node.settings.get("php_version") != "8.4":
            node.settings.set(php_version="8.4").wait(timeout=900)

The rest of the API:

    with hypernode.Client("kaasshop") as node:
        node.allowlist.add("database", "192.0.2.9", "office")
        copy = node.branchers.create(labels={"ticket": "42"}, ttl=4 * 3600)
        node.branchers.wait(copy.name)

The node's own tools, here or over SSH:

    with hypernode.Ssh() as ssh:
        tool = hypernode.Systemctl(ssh.shell(hypernode.Target("kaasshop.hypernode.io")))
        tool.set("permissive_memory_management", True)

Names are loaded when they are first used, so that importing this package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hypernode.version import __version__

if TYPE_CHECKING:
    from hypernode.api.client import Client
    from hypernode.api.models import (
        AllowlistEntry,
        Annotation,
        Backup,
        Brancher,
        BrancherAccount,
        Flow,
        Node,
        Product,
        ProductChange,
    )
    from hypernode.api.settings import Update
    from hypernode.api.transport import Transport
    from hypernode.catalogue import Catalogue, Setting
    from hypernode.errors import (
        ApiError,
        ApiUseSwitchedOff,
        BadAnswer,
        ConnectionFailed,
        CredentialsError,
        FileError,
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
        MissingPart,
        NodeIsBusy,
        NoKeyring,
        NotAgreed,
        NotApplied,
        NotFound,
        NoToken,
        NotVerified,
        OutcomeUnknown,
        PlanIsStale,
        Problem,
        ReadOnlySetting,
        Rejected,
        RunIsUnderWay,
        SafetyError,
        SecretUnavailable,
        TokenRefused,
        ToolAsked,
        ToolError,
        ToolMissing,
        ToolTimedOut,
        TryLater,
        UnknownSetting,
        UnsafePlan,
        WrongNode,
    )
    from hypernode.node.servicectl import Servicectl
    from hypernode.node.shell import LocalShell, Output, Shell
    from hypernode.node.ssh import Ssh
    from hypernode.node.systemctl import Systemctl
    from hypernode.node.target import Target
    from hypernode.secrets import Secret

_HOMES = {
    "AllowlistEntry": "api.models",
    "Annotation": "api.models",
    "Backup": "api.models",
    "Brancher": "api.models",
    "BrancherAccount": "api.models",
    "Catalogue": "catalogue",
    "Client": "api.client",
    "Flow": "api.models",
    "LocalShell": "node.shell",
    "Node": "api.models",
    "Output": "node.shell",
    "Product": "api.models",
    "ProductChange": "api.models",
    "Secret": "secrets",
    "Servicectl": "node.servicectl",
    "Setting": "catalogue",
    "Shell": "node.shell",
    "Ssh": "node.ssh",
    "Systemctl": "node.systemctl",
    "Target": "node.target",
    "Transport": "api.transport",
    "Update": "api.settings",
}

__all__ = [
    "AllowlistEntry",
    "Annotation",
    "ApiError",
    "ApiUseSwitchedOff",
    "Backup",
    "BadAnswer",
    "Brancher",
    "BrancherAccount",
    "Catalogue",
    "Client",
    "ConnectionFailed",
    "CredentialsError",
    "FileError",
    "Flow",
    "FlowError",
    "FlowFailed",
    "FlowTimedOut",
    "Forbidden",
    "HostKeyRefused",
    "HypernodeError",
    "InputError",
    "InvalidNode",
    "InvalidValue",
    "JournalFailed",
    "KeyRefused",
    "LocalShell",
    "MissingPart",
    "NoKeyring",
    "NoToken",
    "Node",
    "NodeIsBusy",
    "NotAgreed",
    "NotApplied",
    "NotFound",
    "NotVerified",
    "OutcomeUnknown",
    "Output",
    "PlanIsStale",
    "Problem",
    "Product",
    "ProductChange",
    "ReadOnlySetting",
    "Rejected",
    "RunIsUnderWay",
    "SafetyError",
    "Secret",
    "SecretUnavailable",
    "Servicectl",
    "Setting",
    "Shell",
    "Ssh",
    "Systemctl",
    "Target",
    "TokenRefused",
    "ToolAsked",
    "ToolError",
    "ToolMissing",
    "ToolTimedOut",
    "Transport",
    "TryLater",
    "UnknownSetting",
    "UnsafePlan",
    "Update",
    "WrongNode",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'hypernode' has no attribute {name!r}")
    value = getattr(import_module(f"hypernode.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
