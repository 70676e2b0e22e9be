"""How tokens may be said: every token with a letter or digit has a reading, and the usual ones are among them."""
# ruff: noqa: SIM905 (words read more easily as a text than as a list)

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spelangy.backends.aligner_phones import LetterToSound, to_phones
from spelangy.backends.aligner_readings import MAX_READINGS, MAX_TOKEN_CHARACTERS, readings

CMU_PHONES = set(
    "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH".split()
)


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("Dr.", "doctor"), ("Mr.", "mister"), ("St.", "saint"), ("A.M.", "a. m."), ("e.g.", "for example"),
        ("NASA", "nasa"), ("NASA", "n. a. s. a."), ("CMU,", "c. m. u."), ("C-3PO", "c. three p. o."), ("I", "i"),
        ("well-known", "well known"), ("don’t", "don't"), ("AT&T", "a. t. and t"), ("5kg", "five kilograms"),
        ("21", "twenty one"), ("1984", "nineteen eighty four"), ("1984", "one thousand nine hundred eighty four"),
        ("1,984", "one thousand nine hundred eighty four"), ("1905", "nineteen oh five"),
        ("105", "one hundred and five"), ("105", "one oh five"), ("747", "seven forty seven"), ("100", "a hundred"),
        ("007", "oh oh seven"), ("1980s", "nineteen eighties"), ("3rd", "third"), ("21st,", "twenty first"),
        ("50%", "fifty percent"), ("3.14", "three point one four"), ("$5", "five dollars"), ("$1", "one dollar"),
        ("$5.20", "five dollars and twenty cents"), ("$5.20", "five dollars twenty cents"), ("$5.20", "five twenty"),
        ("£3", "three pounds"), ("$1.5", "one point five"), ("7:30", "seven thirty"), ("7:00", "seven o'clock"),
        ("7:05", "seven oh five"), ("#1", "number one"), ("&", "and"), ("ﬁve", "five"),
    ],
)  # fmt: skip
def test_the_usual_way_to_say_it_is_among_the_readings(token: str, said: str) -> None:
    assert said in [" ".join(reading) for reading in readings(token)]


@pytest.mark.parametrize("token", ["", "—", "...", "?!", "\U0001f600", "()", "x" * 10_000, "9" * 400, "1-" * 25])
def test_what_nobody_says_has_no_reading(token: str) -> None:
    assert readings(token) == ()


@given(st.text(max_size=2 * MAX_TOKEN_CHARACTERS))
def test_readings_are_words_and_few_and_the_same_each_time(token: str) -> None:
    found = readings(token)
    assert len(found) <= MAX_READINGS
    assert len(set(found)) == len(found)
    for reading in found:
        assert reading
        assert all(re.fullmatch(r"'?[^\W\d_]+(?:'[^\W\d_]+)*\.?|'?[^\W\d_]\.", word) for word in reading), reading
    assert readings(token) == found


@given(st.from_regex(r"[$€£]?[0-9]{1,3}(,[0-9]{3}){0,3}(\.[0-9]{1,4})?%?", fullmatch=True))
def test_every_number_can_be_said_in_plain_words(token: str) -> None:
    assert any(all(re.fullmatch("[a-z']+", word) for word in reading) for reading in readings(token))


@given(st.from_regex(r"[A-Za-z]{1,20}[.,!?]?", fullmatch=True))
def test_a_word_is_first_of_all_itself(token: str) -> None:
    assert readings(token)[0] == (token.rstrip(".,!?").lower(),)


def test_phonemes_become_phones() -> None:
    assert to_phones("ʧˈætʤˌipˌitˈi") == ("CH", "AE", "T", "JH", "IY", "P", "IY", "T", "IY")
    assert to_phones("bˈɜɹd, bˈʌTəɹ") == ("B", "ER", "D", "B", "AH", "T", "ER")
    assert to_phones("…—12") == ()


def test_unknown_words_are_pronounced_in_phones_the_model_has() -> None:
    pronounce = LetterToSound()
    assert pronounce("spelangy") == ("S", "P", "EH", "L", "AE", "NG", "IY")
    for word in ("kowalczyk", "żółw", "xzqwv", "rendezvousing", "sklearn", "ÿ"):
        assert pronounce(word) and set(pronounce(word)) <= CMU_PHONES, word
    assert pronounce("漢字") == ()
