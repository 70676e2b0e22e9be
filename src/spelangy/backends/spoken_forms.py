"""Spoken identifiers back to how they are written, with a map to the words they came from.

    words   call  me  at  five five five oh one three two  or  john dot smith at gmail dot com
    form    call  me  at  5550132                          or  john.smith@gmail.com
    words    0     1   2  3-9                              10  11-16

Only for finding: what the form reads like is matched against patterns of written identifiers and then forgotten.
Cardinals are not computed ("two hundred and five" as a quantity is nobody's secret): digits are read off one by one, as
people dictate them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_UNITS = {
    "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4",
    "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
}  # fmt: skip
_ZEROS = {"oh": "0", "o": "0", "nought": "0", "naught": "0"}
_TEENS = {
    "ten": "10", "eleven": "11", "twelve": "12", "thirteen": "13", "fourteen": "14",
    "fifteen": "15", "sixteen": "16", "seventeen": "17", "eighteen": "18", "nineteen": "19",
}  # fmt: skip
_TENS = {
    "twenty": "2", "thirty": "3", "forty": "4", "fifty": "5",
    "sixty": "6", "seventy": "7", "eighty": "8", "ninety": "9",
}  # fmt: skip
_ENDINGS = {"hundred": "00", "thousand": "000"}
_REPEATS = {"double": 2, "triple": 3, "treble": 3}
_BREAKS = {"dash", "hyphen", "minus"}
_DOTS = {"dot", "point"}

_JOINERS = {"dot": ".", "period": ".", "underscore": "_", "dash": "-", "hyphen": "-", "plus": "+"}
_IN_HOST = {"dot": ".", "dash": "-", "hyphen": "-", "slash": "/"}
_LABEL = re.compile("[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_QUANTITY = re.compile(r"\d{1,3}(,\d{3})+")
_LABELS = re.compile(rf"(.+@)?{_LABEL.pattern}(\.{_LABEL.pattern})*")
_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,}")
_LOCAL = re.compile("[a-z0-9._+-]+")
_NO_MAILBOX = frozenset(
    {
        "look", "looked", "us", "me", "him", "her", "them", "it", "out", "online", "here", "there", "website", "site",
        "page", "up", "down", "is", "are", "was", "be", "found", "available", "live", "only", "shop", "visit", "stuff",
        "more", "works", "work", "working", "started", "and", "or",
    }
)  # fmt: skip
"""Words in front of "at example dot com" that say where, not whom."""

MIN_IBAN_CHARACTERS = 15
"""The shortest there is (Norway). Source: ISO 13616 registry."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the written form and the words `[first, last]` it came from.

    Attributes:
        is_closed: A sentence ends here: nothing is joined over it.
    """

    text: str
    first: int
    last: int
    is_closed: bool = False

    @property
    def is_digits(self) -> bool:
        return self.text.isascii() and self.text.isdigit()


@dataclass(frozen=True, slots=True)
class WrittenForm:
    """Text with the words behind every token of it."""

    tokens: tuple[Token, ...]

    @property
    def text(self) -> str:
        return " ".join(token.text for token in self.tokens)

    def words(self, start: int, end: int) -> tuple[int, int]:
        """First and last word behind characters `[start, end)` of `text`."""
        touched = [token for token, begin, stop in self._placed() if begin < end and stop > start]
        return min(token.first for token in touched), max(token.last for token in touched)

    def _placed(self) -> list[tuple[Token, int, int]]:
        placed, position = [], 0
        for token in self.tokens:
            placed.append((token, position, position + len(token.text)))
            position += len(token.text) + 1
        return placed


def raw_form(words: Sequence[str]) -> WrittenForm:
    """The words as they stand."""
    return WrittenForm(tuple(Token(word, index, index) for index, word in enumerate(words)))


def written_form(words: Sequence[str]) -> WrittenForm:
    """The words with dictated numbers, mails, addresses and account codes put together, in lower case."""
    tokens = [token for index, word in enumerate(words) for token in _split(word, index)]
    return WrittenForm(tuple(_join_mails(_join_codes(_join_digits(tokens)))))


def _split(word: str, index: int) -> list[Token]:
    """Lower case without outer punctuation; digits and number words in hyphens come apart."""
    is_closed = word.endswith(("?", "!"))
    text = re.sub(r"^[^\w+]+|[^\w]+$", "", word.lower())
    # "5,500" is a quantity; a recogniser that writes "4420,0958" or "212-365,000" puts commas into something dictated.
    borders = r"[-‐–\s()/]+" if _QUANTITY.fullmatch(text) else r"[-‐–\s()/,]+"
    parts = [part for part in re.split(borders, text) if part]
    if len(parts) > 1 and all(_digits_of(part) or part in _TENS or part in _ENDINGS for part in parts):
        return [Token(part, index, index) for part in parts]
    return [Token(text, index, index, is_closed)] if text else []


# ------------------------------------------------------------------------------------------------------------ digits


def _digits_of(text: str) -> str:
    if text.isascii() and text.isdigit():
        return text
    return _UNITS.get(text) or _ZEROS.get(text) or _TEENS.get(text) or ""


def _join_digits(tokens: Sequence[Token]) -> list[Token]:
    """Runs of digits become one token each; what says no digit stays as it is."""
    joined: list[Token] = []
    position = 0
    while position < len(tokens):
        run, length = _read_digits(tokens[position:])
        if length:
            joined.append(Token(run, tokens[position].first, tokens[position + length - 1].last))
        else:
            joined.append(tokens[position])
        position += length or 1
    return joined


def _read_digits(tokens: Sequence[Token]) -> tuple[str, int]:
    """The digits that `tokens` begins with, and how many tokens say them."""
    run = ""
    position = 1 if tokens[0].text == "plus" else 0
    end = 0
    while position < len(tokens) and not (end and tokens[end - 1].is_closed):
        said, length = _say(tokens[position : position + 3], has_digits=bool(run))
        if not length or (_is_year(run) and _is_year(said)):
            break  # a list of years is no identifier
        run += said
        position += length
        if run[-1] not in ".-":
            end = position
    run = run.rstrip(".-").replace("-", "")
    if run and tokens[0].text == "plus":
        run = f"+{run}"
    return (run, end) if run else ("", 0)


def _say(tokens: Sequence[Token], *, has_digits: bool) -> tuple[str, int]:
    """What the next one or two words add to a number: (characters, words taken); nothing ends it."""
    first = tokens[0].text
    second = tokens[1].text if len(tokens) > 1 and not tokens[0].is_closed else ""
    if first in _REPEATS and _digits_of(second) and second not in _TEENS:
        digits = _digits_of(second)
        return digits[0] * _REPEATS[first] + digits[1:], 2
    if first in _TENS:
        unit = _UNITS.get(second, "0")
        return (_TENS[first] + unit, 2) if unit != "0" else (_TENS[first] + "0", 1)
    if not has_digits and first in ("o", "oh") and not _digits_of(second):
        return "", 0  # an exclamation
    if _digits_of(first):
        return _digits_of(first), 1
    if has_digits and first in _ENDINGS:
        return _ENDINGS[first], 1
    if has_digits and first in _BREAKS:
        return "-", 1
    if has_digits and first in _DOTS:
        return ".", 1
    return "", 0


def _is_year(text: str) -> bool:
    return len(text) == 4 and text[:2] in ("18", "19", "20")


# --------------------------------------------------------------------------------------------- codes with letters: IBAN


def _join_codes(tokens: Sequence[Token]) -> list[Token]:
    """Letters and digits spelled in a row, long enough for an IBAN and begun like one, become one token."""
    joined: list[Token] = []
    position = 0
    while position < len(tokens):
        length = next((n for n, token in enumerate(tokens[position:]) if not _is_spelled(token)), None)
        run = tokens[position : position + length] if length is not None else tokens[position:]
        code = "".join(token.text for token in run)
        if re.match("[a-z]{2}[0-9]{2}", code) and len(code) >= MIN_IBAN_CHARACTERS:
            joined.append(Token(code.upper(), run[0].first, run[-1].last))
        else:
            joined.extend(run or tokens[position : position + 1])
        position += max(1, len(run))
    return joined


def _is_spelled(token: Token) -> bool:
    return token.is_digits or (len(token.text) == 1 and token.text.isalpha())


# ---------------------------------------------------------------------------------------------------- mails and hosts


def _join_mails(tokens: Sequence[Token]) -> list[Token]:
    """``local at domain`` becomes a mail address, ``label dot label`` a host name."""
    joined: list[Token] = []
    position = 0
    while position < len(tokens):
        host, length = _read_host(tokens[position:])
        if not length:
            joined.append(tokens[position])
            position += 1
            continue
        last = tokens[position + length - 1].last
        if host.startswith("w.") and [token.text for token in joined[-2:]] == ["w", "w"]:
            first = joined[-2].first
            del joined[-2:]
            joined.append(Token(f"ww{host}", first, last))
            position += length
            continue
        is_mail = bool(joined) and joined[-1].text == "at"
        local = _take_local(joined) if is_mail else []
        if local:
            del joined[-len(local) - 1 :]
            text = "".join(_JOINERS.get(token.text, token.text) for token in local)
            joined.append(Token(f"{text}@{host}", local[0].first, last))
        else:
            joined.append(Token(host, tokens[position].first, last))
        position += length
    return joined


def _read_host(tokens: Sequence[Token]) -> tuple[str, int]:
    """A host name, however its dots are said, and how many tokens say it; ``local@host`` half written counts too."""
    is_label = _LABELS.fullmatch(tokens[0].text) and tokens[0].text not in _IN_HOST
    host, length = tokens[0].text if is_label else "", 1
    while host and length + 1 < len(tokens) and not tokens[length - 1].is_closed:
        joiner = _IN_HOST.get(tokens[length].text)
        if joiner is None or not _LABELS.fullmatch(tokens[length + 1].text):
            break
        host += joiner + tokens[length + 1].text
        length += 2
    is_domain = _DOMAIN.fullmatch(host.partition("/")[0].rpartition("@")[2])
    return (host, length) if is_domain else ("", 0)


def _take_local(joined: Sequence[Token]) -> list[Token]:
    """The tokens before a closing "at" that name a mailbox; none where they do not."""
    before = joined[:-1]
    count = 0
    while count < len(before) and _belongs_to_mailbox(before, count):
        count += 1
    while count and before[-count].text in _JOINERS:
        count -= 1
    local = list(before[len(before) - count :])
    if not local or (count == 1 and local[0].text in _NO_MAILBOX):
        return []
    return local


def _belongs_to_mailbox(before: Sequence[Token], count: int) -> bool:
    """Whether the token `count` from the end is part of the mailbox that ends there."""
    token = before[len(before) - 1 - count]
    if token.is_closed or not _LOCAL.fullmatch(token.text):
        return False
    if count == 0 or token.text in _JOINERS:
        return True
    after = before[len(before) - count]
    return (
        after.text in _JOINERS or (after.is_digits and not token.is_digits) or (_is_letter(token) and _is_letter(after))
    )


def _is_letter(token: Token) -> bool:
    return len(token.text) == 1 and token.text.isalpha()


def year_like(text: str) -> bool:
    """Whether digits read as years in a row."""
    groups = [text[start : start + 4] for start in range(0, len(text), 4)]
    return all(_is_year(group) for group in groups) and all(left <= right for left, right in pairwise(groups))
