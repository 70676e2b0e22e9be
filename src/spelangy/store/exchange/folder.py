"""The folder an export writes into: files appear whole, all together, and with the same bytes every time."""

import gzip
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import BinaryIO

from spelangy.core.errors import UserError
from spelangy.store.files import WRITING, refused_writes

GZIP_LEVEL = 6
_TAR_BLOCK_BYTES = 512


class ExportFolder:
    """Files of one export, written beside their place until all of them are finished."""

    def __init__(self, directory: Path, beside: Path) -> None:
        self.directory = directory
        self._beside = beside
        self._names: list[str] = []

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """A new file for writing, on disk when it is closed."""
        path = self._beside / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        self._names.append(name)

    def write_lines(self, name: str, lines: Iterable[str]) -> None:
        """A text file, a line at a time."""
        with self.open(name) as file:
            for line in lines:
                file.write(f"{line}\n".encode())

    def commit(self, patterns: Iterable[str]) -> list[Path]:
        """Moves all files to their place.

        Raises:
            UserError: When the folder holds files of an earlier export that this one does not replace: they would pass
                for part of it.
        """
        stale = sorted(_matching(self.directory, patterns) - set(self._names))
        if stale:
            raise UserError(
                f"{self.directory} holds {len(stale)} files of another export ({stale[0]} …)",
                hint="delete them, or choose another folder with --out",
            )
        for name in self._names:
            target = self.directory / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (self._beside / name).replace(target)
        return [self.directory / name for name in self._names]


def _matching(directory: Path, patterns: Iterable[str]) -> set[str]:
    wanted = tuple(patterns)
    files = (path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())
    return {name for name in files if any(fnmatch(name, pattern) for pattern in wanted) and WRITING not in name}


@contextmanager
def export_folder(directory: Path) -> Iterator[ExportFolder]:
    """An `ExportFolder`; what was not committed is removed.

    Raises:
        UserError: When `directory` cannot be written.
    """
    with refused_writes(str(directory)):
        directory.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=WRITING, dir=directory))
        try:
            yield ExportFolder(directory, beside)
        finally:
            shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def gzip_lines(folder: ExportFolder, name: str) -> Iterator[gzip.GzipFile]:
    """A gzip file without name and time in its header, so equal lines give equal bytes."""
    with (
        folder.open(name) as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=GZIP_LEVEL, mtime=0) as packed,
    ):
        yield packed


@dataclass
class Shards:
    """Numbered shards that are closed when they have reached `max_bytes`.

    A sample goes whole into one shard, so a shard is larger than `max_bytes` by less than its last sample.
    """

    max_bytes: int
    number: int = -1
    _num_bytes: int = 0
    _open: ExitStack = field(default_factory=ExitStack)

    def next_is_new(self) -> bool:
        """Whether the next sample opens a new shard; closes the one before."""
        if self.number >= 0 and self._num_bytes < self.max_bytes:
            return False
        self.close()
        self.number += 1
        self._num_bytes = 0
        return True

    def keep_open(self, stack: ExitStack) -> None:
        """Hands over what is to be closed with the shard."""
        self._open = stack

    def count(self, num_bytes: int) -> None:
        """Adds a sample's size."""
        self._num_bytes += num_bytes

    def close(self) -> None:
        """Closes the open shard."""
        self._open.close()


@contextmanager
def tar_stream(folder: ExportFolder, name: str) -> Iterator[tarfile.TarFile]:
    """A tar written as a stream."""
    with folder.open(name) as raw, tarfile.open(fileobj=raw, mode="w|", format=tarfile.USTAR_FORMAT) as tar:
        yield tar


def add_member(tar: tarfile.TarFile, name: str, data: bytes) -> int:
    """Adds one file of no owner, no time and fixed rights; returns the bytes it takes in the tar."""
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = len(data), 0, 0o644
    tar.addfile(member, io.BytesIO(data))
    return _TAR_BLOCK_BYTES + -(-len(data) // _TAR_BLOCK_BYTES) * _TAR_BLOCK_BYTES
