import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from spelangy.evals.statistics import (
    above_chance,
    holm,
    mcnemar_exact,
    minimal_detectable_difference,
    paired_bootstrap,
    wilson,
)

TABLE = {
    (300, 0.05): (5.3, 7.4, 9.1, 10.5),
    (300, 0.01): (6.3, 8.9, 10.9, 12.6),
    (1_000, 0.05): (2.9, 4.0, 4.9, 5.7),
    (1_000, 0.01): (3.5, 4.9, 6.0, 6.9),
    (5_332, 0.05): (1.2, 1.7, 2.1, 2.4),
    (5_332, 0.01): (1.5, 2.1, 2.6, 3.0),
}
"""Points at discordant shares of .1, .2, .3 and .4, power .8."""


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.99))
def test_wilson_equals_scipy_on_whole_numbers(counts: tuple[int, int], confidence: float) -> None:
    ours = wilson(*counts, confidence)
    theirs = stats.binomtest(*counts).proportion_ci(confidence, method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_wilson_lies_between_its_neighbours_for_ties_and_knows_nothing_of_nothing() -> None:
    assert wilson(10, 40).low < wilson(10.5, 40).low < wilson(11, 40).low
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0, 1)


@given(st.integers(0, 12), st.floats(0.05, 0.95))
def test_above_chance_equals_enumeration(num_correct: int, chance: float) -> None:
    tail = sum(math.comb(12, k) * chance**k * (1 - chance) ** (12 - k) for k in range(num_correct, 13))
    assert above_chance(num_correct, 12, chance) == pytest.approx(tail)
    assert above_chance(num_correct + 0.5, 12, chance) == pytest.approx(tail)
    assert above_chance(0, 0, chance) == 1


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=11))
def test_mcnemar_equals_all_sign_flips(pairs: list[tuple[bool, bool]]) -> None:
    a, b = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    differing = [int(y) - int(x) for x, y in pairs if x != y]
    flips = [abs(sum(signs)) for signs in itertools.product((-1, 1), repeat=len(differing))]
    exact = sum(flip >= abs(sum(differing)) for flip in flips) / len(flips)
    test = mcnemar_exact(a, b)
    assert test.p_value == pytest.approx(exact)
    assert test.num_only_b - test.num_only_a == sum(differing)
    assert test.difference == pytest.approx(sum(differing) / len(pairs) if pairs else 0)
    assert mcnemar_exact(b, a).difference == -test.difference


def test_bootstrap_agrees_with_the_normal_approximation_and_repeats() -> None:
    draw = np.random.default_rng(0)
    a, b = draw.random(400) < 0.4, draw.random(400) < 0.55
    result = paired_bootstrap(a, b, seed=3)
    difference = b.astype(float) - a
    margin = 1.96 * difference.std(ddof=1) / math.sqrt(400)
    assert result.difference == pytest.approx(difference.mean())
    assert (result.low, result.high) == pytest.approx(
        (difference.mean() - margin, difference.mean() + margin), abs=0.006
    )
    assert result == paired_bootstrap(a, b, seed=3) != paired_bootstrap(a, b, seed=4)


def test_copies_in_a_cluster_add_no_certainty() -> None:
    draw = np.random.default_rng(1)
    a, b = (draw.random(100) < 0.4).astype(float), (draw.random(100) < 0.5).astype(float)
    once = paired_bootstrap(a, b)
    copied = paired_bootstrap(np.repeat(a, 4), np.repeat(b, 4), clusters=np.repeat(np.arange(100), 4).tolist())
    pooled = paired_bootstrap(np.repeat(a, 4), np.repeat(b, 4))
    assert (copied.low, copied.high, copied.num_clusters) == (pytest.approx(once.low), pytest.approx(once.high), 100)
    assert pooled.high - pooled.low < 0.6 * (copied.high - copied.low)


def test_one_cluster_tells_nothing() -> None:
    result = paired_bootstrap([0, 0], [1, 1], clusters=["q", "q"])
    assert (result.difference, result.low, result.high) == (1, -1, 1)


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_rejects_exactly_as_the_step_down_procedure(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    alpha, rejected = 0.05, set()
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        if p_values[place] > alpha / (len(p_values) - rank):
            break
        rejected.add(place)
    by_adjusted = {place for place, value in enumerate(adjusted) if value <= alpha * (1 + 1e-12)}
    assert by_adjusted == rejected
    assert all(p <= value <= 1 for p, value in zip(p_values, adjusted, strict=True))


def test_holm_known_values() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@pytest.mark.parametrize(("setting", "points"), TABLE.items())
def test_minimal_detectable_difference_reproduces_the_table(
    setting: tuple[int, float], points: tuple[float, ...]
) -> None:
    num_items, alpha = setting
    found = [minimal_detectable_difference(num_items, ratio, alpha) for ratio in (0.1, 0.2, 0.3, 0.4)]
    assert found == pytest.approx(points, abs=0.051)


def test_minimal_detectable_difference_has_the_power_it_claims() -> None:
    points = minimal_detectable_difference(60, 0.4)
    a_only = (0.4 - points / 100) / 2
    draws = np.random.default_rng(2).multinomial(60, [a_only, 0.4 - a_only, 0.6], size=4_000)
    p_values = {
        (a, b): mcnemar_exact([1] * a + [0] * b, [0] * a + [1] * b).p_value for a, b in set(map(tuple, draws[:, :2]))
    }
    power = np.mean([p_values[tuple(draw)] <= 0.05 for draw in draws[:, :2]])
    assert power == pytest.approx(0.8, abs=0.025)


def test_a_few_items_detect_nothing() -> None:
    assert minimal_detectable_difference(5, 0.4) == math.inf
