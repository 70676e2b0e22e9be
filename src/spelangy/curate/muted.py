"""Step ``muted``: recordings whose private words are silenced, under a new audio key; turns that point at it.

    gain   ────────╲______________╱────────       fade 5 ms · margin · private words · margin · fade 5 ms

Sample counts and ids stay; sound outside the fades stays bit for bit; recordings with nothing to silence keep their
key.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from spelangy.core.records import Recording, Turn
from spelangy.core.schema import from_rows
from spelangy.core.spans import SAMPLE_RATE_HZ, Span, samples
from spelangy.curate.config import CurateSettings
from spelangy.engine.items import attach, nest
from spelangy.engine.step import Inputs, Item, Produced, TableStep
from spelangy.store.audio import AudioStore, to_pcm

FADE_SAMPLES = samples(0.005)
"""Long enough for no click, too short for a phone."""

_BLOCK_SAMPLES = 60 * SAMPLE_RATE_HZ


class Mute:
    """One recording with its turns."""

    def __init__(self, audio: AudioStore, margin_samples: int) -> None:
        self.audio = audio
        self.margin_samples = margin_samples

    def __call__(self, item: Item) -> Produced:
        (recording,) = from_rows([item], Recording)
        spans = self._silent_spans(item["private"] or [], recording.num_samples)
        if spans:
            recording = replace(recording, audio=self._muted(recording, spans))
        turns = [replace(turn, audio=recording.audio) for turn in from_rows(item["turns"] or [], Turn)]
        return Produced(records={"recordings": [recording], "turns": turns})

    def _silent_spans(self, private: Sequence[Mapping[str, int]], num_samples: int) -> list[Span]:
        wide = [
            Span(max(0, row["start"] - self.margin_samples), min(num_samples, row["end"] + self.margin_samples))
            for row in private
        ]
        return sorted(span for span in wide if span.num_samples)

    def _muted(self, recording: Recording, spans: Sequence[Span]) -> str:
        """The key of the muted copy, written a block at a time: hours of it are never held."""
        with self.audio.writing() as copy:
            for start in range(0, recording.num_samples, _BLOCK_SAMPLES):
                block = Span(start, min(start + _BLOCK_SAMPLES, recording.num_samples))
                pcm_S = to_pcm(self.audio.read(recording.audio, block))
                silence(pcm_S, spans, offset=start)
                copy.write(pcm_S)
            return copy.commit()


def silence(pcm_S: NDArray[np.int16], spans: Sequence[Span], offset: int = 0) -> None:
    """Sets `spans` to zero in place, and fades out before and in after each.

    Args:
        pcm_S: Samples of a recording from sample `offset` on.
        spans: In samples of the recording.
        offset: Where in the recording `pcm_S` starts.
    """
    for span in spans:
        start = max(0, span.start - FADE_SAMPLES - offset)
        end = min(pcm_S.size, span.end + FADE_SAMPLES - offset)
        if start < end:
            positions = np.arange(start, end) + offset
            distance = np.maximum(span.start - positions, positions - span.end + 1)
            gain = np.clip((distance - 0.5) / FADE_SAMPLES, 0.0, 1.0)
            pcm_S[start:end] = np.rint(pcm_S[start:end] * gain)


def muted_step(settings: CurateSettings, audio: AudioStore, recordings: str, turns: str) -> TableStep:
    """Copies of all recordings and turns; those with spans of the kinds in ``curate.mute`` have new audio.

    Args:
        settings: The room's.
        audio: Where the sound is, and goes.
        recordings: The table of recordings to copy: ``ingest/recordings``.
        turns: The table of turns to copy: ``turns`` or ``speakers/turns``.
    """
    kinds = sorted(settings.mute)

    def items(inputs: Inputs) -> pa.Table:
        private = inputs.table("private")
        private = private.filter(pc.is_in(private["kind"], pa.array(kinds, pa.string())))
        table = attach(inputs.table(recordings), nest(inputs.table(turns), by="recording_id", name="turns"), "turns")
        spans = nest(private, by="recording_id", name="private", columns=["id", "start", "end"])
        return attach(table, spans, "private")

    return TableStep(
        name="muted",
        version=1,
        config={"kinds": kinds, "margin_s": settings.mute_margin_s},
        inputs=(recordings, turns, "private"),
        outputs={"recordings": Recording, "turns": Turn},
        items=items,
        worker=lambda _: partial(Mute, audio, samples(settings.mute_margin_s)),
        shard_items=16,
    )
