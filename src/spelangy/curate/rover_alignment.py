"""The word transition network over integer word ids: dynamic programming in numba, compiled on first use and cached.

    slot 0      slot 1      slot 2          each slot holds arcs, the distinct words said there; -1 is "nothing said"
    {the}       {-1, uh}    {cat, hat}      each system is aligned with the slots and merged into them

Shape legend: S slots, N systems, W words of the system that is aligned next. A border is a place between two words:
border b has b words before it. Memory is O(W sqrt(S)): cost rows are kept at every sqrt(S)-th slot, and the moves
between two of them are computed again when the best path is traced back.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numba
import numpy as np
from numpy.typing import NDArray

from spelangy.core.errors import Dropped

# Costs of NIST's rover (SCTK, wwd_WORD_rover) times 1000, so that sums are exact: "nothing said" (null) is almost free
# to leave and cheaper to replace than a word.
_SUBSTITUTION, _INSERTION, _DELETION = 4000, 3000, 3000
_NULL_SUBSTITUTION, _NULL_DELETION = 1000, 1
_UNREACHABLE = 1 << 30
_MAX_TABLE = 1 << 21  # bytes: what is kept whole instead of computed again in blocks
_FIRST_WIDTH = 6  # ours: turns of earnings calls rarely need a wider band
MAX_WORDS = 300_000  # of all systems together: 3000 each stays below _UNREACHABLE in 32 bits
_SUB, _DEL, _INS = 0, 1, 2

_END_OF_TIME = float("inf")

IntArray: TypeAlias = NDArray[np.int32]


def network(ids: Sequence[IntArray]) -> IntArray:
    """Which word each system said in each slot, shape [S, N], -1 where it said nothing; the best of all alignments.

    Args:
        ids: The word ids of each system, shape [W] each; equal ids are equal words. The order of systems matters.

    Raises:
        Dropped: When all systems together have more than 300,000 words (some 10 hours of speech in one piece).
    """
    begins = np.zeros(len(ids) + 1, np.int32)
    begins[1:] = np.cumsum([len(system_ids) for system_ids in ids])
    check_size(int(begins[-1]))
    if not ids:
        return np.empty((0, 0), np.int32)
    positions: IntArray = align_all(np.concatenate(ids).astype(np.int32), begins)
    return np.where(positions >= 0, positions - begins[:-1], np.int32(-1))


def check_size(num_words: int) -> None:
    """Raises `Dropped` where a turn has more words than costs fit into 32 bits for."""
    if num_words > MAX_WORDS:
        raise Dropped("too many words to align", value=num_words, threshold=MAX_WORDS)


class _Pause(NamedTuple):
    """A pause before the word of index `before`, from time `start` to `end`."""

    before: int
    start: float
    end: float


def cuts_at_silence(spans: Sequence[Sequence[tuple[float, float]]], min_silence: float) -> list[list[int]]:
    """Where stretches between common silences end: one word index a system (exclusive); the last entry ends everything.

    A cut is made where system 0 pauses for longer than `min_silence` and all others pause, however briefly,
    within that time (SCTK, find_common_silence).

    Args:
        spans: Start and end of each word of each system, in time order; in any unit, the same as `min_silence`.
    """
    cuts: list[list[int]] = []
    begins = [0] * len(spans)
    leader = spans[0] if spans else []
    for index, (_, end) in enumerate(leader):
        next_start = leader[index + 1][0] if index + 1 < len(leader) else _END_OF_TIME
        if next_start > end + min_silence:
            ends = _common_pause(spans, begins, _Pause(index + 1, end, next_start))
            if ends is not None:
                cuts.append(ends)
                begins = ends
    return [*cuts, [len(words) for words in spans]]


def _common_pause(
    spans: Sequence[Sequence[tuple[float, float]]], begins: Sequence[int], pause: _Pause
) -> list[int] | None:
    ends = [pause.before]
    for words, begin in zip(spans[1:], begins[1:], strict=True):
        shared = _pause_within(words, begin, pause)
        if shared is None:
            return None
        ends.append(shared.before)
        pause = shared
    return ends


def _pause_within(words: Sequence[tuple[float, float]], begin: int, pause: _Pause) -> _Pause | None:
    """The first pause after a word from `begin` on that meets `pause`, cut to what both share."""
    if begin == len(words):
        return _Pause(begin, pause.start, pause.end)
    for index in range(begin, len(words)):
        start = max(pause.start, words[index][1])
        end = min(pause.end, words[index + 1][0]) if index + 1 < len(words) else pause.end
        if start < end:
            return _Pause(index + 1, start, end)
        if words[index][0] >= pause.end:
            break
    return None


def jit(function: Any) -> Any:
    """Compiles on first use, keeps the result on disk and lets other threads run meanwhile."""
    return numba.njit(cache=True, nogil=True, boundscheck=False)(function)


@jit
def align_all(flat: IntArray, begins: IntArray) -> IntArray:
    """As `network`, over the ids of all systems in one array; entries are indices into it.

    Args:
        flat: Word ids, system after system.
        begins: Where each system begins in `flat`, and its length: shape [N + 1].
    """
    said = np.empty((begins[1] - begins[0], 1), np.int32)
    for slot in range(len(said)):
        said[slot, 0] = begins[0] + slot
    for system in range(1, len(begins) - 1):
        arcs, offsets = _arcs_in_order(said, flat)
        pairs = _best_alignment(arcs, offsets, flat[begins[system] : begins[system + 1]])
        said = _merge(said, pairs, begins[system])
    return said


@jit
def _merge(said: IntArray, pairs: IntArray, begin: int) -> IntArray:
    num_systems = said.shape[1]
    merged = np.empty((len(pairs), num_systems + 1), np.int32)
    for index in range(len(pairs)):
        slot, word = pairs[index]
        for system in range(num_systems):
            merged[index, system] = said[slot, system] if slot >= 0 else -1
        merged[index, num_systems] = begin + word if word >= 0 else -1
    return merged


@jit
def _best_alignment(arcs: IntArray, offsets: IntArray, words: IntArray) -> IntArray:
    """Pairs (slot or -1, word or -1) of the best alignment, first to last, shape [pairs, 2].

    A band around the diagonal is tried first. Where the best path within it is cheaper than any path that leaves it can
    be (`_sufficient_width`), the result, ties included, is that of the full table; if not, the cost found says how
    wide is wide enough.
    """
    num_slots, num_words = len(offsets) - 1, len(words)
    surplus = num_words - num_slots
    num_nulls = 0
    for index in range(len(arcs)):
        num_nulls += arcs[index] < 0
    width = _FIRST_WIDTH + num_words // 64
    is_small = len(arcs) * (num_words + 1) <= _MAX_TABLE
    while True:
        up, down = width + max(0, surplus), width + max(0, -surplus)
        if is_small:
            rows = _first_row(num_words, up).reshape(1, -1)
            moves, leaders, cost = _block_moves(arcs, offsets, words, up, down, (0, num_slots), rows[0], num_words)
        else:
            rows, cost = _cost_rows(arcs, offsets, words, up, down)
            moves, leaders = np.empty((0, 0), np.uint8), np.empty((0, 0), np.uint8)
        sufficient = _sufficient_width(cost, surplus, num_nulls)
        if width >= sufficient:
            best: IntArray = _trace(arcs, offsets, words, up, down, rows, moves, leaders)
            return best
        width = sufficient


@jit
def _sufficient_width(cost: int, surplus: int, num_null_slots: int) -> int:
    """The band that no path of `cost` or less can leave.

    A path that strays further than `width` beyond the corners makes at least I = width + 1 + max(0, surplus)
    insertions and I - surplus deletions, of which at most `num_null_slots` are almost free.
    """
    affordable = cost // _INSERTION
    insertions = 1 + min(affordable, (affordable + surplus + num_null_slots) // 2)
    return max(0, insertions - 1 - max(0, surplus))


@jit
def _arcs_in_order(said: IntArray, flat: IntArray) -> tuple[IntArray, IntArray]:
    """The distinct arcs of every slot in the order they entered the network, -1 for null; and where each slot begins.

    An insertion enters its word before the nulls of earlier systems; ties go to the arc that entered first.
    """
    num_slots, num_systems = said.shape
    arcs = np.empty(num_slots * num_systems, np.int32)
    offsets = np.zeros(num_slots + 1, np.int32)
    filled = 0
    for slot in range(num_slots):
        first = 0
        while said[slot, first] < 0:
            first += 1
        begin = filled
        arcs[filled] = flat[said[slot, first]]
        filled += 1
        for system in range(num_systems):
            key = np.int32(-1) if said[slot, system] < 0 else flat[said[slot, system]]
            index = begin
            while index < filled and arcs[index] != key:
                index += 1
            if index == filled:
                arcs[filled] = key
                filled += 1
        offsets[slot + 1] = filled
    return arcs[:filled], offsets


@jit
def _fill_row(arc: int, words: IntArray, before: IntArray, row: IntArray, low: int, high: int) -> None:
    """Least cost of ending with `arc` at every border in [low, high], given the slot `before` at its best."""
    replace = np.int32(_NULL_SUBSTITUTION if arc < 0 else _SUBSTITUTION)
    leave = np.int32(_NULL_DELETION if arc < 0 else _DELETION)
    least = np.int32(before[low] + leave)
    if low > 0:
        least = min(least, np.int32(before[low - 1] + (0 if words[low - 1] == arc else replace)))
    row[low] = least
    # Slices and 32-bit sums let the compiler use SIMD; only the running minimum below is serial.
    left, above, spoken, costs = before[low:high], before[low + 1 : high + 1], words[low:high], row[low + 1 : high + 1]
    for index in range(high - low):
        replaced = np.int32(left[index] + (np.int32(0) if spoken[index] == arc else replace))
        costs[index] = min(replaced, np.int32(above[index] + leave))
    for index in range(high - low):
        least = min(costs[index], np.int32(least + np.int32(_INSERTION)))
        costs[index] = least


@jit
def _fill_moves(
    arc: int, words: IntArray, before: IntArray, row: IntArray, moves: NDArray[np.uint8], low: int, high: int
) -> None:
    """Which move ends each best path of a row: substitution or match wins ties, then insertion, then deletion."""
    replace = _NULL_SUBSTITUTION if arc < 0 else _SUBSTITUTION
    for border in range(low, high + 1):
        move = _DEL
        if border > low and row[border - 1] + _INSERTION == row[border]:
            move = _INS
        if border > 0 and before[border - 1] + (0 if words[border - 1] == arc else replace) == row[border]:
            move = _SUB
        moves[border] = move


@jit
def _first_row(num_words: int, up: int) -> IntArray:
    row = np.full(num_words + 1, _UNREACHABLE, np.int32)
    for border in range(min(up, num_words) + 1):
        row[border] = border * _INSERTION
    return row


@jit
def _cost_rows(arcs: IntArray, offsets: IntArray, words: IntArray, up: int, down: int) -> tuple[IntArray, int]:
    """Best cost rows after every sqrt(slots) slots, and the cost of the best path within the band.

    Shape of the rows: [blocks, words + 1]; slot i covers word borders i - down to i + up.
    """
    num_slots, num_words = len(offsets) - 1, len(words)
    step = int(np.sqrt(num_slots)) + 1
    rows = np.empty((num_slots // step + 1, num_words + 1), np.int32)
    before, after = _first_row(num_words, up), np.full(num_words + 1, _UNREACHABLE, np.int32)
    row = np.empty(num_words + 1, np.int32)
    rows[0] = before
    for slot in range(1, num_slots + 1):
        low, high = max(0, slot - down), min(num_words, slot + up)
        first = offsets[slot - 1]
        _fill_row(arcs[first], words, before, after, low, high)
        for index in range(first + 1, offsets[slot]):
            _fill_row(arcs[index], words, before, row, low, high)
            for border in range(low, high + 1):
                after[border] = min(after[border], row[border])
        if low > 0:
            after[low - 1] = _UNREACHABLE
        before, after = after, before
        if slot % step == 0:
            rows[slot // step] = before
    return rows, int(before[num_words])


@jit
def _block_moves(
    arcs: IntArray,
    offsets: IntArray,
    words: IntArray,
    up: int,
    down: int,
    block: tuple[int, int],
    best: IntArray,
    max_border: int,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], int]:
    """Moves of every arc of the slots in `block` (exclusive, inclusive) up to `max_border`, and each slot's best arc.

    And the cost of the best path to the end of the block at `max_border`.

    Shapes: [arcs, max_border + 1] and [slots, max_border + 1]; `best` is the cost row of slot `block[0]`.
    """
    begin, end = block
    first_arc = offsets[begin]
    moves = np.zeros((offsets[end] - first_arc, max_border + 1), np.uint8)
    leaders = np.zeros((end - begin + 1, max_border + 1), np.uint8)
    before, after = best.copy(), np.full(len(best), _UNREACHABLE, np.int32)
    row = np.full(len(best), _UNREACHABLE, np.int32)
    for slot in range(begin + 1, end + 1):
        low, high = max(0, slot - down), min(max_border, slot + up)
        after[low : high + 1] = _UNREACHABLE
        if low > 0:
            after[low - 1] = _UNREACHABLE
        for index in range(offsets[slot - 1], offsets[slot]):
            _fill_row(arcs[index], words, before, row, low, high)
            _fill_moves(arcs[index], words, before, row, moves[index - first_arc], low, high)
            leader = leaders[slot - begin]
            for border in range(low, high + 1):
                if row[border] < after[border]:
                    after[border] = row[border]
                    leader[border] = index - offsets[slot - 1]
        before, after = after, before
    return moves, leaders, int(before[max_border])


@jit
def _trace(
    arcs: IntArray,
    offsets: IntArray,
    words: IntArray,
    up: int,
    down: int,
    rows: IntArray,
    moves: NDArray[np.uint8],
    leaders: NDArray[np.uint8],
) -> IntArray:
    """The best path, from `rows` at every sqrt(slots)-th slot; or from one row and the moves of the whole table."""
    num_slots, num_words = len(offsets) - 1, len(words)
    step = int(np.sqrt(num_slots)) + 1 if moves.size == 0 else max(1, num_slots)
    pairs = np.empty((num_slots + num_words, 2), np.int32)
    filled, slot, border = 0, num_slots, num_words
    while slot > 0:
        begin = (slot - 1) // step * step
        if begin > 0 or slot < num_slots or moves.size == 0:
            moves, leaders, _ = _block_moves(arcs, offsets, words, up, down, (begin, slot), rows[begin // step], border)
        last, arc = slot + 1, 0
        while slot > begin:
            if slot < last:
                arc, last = offsets[slot - 1] - offsets[begin] + leaders[slot - begin, border], slot
            move = moves[arc, border]
            pairs[filled, 0] = -1 if move == _INS else slot - 1
            pairs[filled, 1] = -1 if move == _DEL else border - 1
            filled += 1
            slot -= move != _INS
            border -= move != _DEL
    while border > 0:
        border -= 1
        pairs[filled, 0], pairs[filled, 1] = -1, border
        filled += 1
    return pairs[:filled][::-1].copy()
