"""Pages of WARC and WET archives; whatever is broken is counted and passed by.

    record ──> address ──> size ──> digest ──> HTTP head ──> HTML? ──> body ──> charset ──> SourcePage   (response)
                  │          │        │                                                ┌──> SourcePage   (conversion)
                  │          │        └── text ────────────────────────────────────────┘
                  └──────────┴── … ──> Dropped(reason, value, threshold, detail)

WET archives are WARC archives of ``conversion`` records: the page's text, without its mark-up.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path

from fastwarc.warc import WarcRecord, WarcRecordType

from spelangy.core.errors import Dropped, Quarantined
from spelangy.synth.web.archive_records import Break, PlacedRecord, read_range
from spelangy.synth.web.charsets import decoded
from spelangy.synth.web.ranges import Range
from spelangy.synth.web.source_pages import (
    ARCHIVE,
    DATE,
    MAX_RECORD_BYTES,
    OFFSET,
    Admit,
    SourcePage,
    admit_all,
    located,
    one_line,
    plain,
)

_HTML_TYPES = ("text/html", "application/xhtml+xml")
_DIGESTS = ("sha1", "sha256", "sha512", "md5")
_MESSAGE_HEAD = (
    b"WARC/1.0\r\nWARC-Type: response\r\nContent-Type: application/http; msgtype=response\r\nContent-Length: %d\r\n\r\n"
)
_OK = 200


def read_archive(
    path: Path,
    wanted: Range | None = None,
    *,
    uri: str = "",
    admit: Admit = admit_all,
    max_record_bytes: int = MAX_RECORD_BYTES,
) -> Iterator[SourcePage | Dropped]:
    """The pages of a WARC or WET file (plain or gzip), in order, and a `Dropped` for each that cannot be used.

    Drops, each with the place in its detail: ``"unreadable archive"`` (the stream breaks: bad gzip member, bad WARC
    head; reading resumes at the next record), what `admit` drops, ``"oversized record"``, ``"bad digest"`` (a truncated
    body too), ``"bad HTTP"``, ``"HTTP status"``, ``"not HTML"``, ``"empty body"``. Records of other types are passed
    over uncounted. Oversized records are never loaded, compressed bodies never unpacked beyond the limit; of what is
    not admitted, nothing is decoded.

    Args:
        path: The archive.
        wanted: Reads only records that begin there; see `archive_records`.
        uri: How the archive is named in the pages' metadata; its file name by default.
        max_record_bytes: Longest record, and longest decoded body, that is read.
    """
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            yield Quarantined("unreadable archive", detail=f"{path.name}: empty file")
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for found in read_range(file, data, wanted or Range(begin=0, stop=len(data))):
                if isinstance(found, Break):
                    detail = f"{path.name}: {found.error} after byte {found.place}"
                    yield Quarantined("unreadable archive", detail=detail)
                elif page := _page(found, uri or path.name, admit, max_record_bytes):
                    yield page


def _page(found: PlacedRecord, archive: str, admit: Admit, max_bytes: int) -> SourcePage | Dropped | None:
    """The page of one record; None for what is none, or breaks off (which the archive's reader will notice, too)."""
    record = found.record
    if record.record_type not in (WarcRecordType.response, WarcRecordType.conversion):
        return None
    uri = _uri(record)
    place = f"{archive} at byte {found.place}: {uri}"
    try:
        admit(uri)
        block = _block(record, max_bytes)
        if block is None:
            return None
        read = _response if record.record_type == WarcRecordType.response else _conversion
        return read(record, block, uri, _metadata(found, archive), max_bytes)
    except Dropped as dropped:
        return located(dropped, place)
    except (OSError, UnicodeError, LookupError) as error:
        return Dropped("bad HTTP", detail=f"{place} {error}")


def _block(record: WarcRecord, max_bytes: int) -> bytes | None:
    """A record's content; None when the archive breaks off within it."""
    length: int = record.content_length
    if length > max_bytes:
        raise Dropped("oversized record", value=length, threshold=max_bytes)
    try:
        record.freeze()
        if _has_digest(record) and not record.verify_block_digest():
            raise Dropped("bad digest", detail=str(record.headers.get("WARC-Block-Digest")))
        block: bytes = record.reader.read()
    except OSError:
        return None
    if len(block) < length:
        raise Dropped("bad digest", value=len(block), threshold=length, detail="the end is missing")
    return block


def _response(
    record: WarcRecord,  # noqa: ARG001
    block: bytes,
    uri: str,
    metadata: dict[str, str | int],
    max_bytes: int,
) -> SourcePage:
    message = _message(block)
    _check_head(message)
    body = message.reader.read(max_bytes + 1)
    if len(body) > max_bytes:
        raise Dropped("oversized record", value=len(body), threshold=max_bytes, detail="once unpacked")
    if not body.strip():
        raise Dropped("empty body", value=0, threshold=1)
    return SourcePage(uri=uri, html=decoded(body, message.http_charset), metadata=metadata)


def _conversion(
    record: WarcRecord,
    block: bytes,
    uri: str,
    metadata: dict[str, str | int],
    max_bytes: int,  # noqa: ARG001
) -> SourcePage:
    """Text that somebody else took out of a page, UTF-8 by convention; its first line is the page's title by custom of
    Common Crawl, but nothing says so: it stays in the text."""
    kind = (record.headers.get("Content-Type") or "text/plain").partition(";")[0].strip().lower()
    if kind != "text/plain":
        raise Dropped("not text", detail=kind)
    if not block.strip():
        raise Dropped("empty body", value=0, threshold=1)
    language = one_line(record.headers.get("WARC-Identified-Content-Language") or "").lower()
    return SourcePage(uri=uri, text=plain(block.decode("utf-8", "replace")), language=language, metadata=metadata)


def _message(block: bytes) -> WarcRecord:
    """The HTTP message in a record of its own: a body that cannot be decoded would break the archive's stream."""
    message = WarcRecord.from_bytes(_MESSAGE_HEAD % len(block) + block + b"\r\n\r\n")
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
    return plain(record.headers.get("WARC-Target-URI") or "").strip().strip("<>")


def _metadata(found: PlacedRecord, archive: str) -> dict[str, str | int]:
    date = one_line(found.record.headers.get("WARC-Date") or "")
    return {ARCHIVE: archive, OFFSET: found.place, **({DATE: date} if date else {})}
