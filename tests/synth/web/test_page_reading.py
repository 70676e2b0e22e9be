"""Files to pages: parts that do not depend on who reads them, each page once, nothing vanishes uncounted."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from web_archives import http, packed, record

from spelangy.core.errors import Dropped
from spelangy.core.records import Drop, Page
from spelangy.core.schema import from_table
from spelangy.engine.daft_runner import RunnerSettings
from spelangy.engine.pipeline import Pipeline
from spelangy.engine.progress import StepProgress
from spelangy.engine.step import Produced
from spelangy.store.objects import Store
from spelangy.synth.config import SynthSettings, UrlSettings
from spelangy.synth.web import page_parts, pages, ranges
from spelangy.synth.web.page_parts import PAGE_SUFFIXES, PagePart, find_page_inputs, kind_of, parts_of, parts_table
from spelangy.synth.web.pages import ReadPages, pages_step
from spelangy.synth.web.urls import UrlRules
from tiny_run import build_archive

PROSE = (
    "The tower on the rock was built of granite, and its lamp could be seen from ships twenty miles away. "
    "Its keepers lived on the island through the whole winter and were brought bread and oil by boat in calm weather. "
    "When the fog came they rang a bell every minute, and the fishermen in the bay knew by it where the reef lay."
)
GERMAN = "Der Turm auf dem Felsen war aus Granit gebaut, und sein Licht war von den Schiffen aus weit zu sehen. " * 4
ANY = UrlRules.from_settings(UrlSettings())


def prose(number: int) -> str:
    return f"{PROSE} This was told in the year {1800 + number} by a keeper."


def read(*paths: Path, rules: UrlRules = ANY) -> list[Produced]:
    items = parts_table(parts_of(find_page_inputs([str(path) for path in paths]))).to_pylist()
    return [ReadPages(rules=rules)(item) for item in items]


def texts(produced: list[Produced]) -> list[str]:
    return [page.text for part in produced for page in part.records["pages"]]


def reasons(produced: list[Produced]) -> list[str]:
    return [why.reason for part in produced for _, why, _ in part.drops]


def archive(path: Path, numbers: range) -> Path:
    html = {number: f"<html><body><main><p>{prose(number)}</p></main></body></html>" for number in numbers}
    members = [packed(record(http(html[number].encode()), uri=f"http://x.org/{number}")) for number in numbers]
    path.write_bytes(b"".join(members))
    return path


def test_the_same_text_is_read_from_every_kind_of_file(tmp_path: Path) -> None:
    html = f"<html><head><title>T</title></head><body><main><p>{PROSE}</p></main></body></html>"
    row = {"text": PROSE, "url": "http://x.org/", "title": "T", "licence": "CC0-1.0"}
    (tmp_path / "a.warc").write_bytes(record(http(html.encode())))
    (tmp_path / "a.warc.wet.gz").write_bytes(packed(record(PROSE.encode(), kind="conversion")))
    (tmp_path / "a.html").write_text(html)
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "a.parquet")
    (tmp_path / "notes.txt").write_text("passed over")
    produced = read(tmp_path)
    assert texts(produced) == [PROSE] * 5 and not reasons(produced)
    found = [page for part in produced for page in part.records["pages"]]
    assert {Path(json.loads(page.metadata)["archive"]).name for page in found} == {
        "a.warc", "a.warc.wet.gz", "a.html", "a.jsonl", "a.parquet"
    }  # fmt: skip
    assert sorted(page.title for page in found) == ["", "T", "T", "T", "T"]
    assert sorted(page.licence for page in found) == ["CC0-1.0", "CC0-1.0", "unknown", "unknown", "unknown"]
    assert len({page.id for page in found if page.uri == "http://x.org/"}) == 1


def test_text_is_held_to_what_extracted_text_is_held_to(tmp_path: Path) -> None:
    rows = [{"text": text, "url": "http://x.org/"} for text in (PROSE, "Too short.", GERMAN)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    produced = read(tmp_path)
    assert texts(produced) == [PROSE] and reasons(produced) == ["too short", "not English"]


def test_what_a_file_says_of_the_language_is_believed(tmp_path: Path) -> None:
    languages = ["eng", "deu,eng", "en-GB", ""]
    records = [
        record(f"{prose(number)}".encode(), kind="conversion", more=f"WARC-Identified-Content-Language: {language}\r\n")
        for number, language in enumerate(languages)
    ]
    (tmp_path / "a.wet").write_bytes(b"".join(records))
    produced = read(tmp_path)
    assert texts(produced) == [prose(0), prose(2), prose(3)] and reasons(produced) == ["not English"]


def test_addresses_are_checked_before_a_page_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[str] = []

    def looking(html: str, uri: str, **_: object) -> Page:
        looked_at.append(uri)
        raise Dropped("too short")

    monkeypatch.setattr(pages, "page_from_html", looking)
    (tmp_path / "a.warc").write_bytes(
        record(http(b"<p>a"), uri="http://bad.org/a") + record(http(b"<p>a"), uri="http://x.org/")
    )
    produced = read(tmp_path, rules=UrlRules.from_settings(UrlSettings(deny=("bad.org",))))
    assert looked_at == ["http://x.org/"] and reasons(produced) == ["denied site", "too short"]


class PanicException(BaseException):
    """As libraries in Rust raise it."""


def test_a_parser_that_panics_costs_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_page = pages.page_from_html

    def panicking(html: str, uri: str, **options: Any) -> Page:
        if uri.endswith("/1"):
            raise PanicException("index out of bounds")
        return read_page(html, uri, **options)

    monkeypatch.setattr(pages, "page_from_html", panicking)
    produced = read(archive(tmp_path / "a.warc.gz", range(3)))
    assert texts(produced) == [prose(0), prose(2)] and reasons(produced) == ["parser broke"]


def test_a_reader_that_panics_keeps_what_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages_of = PagePart.pages

    def panicking(part: PagePart, admit: Any) -> Iterator[Any]:
        yield next(pages_of(part, admit))
        raise PanicException("called `Result::unwrap()` on an `Err` value")

    monkeypatch.setattr(PagePart, "pages", panicking)
    produced = read(archive(tmp_path / "a.warc.gz", range(3)))
    assert texts(produced) == [prose(0)] and reasons(produced) == ["parser broke"]


def test_an_archive_gives_each_page_once(tmp_path: Path) -> None:
    path = build_archive(tmp_path)
    path.write_bytes(path.read_bytes() * 2)
    produced = read(path)
    assert len(set(texts(produced))) == len(texts(produced)) == 4
    assert reasons(produced) == ["exact duplicate"] * 4


def test_what_is_not_there_or_unknown_is_quarantined(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"\x00\x01\x02")
    produced = read(tmp_path / "gone.warc.gz", tmp_path / "a.bin")
    assert reasons(produced) == ["not found", "unknown format"]


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("x.WARC.GZ", b"", "warc"),
        ("x.bin", packed(b"WARC/1.0\r\n"), "warc"),
        ("x", b'\xef\xbb\xbf {"text"', "jsonl"),
        ("x", b"\n<!doctype html>", "html"),
        ("x", b"PAR1", "parquet"),
        ("x.json", b"", "jsonl"),
        ("x", b"\x1f\x8b\x08", "unknown"),
    ],
)
def test_the_kind_of_a_file_by_name_or_by_its_first_bytes(tmp_path: Path, name: str, data: bytes, kind: str) -> None:
    (tmp_path / name).write_bytes(data)
    assert kind_of(tmp_path / name) == kind


def test_a_folder_is_not_searched_for_what_is_seldom_a_list_of_pages() -> None:
    assert ".json" not in PAGE_SUFFIXES and ".jsonl" in PAGE_SUFFIXES and ".json.gz" in PAGE_SUFFIXES


def test_a_file_more_changes_few_batches(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"{number:03}.html").write_text(f"<p>{number}")
    before = {part.id for part in parts_of(find_page_inputs([str(tmp_path)]))}
    (tmp_path / "0005.html").write_text("<p>new")
    after = parts_of(find_page_inputs([str(tmp_path)]))
    assert 1 < len(before) < 40 and len({part.id for part in after} - before) <= 2
    assert sum(len(part.files) for part in after) == 301


def run(tmp_path: Path, settings: SynthSettings, num_workers: int) -> tuple[bytes, list[Page], list[Drop]]:
    store = Store(str(tmp_path / f"store-{num_workers}"))
    finished = Pipeline("p", [pages_step(settings)]).run(
        store, RunnerSettings(num_workers=num_workers), StepProgress(quiet=True)
    )["pages"]
    key = finished.stored.key
    data = (store.directory(key) / "pages.parquet").read_bytes()
    return data, from_table(store.table(key, "pages"), Page), from_table(store.table(key, "drops"), Drop)


def test_pages_of_all_parts_once_and_the_same_bytes_from_any_number_of_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_parts, "PACKED_RANGE_BYTES", 500)
    folder = tmp_path / "in"
    folder.mkdir()
    archive(folder / "a.warc.gz", range(12))
    archive(folder / "b.warc.gz", range(8, 16))
    (folder / "copy.warc.gz").write_bytes((folder / "a.warc.gz").read_bytes())
    settings = SynthSettings(pages=(str(folder),))
    assert len(parts_of(find_page_inputs(settings.pages))) > 8
    one, found, drops = run(tmp_path, settings, 1)
    two, _, _ = run(tmp_path, settings, 2)
    assert one == two
    assert sorted(page.uri for page in found) == sorted(f"http://x.org/{number}" for number in range(16))
    assert Counter(drop.reason for drop in drops) == {"exact duplicate": 5}
    assert {json.loads(page.metadata)["archive"] for page in found} == {
        str(folder / "a.warc.gz"), str(folder / "b.warc.gz")
    }  # fmt: skip


def test_a_part_that_gives_too_much_is_cut_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MAX_PART_CHARS", 2 * len(prose(0)))
    produced = read(archive(tmp_path / "a.warc.gz", range(9)))
    assert len(texts(produced)) == 3 and reasons(produced) == ["too much in one range"]


def test_parts_survive_the_way_through_a_table(tmp_path: Path) -> None:
    archive(tmp_path / "a.warc.gz", range(2))
    (tmp_path / "a.html").write_text("<p>")
    parts = parts_of(find_page_inputs([str(tmp_path)]))
    assert [PagePart.of(row) for row in parts_table(parts).to_pylist()] == parts
    assert ranges.ranges_of(0, 10) == [ranges.Range(begin=0, stop=0)]
