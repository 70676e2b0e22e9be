import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from num2words import num2words

from spelangy.synth.speakable import speakable

CASES = [
    ("In 1969, 3 men flew 384,400 km.", "In nineteen sixty-nine, three men flew three hundred and eighty-four thousand "
     "four hundred kilometers."),
    ("Dr. Smith lives at 5 Main St. in St. Louis.", "Doctor Smith lives at five Main Street in Saint Louis."),
    ("It is -5 °C, i.e. 23 °F.", "It is minus five degrees Celsius, that is twenty-three degrees Fahrenheit."),
    ("approx. 20–30% in 1990–1995",
     "approximately twenty to thirty percent in nineteen ninety to nineteen ninety-five"),
    ("World War II and Henry VIII, but Henry I think", "World War Two and Henry the Eighth, but Henry I think"),
    ("Chapter IV. I am", "Chapter Four. I am"),
    ("The 21st, the 1990s, the '80s and 1,000th",
     "The twenty-first, the nineteen nineties, the eighties and one thousandth"),
    ("½ cup, 3/4 cup, 2½ cups", "One half cup, three quarters cup, two and one half cups"),
    ("$5.50, £1.01, €20, $5–10 and $1.2bn", "Five dollars and fifty cents, one pound and one penny, twenty euros, five "
     "dollars to ten dollars and one point two billion dollars"),
    ("3.10 m² at 5 km/h, 1 kg", "Three point one zero square meters at five kilometers per hour, one kilogram"),
    ("H2O, COVID-19, 5-year", "H two O, COVID-nineteen, five-year"),
    ("at 10:30 a.m. Then 9:05 pm", "at ten thirty A M. Then nine oh five P M"),
    ("July 5, 1994; 5 May 2020; 2024-05-01", "July fifth, nineteen ninety-four; the fifth of May twenty twenty; May "
     "first, twenty twenty-four"),
    ("The U.S. and J. K. Rowling took vitamin C. The end.", "The U S and J K Rowling took vitamin C. The end."),
    ("apples, etc. The rest, e.g. pears", "apples, et cetera. The rest, for example pears"),
    ("The sun (a star) is hot [3] (really).", "The sun, a star, is hot, really."),
    ("See https://a.org/b?c=5. Ask a@b.co, or Amazon.com.", "See. Ask, or Amazon dot com."),
    ("- One kg\n* 2 kg\n1. Mix\n2) Stir", "One kg. two kilograms. One. Mix. Two. Stir"),
    ("Peak\t\tHeight\n|---|---|\n| Everest | 8,849 m |", "Peak, Height. Everest, eight thousand eight hundred and "
     "forty-nine meters"),
    ("wrapped\nin the middle", "wrapped in the middle"),
    ("1500 people, 1500 pages, in 1500", "One thousand five hundred people, one thousand five hundred pages, in "
     "fifteen hundred"),
    ("007 and 12345678901234567890", "Zero zero seven and one two three four five six seven eight nine zero one two "
     "three four five six seven eight nine zero"),
    ("٣ and ② and 10⁻³", "Three and two and ten to the power of minus three"),
    ("", ""),
    ("his/her and/or its", "his or her and or its"),
    ("!!! ### ***", ""),
]  # fmt: skip


@pytest.mark.parametrize(("written", "spoken"), CASES)
def test_reads_as_a_person_would(written: str, spoken: str) -> None:
    assert speakable(written) == spoken


FRAGMENTS = st.sampled_from(
    [*"$€£%-–—()[].,'\"²³½/:*|#&\n\t", " km", " °C", "Dr.", " St.", " U.S.", "e.g. ", " etc.", "A.", "J. ", " The ",
     " in ", "World War II", "Henry VIII", " 10:30", " a.m.", " 90s", "th", "https://x.y/z", "a@b.co", "…", "é", "日本",
     "①", "٣", " m²", " to ", "III", "V ", "5", "1969", "3.14", "1,234", " "]
)  # fmt: skip
MESSY = st.one_of(st.text(max_size=80), st.lists(FRAGMENTS, max_size=14).map("".join))


@given(MESSY)
def test_is_idempotent_and_leaves_only_what_can_be_said(text: str) -> None:
    spoken = speakable(text)
    assert speakable(spoken) == spoken
    assert all(char.isalpha() or char in " .,;:?!'\"-" for char in spoken)


def readings(number: int) -> set[str]:
    words = {num2words(number), num2words(number, to="year"), num2words(number, to="ordinal")}
    words.add(" ".join(num2words(int(digit)) for digit in str(number)))
    return {word.replace(",", "") for word in words}


AROUND = st.sampled_from(
    ["{}", "{} km", "${}", "{}%", "({})", "in {}", "{} apples", "No. {}", "x {} y", "- {} eggs", "{}.", "{}, then",
     "#{}", "a\t{}", "{} m²", "-{}", "about {}", "{} °C", "€{} million", "type-{}"]
)  # fmt: skip


@given(st.lists(st.tuples(AROUND, st.integers(min_value=0, max_value=10**9)), min_size=1, max_size=5))
def test_never_loses_a_number(parts: list[tuple[str, int]]) -> None:
    spoken = speakable(" and ".join(around.format(number) for around, number in parts)).lower()
    for _, number in parts:
        assert any(reading in spoken for reading in readings(number)), (number, spoken)


@given(st.integers(0, 10**6), st.integers(1, 99))
def test_never_loses_a_decimal(whole: int, cents: int) -> None:
    words = num2words(whole).replace(",", "")
    digits = " ".join(num2words(int(digit)) for digit in f"{cents:02d}")
    assert f"{words} point {digits}" in speakable(f"it measures {whole:,}.{cents:02d} km").lower()


@given(st.lists(st.from_regex(r"[a-z]{2,8}", fullmatch=True), min_size=1, max_size=12))
def test_plain_words_stay(words: list[str]) -> None:
    text = " ".join(word for word in words if word not in ("vs", "eg"))
    assert re.sub(r"\W", "", speakable(text)) == re.sub(r"\W", "", text)
