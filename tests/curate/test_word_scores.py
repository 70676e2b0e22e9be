"""What a turn's words tell about it."""

import pytest

from spelangy.core.records import Word
from spelangy.core.spans import Span
from spelangy.curate.rover import Consensus
from spelangy.curate.word_scores import ngram_repeats, turn_scores


def scores(text: str, *, vote_ratio: float = 1.0, duration_s: int = 2) -> dict[str, float]:
    words = tuple(
        Word(text=word, start=index, end=index + 1, vote_ratio=vote_ratio, confidence=0.5)
        for index, word in enumerate(text.split())
    )
    return dict(turn_scores(Consensus(words=words, dissent=(), disagreement=0.25), Span(0, 16_000 * duration_s)))


def test_speed_size_and_agreement() -> None:
    found = scores("One two, three two.", vote_ratio=0.5)
    assert found["characters_per_s"] == pytest.approx(16 / 2)
    assert (found["num_words"], found["unique_word_ratio"], found["longest_word_characters"]) == (4, 0.75, 5)
    assert (found["disagreement_ratio"], found["mean_confidence"], found["mean_vote_ratio"]) == (0.25, 0.5, 0.5)


def test_a_loop_is_seen_in_compression_and_repeated_ngrams() -> None:
    loop, prose = scores("and so on " * 20), scores("It was the best of times, it was the worst of times, it was so.")
    assert loop["compression_ratio"] > 2.4 > prose["compression_ratio"]
    assert loop["ngram_repeats"] == 17
    assert prose["ngram_repeats"] == 1
    assert loop["unique_word_ratio"] < 0.1
    assert ngram_repeats(["a", "b", "c"]) == 0


def test_a_turn_of_no_time_has_finite_scores() -> None:
    assert scores("word", duration_s=0)["characters_per_s"] < float("inf")


@pytest.mark.parametrize(
    ("text", "vote_ratio", "phantom_ratio"),
    [
        ("Thank you for watching!", 1 / 3, 1.0),
        ("Thank you for watching!", 1.0, 0.0),
        ("we met. Thanks for watching.", 0.5, 3 / 5),
        ("Subtitles by the Amara.org community", 0.5, 1.0),
        ("she was watching for birds", 0.5, 0.0),
    ],
)
def test_phantom_phrases_count_where_not_all_systems_heard_them(
    text: str, vote_ratio: float, phantom_ratio: float
) -> None:
    assert scores(text, vote_ratio=vote_ratio)["phantom_ratio"] == pytest.approx(phantom_ratio)
