"""Finished work, item by item: what lets a run resume, and lets a grown corpus pay only for what is new.

A shard is one Parquet file with a row per finished item:

    item_id · item_digest · seconds · failed · drops: list<struct> · one list<struct> column per output table

It is written whole or not at all. Shards belong to a *family*: {step, version, config, seed, shared inputs}, that is,
to all that decides an item's output except the item itself. The item's own row is covered by `item_digest`.
"""

import io
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from spelangy.core.hashing import digest
from spelangy.core.records import Drop
from spelangy.core.schema import arrow_schema, to_row
from spelangy.store.files import Files
from spelangy.store.tables import concat, read_table

DROPS = "drops"
_ROWS_AT_ONCE = 64


@dataclass(frozen=True, kw_only=True)
class FinishedItem:
    """One item's outcome.

    Attributes:
        failed: The worker broke on it. Counted in the table, and tried again by the next run that needs it.
    """

    item_id: str
    item_digest: str
    seconds: float
    failed: bool
    drops: Sequence[Drop]
    records: Mapping[str, Sequence[Any]]


ITEM_DIGEST = "item_digest"
"""The column beside an item's own that travels with it to the worker's process, so that it is computed once."""


def item_digests(items: pa.Table) -> pa.Array:
    """Digest of all values of each item's row; rows are made Python objects a few at a time."""
    batches = items.to_batches(max_chunksize=_ROWS_AT_ONCE)
    return pa.array([digest(row) for batch in batches for row in batch.to_pylist()], pa.string())


@dataclass(frozen=True)
class ShardFolder:
    """The shards of one family. Small and picklable: workers carry it.

    Args:
        root: The store's root.
        family: Key of the family.
        outputs: Record type by output table.
    """

    root: str
    family: str
    outputs: Mapping[str, type]

    @property
    def folder(self) -> str:
        return f"shards/{self.family}"

    def commit(self, table: pa.Table) -> None:
        """Writes rows of finished items (see `rows_of`) as one shard, whole or not at all."""
        sink = io.BytesIO()
        pq.write_table(table, sink, compression="zstd")
        Files(self.root).write(f"{self.folder}/{os.getpid()}-{uuid.uuid4().hex}.parquet", sink.getvalue())

    def finished(self) -> pa.Table:
        """item_digest and seconds of all that is finished and did not fail."""
        tables = [self._read(name, [ITEM_DIGEST, "seconds", "failed"]) for name in self._names()]
        columns = [(ITEM_DIGEST, pa.string()), ("seconds", pa.float64()), ("failed", pa.bool_())]
        found = pa.concat_tables([pa.schema(columns).empty_table(), *tables])
        return found.filter(pc.invert(found["failed"])).drop_columns(["failed"])

    def collect(self, item_digests: pa.Array) -> dict[str, pa.Table]:
        """The output tables, drops included, of the items wanted; an item finished twice counts once."""
        record_types = {**self.outputs, DROPS: Drop}
        found: dict[str, list[pa.Table]] = {name: [] for name in record_types}
        missing = item_digests
        # What failed once may have succeeded later: failures count only where there is nothing better.
        for is_failed, shard_name in ((is_failed, name) for is_failed in (False, True) for name in self._names()):
            shard = self._read(shard_name)
            wanted = pc.and_(pc.is_in(shard[ITEM_DIGEST], missing), pc.equal(shard["failed"], is_failed))
            shard = shard.filter(wanted)
            missing = missing.filter(pc.invert(pc.is_in(missing, shard[ITEM_DIGEST].combine_chunks())))
            for name in record_types:
                found[name].append(_explode(shard[name], record_types[name]))
        assert not len(missing), f"{len(missing)} items are in no shard of {self.family}"
        return {name: concat(found[name], record_type) for name, record_type in record_types.items()}

    def _names(self) -> list[str]:
        return Files(self.root).list(self.folder, ".parquet")

    def _read(self, name: str, columns: list[str] | None = None) -> pa.Table:
        return read_table(Files(self.root).read(name), columns)


def rows_of(items: Sequence[FinishedItem], outputs: Mapping[str, type]) -> pa.Table:
    """Finished items as rows of a shard."""
    return pa.Table.from_pylist([_row(item) for item in items], schema=_schema(outputs))


def row_bytes(item: FinishedItem, outputs: Mapping[str, type]) -> bytes:
    """One finished item as it travels between processes (Arrow's stream format)."""
    table = rows_of([item], outputs)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def rows_from_bytes(rows: Sequence[bytes]) -> pa.Table:
    """The rows of `row_bytes` together, at least one."""
    return pa.concat_tables([pa.ipc.open_stream(row).read_all() for row in rows]).combine_chunks()


def _schema(outputs: Mapping[str, type]) -> pa.Schema:
    nested = [
        pa.field(name, pa.list_(pa.struct(list(arrow_schema(record_type)))))
        for name, record_type in {**outputs, DROPS: Drop}.items()
    ]
    plain = [
        pa.field("item_id", pa.string()),
        pa.field(ITEM_DIGEST, pa.string()),
        pa.field("seconds", pa.float64()),
        pa.field("failed", pa.bool_()),
    ]
    return pa.schema(plain + nested)


def _row(item: FinishedItem) -> dict[str, Any]:
    records = {name: [to_row(record) for record in records] for name, records in item.records.items()}
    return {
        "item_id": item.item_id,
        ITEM_DIGEST: item.item_digest,
        "seconds": item.seconds,
        "failed": item.failed,
        DROPS: [to_row(drop) for drop in item.drops],
        **records,
    }


def _explode(column: pa.ChunkedArray, record_type: type) -> pa.Table:
    structs = pc.list_flatten(column).combine_chunks()
    names = arrow_schema(record_type).names
    return pa.table({name: pc.struct_field(structs, name) for name in names})
