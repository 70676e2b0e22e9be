"""Sends the pending items of a step through Daft, on this machine or on a Ray cluster.

A row of the frame is a batch of items. Whoever gets one does it item by item, commits it as one shard and hands back
one small row an item. Data never travel back to the driver through Daft: shards hold them. Workers that load a model
live in processes of their own (`engine.guard`); all others in the engine's threads.
"""

import asyncio
import os
import queue
import socket
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Literal

# Set before Daft is imported: it reads them at import.
os.environ.setdefault("DAFT_ANALYTICS_ENABLED", "0")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("DAFT_PROGRESS_BAR", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import daft
import pyarrow as pa
from daft import DataType

from spelangy.core.errors import UserError
from spelangy.engine.batches import batch_items
from spelangy.engine.child import Bug, Told, failure_of
from spelangy.engine.guard import Guard, Limits, warm_up
from spelangy.engine.shards import FinishedItem, ShardFolder, rows_from_bytes, rows_of
from spelangy.engine.step import Item, TableStep, Worker
from spelangy.engine.work import finish

PARTITIONS_PER_WORKER = 4
"""On a cluster, where a partition is what a machine takes."""

_OUTCOMES = DataType.list(
    DataType.struct(
        {name: DataType.string() for name in ("item_id", "kind", "error", "hint")} | {"seconds": DataType.float64()}
    )
)


@dataclass(frozen=True, kw_only=True)
class RunnerSettings:
    """Where the work runs. Never part of a key.

    Attributes:
        runner: ``native``, or ``ray`` with the `address` of a running cluster.
        num_workers: Processes side by side for steps that load a model.
        item_time_limit_s: Longest that one item of a step that loads a model may take; then it counts as failed.
        max_worker_memory_gb: Most resident memory of such a process, in GB (10^9 bytes); an item that needs more counts
            as failed. None: no limit but the machine's.
    """

    runner: Literal["native", "ray"] = "native"
    address: str = "auto"
    num_workers: int = os.cpu_count() or 1
    item_time_limit_s: float = 3600.0
    max_worker_memory_gb: float | None = None

    @property
    def limits(self) -> Limits:
        return Limits(time_s=self.item_time_limit_s, memory_gb=self.max_worker_memory_gb)


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
    num_workers = min(settings.num_workers, items.num_rows)
    batches = daft.from_arrow(batch_items(items, num_workers, step.shard_items, in_flight=step.in_flight))
    if settings.runner == "ray":
        batches = batches.into_partitions(min(items.num_rows, num_workers * PARTITIONS_PER_WORKER))
    with _runners(step, make_worker, shards, settings) as runner:
        for row in batches.select(runner.run(batches["items"]).alias("outcomes")).iter_rows(results_buffer_size=None):
            yield from map(_outcome, row["outcomes"])


def _outcome(row: Mapping[str, Any]) -> Outcome:
    if row["kind"] == "UserError":
        raise UserError(row["error"], hint=row["hint"])
    if row["kind"] == "AssertionError":
        raise AssertionError(row["error"])
    return Outcome(item_id=row["item_id"], seconds=row["seconds"], failure=row["error"])


@contextmanager
def _runners(
    step: TableStep, make_worker: Callable[[], Worker], shards: ShardFolder, settings: RunnerSettings
) -> Iterator[Any]:
    """The step's runner as a Daft class; what it started on this machine is ended when the step is."""
    assert step.in_flight == 1 or not step.loads_model, f"{step.name}: one item at a time in a process"
    if not step.loads_model:
        batch = daft.method.batch(return_dtype=_OUTCOMES, batch_size=1)(_ShardRunner.run)
        yield _daft_class(step, _ShardRunner, batch, use_process=False)(step.name, make_worker, shards, step.in_flight)
    elif settings.runner == "ray":
        batch = daft.method.batch(return_dtype=_OUTCOMES, batch_size=1)(_GuardedRunner.run)
        kind = _daft_class(step, _GuardedRunner, batch, max_concurrency=settings.num_workers)
        yield kind(step.name, make_worker, shards, settings.limits, 1, "")
    else:
        batch = daft.method.batch(return_dtype=_OUTCOMES, batch_size=1)(_GuardedRunner.run_beside)
        kind = _daft_class(step, _GuardedRunner, batch, use_process=False, max_concurrency=settings.num_workers)
        token = uuid.uuid4().hex
        try:
            yield kind(step.name, make_worker, shards, settings.limits, settings.num_workers, token)
        finally:
            _GuardedRunner.close_all(token)


def _daft_class(step: TableStep, kind: type, batch: Any, **options: Any) -> Any:
    return daft.cls(type(f"Step_{step.name}", (kind,), {"run": batch}), **options)


class _ShardRunner:
    """Makes the worker on first use, then works through batches in the engine's own threads."""

    def __init__(self, step_name: str, make_worker: Callable[[], Worker], shards: ShardFolder, in_flight: int) -> None:
        self.step_name = step_name
        self.make_worker = make_worker
        self.shards = shards
        self.in_flight = in_flight
        self.worker: Worker | None = None

    def run(self, batches: Any) -> list[list[dict[str, Any]]]:
        return [self._batch(items) for items in batches.to_arrow().to_pylist()]

    def _batch(self, items: list[Item]) -> list[dict[str, Any]]:
        finished: list[FinishedItem] = []
        try:
            self.worker = self.worker or self.make_worker()
            try:
                for done in self._done(self.worker, items):
                    finished.append(done)
            finally:  # even where an item stops the run
                if finished:
                    self.shards.commit(rows_of(finished, self.shards.outputs))
        except UserError as error:
            return [_told(kind="UserError", error=error.message, hint=error.hint)]
        except AssertionError:
            return [_told(kind="AssertionError", error=traceback.format_exc())]
        return [_told(item.item_id, item.seconds, error=failure_of(item)) for item in finished]

    def _done(self, worker: Worker, items: list[Item]) -> Iterator[FinishedItem]:
        """The items in order; where one stops the run, those that have begun are finished first."""
        if self.in_flight == 1:
            yield from (finish(self.step_name, worker, item) for item in items)
            return
        with ThreadPoolExecutor(min(self.in_flight, len(items))) as threads:
            asked = [threads.submit(finish, self.step_name, worker, item) for item in items]
            try:
                yield from (future.result() for future in asked)
            finally:
                threads.shutdown(cancel_futures=True)


class _GuardedRunner:
    """Works through batches with workers in guarded processes, one per slot."""

    _open: ClassVar[dict[str, "list[_GuardedRunner]"]] = {}
    """The runners made in this process by the token of their step: Daft makes them, and does not tell us."""

    def __init__(
        self,
        step_name: str,
        make_worker: Callable[[], Worker],
        shards: ShardFolder,
        limits: Limits,
        num_slots: int,
        token: str,
    ) -> None:
        self.shards = shards
        self.guards = [Guard(step_name, make_worker, shards, limits) for _ in range(num_slots)]
        self.free: queue.SimpleQueue[Guard] = queue.SimpleQueue()
        for guard in self.guards:
            self.free.put(guard)
        self.threads = ThreadPoolExecutor(num_slots)
        self._open.setdefault(token, []).append(self)
        if not token:
            warm_up(["spelangy.engine.guard"])  # an actor has one child: what that does not need is not imported

    async def run_beside(self, batches: Any) -> list[list[dict[str, Any]]]:
        """`run` for one machine: waits without holding one of Daft's threads."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, _GuardedRunner.run, self, batches)

    def run(self, batches: Any) -> list[list[dict[str, Any]]]:
        guard = self.free.get()
        try:
            return [self._batch(guard, items) for items in batches.to_arrow().to_pylist()]
        finally:
            self.free.put(guard)

    def _batch(self, guard: Guard, items: list[Item]) -> list[dict[str, Any]]:
        finished: list[tuple[str, Told]] = []
        try:
            with self._committing(finished):
                for item in items:
                    finished.append((item["id"], guard.work(item)))
        except UserError as error:
            return [_told(kind="UserError", error=error.message, hint=error.hint)]
        except (Bug, AssertionError) as error:
            return [_told(kind="AssertionError", error=str(error))]
        return [_told(item_id, told.seconds, error=told.failure) for item_id, told in finished]

    @contextmanager
    def _committing(self, finished: list[tuple[str, Told]]) -> Iterator[None]:
        """Commits what is finished at the end, even where an item stopped the run."""
        try:
            yield
        finally:
            if finished:
                self.shards.commit(rows_from_bytes([told.row for _, told in finished]))

    @classmethod
    def close_all(cls, token: str) -> None:
        """Ends what a step started in this process."""
        for runner in cls._open.pop(token, []):
            runner.close()

    def close(self) -> None:
        for guard in self.guards:
            guard.close()
        self.threads.shutdown(wait=False, cancel_futures=True)


def _told(item_id: str = "", seconds: float = 0.0, kind: str = "", error: str = "", hint: str = "") -> dict[str, Any]:
    return {"item_id": item_id, "kind": kind, "error": error, "hint": hint, "seconds": seconds}
