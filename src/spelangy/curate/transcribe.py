"""Steps ``asr-<system>``: turns → one system's hypotheses. One step a system, so adding a fourth re-runs none."""

from collections.abc import Sequence
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from spelangy.backends.load import create, identity
from spelangy.backends.protocols import RecognizedClip
from spelangy.core.errors import Dropped
from spelangy.core.records import Hypothesis, HypothesisWord
from spelangy.core.settings import BackendChoice
from spelangy.core.spans import Span, samples
from spelangy.curate.config import CurateSettings
from spelangy.engine.items import nest
from spelangy.engine.step import Inputs, Item, Produced, TableStep
from spelangy.store.audio import AudioStore


class Transcribe:
    """One system over the turns of one block of a recording."""

    def __init__(self, audio: AudioStore, choice: BackendChoice) -> None:
        self.audio = audio
        self.system = choice.name
        self.asr = create("asr", choice)

    def __call__(self, item: Item) -> Produced:
        turns = item["turns"]
        clips = [self.audio.read(turn["audio"], Span(turn["start"], turn["end"])) for turn in turns]
        heard = list(zip(turns, self.asr.transcribe(clips), strict=True))
        hypotheses = [self._hypothesis(turn, clip) for turn, clip in heard if not clip.failure]
        drops = [
            (turn["id"], Dropped("not heard", detail=clip.failure), Span(turn["start"], turn["end"]).duration_s)
            for turn, clip in heard
            if clip.failure
        ]
        return Produced(records={"hypotheses": hypotheses}, drops=drops)

    def _hypothesis(self, turn: Item, clip: RecognizedClip) -> Hypothesis:
        bounds = Span(turn["start"], turn["end"])
        return Hypothesis(
            id=f"{turn['id']}-{self.system}",
            turn_id=turn["id"],
            recording_id=turn["recording_id"],
            system=self.system,
            language=clip.language,
            mean_logprob=clip.mean_logprob,
            words=tuple(_in_recording(word, bounds) for word in clip.words),
        )


def _in_recording(word: HypothesisWord, bounds: Span) -> HypothesisWord:
    span = Span(word.start, max(word.start, word.end)).shift(bounds.start).clip(bounds)
    return HypothesisWord(
        text=word.text, start=span.start, end=span.end, confidence=word.confidence, is_timed=word.is_timed
    )


def turn_blocks(turns: pa.Table, block_s: float, beside: Sequence[str] = ()) -> pa.Table:
    """Turns nested by recording and stretch of `block_s`: the unit of work and of resuming for what hears turns.

    Args:
        beside: Columns of `turns` that the work needs beside id, place and span; each is part of what is done.
    """
    block = pc.divide(turns["start"], samples(block_s))
    name = pc.binary_join_element_wise(turns["recording_id"], pc.utf8_lpad(block.cast(pa.string()), 6, "0"), "-b")
    columns = ["id", "recording_id", "audio", "start", "end", *beside]
    return nest(turns.append_column("block", name), by="block", name="turns", columns=columns)


def transcribe_step(settings: CurateSettings, choice: BackendChoice, audio: AudioStore) -> TableStep:
    """Hypotheses of one system for all turns."""

    def items(inputs: Inputs) -> pa.Table:
        return turn_blocks(inputs.table("turns"), settings.asr_block_s)

    return TableStep(
        name=f"asr-{choice.name}",
        version=2,
        config={"asr": identity("asr", choice), "block_s": settings.asr_block_s},
        inputs=("turns",),
        outputs={"hypotheses": Hypothesis},
        items=items,
        worker=lambda _: partial(Transcribe, audio, choice),
        loads_model=True,
        shard_items=4,
    )
