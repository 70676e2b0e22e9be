"""One item through a step's worker: whatever is wrong with it becomes a counted drop, never the end of the run."""

import time
from typing import cast

from spelangy.core.errors import Dropped, Quarantined, UserError
from spelangy.core.hashing import record_id
from spelangy.core.records import Drop
from spelangy.core.spans import SAMPLE_RATE_HZ
from spelangy.engine.shards import ITEM_DIGEST, FinishedItem
from spelangy.engine.step import Item, Produced, Worker
from spelangy.store.files import full_disks

TIME_LIMIT, OUT_OF_MEMORY, WORKER_DIED = "time limit", "out of memory", "worker died"
"""Reasons of failures that are about resources, not about the item's content."""

_SIGNS_OF_MEMORY = ("bad_alloc", "bad allocation", "failed to allocate memory", "allocate memory", "out of memory")
"""How C++ libraries below Python say MemoryError: the standard library, ONNX Runtime, torch on the CPU, CUDA."""


def finish(step_name: str, worker: Worker, item: Item) -> FinishedItem:
    """Does one item, a row of a step's items with `ITEM_DIGEST` beside it.

    Raises:
        UserError: When the worker says that the request cannot be met, or a disk is full: that is not the item's fault.
        AssertionError: When the worker finds a mistake of ours.
    """
    started = time.perf_counter()
    try:
        with full_disks(f"what {step_name} writes"):
            produced = worker({name: value for name, value in item.items() if name != ITEM_DIGEST})
        drops = [_drop(step_name, item["id"], order, part) for order, part in enumerate(produced.drops)]
    except Dropped as dropped:
        produced = Produced(records={})
        drops = [_drop(step_name, item["id"], 0, (item["id"], dropped, _duration_s(item)))]
    except (UserError, AssertionError):
        raise
    except Exception as error:
        reason = OUT_OF_MEMORY if is_out_of_memory(error) else "error"
        told = Dropped(reason, detail=f"{type(error).__name__}: {error}")
        return failed_item(step_name, item, told, time.perf_counter() - started)
    return FinishedItem(
        item_id=item["id"],
        item_digest=item[ITEM_DIGEST],
        seconds=time.perf_counter() - started,
        failed=False,
        drops=drops,
        records=produced.records,
    )


def is_out_of_memory(error: Exception) -> bool:
    """Whether an exception tells that memory ran out, in whichever library's words."""
    return isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in _SIGNS_OF_MEMORY)


def failed_item(step_name: str, item: Item, why: Dropped, seconds: float) -> FinishedItem:
    """An item on which the worker broke: counted, and tried again by the next run that needs it."""
    drop = Drop(
        id=record_id(step_name, item["id"], 0),
        item_id=item["id"],
        step=step_name,
        kind="failed",
        reason=why.reason,
        value=why.value,
        threshold=why.threshold,
        detail=why.detail,
        duration_s=_duration_s(item),
    )
    return FinishedItem(
        item_id=item["id"], item_digest=item[ITEM_DIGEST], seconds=seconds, failed=True, drops=[drop], records={}
    )


def _drop(step_name: str, item_id: str, order: int, part: tuple[str, Dropped, float]) -> Drop:
    part_id, dropped, duration_s = part
    return Drop(
        id=record_id(step_name, item_id, order),
        item_id=part_id,
        step=step_name,
        kind="quarantined" if isinstance(dropped, Quarantined) else "dropped",
        reason=dropped.reason,
        value=dropped.value,
        threshold=dropped.threshold,
        detail=dropped.detail,
        duration_s=duration_s,
    )


def _duration_s(item: Item) -> float:
    """Seconds of audio an item stands for, where it says so."""
    if "num_samples" in item:
        return cast(int, item["num_samples"]) / SAMPLE_RATE_HZ
    if "start" in item and "end" in item:
        return cast(int, item["end"] - item["start"]) / SAMPLE_RATE_HZ
    return 0.0
