"""Batches: every item once, large ones first, no batch that could keep the others waiting."""

import numpy as np
import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from spelangy.engine.batches import batch_items, expected_work

works = st.lists(st.integers(1, 1_000_000), min_size=1, max_size=60)


def table(sizes: list[int]) -> pa.Table:
    return pa.table({"id": [f"i{index}" for index in range(len(sizes))], "num_samples": sizes})


@given(works, st.integers(1, 5), st.integers(1, 9))
def test_every_item_is_in_one_batch_and_the_largest_come_first(sizes: list[int], workers: int, most: int) -> None:
    batches = batch_items(table(sizes), workers, most)["items"].to_pylist()
    items = [item for batch in batches for item in batch]
    assert sorted(item["id"] for item in items) == sorted(table(sizes)["id"].to_pylist())
    assert [item["num_samples"] for item in items] == sorted(sizes, reverse=True)
    assert all(1 <= len(batch) <= most for batch in batches)


@given(works, st.integers(1, 5))
def test_a_batch_of_several_takes_at_most_half_a_workers_share_of_what_is_left(sizes: list[int], workers: int) -> None:
    left = sum(sizes)
    for batch in batch_items(table(sizes), workers, 10_000)["items"].to_pylist():
        work = sum(item["num_samples"] for item in batch)
        assert len(batch) == 1 or work <= left * 0.5 / workers
        left -= work


@given(works, st.integers(1, 4))
@example([1, 1, 1, 1, 1], 4)
@example([9] * 60, 2)
def test_workers_that_take_the_next_batch_when_free_end_within_one_item_of_an_even_share(
    sizes: list[int], workers: int
) -> None:
    """Graham's bound for lists (1969), which holds because a batch of several items ends before an even share does."""
    busy_until = np.zeros(workers)
    for batch in batch_items(table(sizes), workers, 10_000)["items"].to_pylist():
        busy_until[busy_until.argmin()] += sum(item["num_samples"] for item in batch)
    assert busy_until.max() <= sum(sizes) / workers + max(sizes) * (1 - 1 / workers) + 1e-6


def test_work_is_samples_wherever_they_are() -> None:
    spans = [[{"start": 0, "end": 10}, {"start": 20, "end": 25}], [], None]
    items = pa.table({"id": ["a", "b", "c"], "turns": spans})
    assert expected_work(items).tolist() == [15, 1, 1]
    assert expected_work(pa.table({"id": ["a", "b"], "start": [0, 5], "end": [7, 9]})).tolist() == [7, 4]
    assert expected_work(pa.table({"id": ["a", "b"], "num_samples": [3, None]})).tolist() == [3, 1]


def test_where_there_is_no_sound_work_is_characters() -> None:
    items = pa.table({"id": ["a", "b"], "segments": [[{"text": "four"}, {"text": "é"}], [{"text": "x" * 9}]]})
    assert expected_work(items).tolist() == [5, 9]
    assert expected_work(pa.table({"id": ["a", "b"], "path": ["long/path", "p"]})).tolist() == [1, 1]


def test_rows_keep_their_values() -> None:
    items = pa.table(
        {
            "id": ["a"],
            "copies": [["x", "y"]],
            "nested": [[{"text": "t", "value": 1.5}]],
            "number": pa.array([7], pa.int32()),
        }
    )
    assert batch_items(items, 1, 9)["items"].to_pylist() == [items.to_pylist()]
