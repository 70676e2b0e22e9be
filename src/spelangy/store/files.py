"""Whole-file reads and writes on any fsspec URL. A file is either complete or absent: never half written."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem

from spelangy.core.errors import UserError

WRITING = ".writing-"
"""How the name of a half-written file begins: what a killed process may leave beside the place it was meant for."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
"""What the system says when a disk is full, a quota or a size limit reached, or a file system read-only."""


@contextmanager
def refused_writes(place: str) -> Iterator[None]:
    """What the system refuses to write at `place`, as a request that cannot be met.

    Raises:
        UserError: When the target is full, read-only, or no folder.
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {place}: {error.strerror or error}",
            hint="free space or choose another place; what was stored before is intact",
        ) from error


@contextmanager
def full_disks(place: str) -> Iterator[None]:
    """`refused_writes` where other things can go wrong as well: only what says that there is no room.

    Raises:
        UserError: When a disk is full or read-only.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        with refused_writes(error.filename or place):
            raise


class Files:
    """The files below one root, a local path or any fsspec URL (``s3://bucket/prefix``, ``gs://…``, ``memory://…``).

    Raises:
        UserError: When no installed package serves the URL's protocol.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        try:
            self.fs, self.base = fsspec.core.url_to_fs(root)
        except (ImportError, ValueError) as error:
            raise UserError(
                f"store {root!r}: {error}", hint="use a local path, or install the fsspec driver named above"
            ) from error

    @property
    def is_local(self) -> bool:
        return isinstance(self.fs, LocalFileSystem)

    def path(self, name: str) -> str:
        """The full path of `name` as this root's file system knows it."""
        return f"{self.base}/{name}"

    def url(self, name: str) -> str:
        """The full URL of `name`, for tools that open URLs themselves."""
        return self.path(name) if self.is_local else str(self.fs.unstrip_protocol(self.path(name)))

    def exists(self, name: str) -> bool:
        return bool(self.fs.exists(self.path(name)))

    def list(self, folder: str, suffix: str = "") -> list[str]:
        """Names of the files directly in `folder`, sorted; empty where there is no such folder."""
        if not self.fs.isdir(self.path(folder)):
            return []
        names = (str(entry).rsplit("/", 1)[-1] for entry in self.fs.ls(self.path(folder), detail=False, refresh=True))
        return sorted(f"{folder}/{name}" for name in names if name.endswith(suffix) and not name.startswith("."))

    def read(self, name: str) -> bytes:
        with self.fs.open(self.path(name), "rb") as file:
            data: bytes = file.read()
            return data

    def write(self, name: str, data: bytes) -> None:
        """Writes `data` whole: beside its place, fsync, rename (object stores put whole objects by themselves).

        Raises:
            UserError: When the target is full or read-only; what was there before stays as it was.
        """
        with refused_writes(self.path(name)):
            if self.is_local:
                _write_local(Path(self.path(name)), data)
            else:
                self.fs.pipe_file(self.path(name), data)

    def move_in(self, path: Path, name: str) -> None:
        """Makes a finished local file `name`: as `write`, without holding it in memory. Where the root is local, `path`
        must be on its file system.

        Raises:
            UserError: When the target is full or read-only.
        """
        with refused_writes(self.path(name)):
            if not self.is_local:
                self.fs.put_file(str(path), self.path(name))
                return
            with path.open("rb") as file:
                os.fsync(file.fileno())
            path.chmod(0o644)
            target = Path(self.path(name))
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)

    def upload(self, directory: Path, name: str) -> None:
        """Copies a local directory to `name` on a remote root."""
        for file in sorted(path for path in directory.rglob("*") if path.is_file()):
            self.write(f"{name}/{file.relative_to(directory).as_posix()}", file.read_bytes())

    def download(self, name: str, directory: Path) -> None:
        """Copies folder `name` of a remote root into a local directory, all of it or nothing."""
        with full_disks(str(directory)), _folder_beside(directory) as beside:
            self.fs.get(self.path(name), f"{beside}/content", recursive=True)
            try:
                Path(f"{beside}/content").replace(directory)
            except OSError:
                if not directory.is_dir():  # else another process was quicker, with the same content
                    raise


@contextmanager
def _folder_beside(directory: Path) -> Iterator[str]:
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent) as beside:
        yield beside


def _write_local(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(prefix=WRITING, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(beside).chmod(0o644)
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
