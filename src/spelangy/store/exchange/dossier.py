"""What the store says of one recording, gathered: the unit in which every format is written.

An export walks recordings, so it holds the records of one of them and one row group of each table, however many there
are. Beside that it keeps a run of row numbers per recording, about a hundred bytes each.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import Any, Generic, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

from spelangy.core.errors import UserError
from spelangy.core.masks import is_masked
from spelangy.core.records import Chunk, Recording, Transcript, Turn, Word
from spelangy.core.schema import from_rows
from spelangy.store.audio import AudioStore
from spelangy.store.files import Files
from spelangy.store.objects import Store

_HASH_BLOCK_BYTES = 1 << 20

Row = TypeVar("Row", Recording, Turn, Transcript, Chunk)


@dataclass(frozen=True, kw_only=True)
class Dossier:
    """One recording and all that is said of it; turns, transcripts and chunks in time order."""

    recording_id: str
    recording: Recording | None
    turns: Sequence[Turn] = ()
    transcripts: Sequence[Transcript] = ()
    chunks: Sequence[Chunk] = ()

    @cached_property
    def _spoken(self) -> Mapping[str, Sequence[tuple[Word, Transcript]]]:
        speakers = {turn.id: turn.speaker for turn in self.turns}
        spoken: dict[str, list[tuple[Word, Transcript]]] = {}
        for transcript in self.transcripts:
            said = spoken.setdefault(speakers.get(transcript.id, ""), [])
            said.extend((word, transcript) for word in transcript.words)
        return {speaker: sorted(said, key=_middle) for speaker, said in spoken.items()}

    def words_of(self, chunk: Chunk) -> Sequence[tuple[Word, Transcript]]:
        """The speaker's words whose middle lies in the chunk, in time order, with the transcript that has them.

        None of a masked chunk: what was heard is what the mask hides.
        """
        if is_masked(chunk.text):
            return ()
        spoken = self._spoken.get(chunk.speaker, ())
        first = bisect_left(spoken, chunk.start, key=_middle)
        return spoken[first : bisect_left(spoken, chunk.end, lo=first, key=_middle)]


def _middle(said: tuple[Word, Transcript]) -> int:
    return (said[0].start + said[0].end) // 2


def dossiers(
    chunks: Iterable[Chunk], turns: Iterable[Turn], transcripts: Iterable[Transcript], recordings: Iterable[Recording]
) -> Iterator[Dossier]:
    """Records at hand, gathered by recording, in order of recording ids."""
    by_id = {recording.id: recording for recording in recordings}
    gathered: tuple[Mapping[str, list[Any]], ...] = tuple(map(_by_recording, (turns, transcripts, chunks)))
    for name in sorted(set(by_id).union(*gathered)):
        parts = [records.get(name, []) for records in gathered]
        yield _dossier(name, by_id.get(name), *parts)


def _by_recording(records: Iterable[Any]) -> dict[str, list[Any]]:
    ordered = sorted(records, key=lambda record: record.recording_id)
    return {name: list(group) for name, group in groupby(ordered, key=lambda record: record.recording_id)}


def _dossier(
    name: str, recording: Recording | None, turns: list[Turn], transcripts: list[Transcript], chunks: list[Chunk]
) -> Dossier:
    return Dossier(
        recording_id=name,
        recording=recording,
        turns=sorted(turns, key=lambda turn: (turn.start, turn.end, turn.id)),
        transcripts=sorted(transcripts, key=lambda transcript: transcript.id),
        chunks=sorted(chunks, key=lambda chunk: (chunk.start, chunk.end, chunk.id)),
    )


@dataclass(frozen=True, kw_only=True)
class TableAddress:
    """One table of a committed object."""

    key: str
    table: str


def stored_dossiers(
    store: Store,
    *,
    recordings: TableAddress,
    turns: TableAddress | None,
    transcripts: TableAddress | None,
    chunks: TableAddress | None,
) -> Iterator[Dossier]:
    """`dossiers` of stored tables, read a row group at a time; a table that is not there says nothing.

    Raises:
        UserError: When a table is not what was committed.
    """
    known = StoredRows(store, recordings, Recording, by="id")
    said_in, heard_in = StoredRows(store, turns, Turn), StoredRows(store, transcripts, Transcript)
    cut_in = StoredRows(store, chunks, Chunk)
    for name in sorted({*known.runs, *said_in.runs, *heard_in.runs, *cut_in.runs}):
        recording = next(iter(known.of(name)), None)
        yield _dossier(name, recording, said_in.of(name), heard_in.of(name), cut_in.of(name))


@dataclass
class StoredRows(Generic[Row]):
    """The rows of one stored table by recording, read a row group at a time.

    Args:
        by: The column that holds the recording's id.
    """

    store: Store
    address: TableAddress | None
    record_type: type[Row]
    by: str = "recording_id"
    _held: tuple[int, pa.Table | None] = field(default=(-1, None), init=False)

    @cached_property
    def runs(self) -> dict[str, list[tuple[int, int, int]]]:
        """Stretches of rows a recording: (row group, first row in it, number of rows)."""
        found: dict[str, list[tuple[int, int, int]]] = {}
        for group in range(self._file.num_row_groups if self._file else 0):
            names = self._file.read_row_group(group, columns=[self.by], use_threads=False)[self.by].to_pylist()
            first = 0
            for name, same in groupby(names):
                length = sum(1 for _ in same)
                found.setdefault(name, []).append((group, first, length))
                first += length
        return found

    def of(self, recording_id: str) -> list[Row]:
        """All records of one recording."""
        return [
            record
            for group, first, length in self.runs.get(recording_id, ())
            for record in from_rows(self._group(group).slice(first, length).to_pylist(), self.record_type)
        ]

    def _group(self, group: int) -> pa.Table:
        if self._held[0] != group:
            columns = [name for name in self._file.schema_arrow.names if name != "embedding"]
            self._held = (group, self._file.read_row_group(group, columns=columns, use_threads=False))
        return self._held[1]

    @cached_property
    def _file(self) -> Any:
        if self.address is None:
            return None
        found = self.store.find(self.address.key)
        assert found is not None, f"object {self.address.key} is not committed"
        name = f"objects/{self.address.key}/{self.address.table}.parquet"
        if _digest(self.store.files, name) != found.digest_of(self.address.table):
            raise UserError(
                f"{self.store.files.path(name)} has changed since it was written",
                hint="delete that object's folder; the next run makes it again",
            )
        opened = self.store.files.fs.open(self.store.files.path(name), "rb")
        return pq.ParquetFile(opened, pre_buffer=False)


def _digest(files: Files, name: str) -> str:
    if not files.exists(name):
        return ""
    hashed = hashlib.sha256()
    with files.fs.open(files.path(name), "rb") as file:
        blocks: Callable[[], bytes] = lambda: file.read(_HASH_BLOCK_BYTES)  # noqa: E731
        for block in iter(blocks, b""):
            hashed.update(block)
    return hashed.hexdigest()


def num_samples(dossier: Dossier, audio: AudioStore) -> int:
    """Length of the recording, from its record or else from its sound."""
    if dossier.recording is not None:
        return dossier.recording.num_samples
    files, key = Files(audio.root), dossier.chunks[0].audio
    with files.fs.open(files.path(audio_name(key)), "rb") as raw:
        return int(soundfile.info(raw).frames)


def audio_name(key: str) -> str:
    """Where the sound of `key` lies below a store's root."""
    return f"audio/{key[:2]}/{key}.flac"
