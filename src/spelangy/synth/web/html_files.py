"""Pages of HTML files, a file each."""

import mmap
from collections.abc import Iterator
from pathlib import Path

from resiliparse.parse.html import HTMLTree

from spelangy.core.errors import Dropped, Quarantined
from spelangy.synth.web.charsets import decoded
from spelangy.synth.web.html_limits import check_html
from spelangy.synth.web.source_pages import ARCHIVE, MAX_RECORD_BYTES, Admit, SourcePage, admit_all, located, one_line
from spelangy.synth.web.unpacked import GZIP, GzipStream

_WEB = ("http://", "https://")


def read_html(path: Path, *, uri: str = "", admit: Admit = admit_all) -> Iterator[SourcePage | Dropped]:
    """The page of an HTML file, plain or gzip, or a `Dropped`. Its address is its canonical link, else `uri`.

    Drops: ``"unreadable file"``, ``"oversized record"``, ``"empty body"``, what `admit` drops.
    """
    archive = uri or path.name
    try:
        html = decoded(_body(path))
        address = _canonical(html) or archive
        admit(address)
        yield SourcePage(uri=address, html=html, metadata={ARCHIVE: archive})
    except Dropped as dropped:
        yield located(dropped, f"{archive}:")
    except OSError as error:
        yield Quarantined("unreadable file", detail=f"{archive}: {error}")


def _body(path: Path) -> bytes:
    size = path.stat().st_size
    if size > MAX_RECORD_BYTES:
        raise Dropped("oversized record", value=size, threshold=MAX_RECORD_BYTES)
    body = path.read_bytes()
    if body.startswith(GZIP):
        body = _unpacked(body)
        if len(body) > MAX_RECORD_BYTES:
            raise Dropped("oversized record", value=len(body), threshold=MAX_RECORD_BYTES, detail="once unpacked")
    if not body.strip():
        raise Dropped("empty body", value=0, threshold=1)
    return body


def _unpacked(body: bytes | mmap.mmap) -> bytes:
    stream, pieces, num_bytes = GzipStream(body, 0), [], 0
    while num_bytes <= MAX_RECORD_BYTES and (piece := stream.read(1 << 16)):
        pieces.append(piece)
        num_bytes += len(piece)
    return b"".join(pieces)


def _canonical(html: str) -> str:
    """The address that the page says is its own, where it is one of the web."""
    if "canonical" not in html:
        return ""
    check_html(html)
    try:
        document = HTMLTree.parse(html).document
        links = document.query_selector_all('link[rel~="canonical"]') if document else []
    except (ValueError, RuntimeError) as error:
        raise Dropped("unreadable HTML", detail=str(error)) from error
    addresses = [one_line(link.getattr("href") or "") for link in links]
    return next((address for address in addresses if address.lower().startswith(_WEB)), "")
