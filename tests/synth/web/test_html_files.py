"""HTML files: their own address where they say it, whatever their charset."""

from pathlib import Path

import pytest
from web_archives import packed

from spelangy.core.errors import Dropped
from spelangy.synth.web.html_files import read_html
from spelangy.synth.web.source_pages import MAX_RECORD_BYTES, SourcePage


def read(tmp_path: Path, data: bytes) -> SourcePage | Dropped:
    (tmp_path / "a.html").write_bytes(data)
    (found,) = read_html(tmp_path / "a.html", uri="pages/a.html")
    return found


@pytest.mark.parametrize(
    ("head", "uri"),
    [
        (b'<link rel="canonical" href=" https://x.org/a ">', "https://x.org/a"),
        (b'<LINK HREF="HTTP://x.org/a" REL="alternate canonical">', "HTTP://x.org/a"),
        (b'<link rel="canonical" href="/a">', "pages/a.html"),
        (b'<link rel="canonical" href="javascript:alert(1)">', "pages/a.html"),
        (b"<title>canonical</title>", "pages/a.html"),
    ],
)
def test_its_address_is_its_canonical_link_else_the_file(tmp_path: Path, head: bytes, uri: str) -> None:
    page = read(tmp_path, b"<html><head>" + head + b"</head><body><p>Text</p></body></html>")
    assert isinstance(page, SourcePage)
    assert (page.uri, page.metadata) == (uri, {"archive": "pages/a.html"})


@pytest.mark.parametrize("charset", ["utf-8", "utf-16", "iso-8859-1", "windows-1252"])
def test_charsets_as_the_page_says(tmp_path: Path, charset: str) -> None:
    page = read(tmp_path, f"<html><head><meta charset={charset}></head><p>Café naïve</p>".encode(charset))
    assert isinstance(page, SourcePage) and "Café naïve" in page.html


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b" \n", "empty body"),
        (b"a" * (MAX_RECORD_BYTES + 1), "oversized record"),
        (packed(bytes(64 << 20)), "oversized record"),
        (packed(b"<p>x")[:-5], "unreadable file"),
    ],
)
def test_what_is_no_page_is_counted(tmp_path: Path, data: bytes, reason: str) -> None:
    drop = read(tmp_path, data)
    assert isinstance(drop, Dropped) and drop.reason == reason
    assert "pages/a.html" in drop.detail


def test_gzip_is_unpacked(tmp_path: Path) -> None:
    page = read(tmp_path, packed(b"<p>packed</p>"))
    assert isinstance(page, SourcePage) and page.html == "<p>packed</p>"
