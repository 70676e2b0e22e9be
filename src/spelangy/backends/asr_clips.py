"""Clips in and out of a recogniser: packing several into one window, and fitting what was heard back into its clip.

Shape legend: S samples at 16 kHz.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import numpy as np

from spelangy.backends.protocols import Audio
from spelangy.core.records import HypothesisWord
from spelangy.core.spans import SAMPLE_RATE_HZ, Span

SILENCE_PEAK = 1e-4
"""-80 dBFS: below the noise of any microphone, so digital silence. Recognisers invent words for it."""

LOUD_FRAME_SAMPLES = SAMPLE_RATE_HZ // 50
LOUD_RANGE_DB = 35.0
"""Speech lies within 35 dB of its loudest 20 ms; what is softer at the ends of a clip is room."""


@dataclass(frozen=True, kw_only=True)
class PlacedClip:
    """Clip number `index` of a call lies at `span` of its window."""

    index: int
    span: Span


Window = tuple[PlacedClip, ...]


def is_silence(audio_S: Audio) -> bool:
    """Whether a clip holds nothing, or digital silence."""
    return not audio_S.size or float(np.abs(audio_S).max()) < SILENCE_PEAK


def pack(lengths: Sequence[int], *, window_samples: int, gap_samples: int) -> list[Window]:
    """Fills as few windows as it can with clips: a recogniser that pads what it hears pays for windows, not for sound.

    Clips go longest first, each into the fullest window that has room (best-fit decreasing); where filling windows in
    the order given needs no more of them, that is taken, for neighbours belong together. Within a window clips keep
    their order, and windows come in the order of their first clips. A clip longer than a window gets one of its own.

    Args:
        lengths: Samples per clip; clips of length 0 are left out.
        window_samples: Most samples in one window.
        gap_samples: Silence between two clips of a window.

    Source: Johnson 1973 (at most 11/9 of the fewest windows, and 4).
    """
    clips = [index for index, length in enumerate(lengths) if length]
    taken = [lengths[index] + gap_samples for index in clips]
    packings = (_next_fit(taken, window_samples + gap_samples), _best_fit(taken, window_samples + gap_samples))
    members = [[clips[position] for position in sorted(window)] for window in min(packings, key=len)]
    return [_place(window, lengths, gap_samples) for window in sorted(members)]


def _next_fit(sizes: Sequence[int], capacity: int) -> list[list[int]]:
    windows: list[list[int]] = []
    room = -1
    for position, size in enumerate(sizes):
        if size > room:
            windows.append([])
            room = capacity
        windows[-1].append(position)
        room -= size
    return windows


def _best_fit(sizes: Sequence[int], capacity: int) -> list[list[int]]:
    windows: list[list[int]] = []
    rooms: list[tuple[int, int]] = []  # (room left, window), ascending
    for position in sorted(range(len(sizes)), key=lambda i: (-sizes[i], i)):
        place = bisect_left(rooms, (sizes[position], -1))
        if place == len(rooms):
            windows.append([])
        room, window = rooms.pop(place) if place < len(rooms) else (capacity, len(windows) - 1)
        windows[window].append(position)
        insort(rooms, (room - sizes[position], window))
    return windows


def _place(indices: Sequence[int], lengths: Sequence[int], gap_samples: int) -> Window:
    ends = accumulate(lengths[index] + gap_samples for index in indices)
    return tuple(
        PlacedClip(index=index, span=Span(end - gap_samples - lengths[index], end - gap_samples))
        for index, end in zip(indices, ends, strict=True)
    )


def render(window: Window, clips: Sequence[Audio]) -> Audio:
    """The sound of a window: its clips with silence between, shape [S]."""
    audio_S = np.zeros(window[-1].span.end, np.float32)
    for placed in window:
        audio_S[placed.span.start : placed.span.end] = clips[placed.index]
    return audio_S


def assign(words: Iterable[HypothesisWord], window: Window) -> dict[int, list[HypothesisWord]]:
    """Gives each word of a window to the clip its midpoint lies in or nearest to, timed from that clip's start."""
    borders = [(left.span.end + right.span.start) / 2 for left, right in pairwise(window)]
    heard: dict[int, list[HypothesisWord]] = {placed.index: [] for placed in window}
    for word in words:
        placed = window[int(np.searchsorted(borders, (word.start + word.end) / 2, side="right"))]
        offset = placed.span.start
        heard[placed.index].append(replace(word, start=word.start - offset, end=word.end - offset))
    return heard


def fit(words: Iterable[HypothesisWord], num_samples: int) -> tuple[HypothesisWord, ...]:
    """Moves word times into the clip and into order; texts without outer spaces, empty ones gone."""
    fitted: list[HypothesisWord] = []
    for word in words:
        earliest = fitted[-1].start if fitted else 0
        start = min(max(word.start, earliest), num_samples)
        end = min(max(word.end, start), num_samples)
        confidence = min(max(word.confidence, 0.0), 1.0)
        if text := word.text.strip():
            fitted.append(replace(word, text=text, start=start, end=end, confidence=confidence))
    return tuple(fitted)


def spread(texts: Sequence[str], span: Span, *, confidence: float = 1.0) -> list[HypothesisWord]:
    """Words without times of their own, laid over `span` in proportion to their characters."""
    weights = np.cumsum([0, *(len(text) + 1 for text in texts)])
    edges = span.start + np.round(weights / max(1, weights[-1]) * span.num_samples).astype(int)
    return [
        HypothesisWord(text=text, start=int(start), end=int(end), confidence=confidence, is_timed=False)
        for text, start, end in zip(texts, edges[:-1], edges[1:], strict=True)
    ]


def loud_span(audio_S: Audio) -> Span:
    """The clip without the soft stretches at its two ends, to 20 ms."""
    frames = np.pad(audio_S, (0, -audio_S.size % LOUD_FRAME_SAMPLES)).reshape(-1, LOUD_FRAME_SAMPLES)
    # Variance and not power: a recorder's constant offset is no sound.
    power = np.var(frames, axis=1, dtype=np.float64)
    loud = np.flatnonzero(power >= power.max(initial=0.0) * 10 ** (-LOUD_RANGE_DB / 10))
    if not loud.size:
        return Span(0, audio_S.size)
    return Span(int(loud[0]) * LOUD_FRAME_SAMPLES, min(audio_S.size, int(loud[-1] + 1) * LOUD_FRAME_SAMPLES))
