"""Steps ``chunks-<view>``: turns + words + scores → chunks. Cheap views of one store: no model runs here.

turn S0 ────────────────  S0 ───────  S1 ─────────        turns
fine     |A1     |A2   |   |A3     |   |A4       |        cut at sentence ends, within a turn
coarse   |A1                       |   |A2       |        merged while one speaker talks on (gap <= max_gap_s)

A turn that was left out ends a merge: a chunk's sound holds no words that its text lacks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import pyarrow as pa

from spelangy.core.errors import Dropped
from spelangy.core.records import Chunk, Score, Transcript, Turn, Word
from spelangy.core.schema import from_rows
from spelangy.core.sentences import sentences
from spelangy.core.spans import Span, samples
from spelangy.curate.config import CurateSettings, Thresholds, ViewSettings
from spelangy.engine.items import attach, nest
from spelangy.engine.step import Inputs, Item, Produced, TableStep

_DISSENT_PER_CHUNK = 50


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A stretch of one speaker's words, before it becomes a chunk."""

    span: Span
    speaker: str
    words: tuple[Word, ...]
    dissent: tuple[str, ...]

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


class CutChunks:
    """One view of one recording."""

    def __init__(self, view: str, settings: ViewSettings) -> None:
        self.view = view
        self.settings = settings

    def __call__(self, item: Item) -> Produced:
        transcripts = {transcript.id: transcript for transcript in from_rows(item["transcripts"] or [], Transcript)}
        scores = _scores_by_turn(from_rows(item["scores"] or [], Score))
        drops: list[tuple[str, Dropped, float]] = []
        runs: list[list[Piece]] = [[]]
        for turn in from_rows(item["turns"], Turn):
            if turn.id not in transcripts:
                runs.append([])  # counted by the words step
                continue
            why = _turn_fault(scores[turn.id], self.settings.thresholds)
            if why:
                drops.append((turn.id, why, turn.span.duration_s))
                runs.append([])  # no chunk may reach over sound whose words were left out
            else:
                runs[-1].extend(self._cut(turn, transcripts[turn.id]))
        merged = [piece for run in runs for piece in self._merge(run)]
        pieces = [part for piece in merged for part in split_long(piece, self._max_samples)]
        chunks: list[Chunk] = []
        for piece in pieces:
            why = _piece_fault(piece, self.settings.thresholds)
            if why:
                drops.append((f"{item['id']}-{piece.span.start}", why, piece.span.duration_s))
            else:
                chunks.append(self._chunk(item, len(chunks), piece))
        return Produced(records={"chunks": chunks}, drops=drops)

    @property
    def _max_samples(self) -> int:
        return samples(self.settings.thresholds.max_chunk_s)

    def _cut(self, turn: Turn, transcript: Transcript) -> list[Piece]:
        whole = Piece(span=turn.span, speaker=turn.speaker, words=transcript.words, dissent=transcript.dissent)
        return cut_sentences(whole) if self.settings.granularity == "fine" else [whole]

    def _merge(self, pieces: Sequence[Piece]) -> list[Piece]:
        if self.settings.granularity == "fine":
            return list(pieces)
        return merge_speaker(pieces, samples(self.settings.max_gap_s), self._max_samples)

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
            min_vote_ratio=min(word.vote_ratio for word in piece.words),
            confidence=sum(word.confidence for word in piece.words) / len(piece.words),
            dissent=piece.dissent[:_DISSENT_PER_CHUNK],
        )


def cut_sentences(piece: Piece) -> list[Piece]:
    """Cuts a turn after each sentence, in the middle of the silence between the words on either side."""
    counts = [len(sentence.split()) for sentence in sentences(piece.text)]
    if sum(counts) != len(piece.text.split()):
        return [piece]  # a sentence border inside a word: the text is too odd to cut by its sentences
    ends = [word_end for word_end in _word_counts(piece.words, counts) if word_end < len(piece.words)]
    return _cut_at(piece, ends)


def _word_counts(words: Sequence[Word], token_counts: Sequence[int]) -> Iterator[int]:
    """Sentence ends counted in words; a word's surface form may hold several tokens."""
    token_ends = {sum(token_counts[: end + 1]) for end in range(len(token_counts))}
    tokens = 0
    for index, word in enumerate(words):
        tokens += len(word.text.split())
        if tokens in token_ends:
            yield index + 1


