"""The consensus of several hypotheses: laws that always hold, and examples of each rule."""

from collections.abc import Sequence
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spelangy.core.errors import UserError
from spelangy.core.records import HypothesisWord
from spelangy.curate.rover import VoteMethod, VoteRule, combine, combine_rows
from spelangy.curate.rover_keys import spellings, verbatim

FREQUENCY = VoteRule(method="frequency")


def equal_weights(method: VoteMethod, alpha: float = 1.0, null_confidence: float = 0.7) -> VoteRule:
    return VoteRule(method=method, alpha=alpha, null_confidence=null_confidence, agreement_power=0.0)


def word(text: str, start: int = 0, end: int = 0, confidence: float = 1.0, is_timed: bool = True) -> HypothesisWord:
    return HypothesisWord(text=text, start=start, end=end, confidence=confidence, is_timed=is_timed)


def said(text: str, confidence: float = 1.0) -> list[HypothesisWord]:
    """Words of 800 samples, one every 1,000."""
    return [word(token, 1000 * i, 1000 * i + 800, confidence) for i, token in enumerate(text.split())]


def texts(hypotheses: Sequence[Sequence[HypothesisWord]], rule: VoteRule = FREQUENCY) -> str:
    return " ".join(word.text for word in combine(hypotheses, rule).words)


# Laws

spoken_words = st.sampled_from(
    [
        "the",
        "The,",
        "cat",
        "sat",
        "21",
        "twenty-one",
        "twenty",
        "one",
        "o'clock",
        "–",
        "XK-2",
        "it's",
        "it",
        "is",
        "x",
        "k",
    ]
)


@st.composite
def spoken(draw: st.DrawFn) -> list[HypothesisWord]:
    start, words = 0, []
    for text in draw(st.lists(spoken_words, max_size=8)):
        start += draw(st.integers(0, 300))
        length = draw(st.integers(1, 300))
        confidence = draw(st.integers(0, 10)) / 10
        words.append(word(text, start, start + length, confidence, draw(st.booleans())))
        start += length
    return words


rules = st.builds(
    VoteRule,
    method=st.sampled_from(["frequency", "avgconf", "maxconf"]),
    alpha=st.integers(0, 4).map(lambda n: n / 4),
    null_confidence=st.integers(0, 4).map(lambda n: n / 4),
    agreement_power=st.sampled_from([0.0, 1.0, 3.0]),
)


@given(spoken(), st.integers(1, 4), rules)
@settings(deadline=None)
def test_identical_hypotheses_give_themselves(words: list[HypothesisWord], num_systems: int, rule: VoteRule) -> None:
    consensus = combine([words] * num_systems, rule)
    assert [(w.text, w.start, w.end) for w in consensus.words] == [(w.text, w.start, w.end) for w in words]
    assert all(heard.vote_ratio == 1.0 for heard in consensus.words)
    assert [w.confidence for w in consensus.words] == pytest.approx([w.confidence for w in words])
    assert (consensus.dissent, consensus.disagreement) == ((), 0.0)


def all_keys(text: str) -> set[str]:
    usual, others, in_digits, as_word, _ = spellings(text)
    return {key for keys in (usual, *others, in_digits or (), as_word or ()) for key in keys}


@given(st.lists(spoken(), max_size=4), rules)
@settings(deadline=None)
def test_no_word_is_invented_and_time_never_goes_back(systems: list[list[HypothesisWord]], rule: VoteRule) -> None:
    consensus = combine(systems, rule)
    surfaces = {w.text for words in systems for w in words}
    keys = {key for words in systems for w in words for key in all_keys(w.text)}
    letters = {key.upper() for key in keys if len(key) == 1}
    assert {w.text for w in consensus.words} <= surfaces | keys | letters
    borders = [sample for w in consensus.words for sample in (w.start, w.end)]
    assert borders == sorted(borders)
    assert len(consensus.dissent) == sum(w.vote_ratio < 1 for w in consensus.words)
    assert all(0 < w.vote_ratio <= 1 and 0 <= w.confidence <= 1 for w in consensus.words)
    assert 0 <= consensus.disagreement <= 1


