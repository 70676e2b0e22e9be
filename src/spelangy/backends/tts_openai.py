"""Speech synthesis by any server with OpenAI's ``/v1/audio/speech``: a request a sentence.

sentence ──POST /audio/speech (model, voice, speed)──> WAV or FLAC, no longer than allowed ──> 16 kHz, trimmed
"""

import io
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from spelangy.backends.protocols import Audio, ModelInfo
from spelangy.backends.speaking import check_rate, check_voice, finished, spoken_text
from spelangy.core.errors import Dropped, UserError

if TYPE_CHECKING:
    from openai import APIStatusError

SERVER_FAILED = "speech server failed"

REFUSES_ALL = (401, 403, 404, 405, 429)
"""Answers that the next sentence would get, too: key, path, model, quota. Source: RFC 9110; 429: RFC 6585."""


class OpenAiSynthesizer:
    """Sends sentences to a server, one at a time in each process, and takes the sound as it comes.

    A request is tried again after a pause that doubles (the client's own rule), for errors that may pass. A sentence
    that the server refuses, cannot finish in time or answers with what is no sound is dropped as ``speech server
    failed``. When the server is gone, or refuses the key, the model or any more requests, the run stops: what was
    spoken is kept, and the next run goes on from there. Text is read as `speaking.spoken_text` says.

    A server is asked again for the same sentence when a step is run again; whether it sounds the same is its affair.

    Args:
        model: As the server names it.
        base_url: Root of the API, ``https://host/v1``.
        voices: The server's voices that a recipe may choose from.
        revision: What the server runs, for the lineage: raise it when its model changes.
        api_key_variable: Environment variable that holds the key; where it is not set, none is sent.
        response_format: ``wav``, or ``flac`` where the way is slow.
        max_retries: Tries after the first one.
        timeout_s: Limit of one try: until the answer begins, and again until it ends.
        max_answer_mb: Longest answer taken: 40 MB is seven minutes of 48 kHz WAV.

    Raises:
        UserError: When the client is not installed or an option is no value that works.
    """

    def __init__(
        self,
        *,
        model: str,
        base_url: str,
        voices: Sequence[str],
        revision: str = "server",
        api_key_variable: str = "OPENAI_API_KEY",
        response_format: Literal["wav", "flac"] = "wav",
        max_retries: int = 4,
        timeout_s: float = 120.0,
        max_answer_mb: float = 40.0,
    ) -> None:
        _check_numbers(max_retries, timeout_s, max_answer_mb)
        _check_choices(voices, response_format)
        self.info = self.describe(model=model, base_url=base_url, revision=revision)
        self.voices = tuple(voices)
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
        self._base_url = base_url
        self._response_format = response_format
        self._timeout_s = timeout_s
        self._max_answer_bytes = int(max_answer_mb * 2**20)

    @classmethod
    def describe(cls, *, model: str, base_url: str, revision: str = "server", **_options: object) -> ModelInfo:
        """Which model this would be with these options; the server is not asked."""
        return ModelInfo(
            role="tts",
            name=model,
            revision=f"{model} {revision}",
            licence="the server's",
            origin=f"server {base_url}",
        )

    def synthesize(self, text: str, voice: str, rate: float = 1.0) -> Audio:
        """Speech at 16 kHz, shape [S]; see `SpeechSynthesizer.synthesize`.

        Raises:
            Dropped: Also ``speech server failed``, with what it said.
            UserError: Also when the server is gone, or would refuse every sentence.
        """
        check_voice(voice, self.voices, self.info.name)
        check_rate(rate, self.info.name)
        audio_SC, sample_rate_hz = _decoded(self._answer(spoken_text(text), voice, rate))
        return finished([audio_SC.mean(axis=1)], sample_rate_hz)

    def _answer(self, text: str, voice: str, rate: float) -> bytes:
        from openai import APIConnectionError, APIStatusError, APITimeoutError

        asked: dict[str, Any] = {"model": self.info.name, "voice": voice, "input": text}
        if rate != 1.0:
            asked["speed"] = rate
        try:
            with self._client.audio.speech.with_streaming_response.create(
                **asked, response_format=self._response_format
            ) as response:
                return _received(response.iter_bytes(), self._max_answer_bytes, self._timeout_s)
        except APITimeoutError as error:
            raise Dropped(SERVER_FAILED, detail="it did not answer in time") from error
        except APIConnectionError as error:
            raise UserError(
                f"no answer from {self._base_url}: {error}", hint="start the speech server, then run again"
            ) from error
        except APIStatusError as error:
            raise _refusal(error, self._base_url) from error


def _refusal(error: "APIStatusError", base_url: str) -> Exception:
    if error.status_code in REFUSES_ALL:
        return UserError(
            f"{base_url} refuses: {error}", hint="check key, address, model and quota; what was spoken is kept"
        )
    return Dropped(SERVER_FAILED, value=float(error.status_code), detail=str(error)[:500])


def _received(blocks: Iterable[bytes], max_bytes: int, timeout_s: float) -> bytes:
    answer = bytearray()
    started_s = time.monotonic()
    for block in _unbroken(blocks):
        answer += block
        if time.monotonic() - started_s > timeout_s:
            raise Dropped(SERVER_FAILED, detail="its answer did not end in time")
        if len(answer) > max_bytes:
            raise Dropped(SERVER_FAILED, value=len(answer), threshold=max_bytes, detail="its answer is too long")
    return bytes(answer)


def _unbroken(blocks: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from blocks
    except Exception as error:  # of the HTTP library's own, and the client's releases differ in which one that is
        raise Dropped(SERVER_FAILED, detail=f"{type(error).__name__}: {error}") from error


def _decoded(answer: bytes) -> tuple[NDArray[np.float32], int]:
    """Sound of shape [samples, channels], and its sample rate."""
    try:
        audio_SC, sample_rate_hz = soundfile.read(io.BytesIO(answer), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise Dropped(SERVER_FAILED, detail=f"no sound: {error}; it begins {answer[:40]!r}") from error
    if not np.isfinite(audio_SC).all():
        raise Dropped(SERVER_FAILED, detail="its sound is not finite")
    return audio_SC, sample_rate_hz


def _check_numbers(max_retries: int, timeout_s: float, max_answer_mb: float) -> None:
    if max_retries < 0 or timeout_s <= 0 or max_answer_mb <= 0:
        raise UserError(
            f"max_retries={max_retries}, timeout_s={timeout_s}, max_answer_mb={max_answer_mb}",
            hint="max_retries is 0 or more, the others above 0",
        )


def _check_choices(voices: Sequence[str], response_format: str) -> None:
    if not voices or isinstance(voices, str):
        raise UserError(f"voices of a speech server are {voices!r}", hint='a list: voices = ["alloy", "nova"]')
    if response_format not in ("wav", "flac"):
        raise UserError(f"response_format is {response_format!r}", hint="wav or flac")
