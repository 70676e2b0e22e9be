"""`metrics.jsonl`: one JSON object a line, appended as the run goes; every row names its `event` and its `step`.

    {"event": "start", "step": 0, "parameters": ...}
    {"event": "heldout", "step": 0, "set": "speech-text", "text_loss": ..., ...}
    {"event": "step", "step": 1, "loss": ..., "text_loss": ..., "learning_rate": ..., "tokens": ..., ...}
    {"event": "checkpoint", "step": 100, "path": ...}
    {"event": "checkpoint_refused", "step": 100, "path": ..., "reason": ...}
    {"event": "resume", "step": 50, "path": ...}

After a resume from step s the rows of later steps are taken out: those steps are run again.
"""

import json
from pathlib import Path
from typing import Any

from spelangy.core.errors import UserError
from spelangy.core.hashing import canonical_json

REPEATED_EVENTS = frozenset({"step", "heldout", "checkpoint"})
"""Rows that a resumed run writes again; the others tell what happened and stay."""


class MetricsLog:
    """Appends to one run's metrics.

    Raises:
        UserError: When the folder of `path` cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot train into {path.parent}: {error}", hint="choose another directory") from error

    def append(self, event: str, step: int, **values: Any) -> None:
        """Writes one row and flushes it.

        Raises:
            TypeError: When a value has no JSON form, NaN included.
            UserError: When the disk is full.
        """
        line = canonical_json({"event": event, "step": step, **values}) + "\n"
        try:
            with self.path.open("a") as file:
                file.write(line)
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {error}", hint="free space and run again") from error

    def rewind(self, step: int) -> None:
        """Takes out the rows of steps after `step`, and a last line that a crash cut off."""
        rows = read_metrics(self.path)
        kept = [row for row in rows if row["step"] <= step or row["event"] not in REPEATED_EVENTS]
        beside = self.path.with_name(f".writing-{self.path.name}")
        beside.write_text("".join(canonical_json(row) + "\n" for row in kept))
        beside.replace(self.path)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The rows of a run in the order written; none where there is no file. A last line cut off by a crash is left out.

    Raises:
        ValueError: When any other line is not JSON.
    """
    if not path.exists():
        return []
    complete, _, _ = path.read_text().rpartition("\n")
    return [json.loads(line) for line in complete.splitlines()]
