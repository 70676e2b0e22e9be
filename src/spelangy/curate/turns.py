"""Step ``turns``: recordings → who speaks when."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spelangy.backends.load import create, identity
from spelangy.backends.protocols import DiarizedSpan
from spelangy.core.errors import Dropped
from spelangy.core.records import Turn, turn_id
from spelangy.core.settings import BackendChoice
from spelangy.core.spans import Span, samples, seconds
from spelangy.curate.config import CurateSettings
from spelangy.engine.items import attach, nest
from spelangy.engine.step import Inputs, Item, Produced, TableStep
from spelangy.store.audio import AudioStore

MAX_TURN_SAMPLES = samples(28.0)
"""What fits into one of Whisper's windows."""


class FindTurns:
    """Voice activity, then speakers, for one recording."""

    def __init__(self, audio: AudioStore, vad: BackendChoice, diarizer: BackendChoice, max_gap: int) -> None:
        self.audio = audio
        self.max_gap = max_gap
        self.vad = create("vad", vad)
        self.diarizer = create("diarizer", diarizer)

    def __call__(self, item: Item) -> Produced:
        audio_S = self.audio.read(item["audio"])
        speech = self.vad.speech(audio_S)
        if not speech:
            raise Dropped("no speech", value=0.0)
        turns = [
            Turn(
                id=turn_id(item["id"], index),
                recording_id=item["id"],
                audio=item["audio"],
                start=found.span.start,
                end=found.span.end,
                speaker=found.speaker,
                is_overlap=found.is_overlap,
                embedding=tuple(found.embedding.tolist()),
            )
            for index, found in enumerate(join_pauses(self.diarizer.diarize(audio_S, speech), self.max_gap))
        ]
        silence_s = seconds(max(0, item["num_samples"] - sum(turn.span.num_samples for turn in turns)))
        return Produced(records={"turns": turns}, drops=[(item["id"], Dropped("silence", value=silence_s), silence_s)])


def join_pauses(spans: Sequence[DiarizedSpan], max_gap: int) -> list[DiarizedSpan]:
    """Joins neighbours of one speaker over a pause of up to `max_gap` samples, up to `MAX_TURN_SAMPLES` in all.

    A recogniser and a sentence both want the words on either side of a breath. Overlapped spans stay by themselves. The
    embedding of what is joined is the mean by length.
    """
    joined: list[DiarizedSpan] = []
    for found in spans:
        last = joined[-1] if joined else None
        if last is not None and _may_join(last, found, max_gap):
            joined[-1] = _joined(last, found)
        else:
            joined.append(found)
    return joined


def _may_join(left: DiarizedSpan, right: DiarizedSpan, max_gap: int) -> bool:
    is_one_voice = left.speaker == right.speaker and not (left.is_overlap or right.is_overlap)
    gap, length = right.span.start - left.span.end, right.span.end - left.span.start
    return is_one_voice and 0 < gap <= max_gap and length <= MAX_TURN_SAMPLES


def _joined(left: DiarizedSpan, right: DiarizedSpan) -> DiarizedSpan:
    mean_D = left.embedding * left.span.num_samples + right.embedding * right.span.num_samples
    return DiarizedSpan(
        span=Span(left.span.start, right.span.end),
        speaker=left.speaker,
        is_overlap=False,
        embedding=mean_D / max(float(np.linalg.norm(mean_D)), 1e-9),
    )


def readable_recordings(inputs: Inputs) -> pa.Table:
    """Recordings that were not quarantined: id, audio key, samples. Where they lie decides nothing."""
    recordings = inputs.table("ingest/recordings")
    return recordings.filter(pc.equal(recordings["status"], "ok")).select(["id", "audio", "num_samples"])


def recordings_with_turns(inputs: Inputs) -> pa.Table:
    """`readable_recordings` with their turns nested, embeddings left away; null where nobody speaks."""
    turns = inputs.table("turns").drop_columns(["embedding"])
    return attach(readable_recordings(inputs), nest(turns, by="recording_id", name="turns"), "turns")


def turns_step(settings: CurateSettings, audio: AudioStore) -> TableStep:
    """Turns of all readable recordings."""
    return TableStep(
        name="turns",
        version=3,
        config={
            "vad": identity("vad", settings.vad),
            "diarizer": identity("diarizer", settings.diarizer),
            "max_pause_s": settings.max_pause_s,
        },
        inputs=("ingest/recordings",),
        outputs={"turns": Turn},
        items=readable_recordings,
        worker=lambda _: partial(FindTurns, audio, settings.vad, settings.diarizer, samples(settings.max_pause_s)),
        loads_model=True,
        shard_items=8,
    )
