"""What is remembered of a file holds as long as the file is the same, and never longer."""

import os
import sqlite3
import time
from pathlib import Path

import pytest

from spelangy.store import inputs, stat_cache
from spelangy.store.inputs import content_ids
from spelangy.store.stat_cache import StatCache


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StatCache:
    monkeypatch.setenv("SPELANGY_CACHE", str(tmp_path / "cache"))
    return StatCache("test-1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "a.wav").write_bytes(b"sound")
    return tmp_path / "a.wav"


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the files had been written long ago."""
    monkeypatch.setattr(stat_cache, "SETTLED_NS", -1_000_000_000)


def known(cache: StatCache, *paths: Path) -> dict[Path, str]:
    return cache.known({path: path.stat() for path in paths})


def test_a_value_is_kept_under_its_name(cache: StatCache, path: Path, settled: None) -> None:
    assert known(cache, path) == {}
    cache.remember([(path, path.stat(), "value")])
    assert known(cache, path) == {path: "value"}
    assert known(StatCache("test-2"), path) == {}
    cache.remember([(path, path.stat(), "newer")])
    assert known(cache, path) == {path: "newer"}


@pytest.mark.parametrize("change", ["longer", "same length", "same length and mtime", "replaced"])
def test_a_changed_file_is_forgotten(cache: StatCache, path: Path, settled: None, change: str) -> None:
    before = path.stat()
    cache.remember([(path, before, "value")])
    time.sleep(0.02)
    if change == "replaced":
        (path.parent / "b.wav").write_bytes(b"other")
        (path.parent / "b.wav").replace(path)
    else:
        path.write_bytes(b"longer sound" if change == "longer" else b"other")
    if change.endswith("mtime"):
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert known(cache, path) == {}


def test_a_file_touched_a_moment_ago_is_not_remembered(cache: StatCache, path: Path) -> None:
    cache.remember([(path, path.stat(), "value")])
    assert known(cache, path) == {}


@pytest.mark.parametrize("obstacle", ["no database", "a folder", "read-only"])
def test_a_cache_that_cannot_be_used_costs_nothing_else(
    cache: StatCache, path: Path, settled: None, obstacle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.file.parent.mkdir()
    if obstacle == "no database":
        cache.file.write_bytes(b"no database" * 100)
    elif obstacle == "a folder":
        cache.file.mkdir()
    else:
        monkeypatch.setattr(
            sqlite3, "connect", lambda *_, **__: (_ for _ in ()).throw(sqlite3.OperationalError("read-only"))
        )
    cache.remember([(path, path.stat(), "value")])
    assert known(cache, path) == {}
    assert content_ids([path])[0]


def test_a_name_that_is_no_text(cache: StatCache, tmp_path: Path, settled: None) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))
    try:
        path.write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes only names that are text")
    cache.remember([(path, path.stat(), "value")])
    assert known(cache, path) == {path: "value"}


def test_a_file_is_hashed_once(cache: StatCache, path: Path, settled: None, monkeypatch: pytest.MonkeyPatch) -> None:
    large = path.with_name("large.wav")
    large.write_bytes(bytes(2 << 20))
    first = content_ids([path, large, path, path.with_name("gone")])
    assert first[0] == first[2] != first[1] and first[3] is None
    monkeypatch.setattr(inputs, "_content_id", lambda _: pytest.fail("read again"))
    assert content_ids([path, large, path, path.with_name("gone")]) == first
