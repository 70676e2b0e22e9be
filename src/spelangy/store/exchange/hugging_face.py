"""Hugging Face datasets: a row a chunk, ``audio`` being their `Audio` feature {bytes, path}.

hf       data/train-<n>.parquet                          `load_dataset("parquet", data_files=…)`, or the folder
hf-disk  data-<n>.arrow, state.json, dataset_info.json   `load_from_disk`
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from spelangy.core.errors import Dropped
from spelangy.core.hashing import digest
from spelangy.core.spans import SAMPLE_RATE_HZ
from spelangy.store.exchange.clips import Clip, Target, clips
from spelangy.store.exchange.dossier import Dossier
from spelangy.store.exchange.folder import ExportFolder, Shards
from spelangy.store.exchange.passages import DEFAULT_SPEAKER, Incoming, Passage, Read, own_fields, own_words
from spelangy.store.exchange.reading import Fault, each
from spelangy.store.exchange.sounds import Sound

PATTERNS = ("data/train-*.parquet",)
DISK_PATTERNS = ("data-*.arrow", "state.json", "dataset_info.json")
BATCH_ROWS = 100
"""Rows a Parquet row group: what their library advises for audio, since a reader of one row decodes its whole group."""

_TEXTS = ("chunk_id", "document_id", "recording_id", "speaker", "role", "source", "licence", "metadata", "recording")
_COUNTS = ("index", "start_samples", "end_samples")
_SHARES = ("min_vote_ratio", "confidence")
_WORD = {
    "text": pa.string(),
    "start": pa.int64(),
    "end": pa.int64(),
    "vote_ratio": pa.float32(),
    "confidence": pa.float32(),
    "is_timed": pa.bool_(),
}

FEATURES: dict[str, Any] = {
    "audio": {"sampling_rate": SAMPLE_RATE_HZ, "_type": "Audio"},
    "text": {"dtype": "string", "_type": "Value"},
    **{name: {"dtype": "string", "_type": "Value"} for name in _TEXTS},
    **{name: {"dtype": "int64", "_type": "Value"} for name in _COUNTS},
    **{name: {"dtype": "float32", "_type": "Value"} for name in _SHARES},
    **{name: [{"dtype": "string", "_type": "Value"}] for name in ("dissent", "systems")},
    "words": [
        {name: {"dtype": str(kind).replace("float", "float32"), "_type": "Value"} for name, kind in _WORD.items()}
    ],
}
"""Their description of the columns; a list in brackets is understood by all versions since 1."""

SCHEMA = pa.schema(
    [
        ("audio", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("text", pa.string()),
        *((name, pa.string()) for name in _TEXTS),
        *((name, pa.int64()) for name in _COUNTS),
        *((name, pa.float32()) for name in _SHARES),
        *((name, pa.list_(pa.string())) for name in ("dissent", "systems")),
        ("words", pa.list_(pa.struct(list(_WORD.items())))),
    ],
    metadata={"huggingface": json.dumps({"info": {"features": FEATURES}})},
)


TEXT_COLUMNS = ("text", "sentence", "transcription", "transcript", "normalized_text")
"""Where published speech data sets keep what is said."""


class _TableWriter(Protocol):
    def write_table(self, table: pa.Table) -> None: ...


def write_parquet(dossiers: Iterable[Dossier], target: Target) -> None:
    """Format ``hf``."""
    shards = Shards(target.shard_bytes)
    with ExitStack() as stack:
        stack.callback(shards.close)
        for table, num_bytes in _batches(dossiers, target):
            if shards.next_is_new():
                opened = ExitStack()
                writer = opened.enter_context(_parquet(target.folder, f"data/train-{shards.number:05d}.parquet"))
                shards.keep_open(opened)
            writer.write_table(table)
            shards.count(num_bytes)


def write_disk(dossiers: Iterable[Dossier], target: Target) -> None:
    """Format ``hf-disk``."""
    shards, names = Shards(target.shard_bytes), []
    with ExitStack() as stack:
        stack.callback(shards.close)
        for table, num_bytes in _batches(dossiers, target):
            if shards.next_is_new():
                opened = ExitStack()
                names.append(f"data-{shards.number:05d}.arrow")
                writer = opened.enter_context(_arrow(target.folder, names[-1]))
                shards.keep_open(opened)
            writer.write_table(table)
            shards.count(num_bytes)
    info = {"citation": "", "description": "", "features": FEATURES, "homepage": "", "license": ""}
    target.folder.write_lines("dataset_info.json", [json.dumps(info)])
    target.folder.write_lines("state.json", [json.dumps(_state(names))])


def _state(names: list[str]) -> dict[str, Any]:
    return {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": digest(names)[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": "train",
    }


@contextmanager
def _parquet(folder: ExportFolder, name: str) -> Iterator[_TableWriter]:
    # The sound is compressed already.
    with folder.open(name) as raw, pq.ParquetWriter(raw, SCHEMA, compression={"audio.bytes": "none"}) as writer:
        yield writer


@contextmanager
def _arrow(folder: ExportFolder, name: str) -> Iterator[_TableWriter]:
    with folder.open(name) as raw, pa.ipc.new_stream(raw, SCHEMA) as writer:
        yield writer


def _batches(dossiers: Iterable[Dossier], target: Target) -> Iterator[tuple[pa.Table, int]]:
    rows: list[dict[str, Any]] = []
    num_bytes = 0
    for clip in clips(dossiers, target.audio):
        rows.append(_row(clip))
        num_bytes += len(clip.flac)
        if len(rows) == BATCH_ROWS or num_bytes >= target.shard_bytes:
            yield pa.Table.from_pylist(rows, schema=SCHEMA), num_bytes
            rows, num_bytes = [], 0
    if rows:
        yield pa.Table.from_pylist(rows, schema=SCHEMA), num_bytes


def _row(clip: Clip) -> dict[str, Any]:
    audio = {"bytes": clip.flac, "path": f"{clip.key}.flac"}
    return {"audio": audio, "text": clip.chunk.text, **clip.fields, "words": clip.words}


def read_hugging_face(files: Sequence[Path], _incoming: Incoming) -> Read:
    """Passages of a Parquet file or Arrow stream with a column ``audio`` of {bytes, path}.

    The text is in one of `TEXT_COLUMNS`; other columns of text or numbers become metadata, nested ones do not.
    """
    (file,) = files
    return each(_rows(file), _passage)


def _rows(file: Path) -> Iterator[tuple[str, dict[str, Any]] | Fault]:
    number = 0
    try:
        for batch in _arriving(file):
            for row in batch.to_pylist():
                number += 1
                yield f"{file.name}:{number}", row
    except (pa.ArrowException, OSError, ValueError) as error:
        yield Fault(name=f"{file.name}:{number + 1}", dropped=Dropped("file damaged", detail=str(error)[:200]))


def _arriving(file: Path) -> Iterator[pa.RecordBatch]:
    if file.suffix == ".arrow":
        with pa.memory_map(str(file)) as mapped, pa.ipc.open_stream(mapped) as stream:
            for batch in stream:
                yield from (batch.slice(at, BATCH_ROWS) for at in range(0, batch.num_rows, BATCH_ROWS))
        return
    with pq.ParquetFile(file, pre_buffer=False) as parquet:
        yield from parquet.iter_batches(batch_size=BATCH_ROWS, use_threads=False)


def _passage(name: str, row: Mapping[str, Any]) -> Passage:
    audio = row.get("audio")
    data = audio.get("bytes") if isinstance(audio, Mapping) else None
    if not isinstance(data, bytes):
        raise Dropped("row without audio bytes", detail=", ".join(row)[:200])
    carried = own_fields(row)
    text = next((row[column] for column in TEXT_COLUMNS if isinstance(row.get(column), str)), None)
    known = {"audio", "speaker", "words", *TEXT_COLUMNS}
    return Passage(
        name=name,
        sound=Sound(name=name, data=data),
        text=text,
        words=own_words(row.get("words") or (), 0) if carried is not None else (),
        speaker=str(row.get("speaker") or row.get("speaker_id") or DEFAULT_SPEAKER),
        carried=carried,
        metadata={column: value for column, value in row.items() if column not in known and _is_json(value)},
    )


def _is_json(value: Any) -> bool:
    return isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value))
