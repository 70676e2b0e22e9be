"""The main text of a page, with care (``best``) or quickly (``fast``).

    best ── trafilatura ──too little──┐
    fast ─────────────────────────────┴──> resiliparse's main content ──too little──> all visible text
                 └─── lines that are boilerplate by their words go ───┘

Paragraphs and headings are parted by an empty line, items of lists and rows of tables by a line break, cells by a tab.
"""

import logging
import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from lxml import etree
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree
from trafilatura import bare_extraction
from trafilatura.settings import Extractor

from spelangy.synth.web.boilerplate import LinkLines, is_boilerplate

Extraction = Literal["best", "fast"]

MAX_BEST_CHARS = 2_000_000
MAX_TAGS = 20_000
"""Pages with more are read quickly, and without a look at links: trafilatura's time grows with the square.
Source: ours; of 91 articles the longest has 1.4 million characters, the one with most tags 3,300."""

_CAPTIONS = ("figcaption", '[class*="caption"]', '[class*="gallery"]', '[class*="slideshow"]')
_PARAGRAPHS = ("p", "head", "quote", "list", "table", "div")
_LINES = ("item", "row", "lb")
_KEEPS_LINES = ("code", "quote")
_BLANKS = re.compile(r"[^\S\t\n]+")

_LOGGER = logging.getLogger(__name__)

# Python prints warnings of a logger that nobody listens to; trafilatura warns of each page without main text.
logging.getLogger("trafilatura").addHandler(logging.NullHandler())


def main_text(html: str, tree: HTMLTree, extraction: Extraction, *, min_words: int) -> str:
    """The main text of the page; nothing is fetched or written.

    Where one way finds fewer than `min_words`, the next is tried; the last is all visible text, however short.

    Args:
        html: The page, without NULs and lone surrogates, of which `tree` was made.

    Source: docs/decisions/main-content.md.
    """
    is_large = len(html) > MAX_BEST_CHARS or html.count("<") > MAX_TAGS
    if extraction == "best" and not is_large and _num_words(text := _best(html)) >= min_words:
        return text
    if _num_words(text := _fast(tree, look_at_links=not is_large)) >= min_words:
        return text
    return _joined(_lines(_plain_text(tree, main_content=False)))


def _num_words(text: str) -> int:
    return len(text.split())


def _best(html: str) -> str:
    """Trafilatura at its most precise, without readers' comments; empty where it finds nothing, or fails."""
    try:
        found = bare_extraction(html, options=Extractor(output_format="txt", precision=True, comments=False))
    except Exception as error:  # whatever a page can provoke in 10,000 lines of heuristics: the quick way reads it
        _LOGGER.debug("trafilatura failed: %r", error)
        return ""
    if found is None or isinstance(found, dict):
        return ""
    return _joined(line for line in _lines(_written(found.body)) if not is_boilerplate(line))


def _fast(tree: HTMLTree, *, look_at_links: bool) -> str:
    """Resiliparse's main content without captions, dates and readers' comments, and without lines that are one link."""
    text = _plain_text(tree, main_content=True, comments=False, post_meta=False, skip_elements=_CAPTIONS)
    lines = [line for line in _lines(text) if not is_boilerplate(line)]
    if look_at_links:
        links = LinkLines(tree)
        lines = [line for line in lines if line not in links]
    return _joined(lines)


def _plain_text(tree: HTMLTree, **options: Any) -> str:
    """Resiliparse's text; it parts cells by two tabs."""
    text: str = extract_plain_text(tree, alt_texts=False, list_bullets=False, **options)
    return text.replace("\t\t", "\t")


def _written(body: etree._Element) -> str:
    """The text of trafilatura's tree. Of several breaks in a row the largest is made, before the next text."""
    parts: list[str] = []
    due = 0
    for num_breaks, text in _pieces(body):
        due = max(due, num_breaks)
        if text == "\t" or text.strip():
            parts.append("\n" * due + text)
            due = 0
        elif not due:
            parts.append(text)
    return "".join(parts)


def _pieces(body: etree._Element) -> Iterator[tuple[int, str]]:
    """Line breaks and the text after them. Inside a cell no line is broken."""
    num_cells = 0
    for event, element in etree.iterwalk(body, events=("start", "end")):
        is_start = event == "start"
        if element.tag == "cell":
            num_cells += 1 if is_start else -1
            yield 0, "\t" if is_start and element.getprevious() is not None else ""
        elif num_breaks := _num_breaks(element):
            yield (0, " ") if num_cells else (num_breaks, "")
        text = (element.text if is_start else element.tail) or ""
        yield 0, text if is_start and element.tag in _KEEPS_LINES else re.sub(r"\s+", " ", text)


def _num_breaks(element: etree._Element) -> int:
    parent = element.getparent()
    if element.tag in _LINES or (parent is not None and parent.tag == "item" and element.tag in _PARAGRAPHS):
        return 1
    return 2 if element.tag in _PARAGRAPHS else 0


def _lines(text: str) -> list[str]:
    """Lines without white space around them, around tabs and in runs."""
    text = _BLANKS.sub(" ", "\n".join(text.splitlines())).replace(" \t", "\t").replace("\t ", "\t")
    return [line.strip() for line in text.split("\n")]


def _joined(lines: Iterable[str]) -> str:
    """The text with paragraphs parted by one empty line."""
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
