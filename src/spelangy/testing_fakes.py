"""Public stand-ins for models: small, exact and quick, for tests of everything that is built on them.

`FakeSynthesizer` spells words in tones and `FakeRecognizer` reads them back, so a test can go from text to sound to
words and times and know what must come out:

    letters   t    h    e         c    a    t
    sound     |tone|tone|tone|gap |tone|tone|tone|       one letter = 640 samples = 40 ms, a gap = 960 samples = 60 ms
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher

import numpy as np
from numpy.typing import NDArray

from spelangy.backends.protocols import Audio, LlmReply, LlmRequest, ModelInfo, RecognizedClip
from spelangy.core.errors import Dropped, UserError, did_you_mean
from spelangy.core.records import HypothesisWord
from spelangy.core.spans import SAMPLE_RATE_HZ, Span
from spelangy.core.topics import TOPICS

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789'"
LETTER_SAMPLES = 640
GAP_SAMPLES = 960

_MIDDLE = slice(80, 560)
_LOUD_RATIO = 0.1


def _tones(frequencies_hz: Sequence[float], num_samples: int) -> NDArray[np.float64]:
    time_s = np.arange(num_samples) / SAMPLE_RATE_HZ
    return np.cos(2 * np.pi * np.outer(frequencies_hz, time_s))


_LETTER_HZ = [300.0 + 75.0 * index for index in range(len(LETTERS))]
_VOICE_HZ = {"alto": 5_000.0, "bass": 4_000.0}


class FakeSynthesizer:
    """Speaks in tones: one for each letter, under a weak high one that is the voice's own."""

    info = ModelInfo(role="tts", name="fake", revision="1", licence="Apache-2.0", origin="spelangy.testing_fakes")
    voices: tuple[str, ...] = tuple(_VOICE_HZ)

    def synthesize(self, text: str, voice: str, rate: float = 1.0) -> Audio:
        """Tones for the words of `text` (letters, digits and apostrophes; case is lost), shape [S].

        At another rate than 1 the letters last longer or shorter, and `FakeRecognizer` reads them no more.

        Raises:
            Dropped: ``nothing to say`` when there are none.
            UserError: When `voice` is not one of `voices`, or `rate` is not from 0.5 to 2.
        """
        if voice not in self.voices:
            raise UserError(f"fake has no voice {voice!r}", hint=did_you_mean(voice, self.voices))
        if not 0.5 <= rate <= 2.0:
            raise UserError(f"rate of fake is {rate}", hint="from 0.5 to 2.0")
        words = re.findall(r"[a-z0-9']+", text.lower())
        if not words:
            raise Dropped("nothing to say")
        gap = np.zeros(GAP_SAMPLES)
        sound = np.concatenate([part for word in words for part in (gap, _spelled(word, voice, rate))])
        return np.asarray(sound[GAP_SAMPLES:], np.float32)


def _spelled(word: str, voice: str, rate: float) -> NDArray[np.float64]:
    num_samples = round(LETTER_SAMPLES / rate)
    letters = 0.3 * _tones([_LETTER_HZ[LETTERS.index(letter)] for letter in word], num_samples)
    return np.asarray((letters + 0.05 * _tones([_VOICE_HZ[voice]], num_samples)).ravel())


class FakeRecognizer:
    """Reads the tones of `FakeSynthesizer`, with exact word times; other sound gives some word or none.

    Args:
        name: Goes into `info`: several fakes make an ensemble.
        mishears: What it says instead of a word; the empty string for nothing.
    """

    def __init__(self, *, name: str = "fake", mishears: Mapping[str, str] | None = None) -> None:
        self.info = ModelInfo(
            role="asr", name=name, revision="1", licence="Apache-2.0", origin="spelangy.testing_fakes"
        )
        self._mishears = dict(mishears or {})

    def transcribe(self, clips: Sequence[Audio]) -> list[RecognizedClip]:
        """One result per clip, in order; each clip on its own."""
        return [RecognizedClip(words=tuple(self._words(clip))) for clip in clips]

    def _words(self, clip: Audio) -> list[HypothesisWord]:
        heard = [(_read(clip[start:end]), start, end) for start, end in _loud_runs(clip)]
        said = [(self._mishears.get(text, text), start, end) for text, start, end in heard]
        return [
            HypothesisWord(text=text, start=start, end=end, confidence=1.0, is_timed=True)
            for text, start, end in said
            if text
        ]


