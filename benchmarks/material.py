"""What the benchmarks work on: the real speech inside an installed wheel, brought in as the pipeline does."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from spelangy.backends.load import create
from spelangy.backends.protocols import Audio, DiarizedSpan
from spelangy.core.records import Recording, Turn, turn_id
from spelangy.core.settings import BackendChoice
from spelangy.core.spans import seconds
from spelangy.curate.config import AudioSource, CurateSettings
from spelangy.curate.ingest import Ingest, IngestLimits
from spelangy.curate.sources import find_sources, sources_table
from spelangy.store.audio import AudioStore
from spelangy.store.inputs import find_inputs

SPEECH = tuple(f"package:moonshine_voice/assets/{name}.wav" for name in ("two_cities", "beckett", "endgame_nagg_nell"))
"""Two readings and a dialogue, 83 s."""

FULL_REPEATS = 7
"""Of each recording, end to end, without ``--quick``: about 10 minutes."""

QUICK_TURNS = 3
"""So many turns of the dialogue, the longest, go to the recognisers in quick runs: about 10 s."""


@dataclass
class Material:
    """Speech, and where to put what is made of it.

    Attributes:
        folder: Scratch space.
    """

    folder: Path
    quick: bool

    @cached_property
    def sources(self) -> list[Mapping[str, Any]]:
        """Items of the ingest step; repeated recordings are written out as files first."""
        paths = [str(self._file(Path(entry.path))) for entry in find_inputs(SPEECH, ())]
        return sources_of(paths)

    def _file(self, path: Path) -> Path:
        if self.quick:
            return path
        sound, rate_hz = soundfile.read(path, dtype="int16")
        repeated = self.folder / path.name
        soundfile.write(repeated, np.tile(sound, FULL_REPEATS), rate_hz)
        return repeated

    def ingest(self, store: str) -> list[Recording]:
        """Decodes all sources into a new audio store."""
        return ingested(self.sources, AudioStore(str(self.folder / store)))

    @cached_property
    def audio(self) -> AudioStore:
        """The store of `recordings`."""
        return AudioStore(str(self.folder / "store"))

    @cached_property
    def recordings(self) -> list[Recording]:
        return self.ingest("store")

    @cached_property
    def waves(self) -> list[Audio]:
        """The sound of each recording."""
        return [self.audio.read(recording.audio) for recording in self.recordings]

    @property
    def duration_s(self) -> float:
        return seconds(sum(recording.num_samples for recording in self.recordings))

    @cached_property
    def turns(self) -> list[Turn]:
        """Who speaks when in all recordings."""
        vad, diarizer = create("vad", BackendChoice(name="silero")), create("diarizer", CurateSettings().diarizer)
        return self.turns_from([diarizer.diarize(wave_S, vad.speech(wave_S)) for wave_S in self.waves])

    def turns_from(self, diarized: Sequence[Sequence[DiarizedSpan]]) -> list[Turn]:
        """What a diarizer found in each recording, as turns."""
        return [
            Turn(
                id=turn_id(recording.id, index),
                recording_id=recording.id,
                audio=recording.audio,
                start=found.span.start,
                end=found.span.end,
                speaker=found.speaker,
                is_overlap=found.is_overlap,
            )
            for recording, spans in zip(self.recordings, diarized, strict=True)
            for index, found in enumerate(spans)
        ]

    @property
    def heard_turns(self) -> list[Turn]:
        """The turns that the recognisers get."""
        if not self.quick:
            return self.turns
        dialogue = next(recording.id for recording in self.recordings if recording.uri == SPEECH[-1])
        turns = [turn for turn in self.turns if turn.recording_id == dialogue]
        return sorted(turns, key=lambda turn: (-turn.span.num_samples, turn.id))[:QUICK_TURNS]


def sources_of(paths: Iterable[str]) -> list[Mapping[str, Any]]:
    """Items of the ingest step, one a file."""
    items: list[Mapping[str, Any]] = sources_table(find_sources([AudioSource(uris=tuple(paths))])).to_pylist()
    return items


def ingested(sources: Iterable[Mapping[str, Any]], audio: AudioStore) -> list[Recording]:
    """Decodes `sources` into `audio`, as the step's worker does."""
    settings = CurateSettings()
    limits = IngestLimits(**{field.name: getattr(settings, field.name) for field in fields(IngestLimits)})
    worker = Ingest(audio, limits)
    produced = [worker(item).records["recordings"] for item in sources]
    return [recording for recordings in produced for recording in recordings]


def turns_item(turns: Sequence[Turn]) -> dict[str, Any]:
    """Turns as the item of a step that nests them."""
    return {"id": turns[0].recording_id, "turns": [asdict(turn) for turn in turns]}


def speech_s(turns: Sequence[Turn]) -> float:
    """Seconds of speech in `turns`."""
    return sum(turn.span.duration_s for turn in turns)
