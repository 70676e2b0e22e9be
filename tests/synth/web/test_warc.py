"""Broken records are counted, those beside them are read."""

import os
from collections import Counter
from pathlib import Path

import pytest
from web_archives import PAGE, http, packed, record

from spelangy.core.errors import Dropped, Quarantined
from spelangy.synth.web.source_pages import SourcePage
from spelangy.synth.web.warc import read_archive


def read(tmp_path: Path, data: bytes, **options: int) -> tuple[list[SourcePage], list[Dropped]]:
    path = tmp_path / "a.warc"
    path.write_bytes(data)
    found = list(read_archive(path, **options))
    return [r for r in found if isinstance(r, SourcePage)], [d for d in found if isinstance(d, Dropped)]


def test_reads_plain_and_gzip_alike_and_unwraps_bracketed_uris(tmp_path: Path) -> None:
    records = [record(http(PAGE), uri="<http://x.org/1>"), record(http(PAGE), uri="http://x.org/2")]
    for data in (b"".join(records), b"".join(map(packed, records))):
        responses, drops = read(tmp_path, data)
        assert [response.uri for response in responses] == ["http://x.org/1", "http://x.org/2"]
        assert responses[0].html == PAGE.decode() and not drops


@pytest.mark.parametrize(
    ("bad", "reason", "value"),
    [
        (record(http(PAGE), digest="sha1:" + "A" * 32), "bad digest", None),
        (record(http(PAGE, status=b"404 Not Found")), "HTTP status", 404),
        (record(http(b"%PDF", kind=b"application/pdf")), "not HTML", None),
        (record(http(b"  ")), "empty body", 0),
        (record(b"no head at all"), "bad HTTP", None),
        (record(http(b"not gzip", more=b"Content-Encoding: gzip\r\n")), "bad HTTP", None),
        (record(http(b"a" * 5000)), "oversized record", 5064),
        (record(http(packed(b"a" * 50_000), more=b"Content-Encoding: gzip\r\n")), "oversized record", 4097),
    ],
)
def test_a_bad_record_is_one_counted_drop_between_good_ones(
    tmp_path: Path, bad: bytes, reason: str, value: float | None
) -> None:
    good = record(http(PAGE))
    responses, drops = read(tmp_path, good + bad + good, max_record_bytes=4096)
    assert len(responses) == 2
    assert [drop.reason for drop in drops] == [reason]
    assert "a.warc at byte" in drops[0].detail
    if value is not None and reason != "oversized record":
        assert drops[0].value == value
    if reason == "oversized record":
        assert drops[0].value is not None and drops[0].value > 4096 == drops[0].threshold


def test_digests_of_unknown_kinds_say_nothing(tmp_path: Path) -> None:
    responses, drops = read(tmp_path, record(http(PAGE), digest="blake3:abc"))
    assert len(responses) == 1 and not drops


