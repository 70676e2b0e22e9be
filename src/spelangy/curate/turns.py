"""Step ``turns``: recordings → who speaks when."""

from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from spelangy.backends.load import create, identity
from spelangy.core.errors import Dropped
from spelangy.core.records import Turn, turn_id
from spelangy.core.settings import BackendChoice
from spelangy.core.spans import seconds
from spelangy.curate.config import CurateSettings
from spelangy.engine.step import Inputs, Item, Produced, TableStep
from spelangy.store.audio import AudioStore


class FindTurns:
    """Voice activity, then speakers, for one recording."""

    def __init__(self, audio: AudioStore, vad: BackendChoice, diarizer: BackendChoice) -> None:
        self.audio = audio
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
            for index, found in enumerate(self.diarizer.diarize(audio_S, speech))
        ]
        silence_s = seconds(max(0, item["num_samples"] - sum(turn.span.num_samples for turn in turns)))
        return Produced(records={"turns": turns}, drops=[(item["id"], Dropped("silence", value=silence_s), silence_s)])


def readable_recordings(inputs: Inputs) -> pa.Table:
    """Recordings that were not quarantined: id, audio key, samples. Where they lie decides nothing."""
    recordings = inputs.table("ingest/recordings")
    return recordings.filter(pc.equal(recordings["status"], "ok")).select(["id", "audio", "num_samples"])


def turns_step(settings: CurateSettings, audio: AudioStore) -> TableStep:
    """Turns of all readable recordings."""
    return TableStep(
        name="turns",
        version=2,
        config={"vad": identity("vad", settings.vad), "diarizer": identity("diarizer", settings.diarizer)},
        inputs=("ingest/recordings",),
        outputs={"turns": Turn},
        items=readable_recordings,
        worker=lambda _: partial(FindTurns, audio, settings.vad, settings.diarizer),
        loads_model=True,
        shard_items=8,
    )
