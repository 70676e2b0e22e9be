"""Written English to words that a synthesiser can say: no digit, symbol or mark-up is left.

Stages, each a pure function of the text:

    layout     lines → sentences: bullets off, table cells by commas, URLs and mail addresses out
    writing    units, currencies, dates, times, ranges, Roman numerals, abbreviations → words around plain numbers
    numbers    years, ordinals, decimals, fractions, whole numbers → words (num2words)
    characters everything that is neither letter nor sentence punctuation goes

The stages run until nothing changes, so `speakable(speakable(x)) == speakable(x)`.
"""

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

from spelangy.synth.spoken_numbers import MONTHS, fraction, number_words, ordinal_words, say_numbers, year_words
from spelangy.synth.spoken_symbols import (
    ABBREVIATIONS,
    CURRENCIES,
    MINOR_CURRENCIES,
    REGNAL_NAMES,
    ROMAN_LABELS,
    SYMBOLS,
    TITLES,
    UNITS,
)

MAX_PASSES = 12
"""Far above what any text has needed (3); a bound, because a loop over foreign text must have one."""

_NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
_MONTH = "|".join(MONTHS)
_KEPT = frozenset(" .,;:?!'\"-")


@lru_cache(maxsize=1024)
def speakable(text: str) -> str:
    """`text` as it is read aloud.

    Keeps every number and every word; takes out URLs, mail addresses, bracketed reference marks (``[3]``) and mark-up.
    Pure, and idempotent on its own output. Several lines become one, each a sentence. Cached: a paragraph is asked for
    by the gate, the script and the question that is made of it.
    """
    starts_small = text.lstrip()[:1].islower()
    for _ in range(MAX_PASSES):
        spoken = _pass(text)
        spoken = spoken if starts_small else spoken[:1].upper() + spoken[1:]
        if spoken == text:
            break
        text = spoken
    return text


def _pass(text: str) -> str:
    for stage in (_layout, _compose, _writing, say_numbers, _characters):
        text = stage(text)
    return text


# Layout ---------------------------------------------------------------------------------------------------------------

