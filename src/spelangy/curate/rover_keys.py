"""What words are compared by: a surface token to its keys, and to the other ways in which it may be read.

    token       keys                    in digits    as a word    other readings
    Hello,      hello
    well-known  well known
    21          twenty one              two one
    CMU         c m u                                cmu
    XK-47       x k forty seven         x k four …   xk47
    it's        it's                                              it is · it has

Systems write the same speech differently, so how a token is read depends on the turn (`rover_spelling`): numbers digit
by digit where no system says them in words, capitals as a word where another system says that word, another reading
where another system spells it out.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from num2words import num2words

Keys: TypeAlias = tuple[str, ...]


class Spelling(NamedTuple):
    """How a token may be read; each reading has one key or more.

    Attributes:
        usual: Numbers as cardinals (or years), capitals letter by letter.
        others: Chosen over `usual` where another system says just these keys.
        in_digits: With numbers digit by digit; None where that makes no difference.
        as_word: With capitals as a word; None where that makes no difference.
        says_number: Whether it is a number above nine in words.
    """

    usual: Keys
    others: tuple[Keys, ...] = ()
    in_digits: Keys | None = None
    as_word: Keys | None = None
    says_number: bool = False


Comparison: TypeAlias = Callable[[str], Spelling]
"""Tells how a surface token may be read."""

_SEPARATORS = re.compile(r"[-\u2010-\u2015/_]+|\.{2,}|(?<=\d):(?=\d)")
_NUMBER = re.compile(r"([$€£]?)(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(st|nd|rd|th|%)?")
_INITIALS = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]\.?")
_PLAIN_NUMBER = re.compile(r"(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?")
_CODE = re.compile(r"(?=.*[^\W\d_])(?:[A-Z]{2,}|[A-Z]?\d+|[^\W\d_](?=\d))(?:[A-Z]+|\d+)*")
_OUTER = ".,;:!?\"'()[]"
_CURRENCIES = {"$": "dollars", "€": "euros", "£": "pounds"}
_SYMBOLS = {"%": "percent", "&": "and"}
_YEARS = (range(1100, 2000), range(2010, 2100))
_MAX_NUMBER_LENGTH = 15
_MAX_GROUPED_DIGITS = 8
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_NUMBER_WORDS = frozenset(
    {"hundred", "thousand", "million", "billion", *_TENS, *(num2words(number) for number in range(10, 20))}
)
_SHORT_FORMS: tuple[tuple[str, Keys], ...] = (
    ("n't", ("not",)),
    ("'m", ("am",)),
    ("'re", ("are",)),
    ("'ve", ("have",)),
    ("'ll", ("will",)),
    ("'s", ("is",)),
    ("'s", ("has",)),
    ("'d", ("would",)),
    ("'d", ("had",)),
)
_IRREGULAR: dict[str, tuple[Keys, ...]] = {
    "can't": (("can", "not"), ("cannot",)),
    "cannot": (("can", "not"), ("can't",)),
    "won't": (("will", "not"),),
    "let's": (("let", "us"),),
    "gonna": (("going", "to"),),
    "wanna": (("want", "to"),),
    "gotta": (("got", "to"),),
    "ok": (("okay",),),
}


def verbatim(text: str) -> Spelling:
    """One key, the lower-cased token: the comparison of NIST's rover."""
    return Spelling((text.lower(),))


def spellings(text: str) -> Spelling:
    """The keys of `normalise`, with capitals and codes letter by letter, and the other ways to say the same.

    Source: ours. Spelled names and numbers of AN4, where systems differ in exactly these (`make bench NAME=accuracy`).
    """
    as_word, usual, in_digits = normalise(text), _keys(text, as_digits=False), _keys(text, as_digits=True)
    others = [*_in_groups(text), *(_in_full(as_word[0]) if len(as_word) == 1 else ())]
    return Spelling(
        usual,
        tuple(dict.fromkeys(keys for keys in others if keys != usual)),
        in_digits if in_digits != usual else None,
        as_word if as_word != usual else None,
        usual[0] in _NUMBER_WORDS and not any(map(str.isdigit, text)),
    )


