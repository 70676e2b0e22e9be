"""What a benchmark yields: a measured number, what it should be, and what a peer measured in the same run."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Compare = Literal["<=", ">="]

_COLUMNS = "{:<52} {:>12} {:<10} {:<24} {:<34} {}"
_VERDICTS = {True: "ok", False: "MISSED", None: ""}


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A bound on a figure.

    Attributes:
        limit: The bound in the figure's unit; None for the peer's value.
    """

    compare: Compare
    limit: float | None = None

    @property
    def text(self) -> str:
        return f"{self.compare} {'peer' if self.limit is None else short(self.limit)}"

    def holds(self, value: float, peer_value: float | None) -> bool:
        """Whether `value` keeps the bound."""
        limit = peer_value if self.limit is None else self.limit
        assert limit is not None, "a goal against a peer needs a peer"
        return value <= limit if self.compare == "<=" else value >= limit


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured number.

    Attributes:
        goals: All must hold.
        peer: Who or what was measured beside it; empty where nobody was.
        peer_value: In the same unit, from the same run.
    """

    name: str
    value: float
    unit: str
    goals: tuple[Goal, ...] = ()
    peer: str = ""
    peer_value: float | None = None

    def __post_init__(self) -> None:
        assert bool(self.peer) == (self.peer_value is not None), f"{self.name}: a peer has a name and a value"

    @property
    def ok(self) -> bool | None:
        """Whether all goals hold; None without a goal."""
        return all(goal.holds(self.value, self.peer_value) for goal in self.goals) if self.goals else None

    def as_json(self) -> dict[str, Any]:
        """The figure as one JSON object."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "goal": " and ".join(goal.text for goal in self.goals) or None,
            "peer": self.peer or None,
            "peer_value": self.peer_value,
            "ok": self.ok,
        }

    def as_row(self) -> str:
        """The figure as one line of the table."""
        peer = f"{self.peer}: {short(self.peer_value)}" if self.peer_value is not None else ""
        goal = self.as_json()["goal"] or ""
        return _COLUMNS.format(self.name, short(self.value), self.unit, goal, peer, _VERDICTS[self.ok]).rstrip()


def table_head() -> str:
    """The line above the rows."""
    return _COLUMNS.format("figure", "value", "unit", "goal", "peer", "").rstrip()


def short(value: float) -> str:
    """A number with three significant digits, thousands whole."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def at_most(limits: Iterable[float | None]) -> tuple[Goal, ...]:
    """Goals ``<=`` each limit; None is the peer's value."""
    return tuple(Goal(compare="<=", limit=limit) for limit in limits)


def at_least(limits: Iterable[float | None]) -> tuple[Goal, ...]:
    """Goals ``>=`` each limit; None is the peer's value."""
    return tuple(Goal(compare=">=", limit=limit) for limit in limits)
