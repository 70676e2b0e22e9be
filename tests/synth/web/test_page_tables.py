"""Parquet: ranges of rows together give the table, and no table can fill the memory."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spelangy.core.errors import Dropped, Quarantined
from spelangy.synth.web.page_tables import read_rows, table_ranges
from spelangy.synth.web.ranges import row_ranges
from spelangy.synth.web.source_pages import MAX_RECORD_BYTES, SourcePage

ROWS = range(333)


def written(path: Path, columns: dict[str, object], **options: object) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


def uris(path: Path) -> list[str]:
    return [page.uri for page in read_rows(path) if isinstance(page, SourcePage)]


@given(groups=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5000)), max_size=8), most=st.integers(1, 3000))
def test_row_ranges_cover_all_rows_once(groups: list[tuple[int, int]], most: int) -> None:
    ranges = row_ranges(groups, most)
    rows = [row for wanted in ranges for row in range(wanted.begin, wanted.stop)]
    assert rows == list(range(sum(num_rows for num_rows, _ in groups)))
    assert ranges and (len(ranges) == 1 or all(wanted.stop > wanted.begin for wanted in ranges))


def test_ranges_together_give_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = {
        "text": [f"text {row} " * 20 for row in ROWS],
        "url": [f"http://x.org/{row}" for row in ROWS],
    }
    path = written(tmp_path / "a.parquet", columns, row_group_size=100)
    monkeypatch.setattr("spelangy.synth.web.page_tables.row_ranges", lambda groups: row_ranges(groups, 5000))
    ranges = table_ranges(path)
    assert len(ranges) > 5
    pages = [page for wanted in ranges for page in read_rows(path, wanted, uri="a")]
    assert [page.uri for page in pages if isinstance(page, SourcePage)] == columns["url"]
    assert pages[250].metadata == {"archive": "a", "row": 250}  # type: ignore[union-attr]


def test_large_strings_bytes_dictionaries_and_nested_columns(tmp_path: Path) -> None:
    metadata = pa.array([{"url": "u1", "date": "2024"}, {"url": "u2", "date": None}])
    for name, text in {
        "large": pa.array(["one", "two"], pa.large_string()),
        "bytes": pa.array([b"one", b"two"]),
        "dictionary": pa.array(["one", "two"]).dictionary_encode(),
    }.items():
        path = written(tmp_path / f"{name}.parquet", {"Text": text, "metadata": metadata, "score": [0.1, 0.2]})
        first, second = read_rows(path)
        assert isinstance(first, SourcePage) and isinstance(second, SourcePage), name
        assert (first.uri, first.text, first.metadata["date"]) == ("u1", "one", "2024")
        assert (second.uri, second.text) == ("u2", "two") and "date" not in second.metadata


def test_mark_up_may_be_bytes_of_any_charset(tmp_path: Path) -> None:
    html = "<meta charset=iso-8859-1><p>Café naïve</p>".encode("latin-1")
    (page,) = read_rows(written(tmp_path / "a.parquet", {"html": [html], "url": ["u"]}))
    assert isinstance(page, SourcePage) and "Café naïve" in page.html


def test_strings_that_are_no_utf8_are_read(tmp_path: Path) -> None:
    broken = pa.array([b"caf\xe9\x00"]).view(pa.string())
    (page,) = read_rows(written(tmp_path / "a.parquet", {"text": broken, "url": ["u"]}))
    assert isinstance(page, SourcePage) and page.text == "caf\ufffd"


def test_rows_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    columns = {
        "text": ["a", None, "c", "d" * (MAX_RECORD_BYTES + 5), "e"],
        "url": ["u", "v", None, "w", "http://x.org/" + "e" * 5000],
    }
    found = list(read_rows(written(tmp_path / "a.parquet", columns)))
    assert [page.reason for page in found if isinstance(page, Dropped)] == [
        "empty body", "no address", "oversized record", "no address"
    ]  # fmt: skip
    assert uris(tmp_path / "a.parquet") == ["u"]


def test_a_value_repeated_a_million_times_stays_one_value(tmp_path: Path) -> None:
    """32 MB once in the file, said to stand in 200 rows: 6 GB if every row got its own."""
    value = pa.DictionaryArray.from_arrays(pa.array([0] * 200, pa.int32()), pa.array(["a" * (32 << 20)]))
    path = written(tmp_path / "a.parquet", {"text": value, "url": ["u"] * 200}, compression="zstd")
    assert path.stat().st_size < 1 << 20
    before = pa.total_allocated_bytes()
    for page in read_rows(path):
        assert isinstance(page, Dropped) and page.reason == "oversized record"
        assert pa.total_allocated_bytes() - before < 200 << 20


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"no table"])
def test_what_is_no_table_is_quarantined(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(data)
    assert [(wanted.begin, wanted.stop) for wanted in table_ranges(path)] == [(0, 0)]
    (found,) = read_rows(path)
    assert isinstance(found, Quarantined) and found.reason == "unreadable table"


def test_an_unknown_layout_says_what_is_there_and_what_is_needed(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", {"question": ["q"], "text": ["t"]})
    (found,) = read_rows(path)
    assert isinstance(found, Quarantined) and found.reason == "unknown columns"
    assert "found question, text; needs html or text" in found.detail and "url" in found.detail
