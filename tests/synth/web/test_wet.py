"""WET archives: text that somebody else took out of pages."""

from pathlib import Path

import pytest
from web_archives import PAGE, http, packed, record

from spelangy.core.errors import Dropped
from spelangy.synth.web.source_pages import SourcePage
from spelangy.synth.web.warc import read_archive

LANGUAGE = "WARC-Identified-Content-Language: eng,deu\r\n"


def read(tmp_path: Path, *records: bytes) -> list[SourcePage | Dropped]:
    path = tmp_path / "a.warc.wet.gz"
    path.write_bytes(b"".join(map(packed, records)))
    return list(read_archive(path))


def test_text_is_read_as_it_is(tmp_path: Path) -> None:
    info = record(b"software: x\r\n", kind="warcinfo")
    block = "Bees\nThey are naïve.\x00".encode()
    one = record(block, kind="conversion", uri="http://x.org/bees", more=LANGUAGE)
    (page,) = read(tmp_path, info, one)
    assert isinstance(page, SourcePage)
    assert (page.uri, page.text, page.html) == ("http://x.org/bees", "Bees\nThey are naïve.", "")
    assert page.language == "eng,deu"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (record(b"  \n", kind="conversion"), "empty body"),
        (record(b"text", kind="conversion", digest="sha1:" + "A" * 32), "bad digest"),
        (record(bytes(9 << 20), kind="conversion"), "oversized record"),
        (record(b"text", kind="conversion").replace(b"text/plain", b"image/webp"), "not text"),
    ],
)
def test_bad_records_are_counted(tmp_path: Path, bad: bytes, reason: str) -> None:
    drop, page = read(tmp_path, bad, record(b"good text", kind="conversion"))
    assert isinstance(drop, Dropped) and drop.reason == reason
    assert isinstance(page, SourcePage) and page.text == "good text"


def test_bytes_that_are_no_utf8_become_replacement_characters(tmp_path: Path) -> None:
    (page,) = read(tmp_path, record(b"caf\xe9 noir", kind="conversion"))
    assert isinstance(page, SourcePage) and page.text == "caf\ufffd noir"


def test_pages_and_texts_may_share_an_archive(tmp_path: Path) -> None:
    first, second = read(tmp_path, record(http(PAGE)), record(b"text", kind="conversion"))
    assert isinstance(first, SourcePage) and first.html and not first.text
    assert isinstance(second, SourcePage) and second.text and not second.html
