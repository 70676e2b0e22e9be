"""Synthesis from web pages, whole: extraction, writing by a server, speech, and a 1 GB archive in bounded memory."""

import sys
from collections.abc import Iterator

import asking
import big_archive
import extraction
import speaking
from figure import Figure
from spelangy.core.errors import UserError

PARTS = (extraction, asking, speaking, big_archive)


def figures(quick: bool) -> Iterator[Figure]:
    for part in PARTS:
        try:
            yield from part.figures(quick)
        except UserError as missing:
            print(f"{part.__name__}: {missing}", file=sys.stderr)