@given(spoken(), spoken(), st.permutations([0, 0, 1]))
@settings(deadline=None)
def test_two_that_agree_outvote_a_third(
    agreed: list[HypothesisWord], other: list[HypothesisWord], order: list[int]
) -> None:
    consensus = combine([(agreed, other)[which] for which in order], FREQUENCY)
    assert all(w.vote_ratio >= 2 / 3 for w in consensus.words)
    said_by_two = {key for w in agreed for key in all_keys(w.text)}
    assert {w.text for w in consensus.words} <= {w.text for w in [*agreed, *other]} | said_by_two | set(
        map(str.upper, said_by_two)
    )


@given(st.lists(spoken(), max_size=3), rules)
@settings(deadline=None)
def test_rows_and_records_give_the_same(systems: list[list[HypothesisWord]], rule: VoteRule) -> None:
    rows = [[asdict(w) for w in words] for words in systems]
    assert combine_rows(rows, rule) == combine(systems, rule)


# Examples


def test_casing_and_punctuation_come_from_most_winners_then_the_most_confident() -> None:
    assert texts([said("the cat"), said("The cat,"), said("The cat")]) == "The cat"
    assert texts([said("paris", 0.4), said("Paris", 0.9)]) == "Paris"


def test_nothing_said_wins_by_majority_and_loses_ties_to_the_word() -> None:
    assert texts([said("the uh cat"), said("the cat"), said("the cat")]) == "the cat"
    assert texts([said("the cat"), said("the uh cat"), said("the uh cat")]) == "the uh cat"
    assert texts([said("the cat"), said("the uh cat")]) == "the uh cat"


def test_confidence_decides_as_the_methods_say() -> None:
    systems = [said("hat", 0.3), said("cat", 0.9), said("hat", 0.3)]
    assert texts(systems, FREQUENCY) == "hat"
    assert texts(systems, equal_weights("avgconf", 0.0)) == "cat"
    assert texts(systems, equal_weights("maxconf", 0.5)) == "cat"
    assert texts(systems, equal_weights("maxconf", 0.7)) == "hat"
    assert texts([said("a uh b", 0.5), said("a b"), said("a b")], equal_weights("maxconf", 0.0, 0.4)) == "a uh b"


def test_digits_meet_words_and_the_form_of_most_systems_is_written_whole() -> None:
    spelled, digits = said("chapter twenty one begins"), said("Chapter 21 begins")
    assert texts([spelled, digits, digits]) == "Chapter 21 begins"
    assert texts([digits, spelled, spelled]) == "chapter twenty one begins"
    consensus = combine([digits, said("chapter twenty-one begins"), digits])
    assert [w.vote_ratio for w in consensus.words] == [1.0, 1.0, 1.0]
    assert consensus.disagreement == 0.0
    assert combine([spelled, digits], compare=verbatim).disagreement > 0


def test_a_number_that_won_in_part_is_not_written_whole() -> None:
    systems = [said("21"), said("twenty two"), said("thirty two")]
    assert texts(systems) == "twenty two"
    assert texts([said("fifty two"), said("21"), said("31")], equal_weights("frequency")) == "fifty one"


def test_times_are_medians_of_the_winners_with_own_times() -> None:
    systems = [
        [word("cat", 100, 200)],
        [word("cat", 120, 260)],
        [word("cat", 0, 900, is_timed=False)],
        [word("cat", 140, 240)],
        [word("hat", 500, 600)],
    ]
    (heard,) = combine(systems).words
    assert (heard.text, heard.start, heard.end, heard.vote_ratio) == ("cat", 120, 240, 0.8)
    (spread,) = combine([[word("cat", 0, 900, is_timed=False)]] * 2).words
    assert (spread.start, spread.end) == (0, 900)


def test_one_word_far_off_does_not_push_its_followers() -> None:
    times = [(0, 90), (100, 190), (9000, 9090), (300, 390), (400, 490)]
    words = combine([[word(f"w{i}", *span) for i, span in enumerate(times)]]).words
    assert [(w.start, w.end) for w in words[:2]] == times[:2]
    borders = [sample for w in words for sample in (w.start, w.end)]
    assert borders == sorted(borders)


