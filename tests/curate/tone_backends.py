"""Backends that hear the tones of `FakeSynthesizer`, found by entry point as a user's package would be.

The voice's own high tone tells the speaker, so sound → turns → words is exact: alto is one speaker, bass another.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from spelangy.backends.protocols import Audio, DiarizedSpan, ModelInfo, RecognizedClip
from spelangy.core.spans import SAMPLE_RATE_HZ, Span, samples
from spelangy.engine.pipeline import FinishedStep
from spelangy.testing import FakeAligner, FakeRecognizer, FakeSynthesizer

Curate = Callable[..., dict[str, FinishedStep]]
"""The fixture `curate`: files and changed settings in, finished steps out."""

PAUSE_SAMPLES = samples(0.4)
VOICES = {"alto": 5_000.0, "bass": 4_000.0}

ENTRY_POINTS = """[spelangy.backends]
vad.loudness = tone_backends:LoudnessVad
diarizer.tones = tone_backends:ToneDiarizer
aligner.tones = tone_backends:ToneAligner
asr.tones = tone_backends:ToneRecognizer
asr.tones-b = tone_backends:ToneRecognizer
asr.tones-c = tone_backends:ToneRecognizer
asr.tones-breaking = tone_backends:BreakingRecognizer
asr.tones-refusing = tone_backends:RefusingRecognizer
lid.voices = spelangy.testing_fakes:FakeLanguageIdentifier
"""

SETTINGS = {
    "vad": "loudness", "diarizer": "tones", "aligner": "tones", "asr": ["tones"], "min_recording_s": 0.2,
    "max_pause_s": 0.0, "events": None, "lid": None, "quality": None, "private": False,
}  # fmt: skip
"""Nothing that measures real voices (tones have no language and no quality), and a turn a line."""


def _info(role: str) -> ModelInfo:
    return ModelInfo(role=role, name="tones", revision="1", licence="Apache-2.0")


class LoudnessVad:
    """Speech is what lies between pauses of 0.4 s."""

    info = _info("vad")

    @classmethod
    def describe(cls) -> ModelInfo:
        return cls.info

    def speech(self, audio_S: Audio) -> list[Span]:
        loud = np.flatnonzero(np.abs(audio_S) > 0.01)
        if not loud.size:
            return []
        breaks = np.flatnonzero(np.diff(loud) > PAUSE_SAMPLES)
        starts, ends = [loud[0], *loud[breaks + 1]], [*loud[breaks], loud[-1]]
        return [Span(int(start), int(end) + 1) for start, end in zip(starts, ends, strict=True)]


class ToneDiarizer:
    """One turn a span of speech; its voice is the louder of the two high tones."""

    info = _info("diarizer")

    @classmethod
    def describe(cls) -> ModelInfo:
        return cls.info

    def diarize(self, audio_S: Audio, speech: Sequence[Span]) -> list[DiarizedSpan]:
        heard = [_voice(audio_S[span.start : span.end]) for span in speech]
        order = list(dict.fromkeys(heard))
        return [
            DiarizedSpan(
                span=span,
                speaker=f"S{order.index(voice)}",
                is_overlap=False,
                embedding=np.eye(2, dtype=np.float32)[list(VOICES).index(voice)],
            )
            for span, voice in zip(speech, heard, strict=True)
        ]


def _voice(clip: Audio) -> str:
    time_s = np.arange(clip.size) / SAMPLE_RATE_HZ
    strengths = {name: abs(np.exp(-2j * np.pi * hz * time_s) @ clip) for name, hz in VOICES.items()}
    return max(strengths, key=lambda name: strengths[name])


class ToneRecognizer(FakeRecognizer):
    """`FakeRecognizer` with the options of an adapter."""

    def __init__(self, *, mishears: Mapping[str, str] | None = None) -> None:
        super().__init__(mishears=mishears)

    @classmethod
    def describe(cls, **_options: object) -> ModelInfo:
        return _info("asr")


class ToneAligner(FakeAligner):
    """`FakeAligner` as an adapter."""

    @classmethod
    def describe(cls, **_options: object) -> ModelInfo:
        return _info("aligner")


class BreakingRecognizer(ToneRecognizer):
    """Breaks on every clip in which somebody says "thirteen"."""

    def transcribe(self, clips: Sequence[Audio]) -> list[RecognizedClip]:
        heard = super().transcribe(clips)
        if any(word.text == "thirteen" for clip in heard for word in clip.words):
            raise RuntimeError("unlucky clip")
        return heard


class RefusingRecognizer(ToneRecognizer):
    """Cannot hear the clips in which somebody says "thirteen"; the others it can."""

    def transcribe(self, clips: Sequence[Audio]) -> list[RecognizedClip]:
        refused = RecognizedClip(words=(), failure="unlucky clip")
        return [
            refused if any(word.text == "thirteen" for word in clip.words) else clip
            for clip in super().transcribe(clips)
        ]


def conversation(*lines: tuple[str, str], pause_s: float = 0.6) -> Audio:
    """Lines of (voice, text) with a pause before each and after the last, shape [S]."""
    pause = np.zeros(samples(pause_s), np.float32)
    spoken = [FakeSynthesizer().synthesize(text, voice) for voice, text in lines]
    return np.concatenate([part for line in spoken for part in (pause, line)] + [pause])


def install(folder: Path) -> Path:
    """Writes the metadata of a distribution that offers these backends; `folder` must then be on the import path."""
    metadata = folder / "tone_backends-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: tone-backends\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder
