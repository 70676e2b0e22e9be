"""Records of a range of a WARC archive; what is broken is passed by, up to the next record that can be found.

    archive   ├─r─┼──r──┼─r─┼──── r ────┼─r─┼─r─┤
    range          ├────────────┤                      reads the third and the fourth record
              └ look back ┘                            finds out where records begin

Where a record begins cannot be told by looking at one place: a body may hold what looks like a record, an archive
within the archive for example. So reading begins a longest record before the range, and by its begin has left any body.

A place in a gzip archive is its member's: a record that begins within a member belongs to the last member with which a
record began. An archive packed in one piece is unpacked from its first byte for every range; a place is a block's then.

Source: the standard (ISO 28500, annex D) wants a gzip member a record; not all archives keep to it.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType

from spelangy.synth.web.ranges import Range
from spelangy.synth.web.source_pages import MAX_RECORD_BYTES
from spelangy.synth.web.unpacked import GZIP, GzipStream, first_bytes

LOOK_BACK_BYTES = MAX_RECORD_BYTES + (1 << 20)
"""The longest record that is read, and room for the heads."""

MAX_IDLE_RESUMES = 10_000
"""Resumptions in a row, within the range, that find no record before the rest of it is given up."""

_RECORD = b"WARC/1."
_MIN_MEMBERS_SEEN = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacedRecord:
    """A record and the byte of the archive that it belongs to."""

    place: int
    record: WarcRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Break:
    """Reading could not go on after the record at `place`."""

    place: int
    error: str


class _Layout(Protocol):
    """How records lie in an archive."""

    def start(self, at: int) -> int:
        """The first place from byte `at` on where reading can begin; -1 when there is none."""
        ...

    def records(self, at: int) -> Iterator[PlacedRecord]:
        """Records of all types from `at` on. Raises OSError where they break off."""
        ...

    def resume(self, last: int) -> int:
        """Where reading can begin again after it broke off behind the record at `last`; -1 when nowhere."""
        ...


class _Plain:
    """Records one after the other."""

    def __init__(self, file: BinaryIO, data: mmap.mmap) -> None:
        self.file = file
        self.data = data

    def start(self, at: int) -> int:
        return self.data.find(_RECORD, at)

    def records(self, at: int) -> Iterator[PlacedRecord]:
        self.file.seek(at)
        for record in _iterate(self.file):
            yield PlacedRecord(place=record.stream_pos, record=record)

    def resume(self, last: int) -> int:
        return self.start(last + 1)


class _Members:
    """Gzip members, of which each begins with a record."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data

    def start(self, at: int) -> int:
        at = self.data.find(GZIP, at)
        while at >= 0 and first_bytes(self.data, at, len(_RECORD)) != _RECORD:
            at = self.data.find(GZIP, at + 1)
        return at

    def records(self, at: int) -> Iterator[PlacedRecord]:
        stream = GzipStream(self.data, at)
        place = at
        for record in _iterate(stream):
            place = stream.member_starts.get(record.stream_pos, place)
            yield PlacedRecord(place=place, record=record)

    def resume(self, last: int) -> int:
        return self.start(last + 1)


class _OnePiece(_Members):
    """Gzip in which records do not begin with members."""

    broken_at = 0

    def records(self, at: int) -> Iterator[PlacedRecord]:
        stream = GzipStream(self.data, at, by_block=True)
        try:
            for record in _iterate(stream):
                yield PlacedRecord(place=stream.place(record.stream_pos), record=record)
        finally:
            self.broken_at = stream.member_at

    def resume(self, last: int) -> int:  # noqa: ARG002
        return self.start(self.broken_at + 1)  # a block holds members that were read


def _iterate(stream: BinaryIO | GzipStream) -> Iterator[WarcRecord]:
    yield from ArchiveIterator(stream, record_types=WarcRecordType.any_type, parse_http=False, stream_detect=False)


def read_range(
    file: BinaryIO, data: mmap.mmap, wanted: Range, look_back: int = LOOK_BACK_BYTES
) -> Iterator[PlacedRecord | Break]:
    """The records of all types that begin in a range, in order, and a `Break` each time that reading breaks off there.

    The ranges of an archive together give what the whole archive gives, as long as no record is longer than `look_back`
    (in the archive's bytes): then none is read twice and none is lost. A record is read before the next is asked for.
    """
    layout = _layout(file, data)
    sought_from = 0 if isinstance(layout, _OnePiece) else max(0, wanted.begin - look_back)
    at = layout.start(sought_from) if sought_from else 0
    # What breaks before the first record of a later range is the earlier one's to tell.
    is_told, idle = sought_from > 0, 0
    while 0 <= at < wanted.stop and idle < MAX_IDLE_RESUMES:
        last = at
        try:
            for found in layout.records(at):
                last, is_told, idle = found.place, False, 0
                if last >= wanted.stop:
                    return
                if last >= wanted.begin:
                    yield found
            return
        except OSError as error:
            if not is_told and last in wanted:
                yield Break(place=last, error=str(error))
        is_told = True
        idle += last in wanted
        at = layout.resume(last)


def _layout(file: BinaryIO, data: mmap.mmap) -> _Layout:
    if data[: len(GZIP) - 1] != GZIP[:-1]:
        return _Plain(file, data)
    return _Members(data) if _begin_with_members(data) else _OnePiece(data)


def _begin_with_members(data: mmap.mmap) -> bool:
    """Whether the first records that can be read begin a member each, as the standard wants it."""
    stream = GzipStream(data, 0)
    try:
        for number, record in enumerate(_iterate(stream), start=1):
            if record.stream_pos not in stream.member_starts:
                return False
            if number == _MIN_MEMBERS_SEEN:
                break
    except OSError:
        pass  # broken early: members can be found, one piece could not be read on
    return True
