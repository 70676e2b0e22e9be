"""Workers that wait for a server do many items at once; nothing else changes."""

import threading
import time
from dataclasses import replace
from functools import partial

import pyarrow as pa
import pytest
from guarded import Answer

from spelangy.core.errors import Dropped, UserError
from spelangy.engine.daft_runner import RunnerSettings
from spelangy.engine.pipeline import Pipeline
from spelangy.engine.progress import StepProgress
from spelangy.engine.step import Item, Produced, TableStep
from spelangy.store.objects import Store, StoredObject

NUM_ITEMS = 40


class Waiting:
    """Takes `pause_s` an item, as a server would, and notes how many wait at once."""

    busy, most_busy, lock = 0, 0, threading.Lock()

    def __init__(self, pause_s: float) -> None:
        self.pause_s = pause_s

    def __call__(self, item: Item) -> Produced:
        kind = type(self)
        with kind.lock:
            kind.busy += 1
            kind.most_busy = max(kind.most_busy, kind.busy)
        time.sleep(self.pause_s)
        with kind.lock:
            kind.busy -= 1
        if item["text"] == "drop":
            raise Dropped("told to")
        if item["text"] == "stop":
            raise UserError("the server is gone")
        return Produced(records={"answers": [Answer(id=item["id"], text=item["text"])]})


def step(texts: list[str], in_flight: int, shard_items: int = 16, pause_s: float = 0.0) -> TableStep:
    ids = [f"item-{number:03d}" for number in range(len(texts))]
    return TableStep(
        name="waits",
        version=1,
        config={"texts": texts},
        listing=("texts",),
        outputs={"answers": Answer},
        items=lambda _: pa.table({"id": ids, "text": texts}),
        worker=lambda _: partial(Waiting, pause_s),
        in_flight=in_flight,
        shard_items=shard_items,
        summary=lambda tables: {"num_answers": tables["answers"].num_rows},
    )


def run(store: Store, one: TableStep) -> StoredObject:
    return Pipeline("waits", [one]).run(store, RunnerSettings(), StepProgress(quiet=True))["waits"].stored


def test_many_wait_at_once_and_the_tables_are_the_same_bytes(tmp_path) -> None:
    texts = ["drop" if number % 7 == 3 else f"text {number}" for number in range(NUM_ITEMS)]
    together, alone = Store(tmp_path / "together"), Store(tmp_path / "alone")
    Waiting.most_busy = 0
    many = run(together, step(texts, in_flight=8, pause_s=0.02))
    assert Waiting.most_busy >= 8
    one = run(alone, step(texts, in_flight=1))
    assert many.key == one.key and many.files == one.files
    assert many.circumstances["num_answers"] == 40 - 6


def test_what_stops_the_run_loses_nothing_that_was_finished(tmp_path) -> None:
    texts = [f"text {number}" for number in range(NUM_ITEMS)]
    store = Store(tmp_path)
    with pytest.raises(UserError, match="the server is gone"):
        run(store, step([*texts[:20], "stop", *texts[21:]], in_flight=4))
    again = run(store, step(texts, in_flight=4))
    assert again.circumstances["num_items_from_earlier_runs"] >= 16
    assert store.table(again.key, "answers")["text"].to_pylist() == texts


def test_a_process_takes_one_item_at_a_time(tmp_path) -> None:
    with pytest.raises(AssertionError, match="one item at a time"):
        run(Store(tmp_path), replace(step(["a"], in_flight=2), loads_model=True))
