import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spelangy.core.sentences import sentences


def test_abbreviations_do_not_end_sentences() -> None:
    assert sentences("Dr. Smith came at 5 p.m. yesterday. He left! Did he?") == [
        "Dr. Smith came at 5 p.m. yesterday.",
        "He left!",
        "Did he?",
    ]


def test_lines_are_boundaries() -> None:
    assert sentences("A heading\n\nThen a sentence.") == ["A heading", "Then a sentence."]


def test_overlong_sentences_are_cut_at_clauses() -> None:
    parts = sentences("one two three four, " * 40, max_chars=100)
    assert len(parts) > 5 and all(len(part) <= 100 and part.endswith(",") for part in parts)


@given(
    st.one_of(
        st.text(max_size=300),
        st.lists(st.sampled_from(["a. ", "B.", "(", ")", '"', "Dr. ", "?! ", "1. ", "…"])).map("".join),
    )
)
def test_nothing_but_white_space_is_lost(text: str) -> None:
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())


@given(st.text(max_size=600), st.integers(min_value=5, max_value=100))
def test_no_part_is_empty_or_too_long(text: str, max_chars: int) -> None:
    assert all(0 < len(part) <= max_chars and part == part.strip() for part in sentences(text, max_chars=max_chars))


@pytest.mark.parametrize("piece", ["a. ", "(", ".", "A.B.", "'", "1. a ", '"a ', "x"])
def test_cost_is_bounded_on_hostile_lines(piece: str) -> None:
    started = time.process_time()
    sentences(piece * (30_000 // len(piece)))
    assert time.process_time() - started < 10
