"""Remembers what was worked out from a local file, for as long as the file is the same: listing a million inputs again
costs a `stat` each, not a read.

    <cache>/inputs.sqlite    (path, what) → size, mtime, ctime, value

The file may be deleted at any time. A cache that cannot be read or written costs time, nothing else.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from platformdirs import user_cache_path

SETTLED_NS = 2_000_000_000
"""A file touched within this time of being read could change again under the same time stamp: it is not remembered.
Source: the coarsest time stamps in use are FAT's, 2 s; git's index solves the same race the same way."""

_CREATE = """CREATE TABLE IF NOT EXISTS remembered (
    path TEXT, what TEXT, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, value TEXT, PRIMARY KEY (path, what)
) WITHOUT ROWID"""
_WAIT_S = 10.0


class StatCache:
    """Values by (path, size, mtime, ctime); ctime too, because a copy tool can set mtime but nobody can set ctime.

    Args:
        what: What the values are, with the version of how they are worked out.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.file = Path(os.environ.get("SPELANGY_CACHE") or user_cache_path("spelangy")) / "inputs.sqlite"

    def known(self, states: Mapping[Path, os.stat_result]) -> dict[Path, str]:
        """The values remembered of those files that are still the same."""
        found: dict[Path, str] = {}
        with contextlib.suppress(sqlite3.Error, OSError), self._opened() as database:
            for path, state in states.items():
                row = database.execute(
                    "SELECT size, mtime_ns, ctime_ns, value FROM remembered WHERE path = ? AND what = ?",
                    (os.fsencode(path), self.what),
                ).fetchone()
                if row and row[:3] == _stamp(state):
                    found[path] = row[3]
        return found

    def remember(self, values: Iterable[tuple[Path, os.stat_result, str]]) -> None:
        """Keeps `values`, but for files that changed a moment ago."""
        before_ns = time.time_ns() - SETTLED_NS
        rows = [
            (os.fsencode(path), self.what, *_stamp(state), value)
            for path, state, value in values
            if max(state.st_mtime_ns, state.st_ctime_ns) < before_ns
        ]
        if rows:
            with contextlib.suppress(sqlite3.Error, OSError), self._opened() as database:
                database.executemany("INSERT OR REPLACE INTO remembered VALUES (?, ?, ?, ?, ?, ?)", rows)
                database.commit()

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(self.file, timeout=_WAIT_S)) as database:
            database.execute(_CREATE)
            yield database


def _stamp(state: os.stat_result) -> tuple[int, int, int]:
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns
