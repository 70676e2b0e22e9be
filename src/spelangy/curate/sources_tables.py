"""Hugging Face datasets on disk: a saved dataset's folder, or Parquet and Arrow files with an Audio column.

An Audio column is a struct {bytes, path}. Rows are read where they lie; the other columns are a recording's metadata.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spelangy.core.errors import UserError
from spelangy.core.hashing import ID_HEX_DIGITS
from spelangy.curate.found import FoundSource, Place, metadata_json, unreadable
from spelangy.store.stat_cache import StatCache

TABLE_SUFFIXES = (".parquet", ".arrow")
_BATCH_ROWS = 16
_LISTINGS = "hf-rows-1"


@dataclass(frozen=True, kw_only=True)
class AudioRow:
    """One row: its sound by content, or the path that it names instead."""

    row: int
    id: str = ""
    num_bytes: int = 0
    path: str = ""
    fields: dict[str, Any] = field(default_factory=dict)


def is_saved_dataset(folder: Path) -> bool:
    """Whether `datasets` saved this folder (``save_to_disk``): a dataset, or several splits of one."""
    return (folder / "dataset_dict.json").is_file() or (
        (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()
    )


def dataset_files(folder: Path) -> list[Path]:
    """The data files of a saved dataset in order, splits by name.

    Raises:
        UserError: When the dataset's own list of its files cannot be read.
    """
    if (folder / "dataset_dict.json").is_file():
        splits = _json(folder / "dataset_dict.json").get("splits", [])
        return [file for split in splits if isinstance(split, str) for file in dataset_files(_inside(folder, split))]
    listed = _json(folder / "state.json").get("_data_files", [])
    names = [entry.get("filename") for entry in listed if isinstance(entry, dict)]
    return [_inside(folder, name) for name in names if isinstance(name, str)]


def _inside(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{folder}: {name!r} leads out of the dataset", hint="save the dataset again")
    return path


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {error}", hint="a saved dataset has it; save the dataset again") from error
    return value if isinstance(value, dict) else {}


def dataset_licence(folder: Path) -> str:
    """The licence in ``dataset_info.json``; empty where there is none."""
    with suppress(UserError):
        return str(_json(folder / "dataset_info.json").get("license") or "")
    return ""


def audio_column(schema: pa.Schema) -> str | None:
    """The first Audio column: as `datasets` wrote it into the schema, else a struct {bytes, path} not said to be
    anything else."""
    declared = _declared_features(schema)
    for column in schema:
        kind = declared.get(column.name)
        if kind == "Audio" or (kind is None and _is_audio_struct(column.type)):
            return str(column.name) if _is_audio_struct(column.type) else None
    return None


def _declared_features(schema: pa.Schema) -> dict[str, str]:
    try:
        told = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = told["info"]["features"]
        return {name: str(feature.get("_type")) for name, feature in features.items() if isinstance(feature, dict)}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _is_audio_struct(kind: pa.DataType) -> bool:
    if not pa.types.is_struct(kind):
        return False
    types = {kind.field(index).name: kind.field(index).type for index in range(kind.num_fields)}
    return {"bytes", "path"} <= types.keys() and types["bytes"] in (pa.binary(), pa.large_binary())


def read_table_file(uri: str, path: Path) -> list[FoundSource]:
    """The rows of a Parquet or Arrow file as recordings."""
    container = "parquet" if _is_parquet(path) else "arrow"
    try:
        column, listed = _remembered(path, container)
    except (pa.ArrowException, OSError) as error:
        return [unreadable(uri, "table not readable", str(error)[:300])]
    if column is None:
        return [unreadable(uri, "no audio column", "needs a struct {bytes, path}, as datasets.Audio is stored")]
    return [_row_source(uri, path, container, column, row) for row in listed]


def _row_source(uri: str, path: Path, container: str, column: str, row: AudioRow) -> FoundSource:
    metadata = metadata_json({**row.fields, "row": row.row, "path": row.path})
    name = f"{uri}#{row.row}"
    if row.id:
        place = Place(
            path=str(path.absolute()), container=container, offset=row.row, num_bytes=row.num_bytes, column=column
        )
        return FoundSource(uri=name, place=place, id=row.id, metadata=metadata)
    if not row.path or "\0" in row.path:
        return unreadable(name, "empty file", "neither bytes nor a path")
    file = str(path.absolute().parent / row.path)
    return FoundSource(uri=file, place=Place(path=file), metadata=metadata)


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _remembered(path: Path, container: str) -> tuple[str | None, list[AudioRow]]:
    cache = StatCache(_LISTINGS)
    state = path.stat()
    known = cache.known({path: state}).get(path)
    if known is not None:
        column, entries = json.loads(known)
        return column, [AudioRow(**entry) for entry in entries]
    column, listed = _list_rows(path, container)
    cache.remember([(path, state, json.dumps([column, [asdict(row) for row in listed]]))])
    return column, listed


def _list_rows(path: Path, container: str) -> tuple[str | None, list[AudioRow]]:
    with _schema_and_batches(path, container) as (schema, batches):
        column = audio_column(schema)
        if column is None:
            return None, []
        plain = [entry.name for entry in schema if _is_plain(entry.type)]
        found: list[AudioRow] = []
        for batch in batches([column, *plain]):
            found.extend(_rows(batch, column, plain, len(found)))
        return column, found


def _is_plain(kind: pa.DataType) -> bool:
    tests = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_boolean,
    )
    return any(test(kind) for test in tests)


def _rows(batch: pa.RecordBatch, column: str, plain: list[str], first: int) -> Iterator[AudioRow]:
    sounds = batch.column(batch.schema.get_field_index(column))
    others = batch.select(plain).to_pylist() if plain else [{}] * batch.num_rows
    for index in range(batch.num_rows):
        data, path = sounds[index]["bytes"].as_buffer(), sounds[index]["path"].as_py()
        yield AudioRow(
            row=first + index,
            id=hashlib.sha256(data).hexdigest()[:ID_HEX_DIGITS] if data else "",
            num_bytes=len(data) if data else 0,
            path=path or "",
            fields=json.loads(metadata_json(others[index])),
        )


@contextmanager
def _schema_and_batches(
    path: Path, container: str
) -> Iterator[tuple[pa.Schema, Callable[[list[str]], Iterator[pa.RecordBatch]]]]:
    """The schema, and a way to read some columns a few rows at a time."""
    with pa.memory_map(str(path)) as mapped:
        if container == "parquet":
            table = pq.ParquetFile(mapped)
            yield table.schema_arrow, lambda names: table.iter_batches(batch_size=_BATCH_ROWS, columns=names)
        else:
            stream = _arrow_reader(mapped)
            yield stream.schema, lambda names: (batch.select(names) for batch in _arrow_batches(stream))


def _arrow_reader(mapped: pa.MemoryMappedFile) -> Any:
    """`datasets` writes Arrow streams; Arrow files are read too."""
    magic = mapped.read(6)
    mapped.seek(0)
    return pa.ipc.open_file(mapped) if magic == b"ARROW1" else pa.ipc.open_stream(mapped)


def _arrow_batches(reader: Any) -> Iterator[pa.RecordBatch]:
    if isinstance(reader, pa.ipc.RecordBatchFileReader):
        yield from (reader.get_batch(index) for index in range(reader.num_record_batches))
    else:
        yield from reader


class TableReader:
    """Reads sounds by their row. A file stays open and is read forwards: rows asked for in order cost one pass."""

    def __init__(self) -> None:
        self._threads = threading.local()

    def sound(self, place: Place) -> pa.Buffer:
        """The bytes in the place's row.

        Raises:
            pa.ArrowException, OSError, LookupError: When the table is no longer what was listed.
        """
        state = self._threads
        if getattr(state, "place", None) != (place.path, place.column) or place.offset < state.first:
            self._open(place)
        while place.offset >= state.first + state.num_rows:
            state.first += state.num_rows
            batch = next(state.batches, None)
            if batch is None:
                raise LookupError(f"{place.path} has no row {place.offset}")
            state.num_rows, state.column = batch.num_rows, batch.column(0)
        return state.column[place.offset - state.first]["bytes"].as_buffer() or pa.py_buffer(b"")

    def _open(self, place: Place) -> None:
        state = self._threads
        self.close()
        state.context = _schema_and_batches(Path(place.path), place.container)
        _, batches = state.context.__enter__()
        state.batches = batches([place.column])
        state.place = (place.path, place.column)
        state.first = state.num_rows = 0

    def close(self) -> None:
        """Closes the table that this thread has open."""
        state = self._threads
        if getattr(state, "place", None) is not None:
            state.place = state.column = state.batches = None
            state.context.__exit__(None, None, None)
