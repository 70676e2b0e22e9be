"""Compressed files as streams that remember where they stand in the file, so that parts of a file can be read apart.

    gzip, a member a record     ├──member──┼──member──┼──┤    reading can begin at any member
    gzip in one piece, zstd     ├────────────────────────┤    reading begins at the first byte; places are told, too

A place of the unpacked bytes is the byte of the file that had to be read for it: a member's first byte, or a block's.
"""

import io
import mmap
from bisect import bisect_right
from pathlib import Path
from typing import cast

import pyarrow as pa
from isal import isal_zlib

GZIP = b"\x1f\x8b\x08"
ZSTD = b"\x28\xb5\x2f\xfd"

MAX_UNPACKED_RATIO = 200
"""What a stream may unpack to, as a multiple of its packed size so far. Source: ours; pages shrink to a fifth, the most
repetitive real ones to a fiftieth, while deflate's limit of 1,032 is reached by nothing but bombs."""

MIN_UNPACKED_BYTES = 256 << 20
"""What a stream may unpack to whatever its packed size."""

_BLOCK_BYTES = 1 << 15
_GZIP_ERROR = cast(type[Exception], isal_zlib.IsalError)
_GZIP_MEMBERS = 16 + 15  # zlib's window bits: a gzip head is expected


class UnpackedStream(io.RawIOBase):
    """Unpacked bytes that know their places in the packed file."""

    def __init__(self) -> None:
        self.num_bytes = 0
        self._offsets: list[int] = []
        self._places: list[int] = []

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.num_bytes

    def place(self, offset: int) -> int:
        """The byte of the file that byte `offset` of the unpacked stream was read from."""
        return self._places[max(0, bisect_right(self._offsets, offset) - 1)]

    def _mark(self, place: int) -> None:
        if not self._places or self._places[-1] != place:
            self._offsets.append(self.num_bytes)
            self._places.append(place)

    def _count(self, num_bytes: int, num_packed: int, before: int = 0) -> None:
        """Raises OSError when the stream unpacks too far; `before`: where in it the counted piece begins."""
        self.num_bytes += num_bytes
        if self.num_bytes - before > max(MIN_UNPACKED_BYTES, MAX_UNPACKED_RATIO * num_packed):
            raise OSError(f"{num_packed} bytes unpack to more than {self.num_bytes - before}")


class GzipStream(UnpackedStream):
    """The members of a gzip file from byte `at` on, one after the other.

    Places are those of members, or with `by_block` those of the blocks of input that were read. A stream that broke
    raises the same error when it is read again.

    Raises:
        OSError: When a member is broken, or unpacks to far more than it is.
    """

    def __init__(self, data: mmap.mmap | bytes, at: int, *, by_block: bool = False) -> None:
        super().__init__()
        self.data = data
        self.at = at
        self.by_block = by_block
        self.error: OSError | None = None
        self.member_at = at
        self.member_offset = 0
        self.member_starts: dict[int, int] = {}
        self._member: isal_zlib.Decompress | None = None

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        if self.error:
            raise self.error
        try:
            got = self._piece(len(buffer))
            buffer[: len(got)] = got
            self._count(len(got), self.at - self.member_at, self.member_offset)
        except (_GZIP_ERROR, OSError) as error:
            self.error = OSError(f"gzip member at byte {self.member_at}: {error}")
            raise self.error from error
        return len(got)

    def _piece(self, max_bytes: int) -> bytes:
        """The next unpacked bytes, at least one; none at the end."""
        while self._member or self.at < len(self.data):
            member = self._member or self._open_member()
            packed = self.data[self.at : self.at + _BLOCK_BYTES]
            if self.by_block:
                self._mark(min(self.at, len(self.data) - 1))
            got: bytes = member.decompress(packed, max_bytes)
            self.at += len(packed) - len(member.unused_data if member.eof else member.unconsumed_tail)
            if member.eof:
                self._member = None
            if got:
                return got
            if not packed:
                raise OSError("the file ends in the middle of it")
        return b""

    def _open_member(self) -> "isal_zlib.Decompress":
        self.member_at, self.member_offset = self.at, self.num_bytes
        self.member_starts[self.num_bytes] = self.at
        if not self.by_block:
            self._mark(self.at)
        self._member = isal_zlib.decompressobj(_GZIP_MEMBERS)
        return self._member


class ZstdStream(UnpackedStream):
    """A zstd file from its first byte on; places are those of the blocks that were read.

    Raises:
        OSError: When it is broken, or unpacks to far more than it is.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.file = pa.OSFile(str(path))
        self.stream = pa.CompressedInputStream(self.file, "zstd")

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        self._mark(min(self.file.tell(), self.file.size() - 1))
        got = self.stream.read(len(buffer))
        buffer[: len(got)] = got
        self._count(len(got), self.file.tell())
        return len(got)

    def close(self) -> None:
        self.stream.close()
        self.file.close()
        super().close()


def first_bytes(data: mmap.mmap | bytes, at: int, num_bytes: int) -> bytes:
    """The first unpacked bytes of the gzip member at byte `at`, as many as can be had of its first block; none where
    there is no member."""
    try:
        return bytes(isal_zlib.decompressobj(_GZIP_MEMBERS).decompress(data[at : at + _BLOCK_BYTES], num_bytes))
    except _GZIP_ERROR:
        return b""
