import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spelangy.core.hashing import record_id
from spelangy.core.random import stream, uniform, uniforms

PURPOSES = st.lists(st.text() | st.integers(), max_size=3)


@given(st.integers(), PURPOSES)
def test_the_same_key_gives_the_same_numbers(seed: int, purpose: list[str | int]) -> None:
    assert np.array_equal(stream(seed, *purpose).random(5), stream(seed, *purpose).random(5))
    assert uniform(seed, *purpose) == stream(seed, *purpose).random()


@given(st.integers(), PURPOSES, st.integers(), PURPOSES)
def test_another_key_gives_other_numbers(seed: int, purpose: list[str | int], other: int, why: list[str | int]) -> None:
    if (seed, purpose) != (other, why):
        assert not np.array_equal(stream(seed, *purpose).random(3), stream(other, *why).random(3))


def test_parts_of_a_purpose_are_told_apart() -> None:
    keys: list[tuple[str | int, ...]] = [("a", "b"), ("ab",), ("a", "b", ""), ("b", "a"), ("1",), (1,)]
    assert len({uniform(0, *key) for key in keys}) == len(keys)


def test_another_process_draws_the_same_numbers() -> None:
    draw = "stream(7, 'rec-1', 'interleave', 3).integers(1 << 62, size=4)"
    script = f"from spelangy.core.random import stream; print({draw})"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == str(stream(7, "rec-1", "interleave", 3).integers(1 << 62, size=4))


def test_numbers_of_a_known_key_stay_what_they_are() -> None:
    """Other numbers would silently change every view, split and mixture that was ever drawn."""
    assert stream(0, "golden").integers(1_000, size=6).tolist() == [852, 522, 465, 544, 54, 60]


def test_draws_are_uniform_over_keys() -> None:
    drawn = np.array([uniform(0, "record", index) for index in range(4_000)])
    assert drawn.min() >= 0 and drawn.max() < 1
    counts = np.histogram(drawn, bins=10, range=(0, 1))[0]
    assert ((counts - 400) ** 2 / 400).sum() < 27.9, "chi-squared, 9 degrees of freedom, p = 0.001"


def test_numbers_of_ids_are_even_and_their_own() -> None:
    ids = [record_id(number) for number in range(20_000)]
    drawn = uniforms(0, ids, "test")
    assert np.all((drawn >= 0) & (drawn < 1)) and len(np.unique(drawn)) == len(ids)
    assert np.histogram(drawn, 20, (0, 1))[0] == pytest.approx(np.full(20, 1_000), abs=150)
    assert np.array_equal(uniforms(0, reversed(ids), "test")[::-1], drawn)
    assert abs(np.corrcoef(drawn, uniforms(1, ids, "test"))[0, 1]) < 0.03
    assert float(uniforms(0, ["a"], "golden")[0]) == 0.7287176844809217
