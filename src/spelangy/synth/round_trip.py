"""Spoken sentences heard again: is what a voice said what the text says?

text ──voice──> sound ──ASR──> what was heard ──┐
  └──────────── both normalised ────────────────┴──> word error rate

The rate bounds two machines' errors together: a name that the ASR does not know counts against the voice. It tells a
voice that stumbles from one that does not; it is no measure of the text.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import jiwer
from whisper_normalizer.english import EnglishTextNormalizer

from spelangy.backends.load import create
from spelangy.backends.protocols import Audio, RecognizedClip, SpeechRecognizer
from spelangy.core.errors import Dropped
from spelangy.synth.config import RoundTripSettings


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What the ASR heard of a sentence; `wer` is in errors a word of the text, and above 1 where much was added."""

    text: str
    wer: float


class RoundTrip:
    """The ASR that listens; loaded once per process."""

    def __init__(self, settings: RoundTripSettings) -> None:
        self.settings = settings
        self.asr: SpeechRecognizer = create("asr", settings.asr)

    def hear(self, texts: Sequence[str], clips: Sequence[Audio]) -> list[Heard | Dropped]:
        """What was heard of each text, in order; ``not heard`` where the ASR failed. One call, so clips share windows.

        Args:
            clips: Sound of each text, clean, shape [S] each.
        """
        if not clips:
            return []
        return [_compared(text, clip) for text, clip in zip(texts, self.asr.transcribe(clips), strict=True)]

    def refusal(self, tries: Sequence[Heard]) -> Dropped:
        """Why a sentence is left out that no voice said well enough; its value is that of the best."""
        best = min(tries, key=lambda heard: heard.wer)
        return Dropped(
            "round trip",
            value=best.wer,
            threshold=self.settings.max_wer,
            detail=f"voices tried: {len(tries)}; heard at best: {best.text}"[:500],
        )


def _compared(text: str, clip: RecognizedClip) -> Heard | Dropped:
    if clip.failure:
        return Dropped("not heard", detail=clip.failure)
    heard = " ".join(word.text for word in clip.words)
    return Heard(text=heard, wer=word_error_rate(text, heard))


def word_error_rate(text: str, heard: str) -> float:
    """Substitutions, insertions and deletions a word of `text`, both sides after OpenAI's English normaliser.

    So case, punctuation, spelled-out numbers, British spellings and fillers ("hmm") do not count; a compound written
    apart ("honey bee") does. Where no word of `text` is left to compare: 1 when something was heard, else 0.
    """
    said, got = normalised(text), normalised(heard)
    if not said:
        return 1.0 if got else 0.0
    return float(jiwer.wer(said, got))


def normalised(text: str) -> str:
    """`text` as word error rates compare it."""
    return " ".join(_normaliser()(text).split())


@cache
def _normaliser() -> Callable[[str], str]:
    normaliser: Callable[[str], str] = EnglishTextNormalizer()
    return normaliser
