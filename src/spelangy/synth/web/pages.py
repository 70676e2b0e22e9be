"""Step ``pages``: files of web pages → pages, each once.

part ──reader──> address ──> main text ──> Page       settle: a page found again in another part is a counted drop
                    └───────────┴────────> Drop
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from spelangy.core.errors import Dropped, Quarantined
from spelangy.core.hashing import digest, record_id
from spelangy.core.records import Drop, Page
from spelangy.core.schema import to_table
from spelangy.engine.step import Item, Produced, TableStep
from spelangy.store.inputs import FoundInput
from spelangy.synth.config import SynthSettings
from spelangy.synth.web.extract import UNKNOWN_LICENCE, Extraction, page_from_html
from spelangy.synth.web.page_parts import PagePart, find_page_inputs, parts_of, parts_table
from spelangy.synth.web.plain_text import page_from_text
from spelangy.synth.web.source_pages import SourcePage, located, parser_panics
from spelangy.synth.web.urls import UrlRules

DUPLICATE = "exact duplicate"

MAX_PART_CHARS = 256 << 20
MAX_PART_DROPS = 500_000
"""What one part may give before the rest of it is given up. Source: ours; a range of honest files is far from either,
while one of a bomb could fill any memory."""

_ENGLISH = ("en", "eng")


@dataclass(frozen=True, kw_only=True)
class ReadPages:
    """The usable pages of one part. Addresses are checked before anything of a page is decoded."""

    rules: UrlRules
    extraction: Extraction = "best"

    def __call__(self, item: Item) -> Produced:
        pages: dict[str, Page] = {}
        drops: list[tuple[str, Dropped, float]] = []
        try:
            with parser_panics():
                self._read(item, pages, drops)
        except Dropped as dropped:  # what was read before it stays
            drops.append((item["id"], Quarantined(dropped.reason, detail=f"{_place(item)}: {dropped.detail}"), 0.0))
        return Produced(records={"pages": list(pages.values())}, drops=drops)

    def _read(self, item: Item, pages: dict[str, Page], drops: list[tuple[str, Dropped, float]]) -> None:
        num_chars = 0
        for found in PagePart.of(item).pages(self.rules.check):
            page = found if isinstance(found, Dropped) else self._page(found)
            if isinstance(page, Dropped):
                drops.append((item["id"], page, 0.0))
            elif page.id in pages:
                drops.append((page.id, Dropped(DUPLICATE, detail=page.uri), 0.0))
            else:
                pages[page.id] = page
                num_chars += len(page.text)
            if num_chars > MAX_PART_CHARS or len(drops) > MAX_PART_DROPS:
                drops.append((item["id"], _too_much(num_chars, item), 0.0))
                return

    def _page(self, found: SourcePage) -> Page | Dropped:
        try:
            _check_language(found.language)
            with parser_panics():
                page = self._extracted(found)
        except Dropped as dropped:
            return located(dropped, found.uri)
        licence = found.licence if page.licence == UNKNOWN_LICENCE and found.licence else page.licence
        return replace(page, title=page.title or found.title, licence=licence, metadata=found.metadata_json)

    def _extracted(self, found: SourcePage) -> Page:
        if found.html:
            return page_from_html(found.html, found.uri, extraction=self.extraction)
        return page_from_text(found.text, found.uri)


def _check_language(language: str) -> None:
    """What the file says of the page's language, where it does: the first of several is most of the text."""
    first = language.replace("-", ",").partition(",")[0].strip()
    if first and first not in _ENGLISH:
        raise Dropped("not English", detail=f"said to be {language}")


def _too_much(num_chars: int, item: Item) -> Quarantined:
    place = _place(item)
    if num_chars > MAX_PART_CHARS:
        return Quarantined("too much in one range", value=num_chars, threshold=MAX_PART_CHARS, detail=place)
    return Quarantined("too much in one range", value=MAX_PART_DROPS + 1, threshold=MAX_PART_DROPS, detail=place)


def _place(item: Item) -> str:
    return f"{item['files'][0]['uri']} from {item['begin']} to {item['stop']}"


def pages_step(settings: SynthSettings) -> TableStep:
    """The pages of the recipe's files, each once by id.

    Raises:
        UserError: When a rule of ``synth.urls`` cannot be read.
    """
    found = find_page_inputs(settings.pages)
    rules = UrlRules.from_settings(settings.urls)
    return TableStep(
        name="pages",
        version=2,
        config={"inputs": _identity(found), "urls": rules.identity, "extraction": settings.extraction},
        listing=("inputs",),
        outputs={"pages": Page},
        items=lambda _: parts_table(parts_of(found)),
        worker=lambda _: partial(ReadPages, rules=rules, extraction=settings.extraction),
        settle=lambda tables: _with_copies(without_repeats(tables), found),
        # Extraction is Python, of which threads run one at a time; and what a stranger's file does to a parser in C or
        # Rust must not end the run: processes of their own, as for models.
        loads_model=True,
        shard_items=1,
    )


def _identity(found: Iterable[FoundInput]) -> dict[str, object]:
    """What decides the pages: contents, the names they are told by, and how many copies are counted."""
    entries = [[entry.id, entry.uri, len(entry.copies)] for entry in found]
    return {"num": len(entries), "digest": digest(entries)}


def without_repeats(tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """`tables` of the step with each page once, by id: the first by its metadata; a repeat becomes a drop."""
    pages = tables["pages"]
    if pc.count_distinct(pages["id"]).as_py() == pages.num_rows:
        return dict(tables)
    keys = pages.select(["id", "uri", "metadata"]).append_column("row", pa.array(range(pages.num_rows), pa.int64()))
    ordered = keys.sort_by([("id", "ascending"), ("metadata", "ascending")]).combine_chunks()
    ids = ordered["id"].combine_chunks()
    is_first = pc.equal(pc.index_in(ids, ids), pa.array(range(len(ids)), pa.int32()))
    kept, repeated = ordered.filter(is_first), ordered.filter(pc.invert(is_first))
    mask = pc.is_in(keys["row"], kept["row"].combine_chunks())
    drops = to_table([_repeat(**row) for row in repeated.drop_columns(["row"]).to_pylist()], Drop)
    return {**tables, "pages": pages.filter(mask), "drops": pa.concat_tables([tables["drops"], drops])}


def _repeat(id: str, uri: str, metadata: str) -> Drop:
    return _duplicate(record_id("pages", id, metadata), id, f"{uri} {metadata}")


def _with_copies(tables: dict[str, pa.Table], found: Iterable[FoundInput]) -> dict[str, pa.Table]:
    """The drops with one more for each file that holds the same bytes as another."""
    copies = [(entry, uri) for entry in found for uri in entry.copies]
    drops = [_duplicate(record_id("pages", uri), entry.id, f"{uri} is {entry.uri}") for entry, uri in copies]
    return {**tables, "drops": pa.concat_tables([tables["drops"], to_table(drops, Drop)])}


def _duplicate(id: str, item_id: str, detail: str) -> Drop:
    return Drop(
        id=id, item_id=item_id, step="pages", kind="dropped", reason=DUPLICATE, value=None, threshold=None,
        detail=detail, duration_s=0.0,
    )  # fmt: skip
