"""One pass over a recording's samples, into frames small enough to keep for hours: what `curate.sound` measures from.

    samples   |....... 320 ......|....... 320 ......|        one cell: 20 ms; energy, K-weighted energy, clipped samples
    spectrum  |------ 512 ------|···|------ 512 ------|      one spectrum every 640 samples (40 ms), in bands of 125 Hz

Shape legend: S samples; C cells; F spectra; B bands. Three hours take about 75 MB.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spelangy.core.spans import SAMPLE_RATE_HZ, Span

CELL_SAMPLES = 320
SPECTRUM_HOP_SAMPLES = 640
FFT_SAMPLES = 512
NUM_BANDS = 64
BAND_HZ = SAMPLE_RATE_HZ / 2 / NUM_BANDS
BLOCK_SAMPLES = 60 * SAMPLE_RATE_HZ
"""What is read at once; a whole number of cells, of spectra and of clipping windows."""

CLIPPING_WINDOW_SAMPLES = 10 * SAMPLE_RATE_HZ
"""Full scale is looked for anew every 10 s: long enough for peaks to pile up, short enough for a change of gain."""

MIN_CLIPPED_RUN = 3
"""A peak that was not cut seldom stays within half a per cent of itself for three samples."""

_NUM_LEVELS = 200
_LEVELS_BENEATH = 10
"""Levels of half a per cent of the peak; a level is compared with the ten under it and its two neighbours."""
_PILE_UP_RATIO = 5.0
"""How far the fullest level must stand above the levels under it; a sine's own crest reaches 3."""
_MIN_PILE_UP = 25
_OVERSHOOT = 0.1
"""How far a filter behind the cut lifts the corners of what was cut. Source: Gibbs; 9 % of a step."""

# The two stages of BS.1770's K-weighting commute: the high-pass comes first, for it takes rumble and offset out of all
# energies, and the shelf, which only loudness wants, after it. Gain in dB, Q, frequency in Hz, kind: as in pyloudnorm.
_HIGH_PASS = (0.0, 0.5, 38.0, "high_pass")
_SHELF = (4.0, 1 / np.sqrt(2), 1500.0, "high_shelf")
_WINDOW = np.hanning(FFT_SAMPLES + 1)[:-1].astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class SoundFrames:
    """A recording in frames.

    Attributes:
        energy_C: Mean square above 38 Hz.
        weighted_C: Mean square after K-weighting (BS.1770).
        clipped_C: Number of clipped samples.
        power_FB: Mean power per bin of each band.
        num_samples: Of the recording; the last cell is padded with silence.
    """

    energy_C: NDArray[np.float32]
    weighted_C: NDArray[np.float32]
    clipped_C: NDArray[np.uint16]
    power_FB: NDArray[np.float32]
    num_samples: int

    def cells(self, span: Span) -> slice:
        """The cells that `span` touches, at least one."""
        return _frames(span, CELL_SAMPLES, self.energy_C.size)

    def spectra(self, span: Span) -> slice:
        """The spectra that start within `span`, at least one."""
        return _frames(span, SPECTRUM_HOP_SAMPLES, len(self.power_FB))


