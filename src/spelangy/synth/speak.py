"""Step ``speech``: scripts → spoken recordings with turns and chunks, the same nouns that curation makes, and scores.

sentence ──voice, round trip (synth.voices)──> take + pause, whole 80 ms frames ──room, noise (synth.augment)──> chunk

Chunks tile their recording without a gap, and no frame belongs to two of them. What the round trip hears is the clean
sound: its rate tells of the voice, not of the room. A chunk's text is the same whatever was laid over its sound.

turn scores          `round_trip_wer` · `voices_tried` (where sentences are heard again)
                     `room_direct_db` · `snr_added_db` (of a sentence in a room, in noise)
recording metadata   the page's address, title, archive (the address is the recording's uri as well)
                     ``rooms``, ``noises``: file names by chunk index · ``voices``: accent and sex by speaker
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from spelangy.backends.load import identity
from spelangy.backends.protocols import Audio
from spelangy.core.errors import Dropped
from spelangy.core.hashing import canonical_json
from spelangy.core.records import Chunk, Recording, Score, Script, ScriptSegment, Turn, scores_of, turn_id
from spelangy.core.schema import from_rows
from spelangy.core.spans import FRAME_SAMPLES, SAMPLE_RATE_HZ, Span, samples
from spelangy.engine.step import Inputs, Item, Produced, TableStep, Worker
from spelangy.store.audio import AudioStore
from spelangy.synth.augment import Augmentation, Augmented, augmented, check_augmentation, find_augmentation
from spelangy.synth.config import SynthSettings, VoiceSettings
from spelangy.synth.voices import Take, Voices


@dataclass(frozen=True, kw_only=True)
class SpokenSegment:
    """One sentence as it goes into the recording: sound in whole frames, whatever was laid over it included."""

    id: str
    segment: ScriptSegment
    take: Take
    laid_over: Augmented

    @property
    def audio_S(self) -> Audio:
        return self.laid_over.audio_S

    @property
    def voice(self) -> VoiceSettings:
        return self.take.voice

    @property
    def scores(self) -> Mapping[str, float]:
        """Measurements of the sentence by name."""
        if self.take.heard is None:
            return self.laid_over.scores
        tried = {"round_trip_wer": self.take.heard.wer, "voices_tried": float(self.take.num_voices)}
        return {**tried, **self.laid_over.scores}


class Speak:
    """Speaks one script."""

    def __init__(
        self, audio: AudioStore, settings: SynthSettings, seed: int, augmentation: Augmentation | None = None
    ) -> None:
        self.audio = audio
        self.pause = samples(settings.pause_s)
        self.seed = seed
        self.augmentation = augmentation
        self.voices = Voices(settings, seed)

    def __call__(self, item: Item) -> Produced:
        (script,) = from_rows([item], Script)
        segments = {f"{script.id}-spoken-{index:05d}": segment for index, segment in enumerate(script.segments)}
        takes = self.voices.say({name: segment.text for name, segment in segments.items()})
        drops = [(name, take, 0.0) for name in segments if isinstance(take := takes[name], Dropped)]
        if drops and script.kind == "quest":
            raise drops[0][1]  # a question without its answer, or the other way round, teaches nothing
        spoken = [
            self._laid_over(name, segment, take)
            for name, segment in segments.items()
            if isinstance(take := takes[name], Take)
        ]
        if not spoken:
            raise Dropped("nothing to say", value=0, threshold=1)
        return Produced(records=self._records(script, spoken), drops=drops)

    def _laid_over(self, chunk_id: str, segment: ScriptSegment, take: Take) -> SpokenSegment:
        clean_S = to_whole_frames(take.said_S, self.pause)
        laid_over = Augmented(audio_S=clean_S)
        if self.augmentation is not None:
            laid_over = augmented(clean_S, self.augmentation, self.seed, chunk_id)
        return SpokenSegment(id=chunk_id, segment=segment, take=take, laid_over=laid_over)

    def _records(self, script: Script, spoken: Sequence[SpokenSegment]) -> Mapping[str, Sequence[object]]:
        whole_S = np.concatenate([part.audio_S for part in spoken])
        audio = self.audio.put(whole_S)
        ends = np.cumsum([part.audio_S.size for part in spoken]).tolist()
        spans = [Span(end - part.audio_S.size, end) for end, part in zip(ends, spoken, strict=True)]
        numbered = list(enumerate(zip(spans, spoken, strict=True)))
        metadata = canonical_json({**json.loads(script.metadata), **_metadata(spoken)})
        return {
            "recordings": [_recording(script, audio, whole_S.size, metadata)],
            "turns": [_turn(script, audio, index, span, part) for index, (span, part) in numbered],
            "chunks": [_chunk(script, audio, index, span, part, metadata) for index, (span, part) in numbered],
            "scores": [
                score
                for index, part in enumerate(spoken)
                for score in scores_of(part.scores, script.id, turn_id(script.id, index))
            ],
        }


def to_whole_frames(audio_S: Audio, pause: int) -> Audio:
    """`audio_S` and a pause of at least `pause` samples, up to a whole number of 80 ms frames."""
    length = math.ceil((audio_S.size + pause) / FRAME_SAMPLES) * FRAME_SAMPLES
    return np.pad(audio_S, (0, length - audio_S.size))


def _metadata(spoken: Sequence[SpokenSegment]) -> dict[str, Any]:
    """What of a recording is no number: the rooms, the noises and who the voices are; nothing where there is none."""
    rooms = {str(index): part.laid_over.room for index, part in enumerate(spoken) if part.laid_over.room}
    noises = {str(index): part.laid_over.noise for index, part in enumerate(spoken) if part.laid_over.noise}
    voices = {part.voice.speaker: _about(part.voice) for part in spoken if _about(part.voice)}
    return {name: told for name, told in (("rooms", rooms), ("noises", noises), ("voices", voices)) if told}


def _about(voice: VoiceSettings) -> dict[str, str]:
    return {name: told for name, told in (("accent", voice.accent), ("sex", voice.sex)) if told}


def _recording(script: Script, audio: str, num_samples: int, metadata: str) -> Recording:
    return Recording(
        id=script.id,
        uri=json.loads(script.metadata).get("uri") or f"{script.kind}:{script.page_id}",
        status="ok",
        reason="",
        num_samples=num_samples,
        audio=audio,
        source=script.kind,
        licence=script.licence,
        source_codec="synthetic",
        source_sample_rate_hz=SAMPLE_RATE_HZ,
        source_channels=1,
        metadata=metadata,
    )


def _turn(script: Script, audio: str, index: int, span: Span, part: SpokenSegment) -> Turn:
    return Turn(
        id=turn_id(script.id, index),
        recording_id=script.id,
        audio=audio,
        start=span.start,
        end=span.end,
        speaker=part.voice.speaker,
        is_overlap=False,
        embedding=(),
    )


def _chunk(script: Script, audio: str, index: int, span: Span, part: SpokenSegment, metadata: str) -> Chunk:
    return Chunk(
        id=part.id,
        document_id=f"{script.page_id}-{script.id}",
        recording_id=script.id,
        audio=audio,
        index=index,
        start=span.start,
        end=span.end,
        text=part.segment.text,
        speaker=part.voice.speaker,
        role=part.segment.role,
        source=script.kind,
        licence=script.licence,
        min_vote_ratio=1.0,
        confidence=1.0,
        dissent=(),
        metadata=metadata,
    )


def speech_step(
    name: str, scripts: Sequence[str], settings: SynthSettings, audio: AudioStore, seed: int, *, plain: bool = False
) -> TableStep:
    """Speech for the scripts of some tables.

    Args:
        name: The step's name.
        scripts: Names of tables of `Script` records.
        plain: Neither heard again nor in rooms and noise, whatever `settings` say: for evaluation questions, of which
            none may be lost or made harder by the way.

    Raises:
        UserError: When a room or a noise is missing, empty or no sound.
    """
    if plain:
        settings = settings.model_copy(update={"round_trip": None, "augment": None})
    augmentation = find_augmentation(settings.augment) if settings.augment else None

    def items(inputs: Inputs) -> pa.Table:
        return pa.concat_tables([inputs.table(table) for table in scripts])

    def worker(_: Inputs) -> Callable[[], Worker]:
        if augmentation is not None:
            check_augmentation(augmentation)
        return partial(Speak, audio, settings, seed, augmentation)

    return TableStep(
        name=name,
        version=3,
        config=_config(settings, augmentation),
        inputs=tuple(scripts),
        outputs={"recordings": Recording, "turns": Turn, "chunks": Chunk, "scores": Score},
        items=items,
        worker=worker,
        seed=seed,
        loads_model=True,
        shard_items=16,
    )


def _config(settings: SynthSettings, augmentation: Augmentation | None) -> dict[str, Any]:
    heard = settings.round_trip
    return {
        "voices": [
            {"tts": identity("tts", voice.tts), **voice.model_dump(exclude={"tts"})} for voice in settings.voices
        ],
        "pause_s": settings.pause_s,
        "loudness_db": settings.loudness_db,
        "round_trip": heard and {"asr": identity("asr", heard.asr), **heard.model_dump(exclude={"asr"})},
        "augment": augmentation and augmentation.config,
    }
