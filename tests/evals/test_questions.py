from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from spelangy.core.contamination import normalised_words
from spelangy.core.errors import Dropped
from spelangy.core.records import QuestionAnswer
from spelangy.core.schema import from_table, to_table
from spelangy.evals.questions import (
    KINDS,
    Pair,
    Question,
    answer_kind,
    build_questions,
    questions_digest,
    split_pairs,
)


def pair(question: str, answer: str, page_id: str = "p") -> Pair:
    return page_id, QuestionAnswer(question=question, answer=answer)


NAMES = ["Ada Byron", "Max Born", "Lise Meitner", "Otto Hahn", "Emmy Noether", "Carl Gauss", "Paul Dirac", "Kurt Adler"]
YEARS = ["1803", "1921", "1745", "1666", "1999", "1850"]
WORLD = [
    *(pair(f"Who first described law number {i}?", name) for i, name in enumerate(NAMES)),
    *(pair(f"In which year was treaty number {i} signed?", year) for i, year in enumerate(YEARS)),
]
ANSWERS = st.one_of(
    st.sampled_from([*NAMES, *YEARS, "Nile", "River Nile", "the Nile", "copper", "brass", "zinc", "12", "40", "ten"]),
    st.text(max_size=12),
)
PAIRS = st.lists(st.tuples(st.integers(0, 30), ANSWERS), max_size=30).map(
    lambda drawn: [pair(f"Which thing is named in riddle {number}?", answer) for number, answer in drawn]
)


def built(results: list[Question | Dropped]) -> list[Question]:
    return [result for result in results if isinstance(result, Question)]


def test_options_are_of_the_golds_kind() -> None:
    questions = built(build_questions(WORLD, seed=0))
    assert len(questions) == len(WORLD)
    for question, (_, stated) in zip(questions, WORLD, strict=True):
        assert question.options[question.gold] == stated.answer
        assert question.relaxation == 0
        assert set(question.options) <= set(NAMES if question.kind == "person" else YEARS)


@given(PAIRS, st.integers(0, 3))
def test_laws_of_options(pairs: list[Pair], seed: int) -> None:
    results = build_questions(pairs, seed=seed)
    assert len(results) == len(pairs)
    stated: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for _, item in pairs:
        stated.setdefault(normalised_words(item.question), set()).add(normalised_words(item.answer))
    for question in built(results):
        assert len(question.options) == 4 and 0 <= question.gold < 4 and question.kind in KINDS
        words = [set(normalised_words(option)) for option in question.options]
        assert not any(words[i] <= words[j] for i in range(4) for j in range(4) if i != j)
        wrong = {normalised_words(option) for i, option in enumerate(question.options) if i != question.gold}
        assert not wrong & stated[normalised_words(question.question)]
    asked = [normalised_words(question.question) for question in built(results)]
    assert len(asked) == len(set(asked))


@given(PAIRS, st.randoms())
def test_options_do_not_depend_on_the_order_of_pairs(pairs: list[Pair], random: "st.random_module") -> None:
    unique = list({item.question: (page_id, item) for page_id, item in pairs}.values())
    shuffled = unique.copy()
    random.shuffle(shuffled)
    first, second = built(build_questions(unique, seed=1)), built(build_questions(shuffled, seed=1))
    assert questions_digest(first) == questions_digest(second)


def test_the_frozen_hash_sees_every_change() -> None:
    digests = {questions_digest(built(build_questions(WORLD, seed=seed))) for seed in range(3)}
    assert len(digests) == 3
    assert digests == {questions_digest(built(build_questions(WORLD, seed=seed))) for seed in range(3)}


def test_choices_only_cannot_tell_the_gold() -> None:
    pairs = [pair(f"Who wrote book {i}?", f"{first}{i % 7} {last}") for i, (first, last) in enumerate(
        (f"F{a}", f"L{b}{'x' * (b % 4)}") for a in range(40) for b in range(30))]  # fmt: skip
    questions = built(build_questions(pairs, seed=5))
    assert len(questions) == len(pairs)
    positions = Counter(question.gold for question in questions)
    assert stats.chisquare([positions[i] for i in range(4)]).pvalue > 0.001
    longest = [max(range(4), key=lambda i: len(question.options[i])) == question.gold for question in questions]
    assert stats.binomtest(sum(longest), len(longest), 0.25).pvalue > 0.001


