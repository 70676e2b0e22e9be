"""Mel spectra as two speaker models were trained on; by numpy and torch alone, for librosa takes
seconds to import.

Shape legend: S samples at 16 kHz; T frames of 25 ms every 10 ms; M mel bands.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spelangy.backends.protocols import Audio
from spelangy.core.spans import SAMPLE_RATE_HZ

WINDOW_SAMPLES = 400
HOP_SAMPLES = 160

KALDI_FFT = 512
KALDI_PREEMPHASIS = 0.97
KALDI_FLOOR = float(np.finfo(np.float32).eps)
INT16_SCALE = 32_768.0
"""Kaldi counts in 16-bit steps; so soft speech stays above its floor."""


def mel_power(audio_S: Audio, num_bands: int = 40) -> NDArray[np.float32]:
    """Mel power without a logarithm, shape [T, M] with T = 1 + S // 160; frames are centred, zeros beyond the ends.

    Source: `librosa.feature.melspectrogram` with Slaney's scale, which GE2E's training used.
    """
    import torch

    window = torch.hann_window(WINDOW_SAMPLES)
    spectrum = torch.stft(
        torch.from_numpy(np.ascontiguousarray(audio_S, np.float32)),
        WINDOW_SAMPLES, HOP_SAMPLES, window=window, center=True, pad_mode="constant", return_complex=True,
    )  # fmt: skip
    power_TB = spectrum.abs().square().T
    return np.asarray((power_TB @ _filters("slaney", WINDOW_SAMPLES, num_bands)).numpy(), np.float32)


def kaldi_log_mel(audio_S: Audio, num_bands: int = 80) -> NDArray[np.float32]:
    """Natural log of mel power, shape [T, M] with T = 1 + (S - 400) // 160; `audio_S` has 400 samples or more.

    Source: Kaldi's compute-fbank-feats without dither: Povey window, pre-emphasis, bands from 20 Hz to 8 kHz.
    """
    import torch

    frames = torch.from_numpy(np.ascontiguousarray(audio_S, np.float32) * np.float32(INT16_SCALE))
    frames = frames.unfold(0, WINDOW_SAMPLES, HOP_SAMPLES)
    frames = frames - frames.mean(dim=1, keepdim=True)
    before = torch.cat([frames[:, :1], frames[:, :-1]], dim=1)
    povey = torch.hann_window(WINDOW_SAMPLES, periodic=False) ** 0.85
    power_TB = torch.fft.rfft((frames - KALDI_PREEMPHASIS * before) * povey, n=KALDI_FFT).abs().square()
    mel_TM = power_TB @ _filters("kaldi", KALDI_FFT, num_bands)
    return np.asarray(torch.log(torch.clamp(mel_TM, min=KALDI_FLOOR)).numpy(), np.float32)


@cache
def _filters(scale: str, num_fft: int, num_bands: int) -> Any:
    """Triangular filters as a tensor, shape [1 + num_fft // 2, M]: Kaldi's are straight in mel, Slaney's in Hz."""
    import torch

    hz_B = np.linspace(0.0, SAMPLE_RATE_HZ / 2, 1 + num_fft // 2)
    if scale == "kaldi":
        low, high = _kaldi_mel(np.array([20.0, SAMPLE_RATE_HZ / 2]))
        filters = _triangles(_kaldi_mel(hz_B), np.linspace(low, high, num_bands + 2))
    else:
        edges_hz = _slaney_hz(np.linspace(0.0, _SLANEY_TOP, num_bands + 2))
        # Slaney's bands have equal area, not equal height.
        filters = _triangles(hz_B, edges_hz) * (2.0 / (edges_hz[2:] - edges_hz[:-2]))
    return torch.from_numpy(filters.astype(np.float32))


def _triangles(at_B: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Height at `at_B` of the triangle between each three neighbouring `edges`, shape [B, M]."""
    steps = np.diff(edges)
    rising = (at_B[:, None] - edges[:-2]) / steps[:-1]
    falling = (edges[2:] - at_B[:, None]) / steps[1:]
    return np.maximum(0.0, np.minimum(rising, falling))


def _kaldi_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1127.0 * np.log1p(hz / 700.0), np.float64)


_SLANEY_TOP = 15.0 + 27.0 * np.log(8.0) / np.log(6.4)
"""8 kHz on Slaney's scale: 200/3 Hz a step up to 1 kHz, then 27 steps for a factor of 6.4."""


def _slaney_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mel < 15.0, mel * 200.0 / 3.0, 1000.0 * 6.4 ** ((mel - 15.0) / 27.0))
