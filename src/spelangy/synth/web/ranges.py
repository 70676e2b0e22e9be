"""The ranges that a file is read in: the items of the ``pages`` step.

    file   ├────────────────┬────────────────┬───────┤      bytes, or rows
    range  └ begin      stop┘                               a record belongs to the range its first byte lies in

So one file keeps all cores busy, is resumed where it stopped, and never has to be held in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass

PLAIN_RANGE_BYTES = 64 << 20
"""Of an archive that is not compressed: some thousands of pages, which take their minute."""

PACKED_RANGE_BYTES = 16 << 20
"""Of an archive with a gzip member a record: it unpacks to about the plain range."""

TEXT_RANGE_BYTES = 8 << 20
"""Of what holds nothing but text, compressed or not. Every core holds the text of one range, several times over while
it becomes a table: this comes to 10 to 30 MB of it, as the other two do where a sixth of a page is text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """Half-open: `begin` belongs to it, `stop` does not."""

    begin: int
    stop: int

    def __contains__(self, position: int) -> bool:
        return self.begin <= position < self.stop


def ranges_of(size: int, most: int) -> list[Range]:
    """Ranges of at most `most` that cover [0, `size`); the empty one where there is nothing."""
    return [Range(begin=begin, stop=min(begin + most, size)) for begin in range(0, max(size, 1), most)]


def row_ranges(groups: Sequence[tuple[int, int]], most_bytes: int = TEXT_RANGE_BYTES) -> list[Range]:
    """Ranges of rows of about `most_bytes`, from the (rows, bytes) of each row group; never across two large groups."""
    found: list[Range] = []
    begin = row = held = 0
    for num_rows, num_bytes in (group for group in groups if group[0]):
        if held and held + num_bytes > most_bytes:
            found.append(Range(begin=begin, stop=row))
            begin, held = row, 0
        row, held = row + num_rows, held + num_bytes
        if held > most_bytes:
            step = max(1, num_rows * most_bytes // held)
            found += [Range(begin=at, stop=min(at + step, row)) for at in range(begin, row, step)]
            begin, held = row, 0
    return [*found, Range(begin=begin, stop=row)] if row > begin or not found else found