def test_dissent_names_what_else_was_heard() -> None:
    consensus = combine([said("the word 21"), said("the wurd 21"), said("the word"), said("the 22")], FREQUENCY)
    assert consensus.dissent == ("word (2/4; other: wurd, –)", "21 (2/4; other: –, 22)")
    assert combine([said("a"), said("a b")]).dissent == ("b (1/2; other: –)",)


def test_disagreement_is_mean_pairwise_edit_distance() -> None:
    assert combine([said("a b c d"), said("a b c d"), said("a b x d")]).disagreement == pytest.approx(2 / 3 * 1 / 4)
    assert combine([said("a b"), []]).disagreement == 1.0


def test_empty_hypotheses() -> None:
    assert combine([]).words == combine([[], []]).words == ()
    assert texts([[], [], said("uh")]) == ""
    assert texts([[], said("hello there"), said("hello there")]) == "hello there"


def test_a_system_that_agrees_with_nobody_loses_ties_wherever_it_stands() -> None:
    stray, others = said("he may hum two"), [said("the cat sat too"), said("the cat sat to")]
    assert texts([stray, *others], equal_weights("frequency")) == "the cat sat two"
    assert texts([stray, *others]) == "the cat sat too"
    assert texts([said("the cat sat down"), said("the cat lay down"), said("a cow lay town")]) == "the cat lay down"


def test_a_system_without_confidences_gets_the_mean_of_the_others() -> None:
    sure, unsure, none = said("a b cat", 0.9), said("a b hat", 0.3), said("a b hat")
    rule = equal_weights("avgconf", 0.0)
    assert texts([sure, none], rule) == "a b cat"
    assert [w.confidence for w in combine([sure, none], rule).words] == pytest.approx([0.9] * 3)
    assert [w.confidence for w in combine([unsure, none]).words] == pytest.approx([0.3] * 3)
    assert {w.confidence for w in combine([none, none]).words} == {1.0}


@pytest.mark.parametrize(
    ("systems", "consensus"),
    [
        (["call C M U now", "call CMU now", "call C-M-U now"], "call C M U now"),
        (["call c.m.u. now", "call CMU now", "call CMU now"], "call CMU now"),
        (["erase c q q f seven", "erase CQF7", "erase CQQF-7"], "erase c q q f seven"),
        (["any one can", "anyone can", "anyone can"], "anyone can"),
        (["anyone can", "any one can", "any one can"], "any one can"),
        (["it is late", "it's late", "it's late"], "it's late"),
        (["flight 9 2 8", "flight 928", "flight 928"], "flight 928"),
        (["flight nine twenty eight", "flight 928", "flight 928"], "flight 928"),
        (["in nineteen eighty four", "in 1984", "in 1984"], "in 1984"),
        (["the zj line", "the ZJ line", "the Z J line"], "the zj line"),
    ],
)
def test_spellings_of_the_same_meet(systems: list[str], consensus: str) -> None:
    found = combine([said(system) for system in systems], FREQUENCY)
    assert " ".join(w.text for w in found.words) == consensus
    if "QF" not in systems[1]:
        assert {w.vote_ratio for w in found.words} == {1.0}
        assert found.disagreement == 0.0


def test_a_system_that_writes_all_in_capitals_is_compared_word_by_word() -> None:
    shouted, plain = said("THE BAT SAT THERE"), said("the cat sat there")
    consensus = combine([plain, shouted, shouted], FREQUENCY)
    assert [w.text for w in consensus.words] == ["THE", "BAT", "SAT", "THERE"]
    assert consensus.disagreement == pytest.approx(2 / 3 * 1 / 4)


def test_letters_that_won_in_part_are_capitals() -> None:
    assert texts([said("the ABD"), said("the ABC"), said("the EBC")], equal_weights("frequency")) == "the ABC"
    assert texts([said("the ABD"), said("the AXC"), said("the EBC")], equal_weights("frequency")) == "the A B C"


def test_vote_rule_refuses_what_it_does_not_know() -> None:
    with pytest.raises(UserError, match="avgconf"):
        VoteRule(method="avgcnf")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="alpha"):
        VoteRule(alpha=1.5)
    with pytest.raises(UserError, match="agreement_power"):
        VoteRule(agreement_power=-1.0)