@pytest.mark.parametrize("damage", ["head", "body", "checksum"])
def test_reading_resumes_after_a_bad_gzip_member(tmp_path: Path, damage: str) -> None:
    members = [packed(record(http(PAGE + os.urandom(300)), uri=f"http://x.org/{i}")) for i in range(5)]
    bad = bytearray(members[2])
    at = {"head": 4, "body": len(bad) // 2, "checksum": len(bad) - 6}[damage]
    bad[at : at + 4] = bytes(byte ^ 0x5A for byte in bad[at : at + 4])
    if damage == "head":
        bad[0:2] = b"\0\0"
    responses, drops = read(tmp_path, b"".join([*members[:2], bytes(bad), *members[3:]]))
    uris = [response.uri[-1] for response in responses]
    assert [uri for uri in uris if uri != "2"] == ["0", "1", "3", "4"]
    assert len(uris) == len(set(uris))
    assert [(type(drop), drop.reason) for drop in drops] == [(Quarantined, "unreadable archive")]


def test_reading_resumes_after_a_wrong_length(tmp_path: Path) -> None:
    good = record(http(PAGE))
    lying = record(http(PAGE), length=10)
    responses, drops = read(tmp_path, good + lying + good)
    assert len(responses) == 2
    assert Counter(drop.reason for drop in drops) == {"bad digest": 1, "unreadable archive": 1}


def test_a_boastful_length_is_never_allocated(tmp_path: Path) -> None:
    responses, drops = read(tmp_path, record(http(PAGE)) + record(http(PAGE), length=99_999_999_999))
    assert len(responses) == 1
    assert [(drop.reason, drop.value) for drop in drops] == [("oversized record", 99_999_999_999)]


@pytest.mark.parametrize("data", [b"", b"hello, this is no archive", b"\x1f\x8b\x08", b"\x1f\x8b\x08" * 50])
def test_what_is_no_archive_is_quarantined_not_raised(tmp_path: Path, data: bytes) -> None:
    responses, drops = read(tmp_path, data)
    assert not responses and len(drops) <= 1
    if len(data) in (0, 25):
        assert isinstance(drops[0], Quarantined)


@pytest.mark.parametrize(
    ("body", "more"),
    [
        ("<p>Café – naïve</p>".encode("cp1252"), b"text/html; charset=windows-1252"),
        ("<meta charset=iso-8859-1><p>Café naïve</p>".encode("latin-1"), b"text/html"),
        ("<p>Café naïve, déjà vu, Zoë</p>".encode(), b"text/html; charset=no-such-charset"),
        ("<meta charset=utf-8><p>Café\x00</p>".encode(), b"text/html"),
    ],
)
def test_charsets(tmp_path: Path, body: bytes, more: bytes) -> None:
    (response,), _ = read(tmp_path, record(http(body, kind=more)))
    assert "Café" in response.html and "\x00" not in response.html


def test_real_archives_good_and_broken(data_folder: Path) -> None:
    data = data_folder / "warc"
    counts = {
        path.name: Counter(map(type, read_archive(path))) for path in sorted(data.rglob("*arc*")) if path.is_file()
    }
    assert counts["sample-0000.warc.gz"] == {SourcePage: 22}
    assert counts["sample-0001.warc.gz"] == {SourcePage: 15}
    assert counts["example-trunc.warc"][SourcePage] == 0 and counts["example-trunc.warc"].total() == 2
    assert counts["example-bad-non-chunked.warc.gz"] == {SourcePage: 1}
    assert counts["example.arc.gz"] == {Quarantined: 1}


def test_what_is_not_admitted_is_counted_and_nothing_of_it_is_decoded(tmp_path: Path) -> None:
    def admit(uri: str) -> None:
        if "bad" in uri:
            raise Dropped("denied site", detail="bad.org")

    path = tmp_path / "a.warc"
    path.write_bytes(record(b"no HTTP at all", digest="sha1:" + "A" * 32, uri="http://bad.org/") + record(http(PAGE)))
    drop, page = read_archive(path, admit=admit)
    assert isinstance(drop, Dropped) and drop.reason == "denied site"
    assert drop.detail == "a.warc at byte 0: http://bad.org/ bad.org"
    assert isinstance(page, SourcePage)


def test_a_page_says_where_it_was_read(tmp_path: Path) -> None:
    first = packed(record(http(PAGE)))
    (tmp_path / "a.warc.gz").write_bytes(first + packed(record(http(PAGE), more="WARC-Date: 2024-02-29T12:00:00Z\r\n")))
    one, two = read_archive(tmp_path / "a.warc.gz", uri="crawl/a.warc.gz")
    assert isinstance(one, SourcePage) and isinstance(two, SourcePage)
    assert one.metadata == {"archive": "crawl/a.warc.gz", "offset": 0}
    assert two.metadata == {"archive": "crawl/a.warc.gz", "offset": len(first), "date": "2024-02-29T12:00:00Z"}


def test_a_body_cut_short_without_a_digest_is_no_page(tmp_path: Path) -> None:
    whole = record(http(PAGE), digest="none:x")
    responses, drops = read(tmp_path, whole[:-20])
    assert not responses
    assert [drop.reason for drop in drops] == ["bad digest"]
    assert drops[0].detail.endswith("the end is missing")
