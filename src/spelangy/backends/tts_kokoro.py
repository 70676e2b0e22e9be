"""Role ``tts``: Kokoro-82M (int8 ONNX) with its five Japanese voices, made to speak English."""

import json
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnxruntime
from hibari.g2p import G2P

from spelangy.backends.protocols import Audio, ModelInfo
from spelangy.backends.speaking import check_rate, check_voice, finished, phoneme_pieces, spoken_text
from spelangy.backends.weights import ResolvedWeights, resolve

SAMPLE_RATE_HZ = 24_000
MAX_PHONEMES = 500
"""Longest input of one pass: a voice has 510 style vectors, one for each input length, and long inputs end hurried."""


class KokoroSynthesizer:
    """Kokoro-82M fed with hibari's English phonemes (both use the misaki alphabet).

    The voices are Kokoro's *Japanese* styles: four female (``jf_``) and one male (``jm_``), who speak English with a
    Japanese voice's rhythm and timbre. Text is read as `speaking.spoken_text` says; sentences are spoken one by one,
    those above `MAX_PHONEMES` in pieces split at punctuation.

    Args:
        threads: onnxruntime's threads; another number may change the last bits of the sound.
        path: Directory with the weights instead of the installed packages'.

    Raises:
        UserError: When the weights are missing or not the pinned ones.
    """

    voices: tuple[str, ...] = ("jf_alpha", "jf_gongitsune", "jf_nezumi", "jf_tebukuro", "jm_kumo")

    def __init__(self, *, threads: int = 1, path: str | Path | None = None) -> None:
        weights = resolve("kokoro-82m-int8", path=path)
        self.info = _info(weights)
        self._session = _session(weights.files["kokoro-v1.0.int8.onnx"], threads)
        self._ids: dict[str, int] = json.loads(weights.files["vocab.json"].read_text(encoding="utf-8"))["vocab"]
        with np.load(weights.files["voices_ja.npz"]) as styles:
            self._styles = {voice: styles[voice] for voice in self.voices}
        self._g2p = G2P()

    @classmethod
    def describe(cls, *, path: str | Path | None = None, allow_network: bool = False, **_options: object) -> ModelInfo:
        """Which model this would be with these options; nothing is loaded."""
        return _info(resolve("kokoro-82m-int8", path=path, allow_network=allow_network))

    def synthesize(self, text: str, voice: str, rate: float = 1.0) -> Audio:
        """Speech at 16 kHz, shape [S]; see `SpeechSynthesizer.synthesize`."""
        check_voice(voice, self.voices, "kokoro")
        check_rate(rate, "kokoro")
        pieces = phoneme_pieces(self._g2p, spoken_text(text), MAX_PHONEMES)
        return finished([self._speak(phonemes, voice, rate) for phonemes in pieces], SAMPLE_RATE_HZ)

    def _speak(self, phonemes: str, voice: str, rate: float) -> Audio:
        ids = [self._ids[symbol] for symbol in phonemes if symbol in self._ids]
        inputs = {
            "tokens": np.array([[0, *ids, 0]], np.int64),
            "style": self._styles[voice][len(ids) - 1],
            "speed": np.array([rate], np.float32),
        }
        (audio,) = self._session.run(None, inputs)
        return np.asarray(audio, np.float32)


def _info(weights: ResolvedWeights) -> ModelInfo:
    """The phonemes are hibari's, so its version decides the sound, too."""
    info = weights.info("tts")
    return replace(info, revision=f"{info.revision}, hibari-tts {version('hibari-tts')}")


def _session(model: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
