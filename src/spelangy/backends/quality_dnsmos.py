"""Perceived quality of speech by DNSMOS P.835, its ONNX model run directly.

Shape legend: S samples; W = 144,160 samples (9.01 s), the model's one window.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.polynomial import Polynomial

from spelangy.backends.protocols import Audio, ModelInfo
from spelangy.backends.weights import resolve
from spelangy.core.errors import UserError
from spelangy.core.spans import SAMPLE_RATE_HZ, samples

WINDOW_S = 9.01
WINDOW_SAMPLES = samples(WINDOW_S)
MIN_CLIP_SAMPLES = samples(0.5)
"""Less is repeated eighteen times to fill a window: what it then rates is the repetition."""

_RATINGS = {
    "mos_speech": Polynomial([0.0052439, 1.22083953, -0.08397278]),
    "mos_noise": Polynomial([-0.39604546, 1.60915514, -0.13166888]),
    "mos_overall": Polynomial([0.04602535, 1.11546468, -0.06766283]),
}
"""The model's three outputs in order, and what brings each to the scale of listeners. Source: speechmos 0.0.1.1."""


class DnsmosPredictor:
    """Rates clips as listeners would, 1 to 5: the speech, the background (5: none intrudes), and the whole.

    A clip is rated as `speechmos` rates it: repeated until it fills a window, a window a second, the mean over windows.
    Give clips of 9.01 s for one run of the model each (about 0.35 s of one core); of noisy tunes and singing the
    ratings mean little, the model was trained on speech.

    Args:
        threads: Threads of the model.
        path: Weights to take instead of the pinned ones.

    Raises:
        UserError: When the weights are not there, or `threads` is no number of threads.

    Source: Reddy et al. 2022, arXiv:2110.01763.
    """

    def __init__(self, *, threads: int = 1, path: str | Path | None = None) -> None:
        if threads < 1:
            raise UserError(f"DnsmosPredictor: threads={threads}", hint="give 1 or more")
        weights = resolve("dnsmos-p835", path=path)
        self.info = weights.info("quality")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        (model_path,) = weights.files.values()
        self._session = onnxruntime.InferenceSession(str(model_path), options, providers=["CPUExecutionProvider"])

    @classmethod
    def describe(cls, *, path: str | Path | None = None, allow_network: bool = False, **_options: object) -> ModelInfo:
        """Which model this would be with these options; nothing is loaded."""
        return resolve("dnsmos-p835", path=path, allow_network=allow_network).info("quality")

    def rate(self, clips: Sequence[Audio]) -> list[Mapping[str, float]]:
        """`mos_speech`, `mos_noise` and `mos_overall` of each clip, in order; nothing for clips under half a second."""
        return [self._rate_clip(clip) if clip.size >= MIN_CLIP_SAMPLES else {} for clip in clips]

    def _rate_clip(self, clip: Audio) -> dict[str, float]:
        raw = np.array([self._session.run(None, {"input_1": window[None]})[0][0] for window in _windows(clip)])
        return {name: float(scale(raw[:, i]).mean()) for i, (name, scale) in enumerate(_RATINGS.items())}


def _windows(clip: Audio) -> Iterator[Audio]:
    """The windows of a clip, one a second; a short clip is doubled until it fills one."""
    audio_S = np.clip(clip, -1.0, 1.0).astype(np.float32)
    while audio_S.size < WINDOW_SAMPLES:
        audio_S = np.concatenate([audio_S, audio_S])
    num_windows = int(audio_S.size // SAMPLE_RATE_HZ - WINDOW_S) + 1
    for second in range(num_windows):
        # Published ratings leave out a window that floating point makes one sample short, and so do these: the mean is
        # the same to the last digit.
        window = audio_S[second * SAMPLE_RATE_HZ : int((second + WINDOW_S) * SAMPLE_RATE_HZ)]
        if window.size == WINDOW_SAMPLES:
            yield window