def _loud_runs(clip: Audio) -> list[tuple[int, int]]:
    loudness = np.abs(clip)
    loud = np.flatnonzero(loudness > _LOUD_RATIO * loudness.max(initial=0.0))
    if not loud.size:
        return []
    breaks = np.flatnonzero(np.diff(loud) > GAP_SAMPLES // 2)
    starts = [loud[0], *loud[breaks + 1]]
    ends = [*loud[breaks], loud[-1]]
    return [(int(start), int(end) + 1) for start, end in zip(starts, ends, strict=True)]


def _read(run: Audio) -> str:
    num_letters = round(run.size / LETTER_SAMPLES)
    room = num_letters * LETTER_SAMPLES
    letters = np.pad(run, (0, max(0, room - run.size)))[:room].reshape(num_letters, LETTER_SAMPLES)
    spectrum = np.abs(np.fft.rfft(letters[:, _MIDDLE] * np.hanning(480), n=LETTER_SAMPLES * 5))
    bins = [round(hz * LETTER_SAMPLES * 5 / SAMPLE_RATE_HZ) for hz in _LETTER_HZ]
    return "".join(LETTERS[index] for index in spectrum[:, bins].argmax(axis=1))


class FakeAligner:
    """Finds words among the tones of `FakeSynthesizer`; words that are not heard have no place."""

    info = ModelInfo(role="aligner", name="fake", revision="1", licence="Apache-2.0", origin="spelangy.testing_fakes")

    def align(self, audio_S: Audio, words: Sequence[str]) -> list[Span | None]:
        """Spans of the longest runs of `words` that are heard in their order; case and punctuation do not count."""
        heard = _loud_runs(audio_S)
        said = [_read(audio_S[start:end]) for start, end in heard]
        keys = ["".join(letter for letter in word.lower() if letter in LETTERS) for word in words]
        spans: list[Span | None] = [None] * len(words)
        for block in SequenceMatcher(a=keys, b=said, autojunk=False).get_matching_blocks():
            for offset in range(block.size):
                spans[block.a + offset] = Span(*heard[block.b + offset])
        return spans


class FakeQualityPredictor:
    """Rates a clip by how loud it is: `mos_overall` is 1 for silence and 5 at full scale."""

    info = ModelInfo(role="quality", name="fake", revision="1", licence="Apache-2.0", origin="spelangy.testing_fakes")

    @classmethod
    def describe(cls) -> ModelInfo:
        return cls.info

    def rate(self, clips: Sequence[Audio]) -> list[Mapping[str, float]]:
        """`mos_overall` of each clip, in order; nothing for an empty one."""
        return [{"mos_overall": 1.0 + 4.0 * float(np.abs(clip).max())} if clip.size else {} for clip in clips]


class FakeLanguageIdentifier:
    """Takes the voices of `FakeSynthesizer` for languages: alto speaks English, bass German; other sound is either.

    The probability is the share of the two voices' strength that is the language's own.
    """

    info = ModelInfo(role="lid", name="fake", revision="1", licence="Apache-2.0", origin="spelangy.testing_fakes")

    @classmethod
    def describe(cls) -> ModelInfo:
        return cls.info

    def identify(self, clips: Sequence[Audio]) -> list[Mapping[str, float]]:
        """Probabilities of ``en`` and ``de`` for each clip, in order; nothing for silence."""
        return [self._identify(clip) if clip.size and np.abs(clip).max() > 0 else {} for clip in clips]

    def _identify(self, clip: Audio) -> Mapping[str, float]:
        time_s = np.arange(clip.size) / SAMPLE_RATE_HZ
        alto, bass = (abs(np.exp(-2j * np.pi * hz * time_s) @ clip) + 1e-9 for hz in _VOICE_HZ.values())
        return {"en": float(alto / (alto + bass)), "de": float(bass / (alto + bass))}


class FakeLanguageModel:
    """Answers from a list, and gives any other text back unchanged; a token is a word.

    Args:
        answers: Text to answer.
    """

    info = ModelInfo(role="llm", name="fake", revision="1", licence="Apache-2.0", origin="spelangy.testing_fakes")

    def __init__(self, *, answers: Mapping[str, str] | None = None) -> None:
        self._answers = dict(answers or {})

    def answers(self, requests: Sequence[LlmRequest]) -> Iterator[tuple[int, LlmReply | Dropped]]:
        """Index and answer of each request, in order."""
        for index, request in enumerate(requests):
            text = self.complete(request.instruction, request.text, request.max_tokens)
            asked = f"{request.instruction} {request.text}"
            yield index, LlmReply(text=text, prompt_tokens=len(asked.split()), answer_tokens=len(text.split()))

    def complete(self, instruction: str, text: str, max_tokens: int) -> str:  # noqa: ARG002  # the Protocol's names
        """The first `max_tokens` words of the answer to `text`; the instruction is not read.

        Raises:
            UserError: When `max_tokens` is below 1.
        """
        if max_tokens < 1:
            raise UserError(f"max_tokens is {max_tokens}", hint="at least 1")
        return " ".join(self._answers.get(text, text).split()[:max_tokens])


class FakeTopicClassifier:
    """Believes what a text says of itself: each full name of a topic in it (``health``) counts as much as all else."""

    info = ModelInfo(role="topics", name="fake", revision="1", licence="Apache-2.0", origin="spelangy.testing_fakes")
    topics: tuple[str, ...] = TOPICS

    @classmethod
    def describe(cls) -> ModelInfo:
        return cls.info

    def classify(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Probabilities of the 24 topics, shape [N, T]."""
        counts = [[1 / len(TOPICS) + text.split().count(topic) for topic in TOPICS] for text in texts]
        scores = np.array(counts).reshape(len(texts), len(TOPICS))
        return np.asarray(scores / scores.sum(axis=1, keepdims=True), np.float32)
