"""Numbers in words. The words are num2words'; the choice of reading (year, ordinal, digit by digit …) is made here."""

import re

from num2words import num2words

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip

MAX_CARDINAL_DIGITS = 15
"""Longer digit strings are codes, not quantities, and are read digit by digit."""

_MONTH = "|".join(MONTHS)
_ORDINAL = re.compile(r"(?<![\w.])(\d{1,3}(?:,\d{3})+|\d+)(?:st|nd|rd|th)\b")
_DECADE = re.compile(r"'?\b(\d{2}|1\d\d0|20\d0)'?s\b")
_COUNTED = r"(?!\s(?:[a-z]+s|people|men|women|children|feet|million|billion|percent|per|and)\b)"
_DATED_YEAR = re.compile(
    r"(?<=\b)((?:[Ii]n|[Ss]ince|[Bb]y|[Uu]ntil|[Ff]rom|[Cc]irca|[Yy]ear|[Dd]uring|[Aa]fter|[Bb]efore|[Ee]arly|[Ll]ate|"
    rf"AD|{_MONTH}),?\s)(1\d\d\d|20\d\d)(?![\w,.:]?\d|\w)"
)
_BARE_YEAR = re.compile(rf"(?<![\w.,:/-])(1[1-9]\d\d|20\d\d)(?![,.:/]\d|[\w-]){_COUNTED}")
_DECIMAL = re.compile(r"(?<![\w.])(\d{1,3}(?:,\d{3})+|\d+)?\.(\d+)(?!\.?\d)")
_FRACTION = re.compile(r"(?<![\w./-])(\d{1,2})/(2|3|4|5|8|10)(?![\w/])")
_GROUPED = re.compile(r"(?<!\d)\d{1,3}(?:,\d{3})+(?!,?\d)")
_WHOLE = re.compile(r"\d+")


def number_words(number: str) -> str:
    """A whole or decimal number (digits, optional thousands commas and one point) as a cardinal, without commas."""
    whole, point, decimals = number.replace(",", "").partition(".")
    words = _whole_words(whole or "0")
    return f"{words} point {_digit_words(decimals)}" if point and decimals else words


def ordinal_words(number: str) -> str:
    """``"21"`` → ``twenty-first``."""
    return _plain(num2words(int(number.replace(",", "")), to="ordinal"))


def year_words(number: str) -> str:
    """``"1969"`` → ``nineteen sixty-nine``."""
    return _plain(num2words(int(number), to="year"))


def decade_words(number: str) -> str:
    """``"1990"`` or ``"90"`` → ``nineteen nineties``, ``nineties``; ``"1900"`` → ``nineteen hundreds``."""
    words = number_words(number) if len(number) == 2 else year_words(number)
    return f"{words[:-1]}ies" if words.endswith("y") else f"{words}s"


def fraction(over: int, under: int) -> str:
    """``3, 4`` → ``three quarters``."""
    part = {2: "half", 4: "quarter"}.get(under) or ordinal_words(str(under))
    plural = "halves" if part == "half" else f"{part}s"
    return f"{number_words(str(over))} {part if over == 1 else plural}"


def say_numbers(text: str) -> str:
    """Every digit of `text` in words; what stands around the numbers is left alone."""
    text = _ORDINAL.sub(lambda match: _apart(match, ordinal_words(match[1])), text)
    text = _DECADE.sub(lambda match: _apart(match, decade_words(match[1])), text)
    text = _DATED_YEAR.sub(lambda match: match[1] + year_words(match[2]), text)
    text = _BARE_YEAR.sub(lambda match: year_words(match[1]), text)
    text = _FRACTION.sub(lambda match: fraction(int(match[1]), int(match[2])), text)
    text = _DECIMAL.sub(lambda match: _apart(match, number_words(f"{match[1] or 0}.{match[2]}")), text)
    text = _GROUPED.sub(lambda match: _apart(match, number_words(match[0])), text)
    text = re.sub(r"(?<=\d)\.(?=\d)", " point ", re.sub(r"(?<=\d)-(?=\d)", ", ", text))
    return _WHOLE.sub(lambda match: _apart(match, number_words(match[0])), text)


def _apart(match: re.Match[str], words: str) -> str:
    """`words`, kept apart from a letter, digit or point that touches the number (``H2O`` → ``H two O``)."""
    text, start, end = match.string, match.start(), match.end()
    before = " " if start and (text[start - 1].isalnum() or text[start - 1] in ".,/:") else ""
    after = " " if end < len(text) and text[end].isalnum() else ""
    return f"{before}{words}{after}"


def _whole_words(digits: str) -> str:
    if len(digits) > MAX_CARDINAL_DIGITS or (digits.startswith("0") and len(digits) > 1):
        return _digit_words(digits)
    return _plain(num2words(int(digits)))


def _digit_words(digits: str) -> str:
    return " ".join(num2words(int(digit)) for digit in digits)


def _plain(words: str) -> str:
    return words.replace(",", "")
