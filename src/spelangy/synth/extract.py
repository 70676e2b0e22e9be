"""One HTML page to a `Page`: main text, title, licence, and the questions it answers in its own mark-up."""

import html as entities
import json
import re
from collections.abc import Iterator
from typing import Any

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from spelangy.core.errors import Dropped
from spelangy.core.hashing import record_id
from spelangy.core.records import Page, QuestionAnswer
from spelangy.synth.language import english_probability

MIN_WORDS = 50
MIN_ENGLISH_PROBABILITY = 0.65
"""Source: FineWeb keeps pages at 0.65 of the same classifier (Penedo et al. 2024)."""

MAX_HTML_CHARS = 4_000_000
MAX_JSON_LD_CHARS = 300_000
MAX_JSON_LD_BLOCKS = 30
MAX_JSON_LD_NODES = 20_000
MAX_QUESTIONS = 200
MAX_QUESTION_CHARS = 500
MAX_ANSWER_CHARS = 2_000
UNKNOWN_LICENCE = "unknown"

_LICENCE_META = ("dc.rights", "dcterms.license", "dcterms.rights", "license", "rights", "copyright-license")
_TAG = re.compile(r"<[A-Za-z/!][^>]{0,500}>")


def page_from_html(html: str, uri: str, *, min_words: int = MIN_WORDS) -> Page:
    """The page at `uri`.

    The main text is resiliparse's (navigation, asides and footers off); where that leaves fewer than `min_words`, all
    visible text. Scripts are never run. The id names uri and text: the same page crawled twice is one page.

    Raises:
        Dropped: ``"oversized page"``, ``"unreadable HTML"``, ``"too short"`` (words), ``"not English"`` (probability).

    Source: on 91 articles with gold text, 4-gram precision .87 and recall .98 against .51 and .99 for all visible text.
    """
    if len(html) > MAX_HTML_CHARS:
        raise Dropped("oversized page", value=len(html), threshold=MAX_HTML_CHARS)
    tree = _parse(html)
    text = _main_text(tree, min_words)
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
        return HTMLTree.parse(html.encode("utf-8", "replace").decode().replace("\x00", ""))
    except (ValueError, RuntimeError) as error:
        raise Dropped("unreadable HTML", detail=str(error)) from error


def _main_text(tree: HTMLTree, min_words: int) -> str:
    text = _clean(extract_plain_text(tree, main_content=True, alt_texts=False, list_bullets=False))
    if len(text.split()) < min_words:
        text = _clean(extract_plain_text(tree, main_content=False, alt_texts=False, list_bullets=False))
    num_words = len(text.split())
    if num_words < min_words:
        raise Dropped("too short", value=num_words, threshold=min_words)
    probability = english_probability(text)
    if probability < MIN_ENGLISH_PROBABILITY:
        raise Dropped("not English", value=probability, threshold=MIN_ENGLISH_PROBABILITY)
    return text


def _clean(text: str) -> str:
    """Paragraphs by one empty line, tabs kept (they part table cells), no other runs of white space."""
    lines = [re.sub(r"[^\S\t]+", " ", line).strip() for line in text.splitlines()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _select(tree: HTMLTree, selector: str) -> list[Any]:
    return list(tree.document.query_selector_all(selector)) if tree.document else []


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
    """Questions of schema.org JSON-LD (FAQPage, QAPage, @graph, any nesting), in order, each once."""
    found: dict[str, QuestionAnswer] = {}
    for block in _select(tree, 'script[type="application/ld+json"]')[:MAX_JSON_LD_BLOCKS]:
        for node in _nodes(_json(block.text)):
            pair = _pair(node)
            if pair and len(found) < MAX_QUESTIONS:
                found.setdefault(pair.question.casefold(), pair)
    return tuple(found.values())


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
