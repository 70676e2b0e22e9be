"""Reading what strangers wrote: JSON, lines and tars, with bounds on what they may cost."""

import gzip
import json
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, TypeVar, cast

from spelangy.core.errors import Dropped

Row = TypeVar("Row")
Part = TypeVar("Part")

MAX_DEPTH = 16
"""Deepest nesting of a JSON value; the formats here need six."""
MAX_LINE_BYTES = 16_000_000
MAX_DOCUMENT_BYTES = 200_000_000
"""Of a JSON, RTTM, TextGrid or VTT file, which is read whole; a day's words take a tenth."""
MAX_MEMBER_BYTES = 1_000_000_000
"""Of a member of a tar, which is held; nine hours of 16-bit sound, more as FLAC."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A part of a file that could not be read.

    Attributes:
        name: Where it is: file, and line or member.
    """

    name: str
    dropped: Dropped


def each(rows: Iterable[tuple[str, Row] | Fault], read: Callable[[str, Row], Part]) -> Iterator[Part | Fault]:
    """What `read` makes of every (name, row); of a row that it drops, a fault. Faults among the rows are passed on."""
    for row in rows:
        if isinstance(row, Fault):
            yield row
            continue
        name, value = row
        try:
            yield read(name, value)
        except Dropped as dropped:
            yield Fault(name=name, dropped=dropped)


def parse_json(text: str | bytes) -> Any:
    """A JSON value.

    Raises:
        Dropped: When it is none, says a key twice, or is nested deeper than `MAX_DEPTH`.
    """
    try:
        value = json.loads(text, object_pairs_hook=_distinct)
    except RecursionError as error:
        raise Dropped("JSON nested too deep", threshold=MAX_DEPTH) from error
    except ValueError as error:
        raise Dropped("not JSON", detail=str(error)[:200]) from error
    depth = _depth(value)
    if depth > MAX_DEPTH:
        raise Dropped("JSON nested too deep", value=depth, threshold=MAX_DEPTH)
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise Dropped("JSON says a key twice", detail=", ".join(sorted(value))[:200])
    return value


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level := [part for inner in level for part in _parts(inner)]:
        depth += 1
    return depth


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def parse_object(text: str | bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        Dropped: As `parse_json`, and when it is no object.
    """
    value = parse_json(text)
    if not isinstance(value, dict):
        raise Dropped("not a JSON object", detail=str(value)[:80])
    return value


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file's bytes, unpacked where its name ends in ``.gz``."""
    with path.open("rb") as raw:
        if path.suffix == ".gz":
            with gzip.GzipFile(fileobj=raw) as unpacked:
                yield cast(BinaryIO, unpacked)
        else:
            yield raw


def lines(path: Path) -> Iterator[tuple[str, bytes] | Fault]:
    """(``file:number``, line) of each line that is not blank."""
    number = 0
    try:
        with opened(path) as file:
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    dropped = Dropped("line too long", value=len(line), threshold=MAX_LINE_BYTES)
                    yield Fault(name=f"{path.name}:{number}", dropped=dropped)
                    return
                if line.strip():
                    yield f"{path.name}:{number}", line
    except (OSError, EOFError, zlib.error) as error:
        yield Fault(name=f"{path.name}:{number + 1}", dropped=Dropped("file damaged", detail=str(error)[:200]))


def objects(path: Path) -> Iterator[tuple[str, dict[str, Any]] | Fault]:
    """(``file:number``, object) of each line of JSON."""
    return each(lines(path), lambda name, line: (name, parse_object(line)))


def document(path: Path) -> str:
    """A text file, whole.

    Raises:
        Dropped: Not UTF-8 (or UTF-16 with its mark, as Praat writes), larger than `MAX_DOCUMENT_BYTES`, or damaged.
    """
    try:
        with opened(path) as file:
            data = file.read(MAX_DOCUMENT_BYTES + 1)
        if len(data) > MAX_DOCUMENT_BYTES:
            raise Dropped("file too large", value=len(data), threshold=MAX_DOCUMENT_BYTES)
        return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise Dropped("file damaged", detail=str(error)[:200]) from error


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The members of a tar that share a key, by what follows the key's dot."""

    name: str
    key: str
    parts: Mapping[str, bytes]


def samples_of(path: Path, *, at_last_dot: bool = False) -> Iterator[Sample | Fault]:
    """Samples of a tar in order: members that follow one another under one key. Nothing is unpacked to disk.

    Args:
        at_last_dot: Whether a key reaches to its last dot (lhotse Shar) instead of its first (WebDataset).
    """
    key, parts = "", dict[str, bytes]()
    for member in _members(path):
        if isinstance(member, Fault):
            yield member
            continue
        name, data = member
        folder, _, file = name.rpartition("/")
        stem, _, suffix = file.rpartition(".") if at_last_dot else file.partition(".")
        place = f"{folder}/{stem}".lstrip("/")
        if place != key and parts:
            yield Sample(name=f"{path.name}:{key}", key=key, parts=parts)
            parts = {}
        key = place
        parts[suffix.lower()] = data
    if parts:
        yield Sample(name=f"{path.name}:{key}", key=key, parts=parts)


def _members(path: Path) -> Iterator[tuple[str, bytes] | Fault]:
    try:
        with tarfile.open(path, mode="r|*") as tar:
            for member in tar:
                if member.isdir():
                    continue
                why = _member_fault(member)
                if why is not None:
                    yield Fault(name=f"{path.name}:{_printable(member.name)}", dropped=why)
                    continue
                file = tar.extractfile(member)
                assert file is not None, "regular members have content"
                yield member.name, file.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error, UnicodeError, ValueError) as error:
        yield Fault(name=path.name, dropped=Dropped("archive damaged", detail=str(error)[:200]))


def _member_fault(member: tarfile.TarInfo) -> Dropped | None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or "\\" in member.name or _printable(member.name) != member.name:
        return Dropped("unsafe member name", detail=_printable(member.name)[:200])
    if not member.isreg() or member.issparse():
        return Dropped("member is no plain file", detail=_printable(member.name)[:200])
    if member.size > MAX_MEMBER_BYTES:
        return Dropped("member too large", value=member.size, threshold=MAX_MEMBER_BYTES)
    return None


def _printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()
