"""Voting and assembling over integers, compiled on first use and cached: the inner half of `curate.rover`.

Shape legend: as in `rover_spelling`, and S slots, C consensus words.
A *position* is an index into the K keys; -1 is "nothing said".
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spelangy.curate.rover_alignment import align_all, jit
from spelangy.curate.rover_spelling import FloatArray, Heard, LongArray, Spoken
from spelangy.curate.rover_vocabulary import IntArray

FREQUENCY, AVERAGE, MAXIMUM = 0, 1, 2


class Rule(NamedTuple):
    """`rover.VoteRule` for the compiled code; weights, shape [N], have mean 1."""

    method: int
    alpha: float
    null_confidence: float
    weights: FloatArray


class Assembled(NamedTuple):
    """The consensus, all [C] but `others`.

    Attributes:
        word: Whose surface form to write; -1 where no word won whole.
        key: The (first) winning key.
        votes: How many systems said all of it.
        is_timed: Whether start and end come from systems with times of their own.
        others: For each word without a full vote, in order: how many systems dissent, then for each of them how many
            words it said there, and which.
    """

    word: IntArray
    key: IntArray
    votes: IntArray
    starts: LongArray
    ends: LongArray
    confidences: FloatArray
    is_timed: NDArray[np.bool_]
    others: IntArray


@jit
def consensus(heard: Heard, spoken: Spoken, rule: Rule) -> Assembled:
    """Aligns, votes and assembles one turn."""
    said = align_all(spoken.keys, spoken.begins)
    confidences = _with_neutral_ones(heard)
    winners = vote(said, spoken.keys, confidences[spoken.word], rule)
    assembled: Assembled = _assemble(said, winners, heard, spoken, confidences)
    return assembled


@jit
def _with_neutral_ones(heard: Heard) -> FloatArray:
    """The confidences; of a system that gives none (all 1) the mean of all that were given, so that it wins no vote."""
    given = np.zeros(len(heard.begins) - 1, np.bool_)
    summed, num = 0.0, 0
    for system in range(len(given)):
        own = heard.confidences[heard.begins[system] : heard.begins[system + 1]]
        given[system] = (own != 1.0).any()
        if given[system]:
            summed, num = summed + own.sum(), num + len(own)
    confidences = heard.confidences.copy()
    for system in range(len(given)):
        if num and not given[system]:
            confidences[heard.begins[system] : heard.begins[system + 1]] = summed / num
    return confidences


@jit
def vote(said: IntArray, keys: IntArray, confidences: FloatArray, rule: Rule) -> IntArray:
    """The position whose key wins each slot, of the first system that said it; -1 where "nothing said" wins.

    Args:
        confidences: Of each key, shape [K].
    """
    num_slots, num_systems = said.shape
    winners = np.empty(num_slots, np.int32)
    slot_keys, order = np.empty(num_systems, np.int32), np.empty(num_systems, np.int32)
    slot_confidences = np.empty(num_systems, np.float64)
    for slot in range(num_slots):
        unanimous = True
        for system in range(num_systems):
            position = said[slot, system]
            slot_keys[system] = -1 if position < 0 else keys[position]
            slot_confidences[system] = rule.null_confidence if position < 0 else confidences[position]
            unanimous &= slot_keys[system] == slot_keys[0]
        best = 0 if unanimous else _best(slot_keys, slot_confidences, order, rule)
        winners[slot] = said[slot, best]
    return winners


@jit
def _best(keys: IntArray, confidences: FloatArray, order: IntArray, rule: Rule) -> int:
    """The first system with the winning key of one slot."""
    num_systems = len(keys)
    # The order in which words entered the network: an inserted word comes before the nulls of earlier systems.
    first = 0
    while keys[first] < 0:
        first += 1
    order[0] = first
    for system in range(num_systems - 1):
        order[system + 1] = system if system < first else system + 1
    total = total_weight = 0.0
    for system in order:
        total += confidences[system] * rule.weights[system]
        total_weight += rule.weights[system]
    best, best_score = first, -1.0
    for candidate in order:
        score = _score(keys, confidences, order, keys[candidate], total, total_weight, rule)
        if score > best_score:
            best, best_score = candidate, score
    return best


@jit
def _score(
    keys: IntArray,
    confidences: FloatArray,
    order: IntArray,
    key: int,
    total: float,
    total_weight: float,
    rule: Rule,
) -> float:
    weight = summed = highest = 0.0
    for system in order:
        if keys[system] == key:
            weight += rule.weights[system]
            weighted = confidences[system] * rule.weights[system]
            summed += weighted
            highest = max(highest, weighted)
    frequency = weight / total_weight
    if rule.method == FREQUENCY:
        return frequency
    if rule.method == MAXIMUM:
        return rule.alpha * frequency + (1.0 - rule.alpha) * highest
    return rule.alpha * frequency + ((1.0 - rule.alpha) * summed / total if total != 0.0 else 0.0)


@jit
def _assemble(
    said: IntArray, winners: IntArray, heard: Heard, spoken: Spoken, given_confidences: FloatArray
) -> Assembled:
    slots = np.flatnonzero(winners >= 0)
    said, winners = said[slots], winners[slots]
    num_slots, num_systems = said.shape
    words, votes = np.empty(num_slots, np.int32), np.empty(num_slots, np.int32)
    keys, confidences = np.empty(num_slots, np.int32), np.empty(num_slots, np.float64)
    starts, ends = np.empty(num_slots, np.int64), np.empty(num_slots, np.int64)
    is_timed = np.empty(num_slots, np.bool_)
    others = np.empty(num_slots * (1 + 2 * num_systems), np.int32)
    room = np.empty(num_systems, np.int64)
    filled = told = slot = 0
    while slot < num_slots:
        word, length = _surface(said, winners, slot, heard, spoken, given_confidences, room)
        after = slot + length
        words[filled], keys[filled] = word, spoken.keys[winners[slot]]
        votes[filled], confidences[filled] = _backing(said[slot:after], winners[slot:after], spoken, given_confidences)
        starts[filled] = _median_border(said[slot], winners[slot], heard, spoken, 0, room)
        ends[filled] = _median_border(said[after - 1], winners[after - 1], heard, spoken, 1, room)
        is_timed[filled] = _is_timed(said[slot], winners[slot], heard, spoken) and _is_timed(
            said[after - 1], winners[after - 1], heard, spoken
        )
        if votes[filled] < num_systems:
            told = _dissent(said[slot:after], winners[slot:after], spoken, others, told)
        filled, slot = filled + 1, after
    _put_in_time_order(starts[:filled], ends[:filled])
    return Assembled(
        words[:filled],
        keys[:filled],
        votes[:filled],
        starts[:filled],
        ends[:filled],
        confidences[:filled],
        is_timed[:filled],
        others[:told],
    )


@jit
def _surface(
    said: IntArray,
    winners: IntArray,
    slot: int,
    heard: Heard,
    spoken: Spoken,
    confidences: FloatArray,
    room: LongArray,
) -> tuple[int, int]:
    """The word to write from `slot` on, and how many slots it takes: only tokens that won whole qualify.

    Of these the form that most systems wrote, then the most confident one; (-1, 1) where there is none.

    Args:
        room: For one position a system.
    """
    num_whole = 0
    for system in range(said.shape[1]):
        if _won_whole(said, winners, slot, system, spoken):
            room[num_whole] = said[slot, system]
            num_whole += 1
    best, best_count, best_confidence = np.int64(-1), 0, -np.inf
    for position in room[:num_whole]:
        word, count = spoken.word[position], 0
        for other in room[:num_whole]:
            count += heard.tokens[spoken.word[other]] == heard.tokens[word]
        confidence = confidences[word]
        if count > best_count or (count == best_count and confidence > best_confidence):
            best, best_count, best_confidence = position, count, confidence
    return (-1, 1) if best < 0 else (spoken.word[best], spoken.num_parts[best])


@jit
def _won_whole(said: IntArray, winners: IntArray, slot: int, system: int, spoken: Spoken) -> bool:
    first = said[slot, system]
    if first < 0 or spoken.part[first] != 0 or slot + spoken.num_parts[first] > len(said):
        return False
    for part in range(spoken.num_parts[first]):
        position = said[slot + part, system]
        if position != first + part or spoken.keys[position] != spoken.keys[winners[slot + part]]:
            return False
    return True


@jit
def _backing(said: IntArray, winners: IntArray, spoken: Spoken, confidences: FloatArray) -> tuple[int, float]:
    """Fewest votes in any of the slots, and the mean confidence of all winners."""
    fewest = said.shape[1]
    summed, num = 0.0, 0
    for slot in range(len(said)):
        votes = 0
        for position in said[slot]:
            if position >= 0 and spoken.keys[position] == spoken.keys[winners[slot]]:
                votes += 1
                summed += confidences[spoken.word[position]]
        fewest, num = min(fewest, votes), num + votes
    return fewest, summed / num


@jit
def _median_border(slot: IntArray, winner: int, heard: Heard, spoken: Spoken, side: int, borders: LongArray) -> int:
    """Median start (side 0) or end (1) of the winners with times of their own; of all winners, if none has.

    Args:
        borders: Room for one border a system.
    """
    num, only_timed = 0, False
    for position in slot:
        if position < 0 or spoken.keys[position] != spoken.keys[winner]:
            continue
        word = spoken.word[position]
        if only_timed and not heard.is_timed[word]:
            continue
        if heard.is_timed[word] and not only_timed:
            num, only_timed = 0, True
        length = heard.ends[word] - heard.starts[word]
        # A word of several keys gives each an equal share of its span.
        border = heard.starts[word] + length * (spoken.part[position] + side) // spoken.num_parts[position]
        at = num
        while at > 0 and borders[at - 1] > border:
            borders[at] = borders[at - 1]
            at -= 1
        borders[at] = border
        num += 1
    median: int = (borders[(num - 1) // 2] + borders[num // 2]) // 2
    return median


@jit
def _is_timed(slot: IntArray, winner: int, heard: Heard, spoken: Spoken) -> bool:
    """Whether any of the winners has times of its own."""
    for position in slot:
        if position >= 0 and spoken.keys[position] == spoken.keys[winner] and heard.is_timed[spoken.word[position]]:
            return True
    return False


@jit
def _dissent(said: IntArray, winners: IntArray, spoken: Spoken, others: IntArray, told: int) -> int:
    """Notes what outvoted systems said in these slots; returns where the next note begins."""
    head = told
    others[head] = 0
    told += 1
    for system in range(said.shape[1]):
        agrees = True
        for slot in range(len(said)):
            position = said[slot, system]
            agrees &= position >= 0 and spoken.keys[position] == spoken.keys[winners[slot]]
        if agrees:
            continue
        others[head] += 1
        count = told
        others[count] = 0
        told += 1
        for slot in range(len(said)):
            position = said[slot, system]
            if position >= 0 and (spoken.part[position] == 0 or len(said) == 1):
                others[count] += 1
                others[told] = spoken.word[position]
                told += 1
    return told


@jit
def _put_in_time_order(starts: LongArray, ends: LongArray) -> None:
    """Makes starts and ends never go back and spans never meet; right times stay untouched."""
    _make_rise(starts)
    _make_rise(ends)
    for index in range(len(starts)):
        border = starts[index + 1] if index + 1 < len(starts) else ends[index]
        ends[index] = max(starts[index], min(ends[index], border))


@jit
def _make_rise(times: LongArray) -> None:
    """Halfway between the highest time so far and the lowest time to come: rises, and keeps what rises already."""
    lowest = times.copy()
    for index in range(len(times) - 2, -1, -1):
        lowest[index] = min(lowest[index], lowest[index + 1])
    highest = times[0] if len(times) else 0
    for index in range(len(times)):
        highest = max(highest, times[index])
        times[index] = (highest + lowest[index]) // 2