_URL = re.compile(r"(?:https?|ftp)://\S*[\w/]|\bwww\.\S*[\w/]|\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.IGNORECASE)
_DOMAIN_PATH = re.compile(r"\b[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|edu|gov|io)/\S*[\w/]", re.IGNORECASE)
_DOMAIN = re.compile(r"(?<=\w)\.(?=(?:com|org|net|edu|gov)\b)", re.IGNORECASE)
_REFERENCE = re.compile(r"\s?\[(?:\d{1,3}(?:[,–-]\s?\d{1,3})*|citation needed|sic|edit|note \d+)\]", re.IGNORECASE)
_RULE_LINE = re.compile(r"^[\s|:=_*+-]*$")
_HEADING_MARK = re.compile(r"^\s*#{1,6}\s+")
_BULLET = re.compile(r"^\s*(?:[-*+•◦▪‣·–—o]\s+)+(?=\S)")
_ENUMERATOR = re.compile(r"^\s*\(?(\d{1,3})[.)]\s+(?=\D)")
_CELL = re.compile(r"\s*(?:\t+|\|)\s*")
_ENDED = re.compile(r"[.?!:;,][\"')\]]*$")


def _layout(text: str) -> str:
    text = _DOMAIN.sub(" dot ", _DOMAIN_PATH.sub(" ", _URL.sub(" ", text)))
    text = _REFERENCE.sub("", text)
    lines = [_line(line) for line in text.splitlines() if not _RULE_LINE.match(line)]
    return _join([line for line in lines if line])


def _line(line: str) -> str:
    line = _BULLET.sub("", _HEADING_MARK.sub("", line))
    line = _ENUMERATOR.sub(lambda match: f"{number_words(match[1]).capitalize()}. ", line)
    return ", ".join(cell for cell in _CELL.split(line.strip()) if cell)


def _join(lines: list[str]) -> str:
    """A line that ends without a mark gets a full stop, unless the next one plainly goes on with its sentence."""
    out = ""
    for line in lines:
        if out and not _ENDED.search(out) and not line[0].islower():
            out += "."
        out = f"{out} {line}" if out else line
    return out


# Writing --------------------------------------------------------------------------------------------------------------

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_UNIT = "|".join(re.escape(unit.replace("²", "^2").replace("³", "^3")) for unit in sorted(UNITS, key=len, reverse=True))
_MEASURE = re.compile(rf"(?<![\w.,])({_NUMBER})\s?({_UNIT})(?![\w^°])(?:\.(?=\s[a-z]))?")
_RAISED_UNIT = re.compile(rf"(?<=\d)\s?(?:{'|'.join(re.escape(unit) for unit in UNITS if unit[-1] in '²³')})(?!\w)")
_CURRENCY_MARK = "|".join(re.escape(mark) for mark in sorted(CURRENCIES, key=len, reverse=True))
_MAGNITUDES = {"k": "thousand", "m": "million", "bn": "billion", "b": "billion", "tn": "trillion"}
_MAGNITUDE = r"(?:\s?(thousand|million|billion|trillion)\b|(k|m|bn|b|tn|K|M|B)\b)?"
_MONEY = re.compile(rf"({_CURRENCY_MARK})\s?({_NUMBER}){_MAGNITUDE}")
_MONEY_AFTER = re.compile(rf"(?<![\w.,])({_NUMBER}){_MAGNITUDE}\s?([€£¥₹])")
_MONEY_RANGE = re.compile(rf"((?:{_CURRENCY_MARK})\s?)({_NUMBER})\s?[–—-]\s?(?:{_CURRENCY_MARK})?({_NUMBER})(?![\d-])")
_RANGE = re.compile(rf"(?<![\w.,/-])({_NUMBER})(?:\s?[–—]\s?|-)({_NUMBER})(?![\d/-])(?!\s?[–—-]\d)")
_ISO_DATE = re.compile(r"(?<![\w-])(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])(?![\w-])")
_MONTH_DAY = re.compile(rf"\b({_MONTH})\s(\d{{1,2}})(?:st|nd|rd|th)?(?![\w.:]\d|\w|%)")
_DAY_MONTH = re.compile(rf"(?<![\w.,-])(the\s)?(\d{{1,2}})(?:st|nd|rd|th)?\s({_MONTH})\b")
_TIME = re.compile(r"(?<![\d:.,])([01]?\d|2[0-3]):([0-5]\d)(?![\d:])")
_RATIO = re.compile(r"(?<![\d:.,])(\d+):(\d+)(?![\d:])")
_MINUS = re.compile(r"(?:(?<=^)|(?<=[\s(]))[-−–](?=\d)|−\s?(?=\d)")
_POWER = re.compile(r"(?<=[\d)])([⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)")
_VULGAR = re.compile(r"(\d?)([¼½¾⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞])")
_ROMAN = r"(?=[IVX])(X{0,3}(?:IX|IV|V?I{0,3}))(?<=[IVX])"
_LABELLED_ROMAN = re.compile(rf"\b({ROMAN_LABELS})\s{_ROMAN}(?![\w'’.])(?!\s[a-z])|\b(World War)\s(II?)\b")
_LABELLED_LONG_ROMAN = re.compile(rf"\b({ROMAN_LABELS})\s(?=[IVX]{{2}}){_ROMAN}\b")
_REGNAL = re.compile(rf"\b({REGNAL_NAMES})\s(?=[IVX]{{2}}){_ROMAN}\b|\b({REGNAL_NAMES})\s([IVX])(?=\sof\b|[,;])")
_INITIALS = re.compile(r"(?<![\w.])((?:[A-Z]\.\s?){2,})(?=([A-Z][a-z])?)")
_STARTERS = (
    "The|It|This|That|A|An|In|On|He|She|They|We|You|I|If|As|At|But|And|For|These|There|Then|When|Its|Most|Some|Many"
)
_INITIAL = re.compile(rf"(?<=[A-Za-z]\s)([A-Z])\.(?=\s[A-Z][a-z])(?!\s(?:{_STARTERS})\b)")
_CLOCK_HALF = re.compile(r"\b([ap])\.\s?m\.(?=(\s+[A-Z]|\s*$)?)|(?<=\d)\s?([ap])m\b", re.IGNORECASE)
_TITLE = re.compile(rf"\b({'|'.join(TITLES)})\.(?=\s)")
_SAINT = re.compile(r"\b(St|Mt)\.(?=\s[A-Z])")
_SAINTS = {"St": "Saint", "Mt": "Mount"}
_NAME_BEFORE = re.compile(r"[A-Z][\w']+\s$")
_ABBREVIATION = re.compile(
    rf"(?<![\w.])({'|'.join(re.escape(word) for word in sorted(ABBREVIATIONS, key=len, reverse=True))})"
    r"(?!\w)(?=(\s+[A-Z]|\s*$)?)"
)
_NUMBERED = re.compile(r"\b(No|Nos|Fig|Figs|Vol|Ch|Sec|Eq|pp|p)\.\s?(?=\d)")
_NUMBERED_WORDS = {
    "No": "number", "Nos": "numbers", "Fig": "figure", "Figs": "figures", "Vol": "volume", "Ch": "chapter",
    "Sec": "section", "Eq": "equation", "pp": "pages", "p": "page",
}  # fmt: skip


def _compose(text: str) -> str:
    """Superscripts, vulgar fractions and digits of other scripts → plain ASCII digits, then NFKC."""
    text = re.sub(r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))", "", text)
    text = _VULGAR.sub(_vulgar, text)
    text = _RAISED_UNIT.sub(lambda match: match[0].replace("²", "^2").replace("³", "^3"), text)
    text = _POWER.sub(lambda match: f" to the power of {match[1].translate(_SUPERSCRIPTS)} ", text)
    text = re.sub(r"(?<=[A-Za-z])²", " squared", re.sub(r"(?<=[A-Za-z])³", " cubed", text))
    text = re.sub(r"(?<=[^\W\d_])([⁰-⁹¹²³]+)", r" \1", text)
    return unicodedata.normalize("NFKC", text).translate(_PLAIN_DIGITS)


