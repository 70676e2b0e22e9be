"""What tokens are compared by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spelangy.curate.rover_keys import normalise, spellings, verbatim


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("Hello,", "hello"),
        ("“Don’t", "don't"),
        ("'cause", "cause"),
        ("well-known", "well known"),
        ("and/or", "and or"),
        ("Ｃａｆé", "café"),
        ("...", "..."),
        ("&", "and"),
        ("21", "twenty one"),
        ("21st,", "twenty first"),
        ("1,250", "one thousand two hundred fifty"),
        ("3.5%", "three point five percent"),
        ("$40", "forty dollars"),
        ("1984.", "nineteen eighty four"),
        ("2020", "twenty twenty"),
        ("2005", "two thousand five"),
        ("3:30", "three thirty"),
        ("Q3", "q3"),
    ],
)
def test_normalise(text: str, keys: str) -> None:
    assert " ".join(normalise(text)) == keys


def test_numbers_stay_digits_when_asked() -> None:
    assert normalise("1,250", expand_numbers=False) == ("1250",)


@pytest.mark.parametrize(
    ("text", "usual", "in_digits", "as_word"),
    [
        ("Hello,", "hello", "", ""),
        ("CMU", "c m u", "", "cmu"),
        ("C.M.U.", "c m u", "", ""),
        ("XAGNA635,", "x a g n a six three five", "", "xagna635"),
        ("R-H-54.", "r h fifty four", "r h five four", ""),
        ("g41", "g four one", "", "g41"),
        ("mp3", "mp3", "", ""),
        ("305", "three hundred five", "three zero five", ""),
        ("1,250.5", "one thousand two hundred fifty point five", "one two five zero point five", ""),
        ("21st", "twenty first", "", ""),
        ("I", "i", "", ""),
        ("A.", "a", "", ""),
    ],
)
def test_capitals_and_numbers_are_read_in_two_ways(text: str, usual: str, in_digits: str, as_word: str) -> None:
    found = spellings(text)
    assert [" ".join(keys or ()) for keys in (found.usual, found.in_digits, found.as_word)] == [
        usual, in_digits, as_word,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("305", "three oh five"),
        ("5483", "fifty four eighty three"),
        ("897", "eight ninety seven"),
        ("1900", "one nine oh oh"),
        ("it's", "it has"),
        ("Don't", "do not"),
        ("won't", "will not"),
        ("can't", "cannot"),
        ("OK", "okay"),
    ],
)
def test_other_readings(text: str, other: str) -> None:
    assert other in [" ".join(keys) for keys in spellings(text).others]


def test_only_numbers_in_words_say_a_number() -> None:
    assert [spellings(text).says_number for text in ("Twenty", "seventeen,", "six", "20", "hundred")] == [
        True, True, False, False, True,
    ]  # fmt: skip


@given(st.text(max_size=12))
def test_every_reading_has_keys(text: str) -> None:
    for found in (spellings(text), verbatim(text)):
        readings = [
            found.usual,
            *found.others,
            *(keys for keys in (found.in_digits, found.as_word) if keys is not None),
        ]
        assert all(readings)
        assert all(key or not text.strip() for keys in readings for key in keys)
    assert normalise(text)
