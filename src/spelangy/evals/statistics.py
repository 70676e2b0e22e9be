"""The statistics behind every score and comparison: intervals, exact tests, what could not have been detected.

Conventions: a score of an item lies in [0, 1] (a tie of k best options earns 1/k); two systems are compared on the same
items in the same order; differences are `b - a`.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.optimize import brentq

from spelangy.core.random import stream

NUM_DRAWS = 10_000
_BOOTSTRAP_BATCH = 256
_FLOAT_NOISE = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A confidence interval; both ends belong to it."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedTest:
    """Exact McNemar of two systems on the same items.

    Attributes:
        num_only_a: Items on which `a` scores higher.
        num_only_b: Items on which `b` scores higher.
        difference: Mean score of `b` less that of `a`, in [-1, 1].
        p_value: Two-sided; 1.0 when the systems never differ.
    """

    num_items: int
    num_only_a: int
    num_only_b: int
    difference: float
    p_value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class BootstrapDifference:
    """Mean score of `b` less that of `a`, with its bootstrap percentile interval."""

    difference: float
    low: float
    high: float
    num_clusters: int


def wilson(num_correct: float, num_items: int, confidence: float = 0.95) -> Interval:
    """Wilson score interval of a share. [0, 1] when there are no items: nothing is known.

    Args:
        num_correct: Sum of scores; fractional where ties earned 1/k.
        num_items: Number of items.
        confidence: In (0, 1).

    Source: Wilson 1927; without continuity correction, which makes it equal scipy's for whole numbers.
    """
    assert 0 <= num_correct <= num_items + _FLOAT_NOISE
    assert 0 < confidence < 1
    if num_items == 0:
        return Interval(low=0.0, high=1.0)
    z = float(stats.norm.ppf((1 + confidence) / 2))
    share = min(1.0, num_correct / num_items)
    middle = share + z * z / (2 * num_items)
    margin = z * math.sqrt(share * (1 - share) / num_items + z * z / (4 * num_items**2))
    scale = 1 + z * z / num_items
    return Interval(low=max(0.0, (middle - margin) / scale), high=min(1.0, (middle + margin) / scale))


def above_chance(num_correct: float, num_items: int, chance: float) -> float:
    """One-sided exact binomial p-value of so many correct items or more, by chance alone.

    A fractional `num_correct` (ties) is rounded down, which can only make the claim weaker.
    """
    assert 0 <= chance <= 1
    if num_items == 0:
        return 1.0
    whole = min(num_items, math.floor(num_correct + _FLOAT_NOISE))
    return float(stats.binomtest(whole, num_items, chance, alternative="greater").pvalue)


def mcnemar_exact(correct_a: ArrayLike, correct_b: ArrayLike) -> PairedTest:
    """Two-sided exact McNemar test: among the items on which the systems differ, is either ahead more than by chance?

    Args:
        correct_a: Scores of `a` per item, shape [N]; booleans, or fractions where ties earned 1/k.
        correct_b: Scores of `b` on the same items, shape [N].
    """
    a, b = _paired(correct_a, correct_b)
    only_a, only_b = int((a > b).sum()), int((b > a).sum())
    p_value = float(stats.binomtest(only_b, only_a + only_b, 0.5).pvalue) if only_a + only_b else 1.0
    return PairedTest(
        num_items=len(a), num_only_a=only_a, num_only_b=only_b, difference=_mean_difference(a, b), p_value=p_value
    )


def paired_bootstrap(
    scores_a: ArrayLike,
    scores_b: ArrayLike,
    *,
    clusters: Sequence[Hashable] | None = None,
    num_draws: int = NUM_DRAWS,
    confidence: float = 0.95,
    seed: int = 0,
) -> BootstrapDifference:
    """Percentile bootstrap of the mean difference; items, or whole clusters of them, are drawn with replacement.

    Args:
        scores_a: Scores of `a` per item, shape [N].
        scores_b: Scores of `b` on the same items, shape [N].
        clusters: What each item belongs to (the question, where it is spoken in several voices), length N.
        num_draws: Bootstrap samples.
        confidence: In (0, 1).
        seed: Of the draws' stream.

    Source: Efron & Tibshirani 1993, ch. 13; clusters as in Field & Welsh 2007 (all items of a drawn cluster).
    """
    a, b = _paired(scores_a, scores_b)
    sums, counts = _by_cluster(b - a, clusters)
    difference = _mean_difference(a, b)
    if len(sums) < 2:
        return BootstrapDifference(difference=difference, low=-1.0, high=1.0, num_clusters=len(sums))
    interval = stats.bootstrap(
        (sums, counts),
        _ratio_of_sums,
        paired=True,
        vectorized=True,
        n_resamples=num_draws,
        batch=_BOOTSTRAP_BATCH,
        confidence_level=confidence,
        method="percentile",
        rng=stream(seed, "paired bootstrap"),
    ).confidence_interval
    return BootstrapDifference(
        difference=difference, low=float(interval.low), high=float(interval.high), num_clusters=len(sums)
    )


def sign_flip(scores_a: ArrayLike, scores_b: ArrayLike, *, num_resamples: int = NUM_DRAWS, seed: int = 0) -> float:
    """Two-sided permutation p-value of the mean paired difference, signs flipped per item.

    For scores that are no longer 0 or 1, such as means over seeds. Exact where 2^N is at most `num_resamples`.

    Args:
        scores_a: Scores of `a` per item, shape [N].
        scores_b: Scores of `b` on the same items, shape [N].
    """
    a, b = _paired(scores_a, scores_b)
    if not len(a) or np.array_equal(a, b):
        return 1.0
    found = stats.permutation_test(
        (a, b), _mean_difference, permutation_type="samples", n_resamples=num_resamples, rng=np.random.default_rng(seed)
    )
    return float(found.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given: reject where the adjusted value is below alpha.

    Source: Holm 1979; holds the family-wise error under any dependence.
    """
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = running
    return adjusted


