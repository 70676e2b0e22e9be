"""Packs the HTML files of `examples/pages` into `examples/pages.warc.gz`; the same pages give the same bytes.

    warcinfo | response | response | …        one gzip member a record, pages in the order of their file names

Source: WARC/1.1 (ISO 28500:2017), annex D for the gzip member per record.
"""

import gzip
import io
import uuid
from pathlib import Path

from fastwarc.warc import WarcRecord, WarcRecordType
from resiliparse.parse.html import HTMLTree

from spelangy.core.errors import UserError
from spelangy.core.hashing import digest_bytes

PAGES = Path(__file__).parent / "pages"
ARCHIVE = Path(__file__).parent / "pages.warc.gz"
CAPTURE_DATE = "2026-01-01T00:00:00Z"
ARCHIVE_FIELDS = {
    "format": "WARC File Format 1.1",
    "conformsTo": "https://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/",
    "description": "Thirty short pages of common knowledge, written as examples for spelangy",
    "license": "https://creativecommons.org/publicdomain/zero/1.0/",
}


def build_archive(pages: Path = PAGES) -> bytes:
    """The gzipped WARC of all HTML files in `pages`: one warcinfo record, then one response a page.

    Raises:
        UserError: When there is no page, or a page names no canonical address.
    """
    paths = sorted(pages.glob("*.html"))
    if not paths:
        raise UserError(f"no *.html in {pages}")
    return _warcinfo_member() + b"".join(_page_member(path) for path in paths)


def _warcinfo_member() -> bytes:
    block = "".join(f"{name}: {value}\r\n" for name, value in ARCHIVE_FIELDS.items()).encode()
    record = _record(WarcRecordType.warcinfo, ARCHIVE.name, block)
    record.headers["Content-Type"] = "application/warc-fields"
    record.headers["WARC-Filename"] = ARCHIVE.name
    return _gzip_member(record)


def _page_member(path: Path) -> bytes:
    html = path.read_bytes()
    uri = _canonical_uri(path, html)
    record = _record(WarcRecordType.response, uri, _http_response(html))
    record.is_http = True
    record.headers["WARC-Target-URI"] = uri
    return _gzip_member(record)


def _canonical_uri(path: Path, html: bytes) -> str:
    document = HTMLTree.parse(html.decode()).document
    link = document.query_selector('link[rel="canonical"]') if document else None
    if link is None:
        raise UserError(f"{path.name} names no address", hint='add <link rel="canonical" href="https://…"> to its head')
    return str(link["href"])


def _http_response(html: bytes) -> bytes:
    header = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(html)}\r\n\r\n"
    return header.encode() + html


def _record(record_type: WarcRecordType, name: str, block: bytes) -> WarcRecord:
    record = WarcRecord()
    record.init_headers(record_type=record_type)
    record.headers["WARC-Record-ID"] = f"<{uuid.uuid5(uuid.NAMESPACE_URL, f'{name}#{digest_bytes(block)}').urn}>"
    record.headers["WARC-Date"] = CAPTURE_DATE
    record.set_bytes_content(block)
    return record


def _gzip_member(record: WarcRecord) -> bytes:
    stream = io.BytesIO()
    record.write(stream, checksum_data=True)
    return gzip.compress(stream.getvalue(), compresslevel=9, mtime=0)


if __name__ == "__main__":
    ARCHIVE.write_bytes(build_archive())