def test_aliases_and_other_answers_to_the_same_question_are_no_distractors() -> None:
    pairs = [
        pair("What carries current in most wires?", "copper"),
        pair("What carries current in most wires?", "silver", "q"),
        pair("Which metal is called Cu?", "cuprum"),
        pair("Which metal rusts?", "iron"),
        pair("Which metal plates cans?", "tin"),
        pair("Which metal galvanises?", "zinc"),
        pair("Which metal is heavy?", "lead"),
    ]
    results = build_questions(pairs, seed=0, aliases={pairs[0][1].question: ["cuprum"]})
    first = results[0]
    assert isinstance(first, Question)
    assert not {"silver", "cuprum"} & set(first.options)
    assert isinstance(results[1], Dropped) and results[1].reason == "repeated question"
    third = results[2]
    assert isinstance(third, Question) and "copper" not in third.options


def test_rules_relax_in_order_and_say_how_far() -> None:
    base = [pair("How many eyes has a bee?", "5"), pair("How many legs has an ant?", "6")]
    wide = [*base, pair("How many bones has a man?", "206"), pair("How many days has a year?", "365")]
    (first, *_) = build_questions(wide, seed=0)
    assert isinstance(first, Question) and first.relaxation == 2
    other = [*base, pair("What is vitamin one?", "K"), pair("What is vitamin two?", "B")]
    (first, *_) = build_questions(other, seed=0)
    assert isinstance(first, Question) and first.relaxation == 3


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [("Who?!", "...", "no answer"), ("?", "x", "no question"), ("Why is it so?", "word " * 13, "answer too long")],
)
def test_what_makes_no_item(question: str, answer: str, reason: str) -> None:
    (result, *_) = build_questions([pair(question, answer), *WORLD], seed=0)
    assert isinstance(result, Dropped) and result.reason == reason


def test_too_small_a_pool_is_a_counted_drop() -> None:
    (result, *_) = build_questions(WORLD[:3], seed=0)
    assert isinstance(result, Dropped)
    assert (result.reason, result.value, result.threshold) == ("too few distractors", 2, 3)


@pytest.mark.parametrize(
    ("question", "answer", "kind"),
    [
        ("When did it open?", "1889", "date"),
        ("When did it open?", "5 May 1889", "date"),
        ("When was paper made?", "2nd century BC", "date"),
        ("How many eyes?", "five", "number"),
        ("How tall is it?", "330 m", "number"),
        ("Who built it?", "Gustave Eiffel", "person"),
        ("Which French engineer built it?", "Eiffel", "person"),
        ("Where is it?", "Paris", "place"),
        ("What is the capital of France?", "Paris", "place"),
        ("What is it made of?", "iron", "other"),
        ("Who lives in a hive?", "bees", "other"),
    ],
)
def test_coarse_kinds(question: str, answer: str, kind: str) -> None:
    assert answer_kind(question, answer) == kind


def test_split_keeps_a_question_on_one_side_wherever_it_stands() -> None:
    pairs = [pair(f"Which thing is number {i}?", "x", f"p{i}") for i in range(2_000)]
    split = split_pairs(pairs, eval_share=0.3, seed=0)
    assert len(split.evaluation) + len(split.quest) == 2_000
    assert 0.26 < len(split.evaluation) / 2_000 < 0.34
    elsewhere = [pair(f"which thing is number {i} ?!", "y", "other page") for i in range(2_000)]
    again = split_pairs(elsewhere[::-1], eval_share=0.3, seed=0)
    asked = {normalised_words(item.question) for _, item in split.evaluation}
    assert asked == {normalised_words(item.question) for _, item in again.evaluation}
    assert not asked & {normalised_words(item.question) for _, item in split.quest}
    assert split_pairs(pairs, eval_share=0, seed=0).evaluation == []
    assert split_pairs(pairs, eval_share=1, seed=0).quest == []


def test_questions_are_table_rows() -> None:
    questions = built(build_questions(WORLD, seed=0))
    assert from_table(to_table(questions, Question), Question) == questions
