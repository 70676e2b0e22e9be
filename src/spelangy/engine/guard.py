"""A worker in a process of its own, so that a model that hangs, dies or eats all memory costs one item.

    run ── thread per slot ── Guard ══ pebble ══ child: worker     forked from a server that has the libraries
             commits shards    │ time limit: pebble kills the child
                               │ memory limit: the guard looks at the child's resident memory, and kills it
                               └ child died (segfault, out-of-memory killer): pebble starts another

The worker is made anew in the next child; the item is a counted drop of kind ``failed``. docs/decisions/worker-guard.md
says why it is done this way.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import forkserver, spawn
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import cloudpickle
from pebble import ProcessExpired, ProcessPool

from spelangy.core.errors import Dropped, UserError
from spelangy.engine.child import Recipe, Told, hello, make, settle, told, work
from spelangy.engine.shards import ShardFolder
from spelangy.engine.step import Item, Worker
from spelangy.engine.work import OUT_OF_MEMORY, TIME_LIMIT, WORKER_DIED, failed_item

PRELOADED = [
    "spelangy.engine.guard", "numpy", "soundfile", "pyarrow.parquet", "pandas", "onnxruntime", "torch", "scipy.signal",
    "faster_whisper",
]  # fmt: skip
"""Imported once, in the server that children are forked from: what several steps need and takes seconds to import. The
first child waits for all of it, so what one step alone needs is better imported there.

pandas is pyarrow's: it imports it the first time that it is given Python objects.
"""

LOOKS_PER_S = 20
"""How often the guard looks at a child's memory: a model that allocates 5 GB/s overshoots by a quarter of a GB."""

GONE_FOR_S = 1.0
"""A child that left without an exit code (``os._exit(0)`` in a library) is given up after this long."""

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one item may cost.

    Attributes:
        time_s: Seconds of wall-clock time; also for making the worker.
        memory_gb: Resident memory of the worker's process in GB (10^9 bytes); None: no limit of ours.
    """

    time_s: float
    memory_gb: float | None


class _Child(ForkServerProcess):
    """A child that does not import the main script again: the run's own command line, or a user's script."""

    _starting = threading.Lock()

    def start(self) -> None:
        with self._starting, _no_main_script():
            super().start()


class _Context(ForkServerContext):
    Process = _Child


@contextmanager
def _no_main_script() -> Iterator[None]:
    """What a child needs of the parent's state, without `__main__`: `cloudpickle` sends what was defined there."""
    whole = spawn.get_preparation_data

    def without(name: str) -> dict[str, Any]:
        return {key: value for key, value in whole(name).items() if not key.startswith("init_main")}

    spawn.get_preparation_data = without
    try:
        yield
    finally:
        spawn.get_preparation_data = whole


def warm_up(modules: Sequence[str] = PRELOADED) -> None:
    """Starts the server that children are forked from, which then imports in the background; again: does nothing."""
    _CONTEXT.set_forkserver_preload(list(modules))
    forkserver.ensure_running()


_CONTEXT = _Context()


