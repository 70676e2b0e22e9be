"""How the systems of one turn read each other's words, over integers, compiled on first use and cached.

Shape legend: N systems, K keys of all systems one after another, W words likewise.
A *position* is an index into the K keys; -1 is "nothing said".
"""

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spelangy.curate.rover_alignment import jit
from spelangy.curate.rover_vocabulary import IntArray, Table

LongArray: TypeAlias = NDArray[np.int64]
FloatArray: TypeAlias = NDArray[np.float64]

_MAX_SHIFT = 128  # keys: how far from its own place a word is looked for in another system


class Heard(NamedTuple):
    """The words of all systems, one system after another, all [W] but `begins`, [N + 1]: where each system begins."""

    tokens: IntArray
    starts: LongArray
    ends: LongArray
    confidences: FloatArray
    is_timed: NDArray[np.bool_]
    begins: IntArray


class Spoken(NamedTuple):
    """The keys of all systems, all [K] but `begins`, [N + 1].

    Attributes:
        word: Which word a key belongs to.
        part: Which of its word's `num_parts` keys it is.
    """

    keys: IntArray
    word: IntArray
    part: IntArray
    num_parts: IntArray
    begins: IntArray


@jit
def spell_out(entries: IntArray, word_begins: IntArray, table: Table) -> Spoken:
    """Words to keys, by the entry chosen for each word."""
    num_words = len(entries)
    num_keys = 0
    for word in range(num_words):
        num_keys += table.num[entries[word]]
    keys, owner = np.empty(num_keys, np.int32), np.empty(num_keys, np.int32)
    part, num_parts = np.empty(num_keys, np.int32), np.empty(num_keys, np.int32)
    begins = np.empty(len(word_begins), np.int32)
    filled = system = 0
    for word in range(num_words + 1):
        while system < len(begins) and word_begins[system] == word:
            begins[system] = filled
            system += 1
        if word == num_words:
            break
        entry = entries[word]
        for index in range(table.num[entry]):
            keys[filled] = table.flat[table.first[entry] + index]
            owner[filled], part[filled], num_parts[filled] = word, index, table.num[entry]
            filled += 1
    return Spoken(keys, owner, part, num_parts, begins)


@jit
def compare_spellings(heard: Heard, table: Table) -> tuple[IntArray, Spoken, IntArray]:
    """What systems of one turn tell about each other's spelling, before they are aligned.

    Returns:
        The entry of each word, [W]; the keys that these entries give; and words that another system seems to write in
        several, as rows (word, position of its first part there, number of parts): hashes are equal, the caller checks
        the letters.
    """
    entries = table.usual[heard.tokens]
    _read_words_in_capitals(entries, heard, table)
    _read_digits(entries, heard, table)
    plain = spell_out(entries, heard.begins, table)
    for word in range(len(entries)):
        token = heard.tokens[word]
        for entry in range(table.usual[token] + 1, table.usual[token] + 1 + table.others[token]):
            if _is_said_elsewhere(entry, word, heard, plain, table):
                entries[word] = entry
                break
    spoken = spell_out(entries, heard.begins, table)
    return entries, spoken, _written_apart(spoken, table)


@jit
def _read_words_in_capitals(entries: IntArray, heard: Heard, table: Table) -> None:
    """Capitals are a word where another system says that word; where most of a system's are, all its capitals are."""
    for system in range(len(heard.begins) - 1):
        begin, end = heard.begins[system], heard.begins[system + 1]
        num_capitals = num_words = 0
        for word in range(begin, end):
            as_word = table.as_word[heard.tokens[word]]
            num_capitals += as_word >= 0
            if as_word >= 0 and _is_word_elsewhere(as_word, begin, end, heard, table):
                num_words += 1
                entries[word] = as_word
        for word in range(begin, end):
            if 2 * num_words > num_capitals and table.as_word[heard.tokens[word]] >= 0:
                entries[word] = table.as_word[heard.tokens[word]]


@jit
def _is_word_elsewhere(as_word: int, begin: int, end: int, heard: Heard, table: Table) -> bool:
    key = table.flat[table.first[as_word]]
    for word in range(len(heard.tokens)):
        token = heard.tokens[word]
        usual = table.usual[token]
        is_elsewhere = word < begin or word >= end
        if (
            is_elsewhere
            and table.as_word[token] < 0
            and table.num[usual] == 1
            and table.flat[table.first[usual]] == key
        ):
            return True
    return False


@jit
def _read_digits(entries: IntArray, heard: Heard, table: Table) -> None:
    """Numbers digit by digit, unless some system says a number in words."""
    for token in heard.tokens:
        if table.says_number[token]:
            return
    for word in range(len(entries)):
        token = heard.tokens[word]
        if entries[word] == table.usual[token]:
            entries[word] = table.in_digits[token]


@jit
def _window(position: int, own: int, system: int, plain: Spoken) -> tuple[int, int]:
    """Positions of `system` that may be said where `position` of system `own` is."""
    begin, end = plain.begins[system], plain.begins[system + 1]
    own_begin, own_length = plain.begins[own], max(1, plain.begins[own + 1] - plain.begins[own])
    middle = begin + (position - own_begin) * (end - begin) // own_length
    return max(begin, middle - _MAX_SHIFT), min(end, middle + _MAX_SHIFT)


@jit
def _system_of(word: int, begins: IntArray) -> int:
    system = 0
    while begins[system + 1] <= word:
        system += 1
    return system


@jit
def _is_said_elsewhere(entry: int, word: int, heard: Heard, plain: Spoken, table: Table) -> bool:
    length, begin, own = table.num[entry], table.first[entry], _system_of(word, heard.begins)
    at = np.searchsorted(plain.word, word)
    for system in range(len(heard.begins) - 1):
        low, high = _window(at, own, system, plain)
        for position in range(low, high - length + 1 if system != own else low):
            index = 0
            while index < length and plain.keys[position + index] == table.flat[begin + index]:
                index += 1
            if index == length:
                return True
    return False


@jit
def _written_apart(plain: Spoken, table: Table) -> IntArray:
    """Only words that the other system does not say are looked for in its pieces."""
    num_systems = len(plain.begins) - 1
    found = np.empty((len(plain.keys), 3), np.int32)
    filled = 0
    for own in range(num_systems):
        for position in range(plain.begins[own], plain.begins[own + 1]):
            if plain.num_parts[position] > 1:
                continue
            for system in range(num_systems):
                first, length = _parts_of(position, own, system, plain, table) if system != own else (0, 0)
                if length:
                    found[filled, 0], found[filled, 1], found[filled, 2] = plain.word[position], first, length
                    filled += 1
                    break
    return found[:filled]


@jit
def _parts_of(position: int, own: int, system: int, plain: Spoken, table: Table) -> tuple[int, int]:
    """Where a system says keys that together make the one at `position`, and how many; (0, 0) where it does not."""
    key = plain.keys[position]
    low, high = _window(position, own, system, plain)
    for other in range(low, high):
        if plain.keys[other] == key:
            return 0, 0
    for first in range(low, high - 1):
        if table.initials[plain.keys[first]] != table.initials[key]:
            continue
        size, hashed = table.lengths[plain.keys[first]], table.hashes[plain.keys[first]]
        last = first + 1
        while last < high and size < table.lengths[key]:
            hashed = hashed * table.powers[plain.keys[last]] + table.hashes[plain.keys[last]]
            size += table.lengths[plain.keys[last]]
            last += 1
            if size == table.lengths[key] and hashed == table.hashes[key]:
                return first, last - first
    return 0, 0
