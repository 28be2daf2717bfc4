"""What the API and the control path share: the world and what belongs to it, the faults, the log, the addresses."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields

from hypernode.errors import InputError
from hypernode.sandbox.allowlists import Allowlists
from hypernode.sandbox.annotations import Annotations
from hypernode.sandbox.backups import Backups
from hypernode.sandbox.branchers import Branchers, Delivery
from hypernode.sandbox.faults import Draws, read_rules
from hypernode.sandbox.world import World

API_BASE = "https://api.hypernode.com"
LONGEST_LOG = 500_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One request to the API, as the log keeps it: neither a value nor a token."""

    seq: int
    """Counts requests from 1, in the order in which they came in."""
    at: float
    """When it came in: seconds since the sandbox started."""
    method: str
    path: str
    """With the query."""
    node: str | None
    """The node it was about: the one in the path, else the token's."""
    status: int | None
    """None: no answer, because of a fault."""
    settings: tuple[str, ...] = ()
    """Names in a valid change of settings."""
    changed: bool = False
    """Whether a write started a flow or changed something."""
    overlap: bool = False
    """Whether a write came while another job of the node was not over."""
    fault: str | None = None
    agent: str = ""
    """The User-Agent, at most 100 characters of it: by which way the request came."""

    def as_json(self) -> dict[str, object]:
        """Return the entry as the control path shows it."""
        return asdict(self)


@dataclass(slots=True)
class Log:
    """The last half million requests; `seq` shows when older ones are gone."""

    entries: deque[Entry] = field(default_factory=lambda: deque(maxlen=LONGEST_LOG))
    _seq: int = 0

    def next_seq(self) -> int:
        """Number a request that came in."""
        self._seq += 1
        return self._seq

    def in_order(self) -> list[Entry]:
        """Return all entries in the order in which their requests came in."""
        return sorted(self.entries, key=lambda entry: entry.seq)


@dataclass(slots=True)
class Links:
    """Addresses in answers. The real API names itself in full, on whatever host it is reached (CONTRACT.md 1.7)."""

    location_base: str = API_BASE
    next_base: str = API_BASE
    redirect_to: str = "http://foreign.example/"
    """Where `Fault.REDIRECT` points."""


@dataclass(slots=True)
class Stage:
    """One sandbox without its socket."""

    world: World
    draws: Draws
    latency: float = 0.0
    """Seconds added to each request to the API."""
    retry_after: float = 1.0
    """Seconds that a 429 asks for."""
    links: Links = field(default_factory=Links)
    log: Log = field(default_factory=Log)
    orders: set[str] = field(default_factory=set)
    """Names of nodes that were ordered; they are never delivered."""
    branchers: Branchers = field(init=False)
    allowlists: Allowlists = field(init=False)
    backups: Backups = field(init=False)
    annotations: Annotations = field(init=False)

    def __post_init__(self) -> None:
        """Make what belongs to the world."""
        self.branchers = Branchers(self.world, Delivery())
        self.allowlists = Allowlists(self.world)
        self.backups = Backups(self.world)
        self.annotations = Annotations(self.world)

    def set_faults(self, given: Mapping[str, object]) -> None:
        """Replace all fault rules by those that `read_rules` understands; counting starts anew.

        Raises:
            InputError: A kind, a value or a node is unknown; the old rules stay.
        """
        rules = read_rules(given)
        for rule in rules.values():
            for name in sorted(rule.nodes):
                self.world.find(name)
        self.draws = Draws(self.world.seed, rules)

    def set_links(self, given: Mapping[str, object]) -> None:
        """Change some of the addresses in answers.

        Raises:
            InputError: One of them is unknown or no text; nothing was changed.
        """
        known = [each.name for each in fields(Links)]
        for name, value in given.items():
            if name not in known or not isinstance(value, str):
                raise InputError(f"{name} is not one of {', '.join(known)}, or not given as a text")
        for name, value in given.items():
            setattr(self.links, name, value)
