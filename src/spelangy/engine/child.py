"""What happens inside the supervised process that holds a step's worker: see `engine.guard`, which starts it.

Imports no Daft: a child starts from a server that has the model libraries imported already.
"""

import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import forkserver, util
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from spelangy.core.errors import UserError
from spelangy.engine.shards import FinishedItem, row_bytes
from spelangy.engine.step import Item, Worker
from spelangy.engine.work import finish

_PR_SET_PDEATHSIG = 1
"""prctl(2): the signal to get when the parent dies."""

_FIRST = 1000
"""Among what a process does at its end."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that a child needs to make the worker.

    Attributes:
        maker: The pickled pair of the worker's maker and the record types by output table.
    """

    step_name: str
    maker: bytes


@dataclass(frozen=True, kw_only=True)
class Told:
    """How one item went, as the parent hears of it: the shard's row as bytes, and what is wrong with it if anything."""

    row: bytes
    seconds: float
    failure: str


class Bug(Exception):
    """An assertion that failed in the child, with its traceback as text."""


_made: dict[str, Any] = {}
"""The step's name, worker and output types, once `make` was called."""


def settle() -> None:
    """First thing in a child: die with the parent, be the first to go when memory is short, leave stdout alone."""
    _die_with_parent()
    if Path("/proc/self/oom_score_adj").exists():
        Path("/proc/self/oom_score_adj").write_text("1000")
    # Pebble ends a child twice over, by closing its pipe and by SIGTERM: the second must not cut short the first.
    util.Finalize(None, signal.signal, args=(signal.SIGTERM, signal.SIG_IGN), exitpriority=_FIRST)
    os.dup2(2, 1)  # stdout is for data; what a model library prints is a log


def _die_with_parent() -> None:
    """Nothing may go on writing once the run is gone, not even in the middle of a model's C++ code."""
    _let_server_die_with_run()
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # when the server dies, this child's parent by fork
    parent = multiprocessing.parent_process()
    assert parent is not None, "this runs in a child only"
    threading.Thread(target=_leave_after, args=(parent.sentinel,), daemon=True).start()


def _let_server_die_with_run() -> None:
    """The server ends when nobody holds the pipe any more that the run holds, and that it gives to every child."""
    server: Any = forkserver._forkserver  # type: ignore[attr-defined]
    held, server._forkserver_alive_fd = server._forkserver_alive_fd, None
    if held is not None:
        os.close(held)


def _leave_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def hello(environment: Mapping[str, str]) -> int:
    """Takes over the environment of whoever starts it (its own is the server's); returns the process's id."""
    os.environ.clear()
    os.environ.update(environment)
    return os.getpid()


def make(recipe: Recipe) -> None:
    """Makes the worker.

    Raises:
        UserError: When the worker says that it cannot be made.
        Bug: When it breaks in any other way.
    """
    try:
        maker, outputs = pickle.loads(recipe.maker)
        _made.update(name=recipe.step_name, worker=maker(), outputs=outputs)
    except (UserError, MemoryError):
        raise
    except Exception as error:
        raise Bug(traceback.format_exc()) from error


def work(item: Item) -> Told:
    """One item through the worker.

    Raises:
        UserError: When the worker says that the request cannot be met.
        Bug: When the worker finds a mistake of ours.
    """
    worker: Worker = _made["worker"]
    try:
        return told(finish(_made["name"], worker, item), _made["outputs"])
    except UserError:
        raise
    except Exception as error:  # `finish` has taken what the worker raised: this is ours, or a record of a wrong type
        raise Bug(traceback.format_exc()) from error


def told(item: FinishedItem, outputs: Mapping[str, type]) -> Told:
    """An outcome in the form that travels between processes."""
    return Told(row=row_bytes(item, outputs), seconds=item.seconds, failure=failure_of(item))


def failure_of(item: FinishedItem) -> str:
    """What broke on an item, empty where nothing did."""
    return f"{item.drops[0].reason}: {item.drops[0].detail}" if item.failed else ""
