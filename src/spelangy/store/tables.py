"""Parquet tables whose bytes depend on their rows alone, so that a digest of the file is a digest of the content."""

import io
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.parquet as pq

from spelangy.core.schema import arrow_schema

ROW_GROUP_ROWS = 65_536


def table_bytes(table: pa.Table) -> bytes:
    """`table` sorted by ``id`` as Parquet: the same rows give the same bytes, whoever computed them in what order."""
    ordered = table.sort_by("id").combine_chunks() if table.num_rows else table
    sink = io.BytesIO()
    pq.write_table(ordered, sink, compression="zstd", row_group_size=ROW_GROUP_ROWS, version="2.6")
    return sink.getvalue()


def read_table(data: bytes, columns: list[str] | None = None) -> pa.Table:
    """The table of `table_bytes`, or some columns of it."""
    # Copied into Arrow's own memory: its reading threads may free it as late as the interpreter's exit, when to free an
    # object of Python's aborts the process.
    sink = pa.BufferOutputStream()
    sink.write(data)
    return pq.read_table(pa.BufferReader(sink.getvalue()), columns=columns)


def empty_table(record_type: type) -> pa.Table:
    """A table of no rows with the record's schema."""
    return arrow_schema(record_type).empty_table()


def concat(tables: Iterable[pa.Table], record_type: type) -> pa.Table:
    """Tables of one record type below one another."""
    return pa.concat_tables([empty_table(record_type), *(table.cast(arrow_schema(record_type)) for table in tables)])
