"""Sends the pending items of a step through Daft, on this machine or on a Ray cluster.

Each worker process makes the step's worker once, does its batch item by item, commits the batch as one shard and hands
back one small row an item. Data never travel back to the driver through Daft: shards hold them.
"""

import math
import os
import socket
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, cast

# Set before Daft is imported: it reads them at import.
os.environ.setdefault("DAFT_ANALYTICS_ENABLED", "0")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("DAFT_PROGRESS_BAR", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import daft
import pyarrow as pa
from daft import DataType

from spelangy.core.errors import Dropped, Quarantined, UserError
from spelangy.core.hashing import record_id
from spelangy.core.records import Drop
from spelangy.core.spans import SAMPLE_RATE_HZ
from spelangy.engine.shards import FinishedItem, ShardFolder, item_digest
from spelangy.engine.step import Item, Produced, TableStep, Worker

SHARDS_PER_WORKER = 4
"""At least this many shards a worker where items allow, so that the last one does not keep the others waiting."""

_OUTCOME = DataType.struct(
    {name: DataType.string() for name in ("item_id", "kind", "error", "hint")} | {"seconds": DataType.float64()}
)


@dataclass(frozen=True, kw_only=True)
class RunnerSettings:
    """Where the work runs. Never part of a key.

    Attributes:
        runner: ``native``, or ``ray`` with the `address` of a running cluster.
        num_workers: Processes side by side for steps that load a model.
    """

    runner: Literal["native", "ray"] = "native"
    address: str = "auto"
    num_workers: int = os.cpu_count() or 1


@cache
def start_runner(runner: str, address: str) -> None:
    """Tells Daft where to run; it takes one answer a process.

    Raises:
        UserError: When Ray is not installed or no cluster answers at the address.
    """
    if runner == "native":
        daft.set_runner_native()
        return
    try:
        _check_reachable(address)
        import ray  # an extra, and heavy: only who asks for it

        # Connected before Daft does it, which would let Ray's own log onto stderr, --quiet or not.
        ray.init(address=address, logging_level="ERROR", log_to_driver=False, ignore_reinit_error=True)
        daft.set_runner_ray(noop_if_initialized=True)
    except ImportError as error:
        raise UserError("--runner ray: Ray is not installed", hint="pip install 'spelangy[ray]'") from error
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"--runner ray: no cluster answers at {address!r} ({error})",
            hint="start one with `ray start --head`, or name yours with --address",
        ) from error


def _check_reachable(address: str) -> None:
    """Raises OSError where nobody listens at once: Ray itself would go on trying for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One finished item, as the driver hears of it; `failure` is empty unless the worker broke on it."""

    item_id: str
    seconds: float
    failure: str


def run_items(
    step: TableStep,
    items: pa.Table,
    make_worker: Callable[[], Worker],
    shards: ShardFolder,
    settings: RunnerSettings,
) -> Iterator[Outcome]:
    """Runs all rows of `items`; yields an outcome per item as its shard is committed.

    Raises:
        UserError: When a worker says that the request cannot be met.
    """
    num_workers = min(settings.num_workers, items.num_rows) if step.loads_model else 1
    most = math.ceil(items.num_rows / (num_workers * SHARDS_PER_WORKER)) if step.loads_model else step.shard_items
    frame = daft.from_arrow(items)
    if settings.runner == "ray":
        frame = frame.into_partitions(min(items.num_rows, num_workers * SHARDS_PER_WORKER))
    columns = [frame[name] for name in items.column_names]
    runner = _shard_runner(step, num_workers, max(1, min(most, step.shard_items)))
    outcomes = frame.select(
        runner(step.name, make_worker, shards).run(*columns, names=tuple(items.column_names)).alias("outcome")
    )
    for row in outcomes.iter_rows(results_buffer_size=None):
        yield _outcome(row["outcome"])


def _outcome(row: Mapping[str, Any]) -> Outcome:
    if row["kind"] == "UserError":
        raise UserError(row["error"], hint=row["hint"])
    if row["kind"] == "AssertionError":
        raise AssertionError(row["error"])
    return Outcome(item_id=row["item_id"], seconds=row["seconds"], failure=row["error"])


def _shard_runner(step: TableStep, num_workers: int, batch_items: int) -> Any:
    """`_ShardRunner` as a Daft class with this step's concurrency and batch size."""
    run = daft.method.batch(return_dtype=_OUTCOME, batch_size=batch_items)(_ShardRunner.run)
    named = type(f"Step_{step.name}", (_ShardRunner,), {"run": run})
    if not step.loads_model:
        return daft.cls(named, use_process=False)
    return daft.cls(named, max_concurrency=num_workers, use_process=True)


class _ShardRunner:
    """Lives in a worker process: makes the worker on first use, then works through batches."""

    def __init__(self, step_name: str, make_worker: Callable[[], Worker], shards: ShardFolder) -> None:
        self.step_name = step_name
        self.make_worker = make_worker
        self.shards = shards
        self.worker: Worker | None = None

    def run(self, *columns: Any, names: tuple[str, ...]) -> list[dict[str, Any]]:
        items = pa.table([column.to_arrow() for column in columns], names=list(names)).to_pylist()
        try:
            self.worker = self.worker or self.make_worker()
            finished = [_work(self.step_name, self.worker, item) for item in items]
            self.shards.commit(finished)
        except UserError as error:
            return [_told(kind="UserError", error=error.message, hint=error.hint)] * len(items)
        except AssertionError:
            return [_told(kind="AssertionError", error=traceback.format_exc())] * len(items)
        return [
            _told(item.item_id, item.seconds, error=item.drops[0].detail if item.failed else "") for item in finished
        ]


def _told(item_id: str = "", seconds: float = 0.0, kind: str = "", error: str = "", hint: str = "") -> dict[str, Any]:
    return {"item_id": item_id, "kind": kind, "error": error, "hint": hint, "seconds": seconds}


def _work(step_name: str, worker: Worker, item: Item) -> FinishedItem:
    """One item; whatever is wrong with it becomes a counted drop, never the end of the run."""
    started = time.perf_counter()
    produced, drops, failed = Produced(records={}), [], False
    try:
        produced = worker(item)
        drops = [_drop(step_name, item["id"], order, part) for order, part in enumerate(produced.drops)]
    except Dropped as dropped:
        drops = [_drop(step_name, item["id"], 0, (item["id"], dropped, _duration_s(item)))]
    except (UserError, AssertionError):
        raise
    except Exception as error:
        drops, failed = [_failure(step_name, item, error)], True
    return FinishedItem(
        item_id=item["id"],
        item_digest=item_digest(item),
        seconds=time.perf_counter() - started,
        failed=failed,
        drops=drops,
        records=produced.records,
    )


def _failure(step_name: str, item: Item, error: Exception) -> Drop:
    return Drop(
        id=record_id(step_name, item["id"], 0),
        item_id=item["id"],
        step=step_name,
        kind="failed",
        reason="error",
        value=None,
        threshold=None,
        detail=f"{type(error).__name__}: {error}",
        duration_s=_duration_s(item),
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
