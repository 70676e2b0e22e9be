"""Role ``tts``: hibari, a small English voice that speaks a hundred times faster than real time on one core."""

from pathlib import Path

import numpy as np
from hibari import SAMPLE_RATE, Hibari

from spelangy.backends.protocols import Audio, ModelInfo
from spelangy.backends.speaking import check_rate, check_voice, finished, phoneme_pieces, spoken_text
from spelangy.backends.weights import resolve
from spelangy.core.random import stream

MAX_PHONEMES = 400
"""Longest input of one pass. Source: `hibari.tts.MAX_PHONEMES`."""


class HibariSynthesizer:
    """hibari's bundled voice "heart" (American English, female), with its own phonemizer and 24 kHz vocoder.

    The vocoder draws noise; its stream belongs to the phonemes, so a text sounds the same in every process. Text is
    read as `speaking.spoken_text` says; sentences are spoken one by one, those above `MAX_PHONEMES` in pieces.

    Args:
        threads: onnxruntime's threads for the voice (its net for unknown words always takes one).
        path: Directory with the weights instead of the installed package's.

    Raises:
        UserError: When the weights are missing or are not the pinned ones.
    """

    voices: tuple[str, ...] = ("heart",)

    def __init__(self, *, threads: int = 1, path: str | Path | None = None) -> None:
        weights = resolve("hibari", path=path)
        self.info = weights.info("tts")
        self._hibari = Hibari(model=str(weights.files["hibari.onnx"]), threads=threads)

    @classmethod
    def describe(cls, *, path: str | Path | None = None, allow_network: bool = False, **_options: object) -> ModelInfo:
        """Which model this would be with these options; nothing is loaded."""
        return resolve("hibari", path=path, allow_network=allow_network).info("tts")

    def synthesize(self, text: str, voice: str, rate: float = 1.0) -> Audio:
        """Speech at 16 kHz, shape [S]; see `SpeechSynthesizer.synthesize`."""
        check_voice(voice, self.voices, "hibari")
        check_rate(rate, "hibari")
        pieces = phoneme_pieces(self._hibari.g2p, spoken_text(text), MAX_PHONEMES)
        return finished([self._speak(phonemes, rate) for phonemes in pieces], SAMPLE_RATE)

    def _speak(self, phonemes: str, rate: float) -> Audio:
        ids = self._hibari.ids(phonemes)
        return np.asarray(self._hibari.from_ids(ids, rate, stream(0, "tts.hibari", phonemes)), np.float32)