def _cut_at(piece: Piece, word_ends: Sequence[int]) -> list[Piece]:
    words = piece.words
    borders = [_border(piece.span, words[end - 1], words[end]) for end in word_ends]
    times = [piece.span.start, *borders, piece.span.end]
    counts = [0, *word_ends, len(words)]
    dissent = iter(piece.dissent)
    parts = []
    for (start, end), (first, last) in zip(pairwise(times), pairwise(counts), strict=True):
        own = words[first:last]
        own_dissent = tuple(entry for word in own if word.vote_ratio < 1 for entry in [next(dissent, "")] if entry)
        parts.append(Piece(span=Span(start, max(start, end)), speaker=piece.speaker, words=own, dissent=own_dissent))
    return parts


def _border(outer: Span, before: Word, after: Word) -> int:
    return min(max((before.end + after.start) // 2, outer.start), outer.end)


def merge_speaker(pieces: Sequence[Piece], max_gap: int, max_length: int) -> list[Piece]:
    """Joins neighbours of one speaker while the silence between them and the whole stay within bounds."""
    merged: list[Piece] = []
    for piece in pieces:
        last = merged[-1] if merged else None
        fits = (
            last is not None
            and last.speaker == piece.speaker
            and piece.span.start - last.span.end <= max_gap
            and piece.span.end - last.span.start <= max_length
        )
        if last is not None and fits:
            merged[-1] = Piece(
                span=Span(last.span.start, max(last.span.end, piece.span.end)),
                speaker=piece.speaker,
                words=last.words + piece.words,
                dissent=last.dissent + piece.dissent,
            )
        else:
            merged.append(piece)
    return merged


def split_long(piece: Piece, max_length: int) -> list[Piece]:
    """Cuts what is longer than `max_length` at its widest silences between words, as few times as needed."""
    if piece.span.num_samples <= max_length or len(piece.words) < 2:
        return [piece]
    gaps = [after.start - before.end for before, after in pairwise(piece.words)]
    middle = (len(gaps) - 1) / 2
    widest = max(range(len(gaps)), key=lambda index: (gaps[index], -abs(index - middle)))
    return [part for half in _cut_at(piece, [widest + 1]) for part in split_long(half, max_length)]


def _scores_by_turn(scores: Sequence[Score]) -> dict[str, dict[str, float]]:
    by_turn: dict[str, dict[str, float]] = {}
    for score in scores:
        by_turn.setdefault(score.turn_id, {})[score.name] = score.value
    return by_turn


def _turn_fault(scores: dict[str, float], limits: Thresholds) -> Dropped | None:
    """Why a turn may not enter the view: its first fault, in this order."""
    above = {
        "systems disagree": ("disagreement_ratio", limits.max_disagreement_ratio),
        "text too fast": ("characters_per_s", limits.max_characters_per_s),
        "repetition": ("compression_ratio", limits.max_compression_ratio),
    }
    for reason, (name, limit) in above.items():
        if scores[name] > limit:
            return Dropped(reason, value=scores[name], threshold=limit)
    return None


def _piece_fault(piece: Piece, limits: Thresholds) -> Dropped | None:
    duration_s = piece.span.duration_s
    if duration_s < limits.min_chunk_s:
        return Dropped("chunk too short", value=duration_s, threshold=limits.min_chunk_s, detail=piece.text)
    if duration_s > limits.max_chunk_s:
        return Dropped("chunk too long", value=duration_s, threshold=limits.max_chunk_s, detail=piece.text)
    return None


def chunks_step(view: str, settings: CurateSettings) -> TableStep:
    """Chunks of one view of all recordings."""

    def items(inputs: Inputs) -> pa.Table:
        recordings = inputs.table("ingest/recordings").select(["id", "audio", "source", "licence"])
        turns = nest(inputs.table("turns").drop_columns(["embedding"]), by="recording_id", name="turns")
        transcripts = nest(inputs.table("words/transcripts"), by="recording_id", name="transcripts")
        scores = nest(inputs.table("words/scores"), by="recording_id", name="scores")
        joined = attach(attach(attach(recordings, turns, "turns"), transcripts, "transcripts"), scores, "scores")
        return joined.filter(joined["turns"].is_valid())

    return TableStep(
        name=f"chunks-{view}",
        version=2,
        config={"view": view, **settings.views[view].model_dump()},
        inputs=("ingest/recordings", "turns", "words/transcripts", "words/scores"),
        outputs={"chunks": Chunk},
        items=items,
        worker=lambda _: partial(CutChunks, view, settings.views[view]),
        shard_items=1024,
    )
