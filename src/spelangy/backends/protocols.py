"""The roles that models play. An adapter is any class with these methods; it is found by the entry point group
`spelangy.backends` under the name ``<role>.<name>`` and made with keyword options from the recipe.

Shape legend: S samples at 16 kHz mono, float32 in [-1, 1]; N clips or texts; D embedding size; F frames of 80 ms;
T topics.

Every adapter names its model (`info`), is deterministic for the same input and the same options, and gives the same
answer for a clip whatever other clips are passed beside it unless its docstring says otherwise.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from spelangy.core.errors import Dropped
from spelangy.core.records import HypothesisWord
from spelangy.core.spans import Span

Audio = NDArray[np.float32]
"""Mono samples at 16 kHz, float32 in [-1, 1], shape [S]."""

ROLES = (
    "vad", "events", "diarizer", "lid", "asr", "aligner", "quality", "tts", "llm", "topics", "speech-tokenizer",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """Which model this is; goes into the lineage of every table it fills.

    Attributes:
        revision: Exact version of the weights (package version, commit or content hash).
        origin: How it was resolved on this machine, for people: ``wheel moonshine-voice 0.1.0``. Never hashed.
        concurrency: Requests that are best in flight at once; 1 for what runs inside this process. Never hashed.
    """

    role: str
    name: str
    revision: str
    licence: str
    origin: str = ""
    concurrency: int = 1


@dataclass(frozen=True, kw_only=True)
class DiarizedSpan:
    """One speaker's span within a recording; `embedding` has unit length, shape [D]."""

    span: Span
    speaker: str
    is_overlap: bool
    embedding: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class DetectedEvent:
    """A stretch of one kind of sound; `kind` is one of `core.records.EVENT_KINDS`."""

    span: Span
    kind: str
    confidence: float


@dataclass(frozen=True, kw_only=True)
class RecognizedClip:
    """What a recogniser heard in one clip; word times are samples from the clip's start.

    Attributes:
        failure: Why this clip could not be heard though others could (a server's refusal); such a clip has no words.
    """

    words: tuple[HypothesisWord, ...]
    language: str = "en"
    mean_logprob: float = 0.0
    failure: str = ""


@runtime_checkable
class VoiceActivityDetector(Protocol):
    """Role ``vad``."""

    info: ModelInfo

    def speech(self, audio_S: Audio) -> list[Span]:
        """Ordered, disjoint spans of speech."""
        ...


@runtime_checkable
class Diarizer(Protocol):
    """Role ``diarizer``."""

    info: ModelInfo

    def diarize(self, audio_S: Audio, speech: Sequence[Span]) -> list[DiarizedSpan]:
        """Who speaks when, in time order, within the spans of `speech`; speakers are S0, S1 … by first appearance."""
        ...


@runtime_checkable
class SpeechRecognizer(Protocol):
    """Role ``asr``."""

    info: ModelInfo

    def transcribe(self, clips: Sequence[Audio]) -> list[RecognizedClip]:
        """One result per clip, in order. May pack clips into shared windows; the same list gives the same answers."""
        ...


@runtime_checkable
class EventDetector(Protocol):
    """Role ``events``."""

    info: ModelInfo

    def detect(self, audio_S: Audio) -> list[DetectedEvent]:
        """Events in order of their start; kinds may overlap."""
        ...


@runtime_checkable
class LanguageIdentifier(Protocol):
    """Role ``lid``."""

    info: ModelInfo

    def identify(self, clips: Sequence[Audio]) -> list[Mapping[str, float]]:
        """Probability by ISO 639-1 code for each clip, in order; empty for a clip of silence."""
        ...


@runtime_checkable
class ForcedAligner(Protocol):
    """Role ``aligner``."""

    info: ModelInfo

    def align(self, audio_S: Audio, words: Sequence[str]) -> list[Span | None]:
        """Where each word is said, in samples from the clip's start, in time order; None where it cannot be placed."""
        ...


@runtime_checkable
class QualityPredictor(Protocol):
    """Role ``quality``."""

    info: ModelInfo

    def rate(self, clips: Sequence[Audio]) -> list[Mapping[str, float]]:
        """Named ratings of each clip, in order; the same names for all. Empty for a clip that is too short to rate."""
        ...


@runtime_checkable
class SpeechSynthesizer(Protocol):
    """Role ``tts``."""

    info: ModelInfo
    voices: tuple[str, ...]

    def synthesize(self, text: str, voice: str, rate: float = 1.0) -> Audio:
        """Speech for one sentence, at 16 kHz.

        Args:
            rate: Speed; 1 is the voice's own, 2 about twice as fast (models keep to it within a fifth).

        Raises:
            Dropped: When the text cannot be spoken (no pronounceable word).
            UserError: When `voice` is not one of `voices`, or it cannot speak at `rate`.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class LlmRequest:
    """What a language model is asked.

    Attributes:
        instruction: What to do (the system message).
        text: What to do it with (the user's message).
        max_tokens: Longest answer; longer ones are cut there. At least 1.
        schema: JSON schema that the answer must follow, as JSON; empty: plain text.
    """

    instruction: str
    text: str
    max_tokens: int
    schema: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class LlmReply:
    """What a language model answered, and what that took.

    Attributes:
        cost: In the currency of the backend's stated prices; 0 where it states none.
    """

    text: str
    prompt_tokens: int
    answer_tokens: int
    cost: float = 0.0


@runtime_checkable
class LanguageModel(Protocol):
    """Role ``llm``: an instruction-tuned model used as a writer. Its output is never trusted unchecked.

    ``info.concurrency`` above 1 says that it waits for a server, and may be asked from as many threads at once.
    """

    info: ModelInfo

    def answers(self, requests: Sequence[LlmRequest]) -> Iterator[tuple[int, LlmReply | Dropped]]:
        """Index and answer of each request, greedy, in the order they arrive; `Dropped` for one that is refused.

        Raises:
            UserError: When no request can be answered (no server, no such model, a bad key).
            Exception: When the server fails for now: what asks may be done again later.
        """
        ...


@runtime_checkable
class TopicClassifier(Protocol):
    """Role ``topics``.

    Attributes:
        topics: Names of what it tells apart; an attribute of the class, so that a recipe is checked without loading.
    """

    info: ModelInfo
    topics: tuple[str, ...]

    def classify(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Probabilities of `topics` for each text, in order, shape [N, T]; any text gets an answer."""
        ...


@runtime_checkable
class SpeechTokenizer(Protocol):
    """Role ``speech-tokenizer``: 12.5 units a second, unit i for samples [1280 i, 1280 (i + 1))."""

    info: ModelInfo
    codebook_size: int

    def encode(self, audio_S: Audio) -> NDArray[np.uint16]:
        """Units, shape [F] with F = ceil(S / 1280)."""
        ...

    def save(self, directory: Path) -> None:
        """Writes the tokenizer; the class's `load(directory)` reads it back to give the same units."""
        ...
