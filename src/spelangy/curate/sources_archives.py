"""Tar archives and WebDataset shards: every audio member is a recording, read where it lies; none is unpacked to disk.

An archive was written by a stranger. Names that lead out of it, links, devices and sparse members are set aside; an
archive that unpacks to far more than it is, or whose headers run wild, is read up to there.
"""

import gzip
import hashlib
import io
import json
import tarfile
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from spelangy.core.hashing import ID_HEX_DIGITS
from spelangy.curate.found import FoundSource, Place, metadata_json, unreadable
from spelangy.store.stat_cache import StatCache

ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz")
MAX_UNPACKED_RATIO = 100
"""An archive may unpack to this many times its size. Source: ours; FLAC and MP3 hardly shrink, 16-bit speech twofold,
digital silence a thousandfold: an archive of nothing but silence is cut short."""

MIN_UNPACKED_BYTES = 64 << 20
"""What a small archive may unpack to whatever its size."""

MAX_HEADER_BYTES = 1 << 20
MAX_SIDECAR_BYTES = 64 << 10
_BLOCK_BYTES = 1 << 16
_LISTINGS = "tar-members-1"
_ERRORS = (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, OverflowError, RecursionError)


@dataclass(frozen=True, kw_only=True)
class Member:
    """One audio member: its place in the unpacked archive, or why it is set aside."""

    name: str
    id: str = ""
    offset: int = 0
    num_bytes: int = 0
    problem: str = ""
    detail: str = ""
    sidecar: dict[str, Any] = field(default_factory=dict)


class _Unpacked(io.RawIOBase):
    """The bytes of an archive, counted: reading past `limit` is an error of the archive."""

    def __init__(self, file: io.BufferedReader | gzip.GzipFile, limit: int) -> None:
        self.file = file
        self.limit = limit

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.file.read1(len(buffer))  # one piece: what stands before damage is not lost with it
        if self.file.tell() > self.limit:
            raise tarfile.ReadError(f"unpacks to more than {self.limit} bytes")
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        target = offset + (self.file.tell() if whence == io.SEEK_CUR else 0)
        if whence == io.SEEK_END or target < 0 or target > self.limit:
            raise tarfile.ReadError(f"leads to byte {target} of at most {self.limit}")
        return self.file.seek(target)

    def tell(self) -> int:
        return self.file.tell()


class _Headers(io.BufferedReader):
    """Refuses the long reads that a header with a false length would ask for."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0 or size > MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return super().read(size)


def is_gzip(path: Path) -> bool:
    """Whether a file is compressed, by its first bytes."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


@contextmanager
def unpacked(path: Path) -> Iterator[io.BufferedReader]:
    """The archive's bytes without their compression, within the limits above."""
    packed_bytes = path.stat().st_size
    with path.open("rb") as raw:
        if is_gzip(path):
            limit = max(MIN_UNPACKED_BYTES, packed_bytes * MAX_UNPACKED_RATIO)
            with gzip.GzipFile(fileobj=raw) as plain:
                yield _Headers(_Unpacked(plain, limit), _BLOCK_BYTES * 4)
        else:
            yield _Headers(_Unpacked(raw, packed_bytes), _BLOCK_BYTES * 4)


def read_archive(uri: str, path: Path, suffixes: tuple[str, ...], *, sidecars: bool = True) -> list[FoundSource]:
    """The audio members of an archive, and one entry for what is broken about the archive itself.

    Args:
        sidecars: Whether ``.json`` and ``.txt`` members of the same key (WebDataset) are a recording's metadata.
    """
    container = "tar.gz" if is_gzip(path) else "tar"
    return [
        _member_source(uri, path, container, member, sidecars)
        if member.name
        else unreadable(uri, member.problem, member.detail)
        for member in _remembered(path, suffixes)
    ]


def _member_source(uri: str, path: Path, container: str, member: Member, sidecars: bool) -> FoundSource:
    name = f"tar://{member.name}::{uri}"
    if member.problem:
        return unreadable(name, member.problem, member.detail)
    place = Place(path=str(path.absolute()), container=container, offset=member.offset, num_bytes=member.num_bytes)
    metadata = metadata_json({**(member.sidecar if sidecars else {}), "member": member.name})
    return FoundSource(uri=name, place=place, id=member.id, metadata=metadata)


def _remembered(path: Path, suffixes: tuple[str, ...]) -> list[Member]:
    cache = StatCache(f"{_LISTINGS} {' '.join(suffixes)}")
    state = path.stat()
    known = cache.known({path: state}).get(path)
    if known is not None:
        return [Member(**entry) for entry in json.loads(known)]
    members = list_members(path, suffixes)
    cache.remember([(path, state, json.dumps([asdict(member) for member in members]))])
    return members


