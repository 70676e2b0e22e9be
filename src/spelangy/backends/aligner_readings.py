"""How a written token may be said, in English: digits, signs, abbreviations and initials as spoken words.

    "1984"    nineteen eighty four | one thousand nine hundred eighty four | one nine eight four | …
    "$5.20"   five dollars twenty cents | five dollars and twenty cents | five twenty | five point two zero dollars | …
    "C-3PO"   c. three p. o. | c three po | …               a letter's name is written with a point: ``c.``

An aligner tries all of them at once and the sound decides, so a reading too many costs little and one too few a word.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain, islice, product
from typing import TypeAlias

from num2words import num2words

Reading: TypeAlias = tuple[str, ...]
"""Spoken words in lower case, letters and apostrophes only; names of letters end in a point."""

MAX_TOKEN_CHARACTERS = 60
"""Longer runs without a space are data, not words. Source: as for the voices (`speaking.MAX_WORD_CHARACTERS`)."""

MAX_READINGS = 16
MAX_PIECES = 12
MAX_CARDINAL_DIGITS = 15
MAX_INITIALS = 6
"""Longer words in capitals are shouted, not spelled."""

_PIECES = re.compile(
    r"(?P<currency>[$€£¥])?(?P<whole>\d{1,3}(?:,\d{3})+|\d+)(?:\.(?P<decimals>\d+))?"
    r"(?:(?P<ending>st|nd|rd|th|'?s)(?![^\W\d_])|\s?(?P<percent>%))?"
    r"|(?P<initials>(?:[^\W\d_]\.){2,}(?:[^\W\d_](?![^\W\d_]))?)"
    r"|(?P<word>'?[^\W\d_]+(?:'[^\W\d_]+)*)"
    r"|(?P<point>\.(?=\d))"
    r"|(?P<sign>[%&+=@#°×÷$€£¥])",
    re.IGNORECASE,
)
_CURRENCIES = {
    "$": ("dollar", "dollars", "cents"), "€": ("euro", "euros", "cents"),
    "£": ("pound", "pounds", "pence"), "¥": ("yen", "yen", "sen"),
}  # fmt: skip
_SIGNS = {
    "%": "percent", "&": "and", "+": "plus", "=": "equals", "@": "at", "#": "number", "°": "degrees", "×": "times",
    "÷": "divided by", "$": "dollars", "€": "euros", "£": "pounds", "¥": "yen",
}  # fmt: skip
_LONG_FORMS = {
    "mr": "mister", "mrs": "missus", "ms": "miz", "dr": "doctor|drive", "prof": "professor", "st": "saint|street",
    "jr": "junior", "sr": "senior", "rev": "reverend", "hon": "honorable", "capt": "captain", "col": "colonel",
    "lt": "lieutenant", "sgt": "sergeant", "gen": "general", "gov": "governor", "sen": "senator",
    "rep": "representative", "messrs": "messieurs", "vs": "versus", "etc": "et cetera", "inc": "incorporated",
    "ltd": "limited", "corp": "corporation", "co": "company", "dept": "department", "ave": "avenue", "rd": "road",
    "blvd": "boulevard", "mt": "mount", "ft": "feet|foot|fort", "no": "number", "vol": "volume", "fig": "figure",
    "approx": "approximately", "est": "established", "km": "kilometers|kilometer", "kg": "kilograms|kilogram|kilos",
    "cm": "centimeters|centimeter", "mm": "millimeters|millimeter", "lb": "pounds|pound", "lbs": "pounds",
    "oz": "ounces|ounce", "mph": "miles per hour", "hr": "hour|hours", "hrs": "hours", "min": "minutes|minute",
    "sec": "seconds|second", "am": "a. m.", "pm": "p. m.", "eg": "for example", "ie": "that is", "ok": "okay",
    "jan": "january", "feb": "february", "mar": "march", "apr": "april", "aug": "august", "sept": "september",
    "oct": "october", "nov": "november", "dec": "december",
}  # fmt: skip
"""Written short form without points → what is said for it, beside the form itself."""


@lru_cache(maxsize=1 << 14)
def readings(token: str) -> tuple[Reading, ...]:
    """All ways to say `token` that are tried, likeliest first, none twice; none where nothing is said for it.

    Punctuation, pictographs and tokens of more than `MAX_TOKEN_CHARACTERS` have none; letters of any script are words.
    """
    plain = unicodedata.normalize("NFKC", token[: MAX_TOKEN_CHARACTERS + 1]).replace("\u2019", "'")
    if len(plain) > MAX_TOKEN_CHARACTERS:
        return ()
    pieces = [list(dict.fromkeys(_piece(match))) for match in _PIECES.finditer(plain)]
    if len(pieces) > MAX_PIECES:
        return ()
    # The last piece varies first; what is likeliest in each piece stands first.
    said = (tuple(chain.from_iterable(choice)) for choice in product(*pieces))
    return tuple(islice(dict.fromkeys(filter(None, said)), MAX_READINGS))


def _piece(match: re.Match[str]) -> Iterable[Reading]:
    if match["whole"]:
        return _number(match)
    if match["initials"]:
        letters = _letters(match["initials"])
        return [letters, *_long_forms("".join(letters).replace(".", ""))]
    if match["word"]:
        return _word(match["word"])
    return [("point",)] if match["point"] else [tuple(_SIGNS[match["sign"]].split())]


def _word(word: str) -> Iterator[Reading]:
    lower = word.lower()
    is_spelled = word.isupper() or not re.search("[aeiouy]", lower)
    if is_spelled and len(word) > 1:
        yield from [(lower,), _letters(word)][: 2 if len(word) <= MAX_INITIALS else 1]
    else:
        yield (lower,)
    if len(word) == 1:
        yield _letters(word)
    yield from _long_forms(lower)


def _long_forms(lower: str) -> Iterator[Reading]:
    for said in _LONG_FORMS.get(lower, "").split("|"):
        if said:
            yield tuple(said.split())


def _letters(word: str) -> Reading:
    return tuple(f"{letter.lower()}." for letter in word if letter.isalpha())


def _number(match: re.Match[str]) -> Iterator[Reading]:
    digits, ending = match["whole"].replace(",", ""), (match["ending"] or "").lower()
    if ending in ("st", "nd", "rd", "th") and len(digits) <= MAX_CARDINAL_DIGITS:
        yield _spoken(num2words(int(digits), to="ordinal"))
    elif ending:
        yield from (_plural(words) for words in _whole(digits, is_grouped="," in match["whole"]))
    elif match["currency"]:
        yield from _money(match["currency"], digits, match["decimals"])
    else:
        tail = ("percent",) if match["percent"] else ()
        yield from ((*words, *tail) for words in _decimal(digits, match["decimals"], "," in match["whole"]))


def _decimal(digits: str, decimals: str | None, is_grouped: bool) -> Iterator[Reading]:
    if not decimals:
        yield from _whole(digits, is_grouped=is_grouped)
        return
    for words in islice(_whole(digits, is_grouped=True), 2):
        yield from ((*words, "point", *fraction) for fraction in _one_by_one(decimals))
        yield from ((*words, "point", *fraction) for fraction in islice(_whole(decimals, is_grouped=True), 1))


def _money(currency: str, digits: str, decimals: str | None) -> Iterator[Reading]:
    one, many, minor = _CURRENCIES[currency]
    name = one if digits == "1" else many
    for words in islice(_whole(digits, is_grouped=True), 2):
        if decimals and len(decimals) == 2:
            cents = _spoken(num2words(int(decimals)))
            yield from [(*words, name, *cents, minor), (*words, name, "and", *cents, minor), (*words, *cents)]
        if not decimals or not decimals.strip("0"):
            yield (*words, name)
    # "$5 million" and "$1.5 billion" say the currency after the next token, if at all.
    for words in islice(_decimal(digits, decimals, is_grouped=True), 2):
        yield from [words, (*words, many)]


def _whole(digits: str, *, is_grouped: bool) -> Iterator[Reading]:
    """A whole number as a quantity, as a year or in pairs, and digit by digit."""
    if set(digits) == {"0"} and len(digits) == 2:
        yield from [(), ("o'clock",), ("hundred",)]
    if len(digits) > MAX_CARDINAL_DIGITS or (digits[0] == "0" and len(digits) > 1):
        yield from _one_by_one(digits)
        return
    if len(digits) == 4 and not is_grouped:
        yield _spoken(num2words(int(digits), to="year"))
    cardinal = _spoken(num2words(int(digits)))
    yield tuple(word for word in cardinal if word != "and")
    yield cardinal
    if cardinal[0] == "one" and len(cardinal) > 1:
        yield ("a", *cardinal[1:])
    if len(digits) in (3, 4) and not is_grouped and digits[-2] != "0":
        yield _spoken(num2words(int(digits[:-2]))) + _spoken(num2words(int(digits[-2:])))
    if len(digits) > 1 and not is_grouped:
        yield from _one_by_one(digits)


def _one_by_one(digits: str) -> Iterator[Reading]:
    names = tuple(num2words(int(digit)) for digit in digits)
    yield names
    yield tuple("oh" if name == "zero" else name for name in names)


def _plural(words: Reading) -> Reading:
    """``nineteen eighty`` → ``nineteen eighties``; an empty reading stays empty."""
    if not words:
        return words
    last = words[-1]
    ended = f"{last[:-1]}ies" if last.endswith("y") else f"{last}es" if last.endswith("x") else f"{last}s"
    return (*words[:-1], ended)


def _spoken(words: str) -> Reading:
    return tuple(re.findall("[a-z]+", words))
