"""From passages to the store's records: sound by content, ids in time order, everything left out counted."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spelangy.core.errors import Dropped
from spelangy.core.hashing import canonical_json, digest_bytes, record_id
from spelangy.core.records import Chunk, Drop, Recording, Transcript, Turn, Word, turn_id
from spelangy.core.schema import to_table
from spelangy.core.spans import Span
from spelangy.store.audio import AudioStore
from spelangy.store.exchange.carried import Carried
from spelangy.store.exchange.passages import (
    DEFAULT_SPEAKER,
    Passage,
    RawWord,
    checked_span,
    checked_words,
    untimed_words,
)
from spelangy.store.exchange.reading import Fault
from spelangy.store.exchange.sounds import Hear, Sound

CUT_FROM = "cut_from"
"""Key in the metadata of a recording that is a clip: which recordings it was cut from, and where; the nearest first."""

_PROVISIONAL = "\0"
"""Begins the id of a chunk that is not numbered yet; no id that comes from outside can."""

TAKEN_DOWN = "taken down"
_BATCH_ROWS = 4_096
_MAX_NAME_CHARACTERS = 200

Row = TypeVar("Row")


@dataclass
class _Rows(Generic[Row]):
    """Records on their way into a table, a batch of them as Python objects."""

    record_type: type[Row]
    held: list[Row] = field(default_factory=list)
    batches: list[pa.Table] = field(default_factory=list)

    def append(self, record: Row) -> None:
        self.held.append(record)
        if len(self.held) >= _BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        self.batches.append(to_table(self.held, self.record_type))
        self.held = []

    def table(self) -> pa.Table:
        self._flush()
        return pa.concat_tables(self.batches)


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What is said of recordings that do not say it themselves.

    Attributes:
        step: Name of the import step; drops carry it.
        view: Name of the chunk view; ids of strangers' chunks carry it.
    """

    step: str
    view: str
    source: str
    licence: str


