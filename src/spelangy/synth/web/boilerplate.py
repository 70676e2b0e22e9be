"""Lines of a page that are the site's and not the author's: told by their words, or by being nothing but a link."""

import re
from typing import Any

from resiliparse.parse.html import HTMLTree

MAX_CALL_WORDS = 15
MAX_NOTICE_WORDS = 40
"""Longer lines are prose, whatever words they hold. Source: ours, by reading half of the articles of the benchmark."""

MAX_LINE_CHARS = 400

_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_SENTENCE_END = re.compile(r"[.!?。！？…:;][\"'”’»)\]]*\Z")
_CALL = re.compile(
    r"""\W*(?:
    advert(?:isement|s)?\b | sponsored\b | promoted\b | trending\b | recommended\b | most\ (?:read|popular|viewed)\b
    | (?:continue|keep)\ reading | read\ (?:more|next|also|the\ full)\b | (?:see|show|view|load)\ (?:more|all)\b
    | related(?::|(?:\ (?:articles?|posts?|stories|content|links?|topics?|news|coverage|items?))?\W*\Z)
    | (?:don['’]t|do\ not)\ miss\b | you\ (?:may|might)\ (?:also\ )?(?:like|enjoy)\b | explore\ further\b
    | see\ also\b | more\ (?:from|in|on|stories|about)\b | about\ the\ author\W*\Z
    | (?:sign|log)\ (?:up|in)\b | subscribe\b | newsletter\b | join\ (?:us|our)\b | follow\ (?:us|me|him|her)\b
    | get\ .{0,60}(?:newsletter|inbox|email|app)\b | (?:click|tap)\ (?:here|to)\b | by\ continuing\b
    | (?:share|tweet|print|e-?mail|pin)(?:\ (?:this|on|via|it|to|with)\b.{0,40})?\W*\Z | \d+\ shares?\b
    | (?:leave|post|write|add|view)\ (?:a\ )?(?:comments?|reply)\b | \d*\s?comments?\W*\Z
    | (?:photo|image|picture|credit|source|photograph)s?(?:\ (?:by|credit))?\s?: | image\ \d+\ of\b
    | (?:caption|close|menu|search|home|feedback|loading|skip\ to\ .{0,40}|back\ to\ top|next|previous)\W*\Z
    | (?:tags?|filed\ under|posted\ (?:in|on|by)|categor(?:y|ies)|topics?)\s?:
    | (?:last\ )?(?:updated|published|posted)\b
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_NOTICE = re.compile(
    r"""all\ rights\ reserved | © | \bcopyright\ (?:\(c\)\ )?(?:19|20)\d\d | \bsubject\ to\ copyright
    | \b(?:uses?|using|use\ of)\ (?:\w+\ )?cookies | \bunsubscribe\b
    | [(\[](?:ap\ )?(?:image|photo|picture|credit|file\ photo)s?\ ?(?:by\b|credit|:|/) | \bgetty\ images\b
    | \b(?:terms\ of\ (?:use|service)|privacy\ policy)\b.*\b(?:agree|accept)
    | \b(?:agree|accept)\b.*\b(?:terms\ of\ (?:use|service)|privacy\ policy)
    | (?:requires?|enable)\ javascript | javascript\ is\ (?:disabled|required) | protected\ by\ recaptcha""",
    re.IGNORECASE | re.VERBOSE,
)


def is_boilerplate(line: str) -> bool:
    """Whether `line` calls to click, read on or subscribe, credits a picture, or is a legal notice.

    Questions and rows of tables never are. What it costs: a heading whose one or two words sites use, too ("Search").
    """
    if not line or len(line) > MAX_LINE_CHARS or "\t" in line or line.endswith("?"):
        return False
    num_words = line.count(" ") + 1
    if num_words <= MAX_CALL_WORDS and _CALL.match(line) and not _SENTENCE_END.search(line):
        return True
    return num_words <= MAX_NOTICE_WORDS and _NOTICE.search(line) is not None


class LinkLines:
    """The lines of a page that are one link; links in headings and questions do not count."""

    def __init__(self, tree: HTMLTree) -> None:
        # An element collection's own iterator takes time with the square of its length.
        links = tree.document.get_elements_by_tag_name("a").values() if tree.document else []
        self._links: dict[str, Any] = {" ".join((link.text or "").split()): link for link in links}

    def __contains__(self, line: object) -> bool:
        assert isinstance(line, str)
        if not line or line.endswith("?") or line not in self._links:
            return False
        parent = self._links[line].parent_element
        return parent is None or parent.tag not in _HEADINGS
