"""What a step is: typed work over the rows of a table, or the building of one artefact.

    inputs (tables) ──items()──> one row an item ──worker()──> records per output table + drops     TableStep
    inputs          ──build()──> files in a directory                                               ArtefactStep

A step is data: two steps with equal lineage are the same work. It knows nothing of runners, shards or progress.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from spelangy.core.errors import Dropped
from spelangy.core.schema import from_table
from spelangy.store.objects import Store, StoredObject

Item = Mapping[str, Any]
"""One row of a step's items table as plain Python values; always has ``id``."""

Record = TypeVar("Record")


@dataclass(frozen=True, kw_only=True)
class Produced:
    """What a worker made of one item.

    Attributes:
        records: Records by output table.
        drops: Parts left out: (id of the part, why, its duration in seconds).
    """

    records: Mapping[str, Sequence[Any]]
    drops: Sequence[tuple[str, Dropped, float]] = ()


class Worker(Protocol):
    """Does the work of a step on one item; made once per process, so models load once."""

    def __call__(self, item: Item) -> Produced:
        """Raises `Dropped` to leave the whole item out."""
        ...


@dataclass(frozen=True)
class Inputs:
    """The finished inputs of a step. Tables are named ``step`` (when it has one table) or ``step/table``."""

    store: Store
    objects: Mapping[str, StoredObject]

    def table(self, name: str) -> pa.Table:
        step, table = table_address(name)
        return self.store.table(self.objects[step].key, table)

    def records(self, name: str, record_type: type[Record]) -> list[Record]:
        return from_table(self.table(name), record_type)

    def directory(self, step: str) -> Path:
        """The files of an artefact."""
        return self.store.directory(self.objects[step].key)

    def digest(self, name: str) -> str:
        step, table = table_address(name)
        stored = self.objects[step]
        return stored.digest_of(table if f"{table}.parquet" in {file.name for file in stored.files} else "")


def table_address(name: str) -> tuple[str, str]:
    """(step, table) of an input's name: ``speech/turns`` is table ``turns`` of step ``speech``; ``words`` is both."""
    step, _, table = name.partition("/")
    return step, table or step


@dataclass(frozen=True, kw_only=True)
class TableStep:
    """Work over items, one record table or more out.

    Attributes:
        name: Step name; the output table's too where there is one.
        version: Raised when the same config and inputs give other rows.
        config: JSON-able settings that decide the rows; model revisions included.
        inputs: Tables whose rows reach the worker through `items`.
        shared: Inputs the worker reads as a whole (a trained tokenizer's directory, for example).
        outputs: Record type by output table.
        items: Inputs to a table of one row an item, column ``id`` unique. An item's row decides its output.
        worker: Inputs to a picklable maker of the worker.
        settle: The finished tables, ``drops`` among them, before they are committed: for what only all rows together
            tell (two items that turned out to be one). By default as they are.
        listing: Config keys that say only which items there are: they decide the table, not any one item's output.
        loads_model: Gets processes of its own, so models run beside each other; else runs within the engine's threads.
        summary: What the committed tables come to (tokens, cost), kept beside the lineage for people.
        in_flight: Items that one worker does at once, each in a thread: for workers that wait for a server. They must
            be safe for threads, and share what they load; never together with `loads_model`.
        shard_items: Most items committed together: what a crash can cost.
    """

    name: str
    version: int
    config: Mapping[str, Any]
    inputs: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    outputs: Mapping[str, type]
    items: Callable[[Inputs], pa.Table]
    worker: Callable[[Inputs], Callable[[], Worker]]
    seed: int = 0
    settle: Callable[[Mapping[str, pa.Table]], Mapping[str, pa.Table]] = dict
    listing: tuple[str, ...] = ()
    summary: Callable[[Mapping[str, pa.Table]], Mapping[str, Any]] = field(default=lambda _: {})
    loads_model: bool = False
    in_flight: int = 1
    shard_items: int = 64


@dataclass(frozen=True, kw_only=True)
class ArtefactStep:
    """The building of one artefact: files in a directory.

    Attributes:
        build: Fills the directory (which survives interruption: continue what is there) and reports progress through
            the callback ``(done, total)``. What it returns is kept beside the lineage, for people.
    """

    name: str
    version: int
    config: Mapping[str, Any]
    inputs: tuple[str, ...] = ()
    seed: int = 0
    build: Callable[[Inputs, Path, Callable[[int, int], None]], Mapping[str, Any]]
    shared: tuple[str, ...] = field(default=(), init=False)


Step = TableStep | ArtefactStep
