"""Which columns of a table, or keys of a JSON object, hold a page: by the names in use, in any case.

Source: FineWeb, C4 and CulturaX (text, url, timestamp or date), RefinedWeb (content, url), RedPajama 2 (raw_content,
url, title), Dolma and DCLM (text, metadata.url, WARC-Target-URI).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from spelangy.core.errors import Dropped
from spelangy.synth.web.charsets import decoded
from spelangy.synth.web.source_pages import (
    ARCHIVE,
    DATE,
    MAX_FIELD_CHARS,
    MAX_RECORD_BYTES,
    Admit,
    SourcePage,
    located,
    one_line,
    plain,
)

NAMES: Mapping[str, tuple[str, ...]] = {
    "html": ("html", "raw_html", "html_content"),
    "text": ("text", "raw_content", "content", "markdown", "plain_text"),
    "uri": ("url", "uri", "source_url", "page_url", "warc_target_uri"),
    "title": ("title",),
    "licence": ("licence", "license"),
    "date": ("date", "timestamp", "crawl_date", "warc_date", "date_download"),
}
"""Names of each field, the better first; `html` goes before `text`, since its main text can be found with more care."""

NESTED = ("metadata", "meta", "warc_metadata")
"""Columns that hold more of them, where they are objects."""

UNKNOWN_COLUMNS = "unknown columns"
_MAX_URI_CHARS = 4096


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The path (column, or column and key) of each field that was found."""

    paths: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, names: Iterable[tuple[str, ...]]) -> "Layout":
        """The layout of a table with the columns `names`, given as paths.

        Raises:
            Dropped: ``"unknown columns"`` when there is no page in it; the detail says what is there, what is needed.
        """
        known = {_normal(path): path for path in sorted(names, reverse=True)}
        paths: dict[str, tuple[str, ...]] = {}
        for field, spellings in NAMES.items():
            places = [(name,) for name in spellings] + [(outer, name) for outer in NESTED for name in spellings]
            first = next((known[place] for place in places if place in known), None)
            if first:
                paths[field] = first
        if "uri" not in paths or not paths.keys() & {"html", "text"}:
            told = one_line(", ".join(".".join(path) for path in sorted(known.values())))
            needed = f"{' or '.join((*NAMES['html'][:1], *NAMES['text']))}, and {' or '.join(NAMES['uri'])}"
            raise Dropped(UNKNOWN_COLUMNS, detail=f"found {told or 'none'}; needs {needed}")
        if "html" in paths:
            paths.pop("text", None)
        return cls(paths=paths)


def _normal(path: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.lower().replace("-", "_") for name in path)


def names_of(row: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The keys of a JSON object as paths, those of its nested objects among them."""
    nested = [(name, key) for name, value in row.items() if isinstance(value, dict) for key in value]
    return [*((name,) for name, value in row.items() if not isinstance(value, dict)), *nested]


def page_of(
    fields: Mapping[str, Any], metadata: Mapping[str, str | int], place: str, admit: Admit
) -> SourcePage | Dropped:
    """The page of one row; `fields` by the names of `NAMES`, missing ones left out."""
    uri = plain(_text(fields.get("uri"))).strip()
    try:
        if not uri or len(uri) > _MAX_URI_CHARS:
            raise Dropped("no address", value=len(uri), threshold=_MAX_URI_CHARS if uri else 1)
        admit(uri)
        html, text = _body(fields.get("html"), is_html=True), _body(fields.get("text"), is_html=False)
        if not (html or text).strip():
            raise Dropped("empty body", value=0, threshold=1)
        date = one_line(_text(fields.get("date")))
        return SourcePage(
            uri=uri,
            html=html,
            text=text,
            title=one_line(_text(fields.get("title"))),
            licence=one_line(_text(fields.get("licence"))),
            metadata={**metadata, **({DATE: date} if date else {})},
        )
    except Dropped as dropped:
        return located(dropped, f"{metadata[ARCHIVE]} at {place}: {uri[:MAX_FIELD_CHARS]}")


def _body(value: Any, *, is_html: bool) -> str:
    if isinstance(value, bytes):
        if len(value) > MAX_RECORD_BYTES:
            raise Dropped("oversized record", value=len(value), threshold=MAX_RECORD_BYTES)
        return decoded(value) if is_html else plain(value.decode("utf-8", "replace"))
    return plain(value) if isinstance(value, str) else ""


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value[: 4 * MAX_RECORD_BYTES].decode("utf-8", "replace")
    return "" if value is None else str(value)