def _plain_digit(char: str) -> str:
    if char.isascii() or not char.isnumeric():
        return {"’": "'", "‘": "'", "“": '"', "”": '"', "‐": "-", "‑": "-", "⁄": "/"}.get(char, char)
    if char.isdecimal():
        return str(unicodedata.decimal(char))
    value = unicodedata.numeric(char)
    return f" {int(value)} " if value == int(value) and not char.isalpha() else char


class _ByCharacter(dict[int, str]):
    """A table for `str.translate` that a function fills as characters turn up: twenty times a call a character."""

    def __init__(self, function: Callable[[str], str]) -> None:
        self.function = function

    def __missing__(self, code: int) -> str:
        self[code] = self.function(chr(code))
        return self[code]


_PLAIN_DIGITS = _ByCharacter(_plain_digit)


def _vulgar(match: re.Match[str]) -> str:
    over, under = unicodedata.normalize("NFKC", match[2]).split("⁄")
    words = fraction(int(over), int(under))
    return f"{match[1]} and {words}" if match[1] else words


def _writing(text: str) -> str:
    text = _brackets(text)
    text = _dates_and_times(text)
    text = _money(text)
    text = _RANGE.sub(r"\1 to \2", text)
    text = _MINUS.sub("minus ", text)
    text = _MEASURE.sub(_measure, text)
    text = _roman(text)
    text = _abbreviations(text)
    return _symbols(text)


def _brackets(text: str) -> str:
    text = re.sub(r"[(\[{]\s*[)\]}]", " ", text)
    text = re.sub(r"\s*[(\[{]\s*", ", ", text)
    return re.sub(r"\s*[)\]}](?=\s*[\w$€£\"'])", ", ", text).translate(str.maketrans("", "", ")]}"))


def _dates_and_times(text: str) -> str:
    text = _ISO_DATE.sub(
        lambda match: f"{MONTHS[int(match[2]) - 1]} {ordinal_words(match[3])}, {year_words(match[1])}", text
    )
    text = re.sub(r"\b(Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.?(?=\s\d)", _month, text)
    text = _DAY_MONTH.sub(lambda match: f"the {ordinal_words(match[2])} of {match[3]}", text)
    text = _MONTH_DAY.sub(lambda match: f"{match[1]} {ordinal_words(match[2])}", text)
    text = _TIME.sub(_clock, _CLOCK_HALF.sub(_clock_half, text))
    return _RATIO.sub(r"\1 to \2", text)


def _month(match: re.Match[str]) -> str:
    return next(month for month in MONTHS if month.startswith(match[1][:3]))


def _clock(match: re.Match[str]) -> str:
    hours, minutes = int(match[1]), int(match[2])
    if minutes == 0:
        return f"{number_words(match[1])} o'clock" if hours <= 12 else f"{number_words(str(hours))} hundred hours"
    return f"{number_words(str(hours))} {'oh ' if minutes < 10 else ''}{number_words(str(minutes))}"


def _clock_half(match: re.Match[str]) -> str:
    half = (match[1] or match[3]).upper()
    return f"{'' if match[1] else ' '}{half} M{'.' if match[2] is not None else ''}"


def _money(text: str) -> str:
    text = _MONEY_RANGE.sub(r"\1\2 to \1\3", text)
    text = _MONEY.sub(lambda match: _amount(match[1], match[2], match[3] or match[4]), text)
    return _MONEY_AFTER.sub(lambda match: _amount(match[4], match[1], match[2] or match[3]), text)


