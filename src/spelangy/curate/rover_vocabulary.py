"""Numbers for surface tokens and for their comparison keys, so that alignment and voting run over integers.

An *entry* is one reading of a token: entry 7 is keys `flat[first[7]]` to `flat[first[7] + num[7] - 1]`. The usual
reading of token t is entry `usual[t]`; entries `usual[t] + 1` to `usual[t] + others[t]` are its other readings.
"""

from array import array
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from spelangy.curate.rover_keys import Comparison, Keys

IntArray: TypeAlias = NDArray[np.int32]
Number = TypeVar("Number", np.int32, np.uint64)
_MAX_ENTRIES = 1 << 18
_FIRST_SIZE = 1 << 10
_HASH_BASE = 0x9E3779B97F4A7C15 | 1
_HASH_MASK = (1 << 64) - 1


class Table(NamedTuple):
    """A vocabulary as arrays, for the compiled code; larger than what is filled.

    Attributes:
        usual: Entry of each token's usual reading.
        others: How many other readings each token has.
        in_digits: Entry with numbers digit by digit, or the usual one.
        as_word: Entry with capitals as a word, or -1.
        says_number: Whether the token is a number above nine in words.
        first: Where the keys of each entry begin in `flat`.
        num: How many keys each entry has.
        flat: Key numbers.
        hashes: Polynomial hash of each key's letters: hash(a + b) = hash(a) * power(b) + hash(b), modulo 2^64.
        powers: Hash base to the power of each key's length.
        lengths: Letters of each key.
        initials: Its first letter.
    """

    usual: IntArray
    others: IntArray
    in_digits: IntArray
    as_word: IntArray
    says_number: IntArray
    first: IntArray
    num: IntArray
    flat: IntArray
    hashes: NDArray[np.uint64]
    powers: NDArray[np.uint64]
    lengths: IntArray
    initials: IntArray


class Vocabulary(dict[str, int]):
    """Token → number, made when a token is first met. Not safe to share between threads."""

    def __init__(self, compare: Comparison) -> None:
        super().__init__()
        self.compare = compare
        self.keys_by_number: list[str] = []
        self._numbers: dict[str, int] = {}
        self._num_entries = self._num_flat = 0
        self._split: dict[tuple[int, ...], int] = {}
        dtypes = [np.uint64 if name in ("hashes", "powers") else np.int32 for name in Table._fields]
        self.table = Table._make(np.zeros(_FIRST_SIZE, dtype) for dtype in dtypes)

    @property
    def is_full(self) -> bool:
        """Whether a fresh one should be begun: memory stays bounded over any corpus."""
        return self._num_entries >= _MAX_ENTRIES

    def __missing__(self, text: str) -> int:
        spelling, table, token = self.compare(text), self.table, len(self)
        usual = self._entry(spelling.usual)
        for keys in spelling.others:
            self._entry(keys)
        in_digits = usual if spelling.in_digits is None else self._entry(spelling.in_digits)
        as_word = -1 if spelling.as_word is None else self._entry(spelling.as_word)
        self.table = self.table._replace(
            usual=_put(table.usual, token, usual),
            others=_put(table.others, token, len(spelling.others)),
            in_digits=_put(table.in_digits, token, in_digits),
            as_word=_put(table.as_word, token, as_word),
            says_number=_put(table.says_number, token, spelling.says_number),
        )
        self[text] = token
        return token

    def numbers(self, texts: Sequence[str]) -> IntArray:
        """The number of each token, shape as `texts`."""
        return np.frombuffer(array("i", map(self.__getitem__, texts)), np.int32)

    def split(self, parts: Sequence[int]) -> int:
        """An entry of these keys: for a token that another system writes in several words."""
        known = tuple(parts)
        if known not in self._split:
            self._split[known] = self._entry(tuple(self.keys_by_number[part] for part in known))
        return self._split[known]

    def entry_keys(self, entry: int) -> list[str]:
        """The keys of an entry."""
        begin = self.table.first[entry]
        return [self.keys_by_number[number] for number in self.table.flat[begin : begin + self.table.num[entry]]]

    def _entry(self, keys: Keys) -> int:
        entry, begin = self._num_entries, self._num_flat
        flat = self.table.flat
        for offset, key in enumerate(keys):
            flat = _put(flat, begin + offset, self._key(key))
        self._num_entries, self._num_flat = entry + 1, begin + len(keys)
        self.table = self.table._replace(
            first=_put(self.table.first, entry, begin), num=_put(self.table.num, entry, len(keys)), flat=flat
        )
        return entry

    def _key(self, key: str) -> int:
        number = self._numbers.get(key)
        if number is not None:
            return number
        number = self._numbers[key] = len(self.keys_by_number)
        self.keys_by_number.append(key)
        hashed, power = 0, 1
        for char in key:
            hashed, power = (hashed * _HASH_BASE + ord(char) + 1) & _HASH_MASK, power * _HASH_BASE & _HASH_MASK
        self.table = self.table._replace(
            hashes=_put(self.table.hashes, number, hashed),
            powers=_put(self.table.powers, number, power),
            lengths=_put(self.table.lengths, number, len(key)),
            initials=_put(self.table.initials, number, ord(key[0]) if key else 0),
        )
        return number


def _put(array: NDArray[Number], index: int, value: int) -> NDArray[Number]:
    """The array with `value` at `index`, twice as large where that lies beyond its end."""
    if index >= len(array):
        array = np.concatenate([array, np.zeros_like(array)])
    array[index] = value
    return array
