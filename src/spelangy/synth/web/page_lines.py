"""Pages of JSONL files, a line each: plain, gzip or zstd."""

import io
import json
import mmap
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from spelangy.core.errors import Dropped, Quarantined
from spelangy.synth.web.page_columns import UNKNOWN_COLUMNS, Layout, names_of, page_of
from spelangy.synth.web.ranges import Range
from spelangy.synth.web.source_pages import ARCHIVE, MAX_RECORD_BYTES, OFFSET, Admit, SourcePage, admit_all, located
from spelangy.synth.web.unpacked import GZIP, ZSTD, GzipStream, UnpackedStream, ZstdStream

MAX_LINES_WITHOUT_PAGE = 100
"""Lines at the begin of a range that hold no page before the rest of it is given up: another layout, or no JSONL."""

_BUFFER_BYTES = 1 << 18


def read_lines(
    path: Path, wanted: Range | None = None, *, uri: str = "", admit: Admit = admit_all
) -> Iterator[SourcePage | Dropped]:
    """The pages of a JSONL file, in order, and a `Dropped` for each line that cannot be used.

    A range is one of the file's bytes; of a compressed file, which has to be unpacked from its first byte, a line
    belongs to the block that it was read from. The offset in a page's metadata is the line's in the unpacked file.

    Drops: ``"unreadable file"`` (broken compression), ``"bad JSON"``, ``"unknown columns"``, ``"no address"``, what
    `admit` drops, ``"oversized record"``, ``"empty body"``.
    """
    archive, wanted = uri or path.name, wanted or Range(begin=0, stop=path.stat().st_size)
    num_without = 0
    try:
        for offset, line in _lines(path, wanted):
            if isinstance(line, bytes) and not line.strip():
                continue
            found = _page(line, archive, offset, admit)
            if num_without >= 0:  # until the first line that holds a page
                num_without = num_without + 1 if _is_foreign(found) else -1
            yield found
            if num_without == MAX_LINES_WITHOUT_PAGE:
                detail = f"{archive} from byte {wanted.begin} on: {getattr(found, 'detail', '')}"
                yield Quarantined(UNKNOWN_COLUMNS, detail=detail)
                return
    except OSError as error:
        yield Quarantined("unreadable file", detail=f"{archive}: {error}")


def _is_foreign(found: SourcePage | Dropped) -> bool:
    return isinstance(found, Dropped) and found.reason in (UNKNOWN_COLUMNS, "bad JSON")


def _page(line: bytes | int, archive: str, offset: int, admit: Admit) -> SourcePage | Dropped:
    place = f"byte {offset}"
    try:
        row = _object(line)
        layout = Layout.of(names_of(row))
        fields = {name: _at(row, path) for name, path in layout.paths.items()}
        return page_of(fields, {ARCHIVE: archive, OFFSET: offset}, place, admit)
    except Dropped as dropped:
        return located(dropped, f"{archive} at {place}:")


def _object(line: bytes | int) -> dict[str, Any]:
    if isinstance(line, int):
        raise Dropped("oversized record", value=line, threshold=MAX_RECORD_BYTES)
    try:
        row = json.loads(line.decode("utf-8-sig", "replace"), strict=False)
    except (ValueError, RecursionError) as error:
        raise Dropped("bad JSON", detail=str(error)[:200]) from error
    if not isinstance(row, dict):
        raise Dropped("bad JSON", detail="no object")
    return row


def _at(row: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        row = row[name]
    return row


def _lines(path: Path, wanted: Range) -> Iterator[tuple[int, bytes | int]]:
    """(offset, line) of the lines of a range; of an oversized line its length."""
    with path.open("rb") as file:
        head = file.read(4)
        if not head:
            raise OSError("empty file")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if head[:3] == GZIP:
                yield from _unpacked_lines(GzipStream(data, 0, by_block=True), wanted)
            elif head == ZSTD:
                with closing(ZstdStream(path)) as stream:
                    yield from _unpacked_lines(stream, wanted)
            else:
                yield from _mapped_lines(data, wanted)


def _mapped_lines(data: mmap.mmap, wanted: Range) -> Iterator[tuple[int, bytes | int]]:
    # A line begins behind an end of line: the byte before the range may be one.
    at = data.find(b"\n", wanted.begin - 1, wanted.stop) + 1 if wanted.begin else 0
    if wanted.begin and not at:
        return
    while at < wanted.stop:
        end = data.find(b"\n", at)
        end = len(data) if end < 0 else end
        yield at, data[at:end] if end - at <= MAX_RECORD_BYTES else end - at
        at = end + 1


def _unpacked_lines(stream: UnpackedStream, wanted: Range) -> Iterator[tuple[int, bytes | int]]:
    try:
        yield from _placed_lines(stream, wanted)
    except OSError:
        if stream.place(stream.num_bytes) in wanted:  # else another range tells it
            raise


def _placed_lines(stream: UnpackedStream, wanted: Range) -> Iterator[tuple[int, bytes | int]]:
    at = 0
    with io.BufferedReader(stream, _BUFFER_BYTES) as buffered:
        while line := buffered.readline(MAX_RECORD_BYTES + 1):
            length = len(line)
            while len(line) > MAX_RECORD_BYTES and not line.endswith(b"\n"):
                line = line[:0] + (buffered.readline(MAX_RECORD_BYTES + 1) or b"\n")
                length += len(line)
            place = stream.place(at)
            if place >= wanted.stop:
                return
            if place >= wanted.begin:
                yield at, line if length <= MAX_RECORD_BYTES + 1 else length
            at += length