def _keys(text: str, *, as_digits: bool) -> Keys:
    if initials := _initials(text):
        return initials
    keys: list[str] = []
    for piece in _SEPARATORS.split(unicodedata.normalize("NFKC", text)):
        bare = piece.strip(_OUTER)
        if _CODE.fullmatch(bare):
            keys += [_DIGITS[int(char)] if char.isdigit() else char.casefold() for char in bare]
        elif as_digits and _PLAIN_NUMBER.fullmatch(bare):
            keys += ["point" if char == "." else _DIGITS[int(char)] for char in bare if char != ","]
        else:
            keys += _piece_keys(_plain(piece), expand_numbers=True)
    return tuple(keys) or (_plain(text),)


def _initials(text: str) -> Keys:
    bare = _plain(text).strip(_OUTER.replace(".", ""))
    return tuple(bare.replace(".", "")) if _INITIALS.fullmatch(bare) else ()


@lru_cache(maxsize=1 << 17)
def normalise(text: str, *, expand_numbers: bool = True) -> Keys:
    """The keys of a surface token: NFKC, casefolded, without punctuation; apostrophes inside words stay.

    Hyphens, dashes and slashes part words ("well-known" is "well", "known"), and so do the dots of initials ("C.M.U."),
    for systems differ in where they write them. A token of punctuation alone is its own key, so that nothing said is
    lost.

    Args:
        text: One token, with casing and punctuation.
        expand_numbers: Read digits as English words without "and": cardinals, ordinals, decimals, percent, currency,
            and years where four bare digits look like one ("1984" is "nineteen", "eighty", "four").
    """
    if initials := _initials(text):
        return initials
    plain = _plain(text)
    keys = [key for piece in _SEPARATORS.split(plain) for key in _piece_keys(piece, expand_numbers)]
    return tuple(keys) or (plain,)


def _piece_keys(piece: str, expand_numbers: bool) -> Keys:
    spoken = _number_words(piece.strip(_OUTER)) if expand_numbers else ()
    return spoken or _bare_word(piece)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'")


def _bare_word(piece: str) -> Keys:
    if piece in _SYMBOLS:
        return (_SYMBOLS[piece],)
    bare = "".join(char for char in piece if char == "'" or unicodedata.category(char)[0] not in "PSZC").strip("'")
    return (bare,) if bare else ()


def _number_words(piece: str) -> Keys:
    match = _NUMBER.fullmatch(piece)
    if match is None or len(piece) > _MAX_NUMBER_LENGTH:
        return ()
    currency, whole, fraction, suffix = match.groups()
    number = int(whole.replace(",", ""))
    if suffix and suffix != "%":
        words = num2words(number, to="ordinal")
    elif fraction:
        words = num2words(f"{number}{fraction}")
    else:
        words = num2words(number, to="year" if _looks_like_year(whole, currency, suffix) else "cardinal")
    tail = [_CURRENCIES[currency]] if currency else []
    tail += ["percent"] if suffix == "%" else []
    return (*(word for word in re.findall(r"[a-z]+", words) if word != "and"), *tail)


def _looks_like_year(whole: str, currency: str, suffix: str | None) -> bool:
    return len(whole) == 4 and not currency and not suffix and any(int(whole) in years for years in _YEARS)


def _in_groups(text: str) -> Iterator[Keys]:
    """Bare digits said in groups of one or two, in all ways: "305" is three oh five, three zero five, thirty five."""
    digits = text.strip(_OUTER)
    if digits.isascii() and digits.isdigit() and 2 <= len(digits) <= _MAX_GROUPED_DIGITS:
        for groups in _groups(digits):
            for zero in ("zero", "oh", "o") if "0" in groups else ("zero",):
                yield tuple(key for group in groups for key in _group_words(group, zero))
        yield _number_words(digits)


def _groups(digits: str) -> Iterator[tuple[str, ...]]:
    if not digits:
        yield ()
    for length in (1, 2):
        if len(digits) >= length and not (length == 2 and digits[0] == "0"):
            yield from ((digits[:length], *rest) for rest in _groups(digits[length:]))


def _group_words(group: str, zero: str) -> Keys:
    return (zero,) if group == "0" else _number_words(group)


def _in_full(key: str) -> Iterator[Keys]:
    if key in _IRREGULAR:
        yield from _IRREGULAR[key]
        return
    for ending, tail in _SHORT_FORMS:
        if key.endswith(ending) and len(key) > len(ending):
            yield (key.removesuffix(ending), *tail)