class Guard:
    """One slot: at most one child at a time, in which the step's worker does one item after the other.

    Not safe to use from two threads at once.
    """

    def __init__(self, step_name: str, maker: Callable[[], Worker], shards: ShardFolder, limits: Limits) -> None:
        self.step_name = step_name
        self.outputs = shards.outputs
        self.maker = cloudpickle.dumps((maker, shards.outputs))
        self.limits = limits
        self.pool: ProcessPool | None = None
        self.pid = 0
        self.is_made = False

    def work(self, item: Item) -> Told:
        """One item, whatever becomes of the child.

        Raises:
            UserError: When the worker says that the request cannot be met, or cannot be made within the limits.
            Bug: When the worker finds a mistake of ours.
        """
        if not self.is_made:
            self._make()
        started = time.perf_counter()
        try:
            done: Told = self._call(work, item)
            return done
        except Dropped as why:
            return told(failed_item(self.step_name, item, why, time.perf_counter() - started), self.outputs)

    def close(self) -> None:
        """Ends the child, whatever it is doing."""
        pool, self.pool = self.pool, None
        self._forget_child()
        if pool is not None:
            pool.stop()  # type: ignore[no-untyped-call]
            pool.join()

    def _make(self) -> None:
        try:
            self.pid = self._call(hello, dict(os.environ))
            self._call(make, Recipe(step_name=self.step_name, maker=self.maker))
            self.is_made = True
        except (Dropped, MemoryError) as error:
            why = error if isinstance(error, Dropped) else Dropped(OUT_OF_MEMORY, detail="MemoryError")
            raise UserError(
                f"{self.step_name}: its model does not load: {why.reason} ({why.detail})", hint=ADVICE[why.reason]
            ) from error

    def _call(self, function: Callable[[Any], Any], argument: Any) -> Any:
        """Calls in the child.

        Raises:
            Dropped: When the child was or had to be killed.
        """
        started = time.perf_counter()
        future = self._running_pool().schedule(function, (argument,), timeout=self.limits.time_s)
        try:
            self._watch(future)
            return future.result(timeout=0)
        except TimeoutError:
            self._forget_child()
            raise self._too_long(time.perf_counter() - started) from None
        except ProcessExpired as expired:
            self._forget_child()
            raise Dropped(WORKER_DIED, detail=_how_it_ended(expired.exitcode)) from None
        except BrokenProcessPool as broken:
            self.close()
            raise Dropped(WORKER_DIED, detail=str(broken)) from None

    def _running_pool(self) -> ProcessPool:
        if self.pool is None or not self.pool.active:
            self.close()
            warm_up()
            self.pool = ProcessPool(max_workers=1, initializer=settle, context=_CONTEXT)
        return self.pool

    def _forget_child(self) -> None:
        self.pid, self.is_made = 0, False

    def _too_long(self, seconds: float) -> Dropped:
        return Dropped(TIME_LIMIT, value=seconds, threshold=self.limits.time_s, detail=f"gave up after {seconds:.0f} s")

    def _watch(self, future: "Future[Any]") -> None:
        """Waits for the future, with an eye on the child's memory and on whether there still is a child.

        Raises:
            Dropped: When the child took more memory than it may, or is gone.
        """
        last_seen = time.monotonic()
        while not wait([future], timeout=1 / LOOKS_PER_S).done:
            self._check_memory()
            if not self.pid or _is_alive(self.pid):
                last_seen = time.monotonic()
            elif time.monotonic() - last_seen > GONE_FOR_S:
                self.close()
                raise Dropped(WORKER_DIED, detail="the process left without a word")

    def _check_memory(self) -> None:
        limit_gb, resident_gb = self.limits.memory_gb, resident_bytes(self.pid) / 1e9
        if limit_gb is not None and resident_gb > limit_gb:
            os.kill(self.pid, signal.SIGKILL)  # before `close`, which asks first: it gets no time to eat on
            self.close()
            raise Dropped(OUT_OF_MEMORY, value=resident_gb, threshold=limit_gb, detail=f"{resident_gb:.2f} GB resident")


ADVICE = {
    TIME_LIMIT: "raise --item-time-limit, or give the step shorter items",
    OUT_OF_MEMORY: "raise --worker-memory, take fewer --workers, or give the step shorter items",
    WORKER_DIED: "run with --workers 1 and look at stderr; a killed process often means that memory ran out",
}
"""What to do when it happens to every item, or before the first."""


def advice_for(failure: str) -> str:
    """What to do about a failure for want of resources, after ``hint:``; nothing for others."""
    return next((f"\nhint: {hint}" for reason, hint in ADVICE.items() if failure.startswith(f"{reason}:")), "")


def _how_it_ended(exit_code: int) -> str:
    if exit_code >= 0:
        return f"exit code {exit_code}"
    name = signal.Signals(-exit_code).name if -exit_code in list(signal.Signals) else str(-exit_code)
    return f"signal {name}" + (" (the system's way when memory runs out)" if -exit_code == signal.SIGKILL else "")


def resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 where the system does not tell or the process is gone."""
    if not pid:
        return 0
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
