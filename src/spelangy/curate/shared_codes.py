"""Which of many sequences of codes share a stretch: an inverted index in numpy, without comparing all with all.

    codes of all ──sort──> groups of one code ──its neighbours and its first──> pairs ──votes for a shift──> candidates

Work and memory grow with the number of codes, also where a thousand sequences share one: within a group each occurrence
is paired with the next few and with the first, so that whatever shares a stretch meets the first that has it.
Source: the voting for a shift is Wang 2003, "An industrial-strength audio search algorithm".
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NUM_NEIGHBOURS = 8
Indices = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class CodeIndex:
    """Codes of all sequences, one after another, owners ascending.

    Attributes:
        codes: Any unsigned integers.
        owners: Which sequence each code is of.
        positions: Where in its sequence; all zero where order does not matter.
    """

    codes: NDArray[np.unsignedinteger]
    owners: Indices
    positions: Indices

    def candidates(self, min_votes: int, shift_bin: int = 1) -> NDArray[np.int64]:
        """Pairs of owners [pairs, 2], first < second, that share `min_votes` codes at one shift, give or take
        `shift_bin`."""
        first, second = self._meetings()
        if not first.size:
            return np.zeros((0, 2), np.int64)
        size = int(self.owners[-1]) + 1
        pairs, pair_of = np.unique(self.owners[first] * size + self.owners[second], return_inverse=True)
        shifts = self.positions[second] - self.positions[first]
        voted = np.zeros(pairs.size, bool)
        for start in {0, shift_bin // 2}:  # bins that overlap by half: no shift lies on the border of both
            bins = (shifts + start) // shift_bin
            keys, votes = np.unique((pair_of << 32) + (bins + (1 << 31)), return_counts=True)
            voted[(keys >> 32)[votes >= min_votes]] = True
        found = pairs[voted]
        return np.stack([found // size, found % size], axis=1)

    def _meetings(self) -> tuple[Indices, Indices]:
        """Occurrences of one code with two owners, as places in the arrays, the lower owner's first."""
        order = np.argsort(self.codes, kind="stable")
        codes = self.codes[order]
        is_next_equal = codes[1:] == codes[:-1]
        # Nearly all codes occur once: what is left is small.
        shared = np.r_[is_next_equal, False] | np.r_[False, is_next_equal]
        order, codes = order[shared[: order.size]], codes[shared[: codes.size]]
        if not codes.size:
            return order, order
        starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])
        first_of = np.repeat(starts, np.diff(np.r_[starts, codes.size]))
        places = np.arange(codes.size)
        found = [(first_of, places)]
        for away in range(1, min(NUM_NEIGHBOURS, codes.size - 1) + 1):
            later = places[away:]
            # The group's first is paired with everyone already.
            later = later[later - away > first_of[away:]]
            found.append((later - away, later))
        first = order[np.concatenate([pair[0] for pair in found])]
        second = order[np.concatenate([pair[1] for pair in found])]
        apart = self.owners[first] != self.owners[second]
        return first[apart], second[apart]


def without_runs(codes: NDArray[np.unsignedinteger], owners: Indices) -> NDArray[np.bool_]:
    """Which codes begin a run of equal codes of one owner: a steady sound says the same thing for long."""
    begins = np.ones(codes.size, bool)
    begins[1:] = (codes[1:] != codes[:-1]) | (owners[1:] != owners[:-1])
    return begins