@dataclass
class Arrivals:
    """Takes passages one by one; `tables` gives what they came to.

    Args:
        digests: SHA-256 of sound files that have been hashed already.
        refused: Recording ids, audio keys and digests of uris that were taken down and may not come back.
    """

    audio: AudioStore
    hear: Hear
    provenance: Provenance
    digests: Mapping[Path, str] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()
    clipped: Counter[str] = field(default_factory=Counter, init=False)
    dropped: Counter[str] = field(default_factory=Counter, init=False)

    def __post_init__(self) -> None:
        self._heard: dict[tuple[Path, int | None], Recording | Dropped] = {}
        self._recordings: dict[str, Recording] = {}
        self._chunk_ids: set[str] = set()
        self._turns, self._transcripts, self._chunks = _Rows(Turn), _Rows(Transcript), _Rows(Chunk)
        self._drops = _Rows(Drop)
        self._num_turns = self._num_drops = 0

    def add(self, arrived: Passage | Fault) -> None:
        """Takes one passage in, or counts why not."""
        if isinstance(arrived, Fault):
            self._drop(arrived.name, arrived.dropped)
            return
        try:
            self._take(arrived)
        except Dropped as dropped:
            self._drop(arrived.name, dropped)

    def _take(self, passage: Passage) -> None:
        _check_unicode(passage)
        heard = self._listen(passage.sound)
        span = checked_span(passage, heard.num_samples, self.clipped)
        recording = self._whose(passage, heard)
        chunk = self._chunk(passage, recording, span) if passage.text is not None else None
        words = self._words(passage, span, heard.num_samples)
        self._recordings[recording.id] = recording
        arrival = str(self._num_turns)
        self._num_turns += 1
        self._turns.append(_turn(arrival, passage, recording, span))
        if words:
            self._transcripts.append(_transcript(arrival, passage, recording, words))
        if chunk is not None:
            self._chunk_ids.add(chunk.id)
            self._chunks.append(chunk if passage.carried else _with_confidence(chunk, words))

    def _listen(self, sound: Sound) -> Recording:
        if sound.known is not None:
            return sound.known
        if sound.path is None:
            return self._decoded(sound)
        place = (sound.path, sound.channel)
        if place not in self._heard:
            try:
                self._heard[place] = self._decoded(sound)
            except Dropped as dropped:
                self._heard[place] = dropped
        heard = self._heard[place]
        if isinstance(heard, Dropped):
            raise heard
        return heard

    def _decoded(self, sound: Sound) -> Recording:
        digest = self.digests.get(sound.path) if sound.path is not None else None
        name = sound.content_id(digest or sound.digest())
        with sound.open() as file:
            heard = self.hear(file, sound.channel)
        if self.refused & {name, digest_bytes(heard.pcm_S.data.cast("B"))}:
            raise Dropped(TAKEN_DOWN, detail=sound.name)
        return Recording(
            id=name,
            uri=sound.name,
            status="ok",
            reason="",
            num_samples=heard.pcm_S.size,
            audio=self.audio.put_pcm(heard.pcm_S),
            source=self.provenance.source,
            licence=self.provenance.licence,
            source_codec=heard.codec,
            source_sample_rate_hz=heard.sample_rate_hz,
            source_channels=heard.channels,
        )

    def _whose(self, passage: Passage, heard: Recording) -> Recording:
        """The recording that a sound is, or was cut from. It is what it was when it sounds bit for bit the same."""
        carried = passage.carried
        recording = heard
        if carried is not None and self.refused & _origins(carried):
            raise Dropped(TAKEN_DOWN, detail=carried.recording_id)
        if carried is not None and passage.sound.known is None:
            told = carried.recording
            is_whole = told is not None and told.audio == heard.audio and told.id == carried.recording_id
            recording = (
                replace(told, status="ok", num_samples=heard.num_samples)
                if is_whole and told
                else _clip(carried, heard)
            )
        known = self._recordings.get(recording.id, recording)
        if known.audio != recording.audio:
            raise Dropped("two sounds of one recording id", detail=recording.id)
        return known

    def _chunk(self, passage: Passage, recording: Recording, span: Span) -> Chunk:
        if not (passage.text or "").strip():
            raise Dropped("no text")
        carried = passage.carried or self._stranger(passage, recording, span)
        if carried.chunk_id in self._chunk_ids:
            raise Dropped("chunk id twice", detail=carried.chunk_id)
        return Chunk(
            id=carried.chunk_id,
            document_id=carried.document_id,
            recording_id=recording.id,
            audio=recording.audio,
            index=carried.index,
            start=span.start,
            end=span.end,
            text=passage.text or "",
            speaker=passage.speaker or DEFAULT_SPEAKER,
            role=carried.role,
            source=carried.source,
            licence=carried.licence,
            min_vote_ratio=carried.min_vote_ratio,
            confidence=carried.confidence,
            dissent=carried.dissent,
            metadata=carried.metadata,
        )

    def _stranger(self, passage: Passage, recording: Recording, span: Span) -> Carried:
        """Fields of a chunk that did not come from a store of ours; its id and index are given at the end."""
        return Carried(
            chunk_id=f"{_PROVISIONAL}{self._num_turns}",
            document_id=recording.id,
            recording_id=recording.id,
            index=0,
            start=span.start,
            end=span.end,
            role="speech",
            source=recording.source,
            licence=recording.licence,
            min_vote_ratio=1.0,
            confidence=1.0,
            dissent=(),
            metadata=_canonical(passage.metadata),
            systems=passage.systems,
            recording=None,
        )

    def _words(self, passage: Passage, span: Span, length: int) -> list[Word]:
        is_ours = passage.carried is not None
        bounds = Span(0, length) if is_ours else span
        said = passage.words if passage.words or is_ours else untimed_words(passage.text or "")
        words, dropped = checked_words(said, bounds, may_overlap=is_ours, clipped=self.clipped)
        for word, why in dropped:
            self._drop(passage.name, _of_word(why, word))
        return words

    def _drop(self, name: str, dropped: Dropped) -> None:
        self.dropped[dropped.reason] += 1
        item = _printable(name)
        self._drops.append(
            Drop(
                id=record_id(self.provenance.step, item, self._num_drops),
                item_id=item,
                step=self.provenance.step,
                kind="dropped",
                reason=dropped.reason,
                value=dropped.value,
                threshold=dropped.threshold,
                detail=_printable(dropped.detail),
                duration_s=0.0,
            )
        )
        self._num_drops += 1

    def tables(self) -> dict[str, pa.Table]:
        """All records, with ids in time order."""
        turns, transcripts, chunks = self._turns.table(), self._transcripts.table(), self._chunks.table()
        turn_ids = _turn_ids(turns)
        heard_ids = [turn_ids[int(arrival)] for arrival in transcripts["id"].to_pylist()]
        return {
            "recordings": to_table(self._recordings.values(), Recording),
            "turns": _with(_with(turns, "id", turn_ids), "is_overlap", _overlaps(turns).tolist()),
            "transcripts": _with(transcripts, "id", heard_ids),
            "chunks": _numbered(chunks, self.provenance.view),
            "drops": self._drops.table(),
        }


def _check_unicode(passage: Passage) -> None:
    try:
        for text in (passage.text or "", passage.speaker, *(word.text for word in passage.words)):
            text.encode()
    except UnicodeEncodeError as error:
        raise Dropped("text is no Unicode", detail=str(error)[:_MAX_NAME_CHARACTERS]) from error


