"""HTML responses of WARC archives; whatever is broken is counted and passed by.

archive ──> records ──> size ──> digest ──> HTTP head ──> HTML? ──> body ──> charset ──> Response
               │          └─────────┴──────────┴───────────┴─────────┴──> Dropped(reason, value, threshold, detail)
               └─ stream breaks: Dropped, then reading resumes at the next record that can be found
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType
from resiliparse.parse.encoding import bytes_to_str, detect_encoding

from spelangy.core.errors import Dropped, Quarantined

MAX_RECORD_BYTES = 8 << 20
"""Common Crawl cuts bodies at 1 MiB (5 MiB since 2025); longer ones are rarely pages."""

MAX_IDLE_RESUMES = 10_000
"""Resumptions in a row that find no record before the rest of a damaged archive is given up."""

_HTML_TYPES = ("text/html", "application/xhtml+xml")
_DIGESTS = ("sha1", "sha256", "sha512", "md5")
_GZIP_MEMBER = b"\x1f\x8b\x08"
_PLAIN_RECORD = b"WARC/1."
_MESSAGE_HEAD = (
    b"WARC/1.0\r\nWARC-Type: response\r\nContent-Type: application/http; msgtype=response\r\nContent-Length: %d\r\n\r\n"
)
_OK = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """One archived HTML page, decoded; nothing in it has been executed or fetched."""

    uri: str
    html: str


def read_responses(path: Path, *, max_record_bytes: int = MAX_RECORD_BYTES) -> Iterator[Response | Dropped]:
    """The HTML responses of a WARC file (plain or gzip), in order, and a `Dropped` for each that cannot be used.

    Drops, each with the place in its detail: ``"unreadable archive"`` (the stream breaks: bad gzip member, bad WARC
    head; reading resumes at the next record), ``"oversized record"``, ``"bad digest"`` (a truncated body too),
    ``"bad HTTP"``, ``"HTTP status"``, ``"not HTML"``, ``"empty body"``. Records that are no responses are passed over
    uncounted. Oversized records are never loaded, compressed bodies never unpacked beyond the limit.

    Args:
        path: The archive.
        max_record_bytes: Longest record, and longest decoded body, that is read.
    """
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            yield Quarantined("unreadable archive", detail=f"{path.name}: empty file")
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for record in _records(file, data, path.name):
                yield record if isinstance(record, Dropped) else _response(record, path.name, max_record_bytes)


def _records(file: BinaryIO, data: mmap.mmap, name: str) -> Iterator[WarcRecord | Dropped]:
    """Response records; after a break in the stream, those from the next place on that looks like a record."""
    mark = _GZIP_MEMBER if data[:2] == _GZIP_MEMBER[:2] else _PLAIN_RECORD
    start, idle = 0, 0
    while start >= 0 and idle < MAX_IDLE_RESUMES:
        last = start
        file.seek(start)
        try:
            for record in ArchiveIterator(file, record_types=WarcRecordType.any_type, parse_http=False):
                last, idle = record.stream_pos, 0
                if record.record_type == WarcRecordType.response:
                    yield record
            return
        except OSError as error:
            if idle == 0:
                yield Quarantined("unreadable archive", detail=f"{name}: {error} after byte {last}")
        idle += 1
        start = data.find(mark, last + 1)


def _response(record: WarcRecord, name: str, max_bytes: int) -> Response | Dropped:
    place = f"{name} at byte {record.stream_pos}"
    try:
        return _read(record, max_bytes)
    except Dropped as drop:
        uri = _uri(record)
        drop.detail = f"{place}: {uri} {drop.detail}".strip()
        return drop
    except (OSError, UnicodeError, LookupError) as error:
        return Dropped("bad HTTP", detail=f"{place}: {error}")


def _read(record: WarcRecord, max_bytes: int) -> Response:
    if record.content_length > max_bytes:
        raise Dropped("oversized record", value=record.content_length, threshold=max_bytes)
    record.freeze()
    if _has_digest(record) and not record.verify_block_digest():
        raise Dropped("bad digest", detail=str(record.headers.get("WARC-Block-Digest")))
    message = _message(record)
    _check_head(message)
    body = message.reader.read(max_bytes + 1)
    if len(body) > max_bytes:
        raise Dropped("oversized record", value=len(body), threshold=max_bytes, detail="once unpacked")
    if not body.strip():
        raise Dropped("empty body", value=0, threshold=1)
    return Response(uri=_uri(record), html=_decode(body, message.http_charset))


def _message(record: WarcRecord) -> WarcRecord:
    """The HTTP message in a record of its own: a body that cannot be decoded would break the archive's stream."""
    block = record.reader.read()
    head = _MESSAGE_HEAD % len(block)
    message = WarcRecord.from_bytes(head + block + b"\r\n\r\n")
    message.parse_http(auto_decode="all")
    if not message.is_http_parsed:
        raise Dropped("bad HTTP", detail="no HTTP head")
    return message


def _has_digest(record: WarcRecord) -> bool:
    """Whether there is a digest of a kind that can be computed; other kinds say nothing, for or against."""
    algorithm = (record.headers.get("WARC-Block-Digest") or "").partition(":")[0]
    return algorithm.strip().lower() in _DIGESTS


def _check_head(record: WarcRecord) -> None:
    status = record.http_headers.status_code
    if status is None:
        raise Dropped("bad HTTP", detail="no status line")
    if status != _OK:
        raise Dropped("HTTP status", value=status, threshold=_OK)
    content_type = (record.http_content_type or "").strip().lower()
    if content_type not in _HTML_TYPES:
        raise Dropped("not HTML", detail=content_type or "no content type")


def _uri(record: WarcRecord) -> str:
    """The target URI; wget wraps it in angle brackets, against the standard."""
    return (record.headers.get("WARC-Target-URI") or "").strip().strip("<>")


def _decode(body: bytes, http_charset: str | None) -> str:
    """The charset of the HTTP head, else of the page's own ``<meta>``, else guessed; bad bytes become U+FFFD."""
    guessed = detect_encoding(body, from_html_meta=True) or "utf-8"
    try:
        text = bytes_to_str(body, http_charset or guessed, errors="replace")
    except (LookupError, UnicodeError):
        text = bytes_to_str(body, guessed, errors="replace")
    return text.replace("\x00", "")
