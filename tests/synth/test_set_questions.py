"""Questions of files → each distinct one once, whatever order they come in, as it is read aloud."""

import json
import random
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spelangy.core.errors import Dropped, UserError
from spelangy.engine.step import Inputs, Produced
from spelangy.evals.questions import Question
from spelangy.evals.spoken import question_script
from spelangy.store.exchange.question_files import AskedQuestion
from spelangy.store.objects import Store
from spelangy.synth.set_questions import (
    DistinctQuestion,
    PrepareQuestion,
    SpokenQuestion,
    distinct_questions,
    find_question_files,
    set_questions_step,
)


def asked(question: str, *answers: str, choices: tuple[str, ...] = ()) -> AskedQuestion:
    return AskedQuestion(question=question, answers=answers, choices=choices)


def prepared(*copies: AskedQuestion) -> Produced:
    (distinct,) = distinct_questions(copies)
    return PrepareQuestion()(asdict(distinct))


def the_question(*copies: AskedQuestion) -> SpokenQuestion:
    (question,) = prepared(*copies).records["questions"]
    assert isinstance(question, SpokenQuestion)
    return question


def test_case_and_punctuation_make_no_other_question() -> None:
    copies = [asked("Who was it?", "Ann"), asked("who was it", "Ann Lee", "Ann"), asked("WHO was it?!", "Bob")]
    (found,) = distinct_questions(copies)
    assert (found.question, found.num_repeats) == ("WHO was it?!", 2)
    assert found.answers == ("Bob", "Ann", "Ann Lee")
    repeats = prepared(*copies).drops
    assert [dropped.reason for _, dropped, _ in repeats] == ["repeated question"] * 2


def test_other_choices_make_another_question_and_their_order_none() -> None:
    animals, plants = ("cat", "dog"), ("oak", "elm")
    found = distinct_questions(
        [
            asked("Which is it?", "cat", choices=animals),
            asked("Which is it?", "cat", choices=animals[::-1]),
            asked("Which is it?", "elm", choices=plants),
            asked("Which is it?", "cat"),
        ]
    )
    assert sorted(entry.num_repeats for entry in found) == [0, 0, 1]
    assert len({entry.id for entry in found}) == 3


def test_gold_is_the_place_of_the_right_choice() -> None:
    question = the_question(
        asked("Which is it?", "dog", choices=("dog", "cat")), asked("which is it", "dog", choices=("cat", "dog"))
    )
    assert question.choices[question.gold or 0] == "dog"
    assert the_question(asked("Which is it?", choices=("dog", "cat"))).gold is None
    assert the_question(asked("Who is it?", "Ann")).gold is None


sets = st.lists(
    st.builds(
        lambda question, answers, choices: asked(question, *answers, choices=tuple(choices)),
        st.sampled_from(["Who?", "who", "Where?", "where!", "?", "!"]),
        st.lists(st.sampled_from("abc"), max_size=2),
        st.lists(st.sampled_from("abc"), max_size=3, unique=True),
    ),
    max_size=12,
)


@given(sets, st.randoms(use_true_random=False))
def test_the_order_of_the_files_is_no_matter(copies: list[AskedQuestion], order: random.Random) -> None:
    found = distinct_questions(copies)
    shuffled = copies.copy()
    order.shuffle(shuffled)
    assert distinct_questions(shuffled) == found
    assert sum(1 + entry.num_repeats for entry in found) == len(copies)
    assert len({entry.id for entry in found}) == len(found)


def test_what_is_spoken_is_the_question_alone_with_its_numbers_in_words() -> None:
    produced = prepared(asked("Who won 3 titles in 1999?", "Ann", choices=("Ann", "Bob")))
    (question,), (script,) = produced.records["questions"], produced.records["scripts"]
    assert question.question == "Who won 3 titles in 1999?"
    assert question.spoken == "Who won three titles in nineteen ninety-nine?"
    recipe_s = question_script(
        Question(id=question.id, page_id=question.id, question=question.spoken, options=("", "", "", ""), gold=0,
                 kind="other", relaxation=0)
    )  # fmt: skip
    assert script == recipe_s


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        (asked("???"), "nothing to say"),
        (asked("https://example.org/a"), "nothing to say"),
        (asked("日本はどこですか"), "nothing to say"),
        (asked("What does 日本 mean?"), "letters that no voice reads"),
        (asked("What is " + "a" * 61 + "?"), "word too long"),
        (asked("What is this? " * 400), "text too long"),
        (asked("Which is it?", "a", "b", choices=("a", "b", "c")), "contradictory answers"),
        (asked("Which is it?", "d", choices=("a", "b", "c")), "answer is no choice"),
    ],
)
def test_what_cannot_be_asked_is_dropped_with_its_reason(question: AskedQuestion, reason: str) -> None:
    with pytest.raises(Dropped) as dropped:
        prepared(question)
    assert dropped.value.reason == reason


@pytest.mark.parametrize("question", ["who is beyoncé?", "What is the ﬁrst letter, α or β?", "Who was Ngũgĩ?"])
def test_marked_and_greek_letters_are_read(question: str) -> None:
    assert the_question(asked(question)).spoken


# -------------------------------------------------------------------------------------------------------------- files


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "sets"
    folder.mkdir()
    for part in range(2):
        lines = [json.dumps({"question": f"Who is number {number}?"}) for number in range(part, 40, 2)]
        (folder / f"part-{part}.jsonl").write_text("\n".join(lines))
    return folder


def drawn(uris: list[str], tmp_path: Path, limit: int | None, seed: int = 0) -> list[str]:
    step = set_questions_step(find_question_files(uris), limit, seed)
    ids: list[str] = step.items(Inputs(Store(tmp_path / "store"), {}))["id"].to_pylist()
    return ids


def test_a_larger_limit_holds_all_of_a_smaller_one(files: Path, tmp_path: Path) -> None:
    both = [str(files / "part-0.jsonl"), str(files / "part-1.jsonl")]
    every = drawn([str(files)], tmp_path, None)
    five, ten = (drawn([str(files)], tmp_path, limit) for limit in (5, 10))
    assert len(every) == len(set(every)) == 40
    assert len(five) == 5 and set(five) < set(ten) < set(every)
    assert drawn(both[::-1], tmp_path, 5) == five
    assert set(drawn([str(files)], tmp_path, 10, seed=1)) != set(ten)
    assert set(drawn([str(files)], tmp_path, 99)) == set(every)


def test_another_draw_prepares_no_question_again(files: Path) -> None:
    found = find_question_files([str(files)])
    small, large = set_questions_step(found, 5, 0), set_questions_step(found, 10, 1)
    assert small.config != large.config
    assert {key: value for key, value in small.config.items() if key not in small.listing} == {}


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent.jsonl: there is no such file"):
        find_question_files([str(tmp_path / "absent.jsonl")])


def test_rows_of_the_engine_are_whole_questions() -> None:
    (entry,) = distinct_questions([asked("Who?", "I", choices=("I", "you"))])
    assert DistinctQuestion(**asdict(entry)) == entry
