"""A finished run's tables and artefacts, as the report reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from spelangy.core.records import Drop
from spelangy.core.schema import from_table
from spelangy.store.objects import Store, StoredObject


@dataclass(frozen=True, kw_only=True)
class RunStep:
    """One step of the run, as the engine told it."""

    stored: StoredObject
    status: str
    why: str
    seconds: float


class RunTables:
    """A run's tables and artefacts by step name; a step that did not run has empty ones."""

    def __init__(self, store: Store, steps: Mapping[str, RunStep]) -> None:
        self.store = store
        self.steps = steps

    def __contains__(self, step: str) -> bool:
        return step in self.steps

    def records(self, step: str, table: str, record_type: type[Any]) -> list[Any]:
        if step not in self.steps:
            return []
        stored = self.steps[step].stored
        known = {file.name for file in stored.files}
        return from_table(self.store.table(stored.key, table), record_type) if f"{table}.parquet" in known else []

    def table(self, step: str, table: str) -> pa.Table:
        """One table as it is stored."""
        return self.store.table(self.steps[step].stored.key, table)

    def directory(self, step: str) -> Path:
        return self.store.directory(self.steps[step].stored.key)

    def drops(self, step: str) -> list[Drop]:
        return self.records(step, "drops", Drop)

    def chunk_steps(self) -> list[str]:
        return [name for name in self.steps if name.startswith("chunks-")]

    def asr_steps(self) -> list[str]:
        return [name for name in self.steps if name.startswith("asr-")]
