"""One HTML page to a `Page`: main text, title, licence, and the questions it answers in its own mark-up."""

import html as entities
import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from resiliparse.parse.html import HTMLTree

from spelangy.core.errors import Dropped
from spelangy.core.hashing import record_id
from spelangy.core.records import Page, QuestionAnswer
from spelangy.synth.language import english_probability
from spelangy.synth.web.html_limits import MAX_HTML_CHARS, check_html
from spelangy.synth.web.main_text import Extraction, main_text

__all__ = ["MAX_HTML_CHARS", "MIN_ENGLISH_PROBABILITY", "MIN_WORDS", "UNKNOWN_LICENCE", "Extraction", "page_from_html"]

MIN_WORDS = 50
MIN_ENGLISH_PROBABILITY = 0.65
"""Source: FineWeb keeps pages at 0.65 of the same classifier (Penedo et al. 2024)."""

MAX_JSON_LD_CHARS = 300_000
MAX_JSON_LD_BLOCKS = 30
MAX_JSON_LD_NODES = 20_000
MAX_QUESTIONS = 200
MAX_QUESTION_CHARS = 500
MAX_ANSWER_CHARS = 2_000
UNKNOWN_LICENCE = "unknown"

_LICENCE_META = ("dc.rights", "dcterms.license", "dcterms.rights", "license", "rights", "copyright-license")
_TAG = re.compile(r"<[A-Za-z/!][^>]{0,500}>")


def page_from_html(html: str, uri: str, *, extraction: Extraction = "best", min_words: int = MIN_WORDS) -> Page:
    """The page at `uri`.

    Scripts are never run, nothing is fetched. The id names uri and text: the same page crawled twice is one page.

    Args:
        extraction: How the main text is found; see `main_text`.

    Raises:
        Dropped: ``"oversized page"``, ``"too many attributes"``, ``"too many names"``, ``"too deeply nested"`` (see
            `check_html`), ``"unreadable HTML"``, ``"too short"`` (words), ``"not English"`` (probability).
    """
    html = html.encode("utf-8", "replace").decode().replace("\x00", "")
    check_html(html)
    tree = _parse(html)
    text = main_text(html, tree, extraction, min_words=min_words)
    check_prose(text, min_words)
    return Page(
        id=record_id("page", uri, text),
        uri=uri,
        title=_one_line(tree.title or ""),
        text=text,
        licence=_licence(tree),
        questions=_questions(tree),
    )


def _parse(html: str) -> HTMLTree:
    try:
        return HTMLTree.parse(html)
    except (ValueError, RuntimeError) as error:
        raise Dropped("unreadable HTML", detail=str(error)) from error


def check_prose(text: str, min_words: int) -> None:
    """What is asked of every page's text, however it came.

    Raises:
        Dropped: ``"too short"`` (words), ``"not English"`` (probability).
    """
    num_words = len(text.split())
    if num_words < min_words:
        raise Dropped("too short", value=num_words, threshold=min_words)
    probability = english_probability(text)
    if probability < MIN_ENGLISH_PROBABILITY:
        raise Dropped("not English", value=probability, threshold=MIN_ENGLISH_PROBABILITY)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _select(tree: HTMLTree, selector: str) -> list[Any]:
    # An element collection's own iterator takes time with the square of its length.
    return list(tree.document.query_selector_all(selector).values()) if tree.document else []


def _licence(tree: HTMLTree) -> str:
    """What ``rel=license`` or a rights ``<meta>`` states, nothing inferred."""
    for link in _select(tree, 'link[rel~="license"], a[rel~="license"]'):
        if (target := (link.getattr("href") or "").strip()) and not target.startswith("#"):
            return target
    for meta in _select(tree, "meta[name][content]"):
        if (meta.getattr("name") or "").lower() in _LICENCE_META and (
            content := _one_line(meta.getattr("content") or "")
        ):
            return content
    return UNKNOWN_LICENCE


def _questions(tree: HTMLTree) -> tuple[QuestionAnswer, ...]:
    """Questions of schema.org (FAQPage, QAPage) in JSON-LD, any nesting, then in microdata; in order, each once."""
    found: dict[str, QuestionAnswer] = {}
    for pair in (*_json_ld(tree), *_microdata(tree)):
        if len(found) < MAX_QUESTIONS:
            found.setdefault(pair.question.casefold(), pair)
    return tuple(found.values())


def _json_ld(tree: HTMLTree) -> Iterator[QuestionAnswer]:
    for block in islice(_select(tree, 'script[type="application/ld+json"]'), MAX_JSON_LD_BLOCKS):
        yield from filter(None, map(_pair, _nodes(_json(block.text))))


def _microdata(tree: HTMLTree) -> Iterator[QuestionAnswer]:
    for node in islice(_select(tree, '[itemtype$="schema.org/Question"]'), MAX_QUESTIONS):
        question = _plain(_text_of(node, '[itemprop="name"]'), MAX_QUESTION_CHARS)
        answer = _plain(_text_of(node, '[itemtype$="schema.org/Answer"] [itemprop="text"]'), MAX_ANSWER_CHARS)
        if question and answer:
            yield QuestionAnswer(question=question, answer=answer)


def _text_of(node: Any, selector: str) -> str:
    """The text of the first element below `node` that the selector finds."""
    found = node.query_selector(selector)
    return found.text if found else ""


def _json(text: str) -> Any:
    if len(text) > MAX_JSON_LD_CHARS:
        return None
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def _nodes(root: Any) -> Iterator[dict[str, Any]]:
    """All objects below `root`, depth first in document order, without recursion and at most `MAX_JSON_LD_NODES`."""
    waiting = [root]
    for _ in range(MAX_JSON_LD_NODES):
        if not waiting:
            return
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(reversed(list(node.values())))
        elif isinstance(node, list):
            waiting.extend(reversed(node))


def _pair(node: dict[str, Any]) -> QuestionAnswer | None:
    types = node.get("@type")
    if "Question" not in (types if isinstance(types, list) else [types]):
        return None
    question = _plain(node.get("name") or node.get("text"), MAX_QUESTION_CHARS)
    answer = _answer(node.get("acceptedAnswer") or node.get("suggestedAnswer"))
    return QuestionAnswer(question=question, answer=answer) if question and answer else None


def _answer(node: Any) -> str:
    """The text of the answer; of several, the first that has one (the best voted comes first by convention)."""
    for option in node if isinstance(node, list) else [node]:
        text = _plain(option.get("text") if isinstance(option, dict) else option, MAX_ANSWER_CHARS)
        if text:
            return text
    return ""


def _plain(value: Any, max_chars: int) -> str:
    """A JSON-LD string without its mark-up, on one line; empty for anything else and for what is too long."""
    if not isinstance(value, str) or len(value) > 10 * max_chars:
        return ""
    text = _one_line(entities.unescape(_TAG.sub(" ", entities.unescape(value))).encode("utf-8", "ignore").decode())
    return text if len(text) <= max_chars else ""
