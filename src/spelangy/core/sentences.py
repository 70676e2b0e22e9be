"""Sentence borders in English text."""

from functools import cache

import pysbd

MAX_PARAGRAPH_CHARACTERS = 5_000
"""Longer paragraphs are cut at a space first: the rules of pysbd take time quadratic in the length."""


@cache
def _segmenter() -> pysbd.Segmenter:
    return pysbd.Segmenter(language="en", clean=False)


def sentences(text: str) -> list[str]:
    """The sentences of `text`, in order, without surrounding space; none is empty.

    Source: pysbd (Sadvilkar and Neumann 2020), rule based: knows abbreviations, initials, decimals and quotes.
    """
    parts = (part for paragraph in text.split("\n") for part in _cut(" ".join(paragraph.split())))
    return [sentence.strip() for part in parts for sentence in _segmenter().segment(part) if sentence.strip()]


def _cut(paragraph: str) -> list[str]:
    parts = []
    while len(paragraph) > MAX_PARAGRAPH_CHARACTERS:
        border = paragraph.rfind(" ", 0, MAX_PARAGRAPH_CHARACTERS)
        border = border if border > 0 else MAX_PARAGRAPH_CHARACTERS
        parts.append(paragraph[:border])
        paragraph = paragraph[border:].lstrip()
    return [*parts, paragraph] if paragraph else parts