def _amount(mark: str, number: str, magnitude: str | None) -> str:
    singular, plural = CURRENCIES[mark]
    if magnitude:
        return f"{number_words(number)} {_MAGNITUDES.get(magnitude.lower(), magnitude)} {plural}"
    whole, _, cents = number.partition(".")
    if len(cents) != 2 or mark not in MINOR_CURRENCIES:
        return f"{number_words(number)} {singular if number == '1' else plural}"
    minor = MINOR_CURRENCIES[mark][cents != "01"]
    main = f"{number_words(whole)} {singular if whole == '1' else plural}"
    return main if cents == "00" else f"{main} and {number_words(cents.lstrip('0'))} {minor}"


def _measure(match: re.Match[str]) -> str:
    singular, plural = UNITS[match[2].replace("^2", "²").replace("^3", "³")]
    return f"{number_words(match[1])} {singular if match[1] == '1' else plural}"


def _roman(text: str) -> str:
    text = _LABELLED_LONG_ROMAN.sub(_labelled, text)
    text = _LABELLED_ROMAN.sub(_labelled, text)
    return _REGNAL.sub(lambda m: f"{m[1] or m[3]} the {ordinal_words(_roman_value(m[2] or m[4])).capitalize()}", text)


def _labelled(match: re.Match[str]) -> str:
    label, roman = [group for group in match.groups() if group]
    return f"{label} {number_words(_roman_value(roman)).capitalize()}"


def _roman_value(roman: str) -> str:
    values = [{"I": 1, "V": 5, "X": 10}[letter] for letter in roman]
    following = [*values[1:], 0]
    return str(sum(-value if value < after else value for value, after in zip(values, following, strict=True)))


def _abbreviations(text: str) -> str:
    text = _NUMBERED.sub(lambda match: f"{_NUMBERED_WORDS[match[1]]} ", text)
    text = _TITLE.sub(lambda match: TITLES[match[1]], text)
    text = _SAINT.sub(lambda match: "Street." if _street(match) else _SAINTS[match[1]], text)
    text = _ABBREVIATION.sub(_abbreviation, text)
    text = _INITIALS.sub(_spell_initials, text)
    return _INITIAL.sub(lambda match: match[1] if _NAME_BEFORE.search(text, 0, match.start()) else match[0], text)


def _street(match: re.Match[str]) -> bool:
    return match[1] == "St" and bool(_NAME_BEFORE.search(match.string, 0, match.start()))


def _abbreviation(match: re.Match[str]) -> str:
    word, stops_sentence = ABBREVIATIONS[match[1]]
    return f"{word}." if stops_sentence and match[2] is not None else word


def _spell_initials(match: re.Match[str]) -> str:
    letters = " ".join(re.findall("[A-Z]", match[1]))
    ends = match.end() == len(match.string)
    return f"{letters}{'.' if ends else ' ' if match[1][-1].isspace() else ''}"


def _symbols(text: str) -> str:
    text = re.sub(r"\.{2,}(?=\s+[a-z])", ",", text)
    text = re.sub(r"\s(?:--+|[–—-])\s|\s?—\s?|(?<=\w)--+(?=\w)", ", ", text)
    text = re.sub(r"(?<=[a-z])/(?=[a-z])", " or ", text.replace("and/or", "and or"))
    text = re.sub(r"#(?=\d)", " number ", text)
    for symbol, word in SYMBOLS.items():
        text = text.replace(symbol, f" {word} ")
    return re.sub(r"(?<=\d)\s?\+(?=\s|$)", " plus", text)


# Characters -----------------------------------------------------------------------------------------------------------

_TIDY = (
    (re.compile(r"\s+"), " "),
    (re.compile(r"(?<![^\W\d_])[-']+(?![^\W\d_])"), " "),
    (re.compile(r"(?<![^\W\d_])-|-(?![^\W\d_])"), " "),
    (re.compile(r"\s+([.,;:?!])"), r"\1"),
    (re.compile(r"[.,;:]*([?!])[.,;:?!]*"), r"\1"),
    (re.compile(r"[,;:]*\.[.,;:]*"), "."),
    (re.compile(r"([,;:])[,;:]+"), r"\1"),
    (re.compile(r"([.,;:?!])(?=[^\W\d_])"), r"\1 "),
    (re.compile(r"\s{2,}"), " "),
    (re.compile(r"^[\s.,;:?!-]+"), ""),
)


_SAYABLE = _ByCharacter(lambda char: char if char.isalpha() or char in _KEPT else " ")


def _characters(text: str) -> str:
    text = text.translate(_SAYABLE)
    for pattern, replacement in _TIDY:
        text = pattern.sub(replacement, text)
    return text.strip()
