"""Pages of Parquet files, a row each."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spelangy.core.errors import Dropped, Quarantined
from spelangy.synth.web.page_columns import Layout, page_of
from spelangy.synth.web.ranges import Range, row_ranges
from spelangy.synth.web.source_pages import ARCHIVE, MAX_RECORD_BYTES, ROW, Admit, SourcePage, admit_all
from spelangy.synth.web.unpacked import MAX_UNPACKED_RATIO

UNREADABLE = "unreadable table"
_BATCH_ROWS = 256
_BATCH_BYTES = 16 << 20
"""Rows are unpacked together up to this many bytes, going by the mean of their row group."""

_ERRORS = (pa.ArrowException, OSError, ValueError, LookupError)


def table_ranges(path: Path) -> list[Range]:
    """Ranges of rows; the empty one where no row can be read (reading it says why)."""
    try:
        with pq.ParquetFile(path) as table:
            metadata, names = table.metadata, set(_columns(table))
            groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
            # What a file says of its size is not trusted: it decides how many ranges there are.
            most = MAX_UNPACKED_RATIO * path.stat().st_size
            return row_ranges([(group.num_rows, min(most, _num_bytes(group, names))) for group in groups])
    except (Dropped, *_ERRORS):
        return [Range(begin=0, stop=0)]


def _num_bytes(group: Any, names: set[str]) -> int:
    columns = [group.column(index) for index in range(group.num_columns)]
    return sum(column.total_uncompressed_size for column in columns if column.path_in_schema in names)


def read_rows(
    path: Path, wanted: Range | None = None, *, uri: str = "", admit: Admit = admit_all
) -> Iterator[SourcePage | Dropped]:
    """The pages of a Parquet file, in order, and a `Dropped` for each row that cannot be used.

    Drops: ``"unreadable table"``, ``"unknown columns"`` (both the whole range), ``"no address"``, what `admit` drops,
    ``"oversized record"``, ``"empty body"``. Of what is not admitted, nothing but the address is decoded; a page of a
    column, however, is unpacked whole: that is how Parquet is made.

    Args:
        wanted: A range of rows.
    """
    archive = uri or path.name
    try:
        # Repeated values stay one value: a hundred bytes of file can say that a large one stands in a million rows.
        with pq.ParquetFile(path) as peeked:
            columns = _columns(peeked)
        with pq.ParquetFile(path, read_dictionary=list(columns), pre_buffer=False) as table:
            wanted = wanted or Range(begin=0, stop=table.metadata.num_rows)
            for row, fields in _rows(table, columns, wanted):
                yield page_of(fields, {ARCHIVE: archive, ROW: row}, f"row {row}", admit)
    except Dropped as dropped:
        yield Quarantined(dropped.reason, detail=f"{archive}: {dropped.detail}")
    except _ERRORS as error:
        yield Quarantined(UNREADABLE, detail=f"{archive}: {str(error)[:300]}")


def _columns(table: pq.ParquetFile) -> dict[str, str]:
    """Field by Parquet column (``metadata.url``). Raises `Dropped` when the table holds no pages."""
    schema = table.schema_arrow
    paths = [path for column in schema for path in _paths(column)]
    return {".".join(path): name for name, path in Layout.of(paths).paths.items()}


def _paths(column: pa.Field) -> Iterator[tuple[str, ...]]:
    if pa.types.is_struct(column.type):
        yield from ((column.name, column.type.field(index).name) for index in range(column.type.num_fields))
    elif not pa.types.is_nested(column.type):
        yield (column.name,)


def _rows(table: pq.ParquetFile, columns: dict[str, str], wanted: Range) -> Iterator[tuple[int, dict[str, Any]]]:
    """(row, field values) of a range; row groups outside it are not touched."""
    first = 0
    for group in range(table.metadata.num_row_groups):
        stop = first + table.metadata.row_group(group).num_rows
        if first < wanted.stop and stop > wanted.begin:
            row, most = first, _batch_rows(table.metadata.row_group(group), set(columns))
            for batch in table.iter_batches(most, row_groups=[group], columns=list(columns), use_threads=False):
                if row >= wanted.stop:
                    break
                if row + batch.num_rows > wanted.begin:
                    yield from _in_batch(batch, columns, row, wanted)
                row += batch.num_rows
        first = stop


def _batch_rows(group: Any, names: set[str]) -> int:
    return int(min(_BATCH_ROWS, max(1, _BATCH_BYTES * group.num_rows // max(1, _num_bytes(group, names)))))


def _in_batch(
    batch: pa.RecordBatch, columns: dict[str, str], first: int, wanted: Range
) -> Iterator[tuple[int, dict[str, Any]]]:
    arrays = {name: _array(batch, path.split(".")) for path, name in columns.items()}
    for index in range(batch.num_rows):
        if first + index in wanted:
            yield first + index, {name: _value(array[index]) for name, array in arrays.items()}


def _array(batch: pa.RecordBatch, path: list[str]) -> Any:
    array = batch.column(path[0])
    return array.field(path[1]) if len(path) > 1 else array


def _value(scalar: Any) -> Any:
    """A cell as bytes where it is text, whether or not it is UTF-8; of an oversized one, no more than tells that."""
    if isinstance(scalar, pa.DictionaryScalar):
        scalar = scalar.value
    if not scalar.is_valid:
        return None
    if isinstance(scalar, pa.StringScalar | pa.BinaryScalar):
        return scalar.as_buffer()[: MAX_RECORD_BYTES + 1].to_pybytes()
    return str(scalar.as_py())
