"""Pages that come as text: no main text is looked for, the same is asked of them as of extracted pages."""

import re

from spelangy.core.errors import Dropped
from spelangy.core.hashing import record_id
from spelangy.core.records import Page
from spelangy.synth.web.extract import MAX_HTML_CHARS, MIN_WORDS, UNKNOWN_LICENCE, check_prose

_BLANKS = re.compile(r"[^\S\t]+")


def page_from_text(text: str, uri: str, *, min_words: int = MIN_WORDS) -> Page:
    """The page at `uri`, of which only its text is known. The id names uri and text, as an extracted page's does.

    Raises:
        Dropped: ``"oversized page"``, ``"too short"`` (words), ``"not English"`` (probability).
    """
    if len(text) > MAX_HTML_CHARS:
        raise Dropped("oversized page", value=len(text), threshold=MAX_HTML_CHARS)
    lines = [_BLANKS.sub(" ", line).strip() for line in text.splitlines()]
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    check_prose(text, min_words)
    return Page(id=record_id("page", uri, text), uri=uri, title="", text=text, licence=UNKNOWN_LICENCE, questions=())
