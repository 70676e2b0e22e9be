"""How much of the shorter of two recordings the other holds too, by sound and by words."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from spelangy.curate.fingerprints import NO_SOUND, Codes

MAX_BIT_ERROR_RATIO = 0.3
"""Fingerprints that differ in fewer bits, over `WINDOW_STEPS`, are of one sound. Source: measured on read speech; 0.13
when re-encoded and worst cut, 0.5 when unrelated: of 300,000 windows none is below (ten are below 0.35, which Haitsma
and Kalker take for music)."""

WINDOW_STEPS = 32
"""4 s."""

SHINGLE_WORDS = 5
"""Source: usual for near-duplicate text (Broder 1997; Lee et al. 2022)."""

_MAX_SHIFTS = 8
"""An episode whose advertisement was exchanged is the same at two shifts; eight leave room for several."""

_MAX_EQUAL = 16


def sound_overlap(codes: Codes, other: Codes) -> float:
    """Share of the shorter fingerprint's codes, silence aside, that the longer one holds in the same order.

    Each of the shifts at which most codes are equal is compared bit by bit; a step counts when the bits around it
    differ in less than `MAX_BIT_ERROR_RATIO` at any of them.
    """
    short, long = (codes, other) if codes.size <= other.size else (other, codes)
    telling = short != NO_SOUND
    if not telling.any():
        return 0.0
    held = np.zeros(short.size, bool)
    for shift in likely_shifts(short, long):
        start, end = max(0, -shift), min(short.size, long.size - shift)
        differing = np.bitwise_count(short[start:end] ^ long[start + shift : end + shift]).astype(np.float32) / 32
        held[start:end] |= uniform_filter1d(differing, WINDOW_STEPS, mode="nearest") < MAX_BIT_ERROR_RATIO
    return float(np.count_nonzero(held & telling) / np.count_nonzero(telling))


def likely_shifts(short: Codes, long: Codes) -> list[int]:
    """The shifts (place in `long` minus place in `short`) at which most codes are equal, best first."""
    order = np.argsort(long, kind="stable")
    ordered = long[order]
    first = np.searchsorted(ordered, short)
    num_equal = np.minimum(np.searchsorted(ordered, short, side="right") - first, _MAX_EQUAL)
    num_equal[short == NO_SOUND] = 0
    places = np.repeat(np.arange(short.size), num_equal)
    within = np.arange(num_equal.sum()) - np.repeat(np.cumsum(num_equal) - num_equal, num_equal)
    shifts, votes = np.unique(order[np.repeat(first, num_equal) + within] - places, return_counts=True)
    return [int(shift) for shift in shifts[np.argsort(-votes, kind="stable")][:_MAX_SHIFTS]]


def shingles(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A hash for each `SHINGLE_WORDS` words that follow one another."""
    found = np.zeros(max(0, words.size - SHINGLE_WORDS + 1), np.uint64)
    for offset in range(SHINGLE_WORDS):
        found = found * np.uint64(0x9E37_79B9_7F4A_7C15) + words[offset : offset + found.size]
        found ^= found >> np.uint64(29)
    return found


def words_overlap(words: NDArray[np.uint64], other: NDArray[np.uint64]) -> float:
    """Share of the shorter one's words that stand in a run of `SHINGLE_WORDS` that the other has too."""
    short, long = (words, other) if words.size <= other.size else (other, words)
    if short.size < SHINGLE_WORDS:
        return 0.0
    shared = np.isin(shingles(short), shingles(long))
    covered = np.convolve(shared, np.ones(SHINGLE_WORDS)) > 0
    return float(covered.mean())
