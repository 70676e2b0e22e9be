"""Steps ``chunks-<view>``: what was measured → chunks. Cheap views of one store: no model runs here.

A turn that was left out ends a merge: a chunk's sound holds no words that its text lacks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from spelangy.core.errors import Dropped
from spelangy.core.records import Chunk, LanguageGuess, PrivateSpan, Transcript, Turn
from spelangy.core.schema import from_rows
from spelangy.core.spans import samples, seconds
from spelangy.curate.chunks import Piece, cut_sentences, cut_words, merge_speaker, split_long
from spelangy.curate.config import CurateSettings, ViewSettings
from spelangy.curate.policy import language_fault, masked, piece_fault, score_fault, scores_needed
from spelangy.engine.items import attach, nest
from spelangy.engine.step import Inputs, Item, Produced, TableStep

_DISSENT_PER_CHUNK = 50

_COLUMNS = {"scores": ["turn_id", "name", "value"]}
"""What an item keeps of a table of which it needs little: scores are the most rows, and their ids the longest part."""

_Left = tuple[str, Dropped, float]
"""(id, why, seconds) of what is left out."""


@dataclass(frozen=True, kw_only=True)
class ViewTables:
    """Where a view finds what was measured; empty where the recipe does not measure it."""

    recordings: str = "ingest/recordings"
    turns: str = "turns"
    transcripts: str = "words/transcripts"
    scores: tuple[str, ...] = ("words/scores",)
    languages: tuple[str, ...] = ()
    duplicates: str = ""
    private: str = ""

    @property
    def inputs(self) -> tuple[str, ...]:
        named = (self.recordings, self.turns, self.transcripts, *self.scores, *self.languages)
        return (*named, *filter(None, (self.duplicates, self.private)))


class CutChunks:
    """One view of one recording."""

    def __init__(self, view: str, settings: ViewSettings) -> None:
        self.view = view
        self.settings = settings

    def __call__(self, item: Item) -> Produced:
        turns = from_rows(item["turns"], Turn)
        why = self._recording_fault(item)
        if why:
            spoken_s = seconds(sum(turn.span.num_samples for turn in turns))
            return Produced(records={"chunks": []}, drops=[(item["id"], why, spoken_s)])
        runs, drops = self._runs(item, turns)
        merged = [piece for run in runs for piece in self._merge(run)]
        pieces = [part for piece in merged for part in split_long(piece, self._max_samples)]
        chunks: list[Chunk] = []
        for piece in pieces:
            why = piece_fault(piece, self.settings)
            if why:
                drops.append((f"{item['id']}-{piece.span.start}", why, piece.span.duration_s))
            else:
                chunks.append(self._chunk(item, len(chunks), piece))
        return Produced(records={"chunks": chunks}, drops=drops)

    def _recording_fault(self, item: Item) -> Dropped | None:
        ratio, limit = item.get("duplicate_ratio"), self.settings.thresholds.max_duplicate_ratio
        if ratio is None or limit is None or ratio <= limit:
            return None
        return Dropped("near duplicate", value=ratio, threshold=limit, detail=f"of {item['duplicate_of']}")

    def _runs(self, item: Item, turns: Sequence[Turn]) -> tuple[list[list[Piece]], list[_Left]]:
        """Pieces between turns that are left out: no chunk may reach over sound whose words were left out."""
        measured = _Measured(item)
        drops: list[_Left] = []
        runs: list[list[Piece]] = [[]]
        for turn in turns:
            transcript = measured.transcripts.get(turn.id)
            if transcript is None:
                runs.append([])  # counted by the words step
                continue
            why = self._turn_fault(turn.id, len(transcript.words), measured)
            if why:
                drops.append((turn.id, why, turn.span.duration_s))
                runs.append([])
            else:
                runs[-1].extend(self._cut(turn, transcript, measured.private.get(turn.id, [])))
        return runs, drops

    def _turn_fault(self, turn_id: str, num_words: int, measured: "_Measured") -> Dropped | None:
        if self.settings.private == "drop" and turn_id in measured.private:
            return Dropped("private words", value=len(measured.private[turn_id]), threshold=0)
        return score_fault(measured.scores.get(turn_id, {}), self.settings.thresholds) or language_fault(
            measured.languages.get(turn_id, []), num_words, self.settings
        )

    @property
    def _max_samples(self) -> int:
        return samples(self.settings.thresholds.max_chunk_s)

    def _cut(self, turn: Turn, transcript: Transcript, private: Sequence[PrivateSpan]) -> list[Piece]:
        whole = Piece(span=turn.span, speaker=turn.speaker, words=transcript.words, dissent=transcript.dissent)
        if self.settings.private == "mask":
            whole = masked(whole, private)
        if self.settings.granularity == "fine":
            return cut_sentences(whole)
        return cut_words(whole, self.settings.words_per_chunk) if self.settings.granularity == "words" else [whole]

    def _merge(self, pieces: Sequence[Piece]) -> list[Piece]:
        if self.settings.granularity == "coarse":
            return merge_speaker(pieces, samples(self.settings.max_gap_s), self._max_samples)
        return list(pieces)

    def _chunk(self, item: Item, index: int, piece: Piece) -> Chunk:
        return Chunk(
            id=f"{item['id']}-{self.view}-{index:05d}",
            document_id=item["id"],
            recording_id=item["id"],
            audio=item["audio"],
            index=index,
            start=piece.span.start,
            end=piece.span.end,
            text=piece.text,
            speaker=piece.speaker,
            role="speech",
            source=item["source"],
            licence=item["licence"],
            metadata=item["metadata"],
            min_vote_ratio=min(word.vote_ratio for word in piece.words),
            confidence=sum(word.confidence for word in piece.words) / len(piece.words),
            dissent=piece.dissent[:_DISSENT_PER_CHUNK],
        )


class _Measured:
    """What was measured of the turns of one recording, by turn id."""

    def __init__(self, item: Item) -> None:
        self.transcripts = {found.id: found for found in from_rows(item["transcripts"] or [], Transcript)}
        self.scores: dict[str, dict[str, float]] = {}
        for row in item["scores"] or []:
            self.scores.setdefault(row["turn_id"], {})[row["name"]] = row["value"]
        self.languages: dict[str, list[LanguageGuess]] = {}
        for guess in from_rows(item.get("languages") or [], LanguageGuess):
            self.languages.setdefault(guess.turn_id, []).append(guess)
        self.private: dict[str, list[PrivateSpan]] = {}
        for span in from_rows(item.get("private") or [], PrivateSpan):
            self.private.setdefault(span.turn_id, []).append(span)


def chunks_step(view: str, settings: CurateSettings, tables: ViewTables | None = None) -> TableStep:
    """Chunks of one view of all recordings."""
    tables, chosen = tables or ViewTables(), settings.views[view]
    return TableStep(
        name=f"chunks-{view}",
        version=3,
        config={"view": view, **chosen.model_dump(mode="json")},
        inputs=tables.inputs,
        outputs={"chunks": Chunk},
        items=partial(_items, tables=tables, settings=chosen),
        worker=lambda _: partial(CutChunks, view, chosen),
        shard_items=1024,
    )


def _items(inputs: Inputs, tables: ViewTables, settings: ViewSettings) -> pa.Table:
    """One row a recording with all that the view looks at, nested; a measurement no threshold needs is left out."""
    recordings = inputs.table(tables.recordings)
    items = recordings.select(["id", "audio", "source", "licence", "metadata"])
    if tables.duplicates:
        items = _with_duplicates(items, inputs.table(tables.duplicates))
    for name, table in _nested(inputs, tables, settings):
        items = attach(items, nest(table, by="recording_id", name=name, columns=_COLUMNS.get(name)), name)
    return items.filter(items["turns"].is_valid())


def _nested(inputs: Inputs, tables: ViewTables, settings: ViewSettings) -> Iterator[tuple[str, pa.Table]]:
    needed = pa.array(scores_needed(settings.thresholds), pa.string())
    scores = pa.concat_tables([inputs.table(name) for name in tables.scores])
    yield "turns", inputs.table(tables.turns).drop_columns(["embedding"])
    yield "transcripts", inputs.table(tables.transcripts)
    yield "scores", scores.filter(pc.and_(pc.is_in(scores["name"], needed), pc.not_equal(scores["turn_id"], "")))
    if tables.languages and settings.languages:
        yield "languages", pa.concat_tables([inputs.table(name) for name in tables.languages])
    if tables.private and settings.private != "keep":
        yield "private", inputs.table(tables.private)


def _with_duplicates(items: pa.Table, duplicates: pa.Table) -> pa.Table:
    """Adds to each recording that repeats another how much of it does, and which that is."""
    ordered = duplicates.sort_by([("similarity", "descending"), ("id", "ascending")])
    found = pc.index_in(items["id"].combine_chunks(), ordered["recording_id"].combine_chunks())
    for name, column in (("duplicate_ratio", "similarity"), ("duplicate_of", "other_id")):
        items = items.append_column(name, ordered[column].combine_chunks().take(found))
    return items
