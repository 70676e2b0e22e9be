"""Step ``private``: consensus words → which of them tell who somebody is or how to reach them.

A recording's words are read in passages that run over turns, because a dictated number is cut at its pauses and what
announces it ("what's your number?") is often another speaker's. What runs over turns is written down turn by turn.

Measured for all, dropped for none: views keep, mask or drop (`[person]` …), and ``curate.mute`` silences the sound.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pyarrow as pa

from spelangy.backends.private_words import PrivateWordFinder, PrivateWords
from spelangy.core.records import PrivateSpan, Score, Transcript, Word, scores_of
from spelangy.core.schema import from_rows
from spelangy.core.spans import samples
from spelangy.curate.config import CurateSettings
from spelangy.engine.items import nest
from spelangy.engine.step import Inputs, Item, Produced, TableStep

MAX_PAUSE_S = 3.0
"""A longer pause between turns ends a passage: nobody waits so long within a number."""

PASSAGE_WORDS = 300
"""A passage ends with the turn that reaches this: more context finds no more, and memory stays small."""


@dataclass(frozen=True, slots=True)
class PlacedWord:
    """A word and where it stands: its turn and its index in the turn's transcript."""

    word: Word
    turn_id: str
    index: int


class FindPrivate:
    """Private words of one recording."""

    def __init__(self) -> None:
        self.finder = PrivateWordFinder()

    def __call__(self, item: Item) -> Produced:
        transcripts = from_rows(item["transcripts"], Transcript)
        found: dict[str, list[PrivateSpan]] = {transcript.id: [] for transcript in transcripts}
        for passage in passages(transcripts):
            for run in self.finder.find([placed.word.text for placed in passage]):
                for part in _by_turn(passage[run.first_word : run.first_word + run.num_words]):
                    spans = found[part[0].turn_id]
                    spans.append(_private_span(item["id"], len(spans), run, part))
        scores = [
            score
            for turn_id, spans in found.items()
            for score in scores_of({"private_words": float(sum(span.num_words for span in spans))}, item["id"], turn_id)
        ]
        return Produced(records={"private": [span for spans in found.values() for span in spans], "scores": scores})


def passages(transcripts: Sequence[Transcript]) -> Iterator[list[PlacedWord]]:
    """The words of a recording's turns, in order, in stretches without a long pause between turns."""
    passage: list[PlacedWord] = []
    for transcript in transcripts:
        placed = [PlacedWord(word, transcript.id, index) for index, word in enumerate(transcript.words)]
        is_far = passage and placed and placed[0].word.start - passage[-1].word.end > samples(MAX_PAUSE_S)
        if is_far or len(passage) >= PASSAGE_WORDS:
            yield passage
            passage = []
        passage.extend(placed)
    if passage:
        yield passage


def _by_turn(run: Sequence[PlacedWord]) -> Iterator[Sequence[PlacedWord]]:
    borders = [i for i, (left, right) in enumerate(pairwise(run), 1) if left.turn_id != right.turn_id]
    for start, end in pairwise([0, *borders, len(run)]):
        yield run[start:end]


def _private_span(recording_id: str, number: int, run: PrivateWords, part: Sequence[PlacedWord]) -> PrivateSpan:
    return PrivateSpan(
        id=f"{part[0].turn_id}-private-{number:04d}",
        turn_id=part[0].turn_id,
        recording_id=recording_id,
        kind=run.kind,
        first_word=part[0].index,
        num_words=len(part),
        start=part[0].word.start,
        end=max(placed.word.end for placed in part),
        confidence=run.confidence,
    )


def private_step(settings: CurateSettings, transcripts: str) -> TableStep:  # noqa: ARG001  # steps' common signature
    """Private words of all recordings.

    Args:
        settings: The room's.
        transcripts: The table of transcripts to read: ``words/transcripts`` or ``aligned/transcripts``.
    """

    def items(inputs: Inputs) -> pa.Table:
        return nest(inputs.table(transcripts), by="recording_id", name="transcripts")

    return TableStep(
        name="private",
        version=1,
        config={"finder": PrivateWordFinder.describe().revision},
        inputs=(transcripts,),
        outputs={"private": PrivateSpan, "scores": Score},
        items=items,
        worker=lambda _: FindPrivate,
        loads_model=True,
        shard_items=64,
    )