def _canonical(metadata: Mapping[str, Any]) -> str:
    try:
        return canonical_json(dict(metadata))
    except (TypeError, RecursionError) as error:
        raise Dropped("metadata is no JSON", detail=str(error)[:_MAX_NAME_CHARACTERS]) from error


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()[:_MAX_NAME_CHARACTERS]


def _of_word(why: Dropped, word: RawWord) -> Dropped:
    return Dropped(why.reason, value=why.value, threshold=why.threshold, detail=f"{word.text[:40]!r} {why.detail}")


def _origins(carried: Carried) -> set[str]:
    told = carried.recording
    return {carried.recording_id, *((told.audio, digest_bytes(told.uri.encode())) if told is not None else ())}


def _clip(carried: Carried, heard: Recording) -> Recording:
    """A clip as a recording of its own that names what it was cut from: takedown follows it."""
    told = carried.recording
    said = json.loads(told.metadata) if told is not None else {}
    before = said.get(CUT_FROM)
    origin = {"recording_id": carried.recording_id, "start": carried.start, "end": carried.end}
    return replace(
        heard,
        uri=told.uri if told is not None else heard.uri,
        source=carried.source,
        licence=carried.licence,
        metadata=_canonical({**said, CUT_FROM: [origin, *(before if isinstance(before, list) else [])]}),
    )


def _turn(arrival: str, passage: Passage, recording: Recording, span: Span) -> Turn:
    return Turn(
        id=arrival,
        recording_id=recording.id,
        audio=recording.audio,
        start=span.start,
        end=span.end,
        speaker=passage.speaker or DEFAULT_SPEAKER,
        is_overlap=False,
    )


def _transcript(arrival: str, passage: Passage, recording: Recording, words: Sequence[Word]) -> Transcript:
    carried = passage.carried
    return Transcript(
        id=arrival,
        recording_id=recording.id,
        systems=carried.systems if carried is not None else passage.systems,
        words=tuple(words),
        dissent=carried.dissent if carried is not None else (),
    )


def _with_confidence(chunk: Chunk, words: Sequence[Word]) -> Chunk:
    if not words:
        return chunk
    return replace(chunk, confidence=sum(word.confidence for word in words) / len(words))


def _with(table: pa.Table, name: str, values: Iterable[Any]) -> pa.Table:
    place = table.schema.get_field_index(name)
    kind = table.schema.field(name)
    return table.set_column(place, kind, pa.array(list(values), kind.type))


def _ranks(table: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(order, rank): rows by recording and time, and each row's place among its recording's rows."""
    codes = table["recording_id"].combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    times = table["start"].to_numpy(), table["end"].to_numpy()
    order = np.lexsort((np.arange(table.num_rows), times[1], times[0], codes))
    firsts = np.searchsorted(codes[order], codes[order], side="left")
    rank = np.empty(table.num_rows, np.int64)
    rank[order] = np.arange(table.num_rows) - firsts
    return order, rank


def _turn_ids(turns: pa.Table) -> list[str]:
    _, ranks = _ranks(turns)
    return [turn_id(name, int(rank)) for name, rank in zip(turns["recording_id"].to_pylist(), ranks, strict=True)]


def _overlaps(turns: pa.Table) -> NDArray[np.bool_]:
    """Whether another turn of the recording sounds at the same time."""
    order, ranks = _ranks(turns)
    starts, ends = turns["start"].to_numpy()[order], turns["end"].to_numpy()[order]
    is_first = ranks[order] == 0
    overlaps = np.zeros(turns.num_rows, bool)
    latest, holder = 0, 0
    for at, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        if not is_first[at] and start < latest:
            overlaps[at] = overlaps[holder] = True
        if is_first[at] or end > latest:
            latest, holder = end, at
    found = np.zeros(turns.num_rows, bool)
    found[order] = overlaps
    return found


def _numbered(chunks: pa.Table, view: str) -> pa.Table:
    """Ids and indices of chunks that have none, in time order within their recording."""
    ids, indices = chunks["id"].to_pylist(), chunks["index"].to_pylist()
    unnumbered = [row for row, name in enumerate(ids) if name.startswith(_PROVISIONAL)]
    taken = {name for name in ids if not name.startswith(_PROVISIONAL)}
    strangers = chunks.select(["recording_id", "start", "end"]).take(pa.array(unnumbered, pa.int64()))
    _, ranks = _ranks(strangers)
    for row, name, rank in zip(unnumbered, strangers["recording_id"].to_pylist(), ranks.tolist(), strict=True):
        wanted = f"{name}-{view}-{rank:05d}"
        ids[row] = wanted if wanted not in taken else f"{name}-{view}-imported-{rank:05d}"
        indices[row] = rank
    return _with(_with(chunks, "id", ids), "index", indices)
