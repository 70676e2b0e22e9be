"""Step ``aligned``: consensus words → the same words with their final times, and scores of how far two clocks agree.

    consensus     |--the--|   |cat|   |---sat---|        medians over the recognisers that time their words
    forced          |the||-cat--|         (–)            the aligner; None where the words are not what it hears
    final           |the||-cat--|     |---sat---|        ``forced``: the aligner's, the consensus' where it has none

Words are never reordered, their spans are disjoint and lie within the turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from statistics import fmean
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from spelangy.backends.load import create, identity
from spelangy.core.random import stream
from spelangy.core.records import Score, Transcript, Word, scores_of
from spelangy.core.schema import from_rows
from spelangy.core.settings import BackendChoice
from spelangy.core.spans import SAMPLE_RATE_HZ, Span
from spelangy.curate.config import CurateSettings
from spelangy.curate.transcribe import turn_blocks
from spelangy.engine.items import attach
from spelangy.engine.step import Inputs, Item, Produced, TableStep
from spelangy.store.audio import AudioStore

_SAID_COLUMNS = ["systems", "words", "dissent"]
_MS = 1_000 / SAMPLE_RATE_HZ


@dataclass(frozen=True, kw_only=True)
class AlignmentRule:
    """Whose times count, and which turns are aligned.

    Attributes:
        prefer_forced: The aligner's times before the consensus'; else they only fill in for words that no system timed.
        check_share: Of the turns that need no alignment for their times, this share is aligned for the scores.
    """

    prefer_forced: bool
    check_share: float

    def needs_alignment(self, turn_id: str, words: Sequence[Word]) -> bool:
        """Whether a turn is aligned; which ones are checked depends on their ids alone."""
        if self.prefer_forced or not all(word.is_timed for word in words):
            return True
        return bool(stream(0, turn_id, "curate.aligned").random() < self.check_share)

    def times(self, words: Sequence[Word], forced: Sequence[Span | None], turn: Span) -> list[tuple[Span, bool]]:
        """Final span of each word, and whether somebody timed it."""
        consensus = [Span(word.start, word.end) for word in words]
        timed = [span if word.is_timed else None for span, word in zip(consensus, words, strict=True)]
        first, second = (forced, timed) if self.prefer_forced else (timed, forced)
        wanted = [found or other or spread for found, other, spread in zip(first, second, consensus, strict=True)]
        known = [found is not None or other is not None for found, other in zip(first, second, strict=True)]
        return list(zip(settle(first, wanted, turn), known, strict=True))


class Align:
    """Final times for the words of the turns of one block of a recording."""

    def __init__(self, audio: AudioStore, choice: BackendChoice, rule: AlignmentRule) -> None:
        self.audio = audio
        self.aligner = create("aligner", choice)
        self.rule = rule

    def __call__(self, item: Item) -> Produced:
        transcripts: list[Transcript] = []
        scores: list[Score] = []
        for turn in item["turns"]:
            words = from_rows(turn["words"], Word)
            span = Span(turn["start"], turn["end"])
            forced: list[Span | None] = [None] * len(words)
            if self.rule.needs_alignment(turn["id"], words):
                forced = self._forced(turn["audio"], words, span)
                scores += turn_scores(turn, words, forced)
            transcripts.append(_retimed(turn, words, self.rule.times(words, forced, span)))
        return Produced(records={"transcripts": transcripts, "scores": scores})

    def _forced(self, audio: str, words: Sequence[Word], turn: Span) -> list[Span | None]:
        found = self.aligner.align(self.audio.read(audio, turn), [word.text for word in words])
        return [span and span.shift(turn.start).clip(turn) for span in found]


def _retimed(turn: Item, words: Sequence[Word], times: Sequence[tuple[Span, bool]]) -> Transcript:
    return Transcript(
        id=turn["id"],
        recording_id=turn["recording_id"],
        systems=tuple(turn["systems"]),
        words=tuple(
            replace(word, start=span.start, end=span.end, is_timed=is_timed)
            for word, (span, is_timed) in zip(words, times, strict=True)
        ),
        dissent=tuple(turn["dissent"]),
    )


def settle(anchors: Sequence[Span | None], wanted: Sequence[Span], outer: Span) -> list[Span]:
    """Spans for all words: anchors keep theirs, the others get what of the wanted span lies between their neighbours.

    Where the anchors themselves are out of order or meet, the earlier one wins.

    Args:
        anchors: Spans that stay, None for words that have none.
        wanted: A span for every word; an anchor's own where it has one.
        outer: What may be covered.
    """
    starts = [outer.end if anchor is None else anchor.clip(outer).start for anchor in anchors]
    borders = [*accumulate(reversed([*starts, outer.end][1:]), min)][::-1]
    settled: list[Span] = []
    low = outer.start
    for anchor, span, border in zip(anchors, wanted, borders, strict=True):
        high = outer.end if anchor else max(low, border)
        settled.append(span.clip(Span(low, high)))
        low = settled[-1].end
    return settled


def turn_scores(turn: Item, words: Sequence[Word], forced: Sequence[Span | None]) -> list[Score]:
    """How the aligner's times compare with the recognisers'.

    ``edge_error_ms``: mean distance of the two, over both edges of all words that have both times ·
    ``drift_ms``: distance between the mean signed error of the first and of the last third of these words (three words
    or more) · ``unaligned_ratio``: share of the words that the aligner did not place. The first two are left out where
    no words have both times.
    """
    errors = [
        (span.start - word.start, span.end - word.end)
        for word, span in zip(words, forced, strict=True)
        if span and word.is_timed
    ]
    measured = {"unaligned_ratio": sum(span is None for span in forced) / len(words)}
    if errors:
        measured["edge_error_ms"] = fmean(abs(error) for edges in errors for error in edges) * _MS
    if third := len(errors) // 3:
        first, last = (fmean(sum(edges) / 2 for edges in part) for part in (errors[:third], errors[-third:]))
        measured["drift_ms"] = abs(last - first) * _MS
    return scores_of(measured, turn["recording_id"], turn["id"])


def spoken_blocks(turns: pa.Table, transcripts: pa.Table, block_s: float) -> pa.Table:
    """Turns with their words, nested by recording and stretch of `block_s`; turns without words are left out."""
    said = turns.drop_columns(["embedding"])
    for column in _SAID_COLUMNS:
        said = attach(said, transcripts, column)
    return turn_blocks(said.filter(pc.is_valid(said["words"])), block_s, _SAID_COLUMNS)


def aligned_step(
    settings: CurateSettings, audio: AudioStore, *, turns: str = "turns", transcripts: str = "words/transcripts"
) -> TableStep:
    """Final times of all consensus words.

    Args:
        settings: The room's.
        audio: Where the turns' sound lies.
        turns: Table of turns.
        transcripts: Table of their consensus words.
    """
    aligner = settings.aligner
    assert aligner is not None, "a recipe without an aligner has no such step"
    rule = AlignmentRule(prefer_forced=settings.alignment == "forced", check_share=settings.align_check_share)
    config: dict[str, Any] = {
        "aligner": identity("aligner", aligner),
        "alignment": settings.alignment,
        "check_share": None if rule.prefer_forced else rule.check_share,
        "block_s": settings.asr_block_s,
    }

    def items(inputs: Inputs) -> pa.Table:
        return spoken_blocks(inputs.table(turns), inputs.table(transcripts), settings.asr_block_s)

    return TableStep(
        name="aligned",
        version=1,
        config=config,
        inputs=(turns, transcripts),
        outputs={"transcripts": Transcript, "scores": Score},
        items=items,
        worker=lambda _: partial(Align, audio, aligner, rule),
        loads_model=True,
        shard_items=16,
    )