def _frames(span: Span, hop: int, num_frames: int) -> slice:
    first = min(span.start // hop, num_frames - 1)
    return slice(first, max(first + 1, min(-(-span.end // hop), num_frames)))


def frame_sound(blocks: Iterable[NDArray[np.float32]]) -> SoundFrames:
    """Frames of a recording that is read block by block, each block `BLOCK_SAMPLES` long but the last.

    Raises:
        ValueError: When there is no sample.
    """
    high_pass, shelf = _Biquad(*_HIGH_PASS), _Biquad(*_SHELF)
    energy, weighted, clipped, power = [], [], [], []
    num_samples = 0
    for block_S in blocks:
        num_samples += block_S.size
        passed_S = high_pass(block_S)
        energy.append(_mean_squares(passed_S))
        weighted.append(_mean_squares(shelf(passed_S)))
        clipped.append(clipped_per_cell(block_S))
        power.append(_band_powers(block_S))
    return SoundFrames(
        energy_C=np.concatenate(energy),
        weighted_C=np.concatenate(weighted),
        clipped_C=np.concatenate(clipped),
        power_FB=np.concatenate(power),
        num_samples=num_samples,
    )


class _Biquad:
    """A second-order filter that carries its state from block to block."""

    def __init__(self, gain_db: float, q: float, centre_hz: float, kind: str) -> None:
        # scipy.signal takes a second to import: whoever only plans a run should not wait for it.
        from pyloudnorm import IIRfilter
        from scipy.signal import sosfilt

        design = IIRfilter(gain_db, q, centre_hz, SAMPLE_RATE_HZ, kind)
        self.sos = np.concatenate([design.b, design.a])[None]
        self.state = np.zeros((1, 2))
        self._sosfilt = sosfilt

    def __call__(self, block_S: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.float64]:
        filtered_S: NDArray[np.float64]
        filtered_S, self.state = self._sosfilt(self.sos, block_S.astype(np.float64, copy=False), zi=self.state)
        return filtered_S


def _mean_squares(samples_S: NDArray[np.float64]) -> NDArray[np.float32]:
    cells = np.pad(samples_S, (0, -samples_S.size % CELL_SAMPLES)).reshape(-1, CELL_SAMPLES)
    return np.asarray(np.einsum("cs,cs->c", cells, cells) / CELL_SAMPLES, np.float32)


def _band_powers(block_S: NDArray[np.float32]) -> NDArray[np.float32]:
    num_frames = -(-block_S.size // SPECTRUM_HOP_SAMPLES)
    padded = np.pad(block_S, (0, num_frames * SPECTRUM_HOP_SAMPLES - block_S.size))
    frames = padded.reshape(num_frames, SPECTRUM_HOP_SAMPLES)[:, :FFT_SAMPLES] * _WINDOW
    spectrum = np.fft.rfft(frames, axis=1)[:, : FFT_SAMPLES // 2]
    power = (spectrum.real**2 + spectrum.imag**2).reshape(num_frames, NUM_BANDS, -1).mean(axis=2)
    return np.asarray(power, np.float32)


# ---------------------------------------------------------------------------------------------------------- clipping


def clipped_per_cell(block_S: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Number of clipped samples in each cell of a block, both polarities, shape [C]."""
    is_clipped = np.zeros(block_S.size + (-block_S.size % CELL_SAMPLES), np.bool_)
    for start in range(0, block_S.size, CLIPPING_WINDOW_SAMPLES):
        window_S = block_S[start : start + CLIPPING_WINDOW_SAMPLES]
        for side_S in (window_S, -window_S):
            is_clipped[start : start + window_S.size] |= clipped_samples(side_S)
    return np.asarray(is_clipped.reshape(-1, CELL_SAMPLES).sum(axis=1), np.uint16)


def clipped_samples(side_S: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which samples of one polarity were cut off: those of the level where peaks pile up, in runs; shape [S]."""
    band = clipping_band(side_S)
    if band is None:
        return np.zeros(side_S.size, np.bool_)
    is_level_S = (side_S >= band[0]) & (side_S <= band[1])
    in_runs_S = _in_runs((side_S >= band[0]) & (side_S <= band[1] * (1 + _OVERSHOOT)))
    # A tone in step with the sample rate comes back to the same few values; it does not stay on them.
    stays = np.count_nonzero(is_level_S & in_runs_S) >= np.count_nonzero(is_level_S) / 2
    return in_runs_S if stays else np.zeros(side_S.size, np.bool_)


def clipping_band(side_S: NDArray[np.float32]) -> tuple[float, float] | None:
    """The level at which the peaks of one polarity pile up (lowest, highest sample), or None where they do not.

    Peaks that were cut pile up at one level, whatever gain came after; peaks that were not thin out upwards. The level
    may lie below the highest sample: something louder was not cut, or a filter behind the cut lets corners overshoot.
    """
    peak = float(side_S.max())
    if peak <= 0:
        return None
    counts_L = np.bincount((side_S[side_S > 0] * (_NUM_LEVELS / peak)).astype(np.int64), minlength=_NUM_LEVELS + 1)
    counts_L[-2] += counts_L[-1]  # the peak itself
    sums_L = np.concatenate([[0], np.cumsum(counts_L[:-1])])
    tops = np.arange(_LEVELS_BENEATH + 2, _NUM_LEVELS)
    pile = sums_L[np.minimum(tops + 2, _NUM_LEVELS)] - sums_L[tops - 1]
    beneath = (sums_L[tops - 2] - sums_L[tops - 2 - _LEVELS_BENEATH]) / _LEVELS_BENEATH
    is_pile = (pile >= _MIN_PILE_UP) & (pile >= 3 * _PILE_UP_RATIO * beneath)
    if not is_pile.any():
        return None
    fullest = int(np.argmax(np.where(is_pile, pile, 0)))
    low = int(tops[fullest]) - 1
    while low > 0 and counts_L[low - 1] > 2 * beneath[fullest]:
        low -= 1  # what a filter behind the cut spread downwards
    return low * peak / _NUM_LEVELS, (int(tops[fullest]) + 2) * peak / _NUM_LEVELS


def _in_runs(is_high_S: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keeps the runs of at least `MIN_CLIPPED_RUN`."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_high_S, [False]]).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    long = ends - starts >= MIN_CLIPPED_RUN
    steps = np.zeros(is_high_S.size + 1, np.int8)
    steps[starts[long]] = 1
    steps[ends[long]] = -1
    return np.cumsum(steps[:-1], dtype=np.int8).astype(np.bool_)
