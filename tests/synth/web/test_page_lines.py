"""JSONL: ranges together give the file, whatever is in its lines."""

import json
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from web_archives import packed

from spelangy.core.errors import Dropped, Quarantined
from spelangy.synth.web import page_lines
from spelangy.synth.web.page_lines import read_lines
from spelangy.synth.web.ranges import Range, ranges_of
from spelangy.synth.web.source_pages import SourcePage

LINES = st.one_of(
    st.builds(
        lambda text, number: json.dumps({"text": text + "x", "url": f"http://x.org/{number}"}).encode(),
        st.text(max_size=30), st.integers(0, 99),
    ),
    st.sampled_from([b"", b"  ", b"{", b"[1]", b'{"text": 1}', b"\xff\xfe", b'{"text": "\\ud800", "url": "u"}']),
)  # fmt: skip


def found(path: Path, wanted: Range | None = None) -> list[object]:
    return [
        (page.uri, page.text, dict(page.metadata)) if isinstance(page, SourcePage) else (page.reason, page.detail)
        for page in read_lines(path, wanted, uri="a.jsonl")
    ]


@given(
    lines=st.lists(LINES, min_size=1, max_size=12),
    size=st.integers(1, 90),
    packing=st.sampled_from(["plain", "gzip", "members", "zstd"]),
    ends=st.booleans(),
)
def test_ranges_together_give_the_whole(lines: list[bytes], size: int, packing: str, ends: bool) -> None:
    data = b"\n".join(lines) + (b"\n" if ends else b"")
    if packing == "members":
        data = packed(data[: len(data) // 2]) + packed(data[len(data) // 2 :])
    elif packing != "plain":
        data = packed(data) if packing == "gzip" else pa.Codec("zstd").compress(data).to_pybytes()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        path.write_bytes(data or b"\n")
        whole = found(path)
        parts = [found(path, wanted) for wanted in ranges_of(path.stat().st_size, max(size, len(data) // 10))]
    assert [page for part in parts for page in part] == whole
    assert len(whole) == sum(bool(line.strip()) for line in lines)


def read(tmp_path: Path, data: bytes, name: str = "a.jsonl") -> list[SourcePage | Dropped]:
    (tmp_path / name).write_bytes(data)
    return list(read_lines(tmp_path / name))


@pytest.mark.parametrize(
    "row",
    [
        {"text": "T", "url": "http://x.org/", "dump": "CC-MAIN-2024-10", "date": "2024-03-01", "language": "en"},
        {"content": "T", "url": "http://x.org/", "timestamp": "2024-03-01", "dump": "d", "image_urls": []},
        {"raw_content": "T", "url": "http://x.org/", "date_download": "2024-03-01", "digest": "sha1:x"},
        {"id": "1", "text": "T", "metadata": {"url": "http://x.org/", "warc_date": "2024-03-01"}},
        {"text": "T", "metadata": {"WARC-Target-URI": "http://x.org/", "WARC-Date": "2024-03-01"}},
    ],
)
def test_layouts_in_use(tmp_path: Path, row: dict[str, object]) -> None:
    (page,) = read(tmp_path, json.dumps(row).encode())
    assert isinstance(page, SourcePage), page.detail
    assert (page.uri, page.text, page.metadata["date"]) == ("http://x.org/", "T", "2024-03-01")


def test_mark_up_goes_before_text_and_licence_and_title_are_kept(tmp_path: Path) -> None:
    row = {"text": "T", "html": "<p>T", "uri": "u", "title": " A \n title", "license": "CC-BY-4.0"}
    (page,) = read(tmp_path, json.dumps(row).encode())
    assert isinstance(page, SourcePage)
    assert (page.html, page.text, page.title, page.licence) == ("<p>T", "", "A title", "CC-BY-4.0")


@pytest.mark.parametrize("is_packed", [False, True])
def test_a_line_too_long_is_counted_and_the_next_is_read(tmp_path: Path, is_packed: bool) -> None:
    data = b'{"text": "' + b"a" * (20 << 20) + b'", "url": "u"}\n{"text": "b", "url": "v"}\n'
    long, page = read(tmp_path, packed(data) if is_packed else data)
    assert isinstance(long, Dropped) and long.reason == "oversized record"
    assert long.value is not None and long.value >= 20 << 20
    assert isinstance(page, SourcePage) and page.uri == "v"


def test_nul_and_halves_of_surrogate_pairs_are_no_part_of_a_text(tmp_path: Path) -> None:
    page, drop = read(tmp_path, b'{"text": "a\\u0000b\\ud800c", "url": "u"}\n{"\\udfff": 1}')
    assert isinstance(page, SourcePage) and page.text == "ab\ufffdc"
    assert isinstance(drop, Dropped) and "found \ufffd; needs" in drop.detail


def test_another_layout_is_said_once_with_what_is_there_and_what_is_needed(tmp_path: Path) -> None:
    *singles, whole = read(tmp_path, b'{"prompt": "p", "answer": "a"}\n' * 500)
    assert len(singles) == page_lines.MAX_LINES_WITHOUT_PAGE
    assert isinstance(whole, Quarantined) and whole.reason == "unknown columns"
    assert "answer, prompt" in whole.detail and "raw_content" in whole.detail and "url" in whole.detail


def test_gzip_within_gzip_is_not_unpacked(tmp_path: Path) -> None:
    nested = read(tmp_path, packed(packed(b'{"text": "a", "url": "u"}')))
    assert nested and all(isinstance(drop, Dropped) and drop.reason == "bad JSON" for drop in nested)


@pytest.mark.parametrize("data", [b"", packed(b"{}\n" * 99)[:-12], b"\x1f\x8b\x08junk", b"\x28\xb5\x2f\xfdjunk"])
def test_broken_files_are_quarantined(tmp_path: Path, data: bytes) -> None:
    assert isinstance(read(tmp_path, data)[-1], Dropped)


def test_deep_nesting_is_bad_json(tmp_path: Path) -> None:
    deep, page = read(tmp_path, b'{"text":' + b"[" * 200_000 + b'\n{"text": "b", "url": "v"}')
    assert isinstance(deep, Dropped) and deep.reason == "bad JSON"
    assert isinstance(page, SourcePage)


def test_a_bomb_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spelangy.synth.web.unpacked.MIN_UNPACKED_BYTES", 1 << 20)
    *_, last = read(tmp_path, packed(b'{"text": "a", "url": "u"}\n' + b" " * (30 << 20)))
    assert isinstance(last, Quarantined) and "unpack to more than" in last.detail


def test_zstd_as_its_own_tool_writes_it(tmp_path: Path) -> None:
    pages = read(tmp_path, pa.Codec("zstd").compress(b'{"text": "a", "url": "u"}\n').to_pybytes(), "a.jsonl.zst")
    assert [page.uri for page in pages if isinstance(page, SourcePage)] == ["u"]
