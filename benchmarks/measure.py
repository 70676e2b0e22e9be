"""How the benchmarks measure: medians of repetitions, what a new worker costs before it is at pace, memory."""

import multiprocessing
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import TypeVar

Worker = TypeVar("Worker")
Result = TypeVar("Result")

MACHINES_DIFFER = 1.25
"""A goal that was seen on one machine is met within this factor of it on another."""

SAMPLE_EVERY_S = 0.1


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Wall time of one call, and its result."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def repeated(work: Callable[[], Result], *, budget_s: float, max_repeats: int = 9) -> tuple[float, Result]:
    """Median wall time of `work`, and its last result; called once, and again while the sum stays in `budget_s`."""
    took_s, result = timed(work)
    times = [took_s]
    while sum(times) + min(times) <= budget_s and len(times) < max_repeats:
        took_s, result = timed(work)
        times.append(took_s)
    return median(times), result


def loaded(make: Callable[[], Worker], warm_up: Callable[[Worker], object]) -> tuple[Worker, float]:
    """A worker, and what it cost until it was at pace: making it, and by how much its first call is slower.

    Imports count where no earlier stage of the same process has made them.

    Args:
        warm_up: A short call, made twice.
    """
    made_s, worker = timed(make)
    (first_s, _), (second_s, _) = timed(lambda: warm_up(worker)), timed(lambda: warm_up(worker))
    return worker, made_s + max(0.0, first_s - second_s)


def peak_memory_mb() -> float:
    """Most memory this process ever held (resident set)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def in_fresh_process(work: Callable[..., Result], *given: object) -> tuple[Result, float]:
    """What `work` returns, called in a new process in which nothing is imported yet; and the peak memory, in MB, of it
    and all below it."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_result, args=(sender, work, given))
    process.start()
    assert process.pid is not None
    sender.close()
    with TreeMemory(process.pid) as memory:
        try:
            result: Result = receiver.recv()
        finally:
            process.join()
    return result, memory.peak_mb


def _send_result(sender: Connection, work: Callable[..., object], given: tuple[object, ...]) -> None:
    sender.send(work(*given))


class TreeMemory:
    """Samples the resident memory of a process and all below it; use as a context manager.

    Reads /proc: `peak_mb` stays 0 on systems without it. Pages that processes share count in each of them.
    (The children's peak that `getrusage` tells starts from the parent's size and is of no use here.)

    Args:
        shares: Counts what several processes share in parts, so that it is counted once; slower to sample.
    """

    def __init__(self, pid: int, *, shares: bool = False) -> None:
        self.pid = pid
        self.shares = shares
        self.peak_mb = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "TreeMemory":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(SAMPLE_EVERY_S):
            self.peak_mb = max(self.peak_mb, _shares_mb(self.pid) if self.shares else _tree_mb(self.pid))


def _tree_mb(root: int) -> float:
    pages = _tree_pages(root)
    return sum(pages.values()) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _shares_mb(root: int) -> float:
    kilobytes = 0
    for pid in _tree_pages(root):
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes / 2**10


def _tree_pages(root: int) -> dict[int, int]:
    """Resident pages of `root` and all processes below it, by process id."""
    parents, pages = {}, {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            stat = (entry / "stat").read_text().rpartition(")")[2].split()
            pages[int(entry.name)] = int((entry / "statm").read_text().split()[1])
            parents[int(entry.name)] = int(stat[1])
        except (OSError, IndexError):
            continue  # it ended while we looked
    found, waiting = {}, [root]
    while waiting:
        pid = waiting.pop()
        found[pid] = pages.get(pid, 0)
        waiting += [child for child, parent in parents.items() if parent == pid]
    return found
