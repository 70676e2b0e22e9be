"""Speech recognition by any server with OpenAI's ``/v1/audio/transcriptions``: a request a clip, several at a time.

clips ──FLAC──> POST /audio/transcriptions (verbose_json; words and segments) ──> words, times, log-probabilities
"""

import io
import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import soundfile

from spelangy.backends.asr_clips import fit, is_silence, loud_span, spread
from spelangy.backends.protocols import Audio, ModelInfo, RecognizedClip
from spelangy.core.errors import UserError
from spelangy.core.records import HypothesisWord
from spelangy.core.spans import SAMPLE_RATE_HZ, samples

MIN_CLIP_SAMPLES = samples(0.1)
"""Servers refuse what is shorter. Source: OpenAI's own limit."""

LANGUAGE_NAMES = {
    "arabic": "ar", "chinese": "zh", "dutch": "nl", "english": "en", "french": "fr", "german": "de", "hindi": "hi",
    "italian": "it", "japanese": "ja", "korean": "ko", "polish": "pl", "portuguese": "pt", "russian": "ru",
    "spanish": "es", "swedish": "sv", "turkish": "tr", "ukrainian": "uk",
}  # fmt: skip
"""Some servers name the language in English, others by its code."""


class OpenAiRecognizer:
    """Sends clips to a server; words keep the server's times and, where it gives them, its probabilities.

    A word's confidence is the server's own where it has one, else that of its segment, else 1. A server without word
    times has its text spread over the clip's speech (`is_timed` is False). A request is tried again after a pause that
    doubles (the client's own rule), for errors that may pass. One that fails for good costs its clip, whose `failure`
    says why, and not the others; when no clip of a call could be heard, the call fails with the first error.

    A server is asked again for the same clip when a step is run again; whether it gives the same answer is its affair.

    Args:
        model: As the server names it.
        base_url: Root of the API, ``https://host/v1``.
        revision: What the server runs, for the lineage: raise it when its model changes.
        api_key_variable: Environment variable that holds the key; where it is not set, none is sent.
        language: Spoken language; None lets the server find it.
        concurrency: Requests in flight at once.
        max_retries: Tries after the first one.
        timeout_s: Limit of one try.

    Raises:
        UserError: When the client is not installed or an option is no number that works.
    """

    circumstances = frozenset({"base_url", "api_key_variable", "concurrency", "max_retries", "timeout_s"})
    """Options that decide no answer."""

    def __init__(
        self,
        *,
        model: str,
        base_url: str,
        revision: str = "server",
        api_key_variable: str = "OPENAI_API_KEY",
        language: str | None = "en",
        concurrency: int = 4,
        max_retries: int = 4,
        timeout_s: float = 120.0,
    ) -> None:
        if concurrency < 1 or max_retries < 0 or timeout_s <= 0:
            raise UserError(
                f"concurrency={concurrency}, max_retries={max_retries}, timeout_s={timeout_s}",
                hint="concurrency and timeout_s are above 0, max_retries 0 or more",
            )
        self.info = self.describe(model=model, base_url=base_url, revision=revision)
        try:
            from openai import OpenAI
        except ImportError as error:
            raise UserError("the OpenAI client is not installed", hint="pip install 'spelangy[openai]'") from error
        self._client = OpenAI(
            base_url=base_url,
            api_key=os.environ.get(api_key_variable) or "none",
            max_retries=max_retries,
            timeout=timeout_s,
        )
        self.model = model
        self.language = language
        self.concurrency = concurrency

    @classmethod
    def describe(cls, *, model: str, base_url: str, revision: str = "server", **_options: object) -> ModelInfo:
        """Which model this would be with these options; the server is not asked."""
        return ModelInfo(role="asr", name=model, revision=revision, licence="the server's", origin=f"server {base_url}")

    def transcribe(self, clips: Sequence[Audio]) -> list[RecognizedClip]:
        """One result per clip, in order.

        Raises:
            openai.OpenAIError: When no clip with sound could be heard.
        """
        with ThreadPoolExecutor(self.concurrency) as pool:
            answers = list(pool.map(self._ask, clips))
        failures = [answer for answer in answers if isinstance(answer, Exception)]
        if failures and not any(isinstance(answer, RecognizedClip) and answer.words for answer in answers):
            raise failures[0]
        return [self._failed(answer) if isinstance(answer, Exception) else answer for answer in answers]

    def _failed(self, error: Exception) -> RecognizedClip:
        return RecognizedClip(words=(), language=self.language or "en", failure=f"{type(error).__name__}: {error}")

    def _ask(self, clip: Audio) -> RecognizedClip | Exception:
        from openai import OpenAIError

        if is_silence(clip) or clip.size < MIN_CLIP_SAMPLES:
            return RecognizedClip(words=(), language=self.language or "en")
        try:
            answer: Any = self._client.audio.transcriptions.create(
                model=self.model,
                file=("clip.flac", _flac(clip), "audio/flac"),
                response_format="verbose_json",
                timestamp_granularities=["word", "segment"],
                temperature=0.0,
                **({"language": self.language} if self.language else {}),
            )
        except OpenAIError as error:
            failure: Exception = error
            return failure
        return _recognized(answer.model_dump(), clip, self.language)


def _flac(clip: Audio) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, clip, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def _recognized(answer: dict[str, Any], clip: Audio, language: str | None) -> RecognizedClip:
    segments = answer.get("segments") or []
    logprobs = [float(segment["avg_logprob"]) for segment in segments if segment.get("avg_logprob") is not None]
    mean = min(0.0, math.fsum(logprobs) / max(1, len(logprobs)))
    if answer.get("words"):
        words = list(_timed(answer["words"], segments))
    else:
        words = spread((answer.get("text") or "").split(), loud_span(clip), confidence=math.exp(mean))
    named = str(answer.get("language") or language or "en").lower()
    return RecognizedClip(words=fit(words, clip.size), language=LANGUAGE_NAMES.get(named, named), mean_logprob=mean)


def _timed(words: Sequence[dict[str, Any]], segments: Sequence[dict[str, Any]]) -> Iterator[HypothesisWord]:
    for word in words:
        yield HypothesisWord(
            text=str(word["word"]),
            start=max(0, samples(word["start"])),
            end=max(0, samples(word["end"])),
            confidence=_confidence(word, segments),
            is_timed=True,
        )


def _confidence(word: dict[str, Any], segments: Sequence[dict[str, Any]]) -> float:
    for key in ("probability", "confidence"):
        if word.get(key) is not None:
            return float(word[key])
    middle = (word["start"] + word["end"]) / 2
    for segment in segments:
        if segment["start"] <= middle <= segment["end"] and segment.get("avg_logprob") is not None:
            return math.exp(min(0.0, float(segment["avg_logprob"])))
    return 1.0
