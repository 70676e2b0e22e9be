"""Log-mel features on the 80 ms frame grid.

    samples   1280 i                                  1280 (i + 1)
                |----|----|----|----|----|----|----|----|        frame i: 8 hops of 160 samples (10 ms)
             [--------400--------]                               one 25 ms window around the middle of each hop

Frame i hears samples [1280 i - 120, 1280 (i + 1) + 120): 7.5 ms of its neighbours on either side, nothing further.

Shape legend: S samples; F frames of 80 ms; H hops of 10 ms, H = 8 F; M = 80 mel bins.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
from librosa.filters import mel
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.fft import rfft
from scipy.signal.windows import hann

from spelangy.core.spans import FRAME_SAMPLES, SAMPLE_RATE_HZ

NUM_MELS = 80
WINDOW_SAMPLES = 400
HOP_SAMPLES = 160
HOPS_PER_FRAME = FRAME_SAMPLES // HOP_SAMPLES
MARGIN_SAMPLES = (WINDOW_SAMPLES - HOP_SAMPLES) // 2
BLOCK_FRAMES = 256
"""Frames computed at a time: about 20 s of sound and 15 MB, whatever the recording's length."""
POWER_FLOOR = 1e-10
"""Just below the rounding noise of 16-bit audio, so that digital silence and quiet rooms lie close together."""


def num_frames(num_samples: int) -> int:
    """Frames that cover `num_samples`: ceil(S / 1280)."""
    return -(-num_samples // FRAME_SAMPLES)


def log_mel(audio_S: NDArray[np.float32]) -> NDArray[np.float32]:
    """Natural log of mel power, shape [8 F, 80]; sound beyond the signal's ends counts as zeros."""
    blocks = [block for _, block in log_mel_blocks(audio_S)]
    return np.concatenate(blocks) if blocks else np.zeros((0, NUM_MELS), dtype=np.float32)


def log_mel_blocks(audio_S: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """`log_mel` in pieces of bounded size: (first frame, features of shape [8 f, 80]) with f <= `BLOCK_FRAMES`."""
    total = num_frames(len(audio_S))
    for first in range(0, total, BLOCK_FRAMES):
        last = min(first + BLOCK_FRAMES, total)
        yield first, _log_mel_of(_with_margin(audio_S, first * FRAME_SAMPLES, last * FRAME_SAMPLES))


def _with_margin(audio_S: NDArray[np.float32], start: int, end: int) -> NDArray[np.float64]:
    low, high = start - MARGIN_SAMPLES, end + MARGIN_SAMPLES
    padded = np.zeros(high - low, dtype=np.float64)
    inside = audio_S[max(low, 0) : high]
    offset = max(-low, 0)
    padded[offset : offset + len(inside)] = inside
    return padded


def _log_mel_of(samples: NDArray[np.float64]) -> NDArray[np.float32]:
    # In float64, then rounded: blocks of another size add up in another order, and the rounding hides it.
    windows_HW = sliding_window_view(samples, WINDOW_SAMPLES)[::HOP_SAMPLES]
    power_HB = np.abs(rfft(windows_HW * _window(), axis=1)) ** 2
    mel_HM: NDArray[np.float64] = power_HB @ _filters()
    return np.log(np.maximum(mel_HM, POWER_FLOOR)).astype(np.float32)


@cache
def _window() -> NDArray[np.float64]:
    return np.asarray(hann(WINDOW_SAMPLES, sym=False), dtype=np.float64)


@cache
def _filters() -> NDArray[np.float64]:
    weights = mel(sr=SAMPLE_RATE_HZ, n_fft=WINDOW_SAMPLES, n_mels=NUM_MELS, dtype=np.float64)
    return np.ascontiguousarray(weights.T)
