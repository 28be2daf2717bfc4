"""The way to each node's settings: through the API, or through the node's own tool, here or over SSH. Pure."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, get_args

Via = Literal["api", "ssh", "local"]
VIAS: Final[tuple[Via, ...]] = get_args(Via)


class Way(NamedTuple):
    """How a node is reached. In a layer of a fleet file, None says nothing; laid over all others, it is the default."""

    via: Via | None = None
    """None: the API."""
    host: str | None = None
    """For SSH; ``{node}`` in it stands for the node's name."""
    port: int | None = None
    user: str | None = None

    def over(self, below: Way) -> Way:
        """Return this way where it says something, and `below` where it does not."""
        return below._replace(**{name: said for name, said in self._asdict().items() if said is not None})

    @property
    def by_tool(self) -> bool:
        """Whether the settings are reached through the node's own tool."""
        return self.via in ("ssh", "local")


DEFAULT: Final = Way()