def list_members(path: Path, suffixes: tuple[str, ...]) -> list[Member]:
    """The members whose names end in `suffixes`, with the sidecars of their keys; reads the whole archive once."""
    found: list[Member] = []
    sidecars: dict[str, dict[str, Any]] = {}
    try:
        with unpacked(path) as file, tarfile.open(fileobj=file, mode="r:", errorlevel=1) as archive:
            for info in _infos(archive):
                if info.name.lower().endswith(suffixes):
                    found.append(_member(info, file))
                elif info.isreg() and not info.issparse():
                    _keep_sidecar(info, file, sidecars)
    except _ERRORS as error:
        found.append(Member(name="", problem="archive broken", detail=f"after {len(found)} members: {error}"[:300]))
    return [_with_sidecar(member, sidecars) for member in found]


def _infos(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Members in order; a header that leads backwards would otherwise be read for ever."""
    last = -1
    while (info := archive.next()) is not None:
        if info.offset <= last or info.size < 0:
            raise tarfile.ReadError(f"{info.name[:100]!r} leads backwards")
        last = info.offset
        yield info
        archive.members = []  # type: ignore[attr-defined]  # tarfile remembers every member; a million would fill memory


def _member(info: tarfile.TarInfo, file: io.BufferedReader) -> Member:
    name = info.name.encode("utf-8", "backslashreplace").decode()
    problem = _member_problem(info)
    if problem:
        return Member(name=name, problem=problem, detail=f"type {info.type!r} {info.linkname}"[:200])
    digest = hashlib.sha256()
    for block in _blocks(file, info.offset_data, info.size):
        digest.update(block)
    content = digest.hexdigest()[:ID_HEX_DIGITS]
    return Member(name=name, id=content, offset=info.offset_data, num_bytes=info.size)


def _member_problem(info: tarfile.TarInfo) -> str:
    name = PurePosixPath(info.name.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts:
        return "name leads out of the archive"
    if info.islnk() or info.issym():
        return "link in an archive"
    if info.issparse():
        return "sparse member in an archive"
    if not info.isreg():
        return "not a file"
    return "" if info.size else "empty file"


def _blocks(file: io.BufferedReader, offset: int, num_bytes: int) -> Iterator[bytes]:
    """`num_bytes` from `offset`; blocks smaller than the buffer keep `tarfile`'s step back of one byte within it."""
    file.seek(offset)
    while num_bytes > 0:
        block = file.read(min(_BLOCK_BYTES, num_bytes))
        if not block:
            raise tarfile.ReadError("unexpected end of data")
        num_bytes -= len(block)
        yield block


def _key(name: str) -> str:
    """What WebDataset groups by: the path up to the first dot of the file's name."""
    folder, _, file = name.rpartition("/")
    return f"{folder}/{file.partition('.')[0]}"


def _keep_sidecar(info: tarfile.TarInfo, file: io.BufferedReader, sidecars: dict[str, dict[str, Any]]) -> None:
    kind = info.name.rpartition(".")[2].lower()
    if kind not in ("json", "txt") or not 0 < info.size <= MAX_SIDECAR_BYTES:
        return
    text = b"".join(_blocks(file, info.offset_data, info.size)).decode("utf-8", "replace")
    fields = {"text": text.strip()} if kind == "txt" else _object(text)
    sidecars.setdefault(_key(info.name), {}).update(fields)


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _with_sidecar(member: Member, sidecars: dict[str, dict[str, Any]]) -> Member:
    fields = sidecars.get(_key(member.name))
    if not fields or not member.id:
        return member
    bounded = json.loads(metadata_json(fields))
    return Member(name=member.name, id=member.id, offset=member.offset, num_bytes=member.num_bytes, sidecar=bounded)


class ArchiveReader:
    """Reads members by their place. Compressed archives stay open and are read forwards: members asked for in order of
    their offset cost one pass in all."""

    def __init__(self) -> None:
        self._threads = threading.local()

    def blocks(self, place: Place) -> Iterator[bytes]:
        """The member's bytes.

        Raises:
            tarfile.TarError, OSError, EOFError, zlib.error: When the archive is no longer what was listed.
        """
        if place.container == "tar":
            with unpacked(Path(place.path)) as file:
                yield from _blocks(file, place.offset, place.num_bytes)
        else:
            yield from _blocks(self._open(place.path), place.offset, place.num_bytes)

    def _open(self, path: str) -> io.BufferedReader:
        if getattr(self._threads, "path", None) != path:
            self.close()
            self._threads.context = unpacked(Path(path))
            self._threads.file = self._threads.context.__enter__()
            self._threads.path = path
        file: io.BufferedReader = self._threads.file
        return file

    def close(self) -> None:
        """Closes the archive that this thread has open."""
        if getattr(self._threads, "path", None) is not None:
            self._threads.path = None
            self._threads.context.__exit__(None, None, None)