def minimal_detectable_difference(
    num_items: int, discordant_ratio: float, alpha: float = 0.05, power: float = 0.8
) -> float:
    """The least true difference, in percentage points, that a two-sided exact McNemar test finds with `power`.

    Args:
        num_items: Items both systems answer.
        discordant_ratio: Share of the items on which exactly one of them is right, in (0, 1].
        alpha: Level of the test.
        power: Probability of finding the difference.

    Returns:
        Points in (0, 100 * discordant_ratio], or infinity when even the largest possible difference would be missed.

    Source: the exact unconditional power: the number of discordant items is itself binomial (Duffy 1984).
    """
    assert num_items >= 0 and 0 < discordant_ratio <= 1 and 0 < alpha < 1 and alpha < power < 1
    discordant, weights, critical = _rejection_regions(num_items, discordant_ratio, alpha)

    def shortfall(difference: float) -> float:
        ahead = (1 + difference / discordant_ratio) / 2
        rejects = stats.binom.cdf(critical, discordant, ahead) + stats.binom.sf(
            discordant - critical - 1, discordant, ahead
        )
        return float(weights @ rejects) - power

    if shortfall(discordant_ratio) < 0:
        return math.inf
    return 100 * float(brentq(shortfall, 0.0, discordant_ratio))


def _rejection_regions(
    num_items: int, discordant_ratio: float, alpha: float
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Numbers D of discordant items that may occur, their probabilities, and the c of "reject when min ≤ c" at each."""
    low, high = stats.binom.ppf([1e-10, 1 - 1e-10], num_items, discordant_ratio)
    discordant = np.arange(max(0, int(low)), int(high) + 1)
    weights = stats.binom.pmf(discordant, num_items, discordant_ratio)
    candidate = stats.binom.ppf(alpha / 2, discordant, 0.5)
    critical = np.where(stats.binom.cdf(candidate, discordant, 0.5) > alpha / 2, candidate - 1, candidate)
    return discordant, weights, critical


def _paired(scores_a: ArrayLike, scores_b: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, b = np.asarray(scores_a, dtype=np.float64), np.asarray(scores_b, dtype=np.float64)
    assert a.ndim == 1 and a.shape == b.shape, f"not paired: {a.shape} and {b.shape}"
    return a, b


def _mean_difference(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float((b - a).mean()) if len(a) else 0.0


def _by_cluster(
    differences: NDArray[np.float64], clusters: Sequence[Hashable] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum of differences and number of items per cluster, clusters in order of first appearance."""
    if clusters is None:
        return differences, np.ones(len(differences))
    assert len(clusters) == len(differences)
    numbering = {cluster: number for number, cluster in enumerate(dict.fromkeys(clusters))}
    places = np.array([numbering[cluster] for cluster in clusters], dtype=np.int64)
    sums = np.bincount(places, weights=differences, minlength=len(numbering))
    return np.asarray(sums), np.bincount(places, minlength=len(numbering)).astype(np.float64)


def _ratio_of_sums(sums: NDArray[Any], counts: NDArray[Any], axis: int = -1) -> NDArray[Any]:
    return np.asarray(sums.sum(axis=axis) / counts.sum(axis=axis))
