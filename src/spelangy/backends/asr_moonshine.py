"""Speech recognition by Moonshine tiny (English), the library's own runtime."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spelangy.backends.asr_clips import fit, is_silence, loud_span, spread
from spelangy.backends.protocols import Audio, ModelInfo, RecognizedClip
from spelangy.backends.weights import resolve
from spelangy.core.errors import UserError
from spelangy.core.spans import samples

MIN_CLIP_SAMPLES = samples(0.5)
"""The encoder fails below 0.1 s; what lies between is too little context to be heard as a word."""

OPTIONS = {"vad_threshold": "0.0", "identify_speakers": "false", "return_audio_data": "false"}
"""Clips are speech already: a second VAD inside would drop some of it."""


class MoonshineRecognizer:
    """One pass per clip, each independent of the others. Made for clips of up to 30 s.

    Gives no word times and no confidences: words are spread over the clip's speech by their characters (`is_timed` is
    False) and carry confidence 1. A clip of digital silence has no words (the model would say "You").

    Args:
        threads: Kept so that all recognisers take the same options: the library's runtime offers no choice and uses the
            physical cores, whatever is asked.
        path: Directory with the model's files, to take instead of the pinned ones.

    Raises:
        UserError: When the weights are not there, or `threads` is no number of threads.

    Source: Jeffries et al. 2024, arXiv:2410.15608.
    """

    def __init__(self, *, threads: int = 1, path: str | Path | None = None) -> None:
        if threads < 1:
            raise UserError(f"MoonshineRecognizer: threads={threads}", hint="give 1 or more")
        weights = resolve("moonshine-tiny-en", path=path)
        self.info = weights.info("asr")
        # The package imports sounddevice and download code: seconds that only users of this model should pay.
        from moonshine_voice.moonshine_api import ModelArch
        from moonshine_voice.transcriber import Transcriber

        self._transcriber = Transcriber(weights.directory, ModelArch.TINY, options=OPTIONS)

    @classmethod
    def describe(cls, *, path: str | Path | None = None, allow_network: bool = False, **_options: object) -> ModelInfo:
        """Which model this would be with these options; nothing is loaded."""
        return resolve("moonshine-tiny-en", path=path, allow_network=allow_network).info("asr")

    def transcribe(self, clips: Sequence[Audio]) -> list[RecognizedClip]:
        """One result per clip, in order."""
        return [self._transcribe_clip(clip) for clip in clips]

    def _transcribe_clip(self, clip: Audio) -> RecognizedClip:
        if is_silence(clip):
            return RecognizedClip(words=())
        padded = np.pad(clip, (0, max(0, MIN_CLIP_SAMPLES - clip.size)))
        lines = self._transcriber.transcribe_without_streaming(np.ascontiguousarray(padded, np.float32)).lines
        texts = [text for line in lines for text in line.text.split()]
        return RecognizedClip(words=fit(spread(texts, loud_span(clip)), clip.size))
