"""What can go wrong, and whose turn it is to act.

    Exception
    ├── UserError        a request that cannot be met: where, what was given, what is allowed, a hint (exit code 2)
    └── Dropped          one item is bad data: becomes a `Drop` record and the run goes on
        └── Quarantined  one input could not be read at all: counted against the recipe's limit (exit code 3)

A mistake of our own is an `assert` (exit code 1).
"""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """A request that cannot be met.

    Args:
        message: Where, what was given and what is allowed.
        hint: The next thing to try; printed after ``hint:``.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        return (_user_error, (type(self), self.message, self.hint))


def _user_error(kind: type[UserError], message: str, hint: str) -> UserError:
    return kind(message, hint=hint)


class Dropped(Exception):
    """One item is left out, for a counted reason.

    Args:
        reason: Short stable name such as ``"too short"``; the funnel groups by it.
        value: The measured value that decided, if there is one.
        threshold: What it was compared with.
        detail: For a human reading one record: the message of the tool that failed, for example.
    """

    def __init__(
        self, reason: str, *, value: float | None = None, threshold: float | None = None, detail: str = ""
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.value = value
        self.threshold = threshold
        self.detail = detail


class Quarantined(Dropped):
    """An input that could not be read at all."""


def did_you_mean(given: str, allowed: Iterable[str]) -> str:
    """The nearest allowed name as a hint, or the list of what is allowed."""
    names = sorted(allowed)
    nearest = get_close_matches(given, names, n=1, cutoff=0.5)
    return f"did you mean {nearest[0]!r}?" if nearest else f"one of: {', '.join(names)}"
