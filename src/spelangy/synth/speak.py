"""Step ``speech``: scripts → spoken recordings with turns and chunks, the same nouns that curation makes.

Each sentence is drawn a voice by the hash of its chunk id, brought to one loudness, and padded to whole 80 ms frames,
so chunks tile their recording without a gap and no frame belongs to two of them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from spelangy.backends.load import create, identity
from spelangy.backends.protocols import Audio, SpeechSynthesizer
from spelangy.core.errors import Dropped
from spelangy.core.random import uniform
from spelangy.core.records import Chunk, Recording, Script, ScriptSegment, Turn, turn_id
from spelangy.core.schema import from_rows
from spelangy.core.spans import FRAME_SAMPLES, SAMPLE_RATE_HZ, Span, samples
from spelangy.engine.step import Inputs, Item, Produced, TableStep
from spelangy.store.audio import AudioStore
from spelangy.synth.config import SynthSettings, VoiceSettings

PEAK_LIMIT = 0.99
_SILENCE_RMS = 1e-4


@dataclass(frozen=True, kw_only=True)
class SpokenSegment:
    """One sentence as sound, padded to whole frames."""

    id: str
    segment: ScriptSegment
    voice: VoiceSettings
    audio_S: Audio


class Speak:
    """Speaks one script."""

    def __init__(self, audio: AudioStore, settings: SynthSettings, seed: int) -> None:
        self.audio = audio
        self.settings = settings
        self.seed = seed
        self.loaded: dict[str, SpeechSynthesizer] = {}

    def __call__(self, item: Item) -> Produced:
        (script,) = from_rows([item], Script)
        drops: list[tuple[str, Dropped, float]] = []
        spoken: list[SpokenSegment] = []
        for index, segment in enumerate(script.segments):
            chunk_id = f"{script.id}-spoken-{index:05d}"
            try:
                spoken.append(self._speak(chunk_id, segment))
            except Dropped as dropped:
                if script.kind == "quest":
                    raise  # a question without its answer, or the other way round, teaches nothing
                drops.append((chunk_id, dropped, 0.0))
        if not spoken:
            raise Dropped("nothing to say", value=0, threshold=1)
        return Produced(records=self._records(script, spoken), drops=drops)

    def _speak(self, chunk_id: str, segment: ScriptSegment) -> SpokenSegment:
        voice = draw_voice(self.settings.voices, self.seed, chunk_id)
        said_S = self._synthesizer(voice).synthesize(segment.text, voice.voice)
        audio_S = to_whole_frames(at_loudness(said_S, self.settings.loudness_db), samples(self.settings.pause_s))
        return SpokenSegment(id=chunk_id, segment=segment, voice=voice, audio_S=audio_S)

    def _synthesizer(self, voice: VoiceSettings) -> SpeechSynthesizer:
        choice = voice.tts.model_dump_json()
        if choice not in self.loaded:
            self.loaded[choice] = create("tts", voice.tts)
        return self.loaded[choice]

    def _records(self, script: Script, spoken: Sequence[SpokenSegment]) -> Mapping[str, Sequence[object]]:
        whole_S = np.concatenate([part.audio_S for part in spoken])
        audio = self.audio.put(whole_S)
        ends = np.cumsum([part.audio_S.size for part in spoken]).tolist()
        spans = [Span(end - part.audio_S.size, end) for end, part in zip(ends, spoken, strict=True)]
        numbered = list(enumerate(zip(spans, spoken, strict=True)))
        return {
            "recordings": [_recording(script, audio, whole_S.size)],
            "turns": [_turn(script, audio, index, span, part) for index, (span, part) in numbered],
            "chunks": [_chunk(script, audio, index, span, part) for index, (span, part) in numbered],
        }


def draw_voice(voices: Sequence[VoiceSettings], seed: int, chunk_id: str) -> VoiceSettings:
    """The voice of a chunk, drawn by its id from the weighted list: the same on every machine."""
    total = sum(voice.weight for voice in voices)
    left = uniform(seed, chunk_id, "voice") * total
    for voice in voices:
        left -= voice.weight
        if left < 0:
            return voice
    return voices[-1]


def at_loudness(audio_S: Audio, loudness_db: float) -> Audio:
    """`audio_S` at a root mean square of `loudness_db` below full scale, less where its peak would clip."""
    rms = float(np.sqrt(np.mean(np.square(audio_S, dtype=np.float64)))) if audio_S.size else 0.0
    if rms < _SILENCE_RMS:
        raise Dropped("synthesis is silent", value=rms, threshold=_SILENCE_RMS)
    gain = min(10 ** (loudness_db / 20) / rms, PEAK_LIMIT / float(np.abs(audio_S).max()))
    return (audio_S * gain).astype(np.float32)


def to_whole_frames(audio_S: Audio, pause: int) -> Audio:
    """`audio_S` and a pause of at least `pause` samples, up to a whole number of 80 ms frames."""
    length = math.ceil((audio_S.size + pause) / FRAME_SAMPLES) * FRAME_SAMPLES
    return np.pad(audio_S, (0, length - audio_S.size))


def _recording(script: Script, audio: str, num_samples: int) -> Recording:
    return Recording(
        id=script.id,
        uri=f"{script.kind}:{script.page_id}",
        status="ok",
        reason="",
        num_samples=num_samples,
        audio=audio,
        source=script.kind,
        licence=script.licence,
        source_codec="synthetic",
        source_sample_rate_hz=SAMPLE_RATE_HZ,
        source_channels=1,
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


def _chunk(script: Script, audio: str, index: int, span: Span, part: SpokenSegment) -> Chunk:
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
    )


def speech_step(name: str, scripts: Sequence[str], settings: SynthSettings, audio: AudioStore, seed: int) -> TableStep:
    """Speech for the scripts of some tables.

    Args:
        name: The step's name.
        scripts: Names of tables of `Script` records.
    """

    def items(inputs: Inputs) -> pa.Table:
        return pa.concat_tables([inputs.table(table) for table in scripts])

    voices = [
        {"tts": identity("tts", voice.tts), "voice": voice.voice, "weight": voice.weight} for voice in settings.voices
    ]
    return TableStep(
        name=name,
        version=2,
        config={"voices": voices, "pause_s": settings.pause_s, "loudness_db": settings.loudness_db},
        inputs=tuple(scripts),
        outputs={"recordings": Recording, "turns": Turn, "chunks": Chunk},
        items=items,
        worker=lambda _: partial(Speak, audio, settings, seed),
        seed=seed,
        loads_model=True,
        shard_items=16,
    )
