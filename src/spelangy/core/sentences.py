"""Sentence boundaries in English prose, at a bounded cost."""

import re
from functools import cache

import pysbd

MAX_LINE_CHARS = 1_500
"""Longest piece the splitter sees: its time grows with the square of the length (0.1 s at worst at this one)."""

_BREAKS = (re.compile(r"[.?!][\"')\]]*\s"), re.compile(r"[;:,]\s"), re.compile(r"\s"))
_ABSTAINED = re.compile(r"(?<=[.?!])\s+(?=[A-Z])")


@cache
def _segmenter() -> pysbd.Segmenter:
    return pysbd.Segmenter(language="en", clean=False)


def sentences(text: str, *, max_chars: int = 400) -> list[str]:
    """The sentences of `text` in order, stripped, none empty; nothing but white space is lost.

    Lines are boundaries. Very long lines are cut before the splitter sees them, and sentences beyond `max_chars` are
    cut after it (at a sentence end, else at a clause mark, else between words): a synthesiser must be able to hold one.
    """
    pieces = [piece for line in text.splitlines() for piece in _cut(line, MAX_LINE_CHARS)]
    return [part for piece in pieces for sentence in _split(piece) for part in _cut(sentence, max_chars)]


def _split(piece: str) -> list[str]:
    found: list[str] = _segmenter().segment(piece)
    if "".join("".join(found).split()) != "".join(piece.split()):
        return _ABSTAINED.split(piece)
    return found


def _cut(text: str, max_chars: int) -> list[str]:
    parts = []
    rest = text.strip()
    while len(rest) > max_chars:
        end = _cut_point(rest, max_chars)
        parts.append(rest[:end].strip())
        rest = rest[end:].strip()
    return [*parts, rest] if rest else parts


def _cut_point(text: str, max_chars: int) -> int:
    for mark in _BREAKS:
        ends = [match.end() for match in mark.finditer(text, 0, max_chars)]
        if ends and ends[-1] > max_chars // 3:
            return ends[-1]
    return max_chars
