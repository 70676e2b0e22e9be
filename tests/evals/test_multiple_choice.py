"""One model, every question, every condition: controls that control, stored items that say what the summary says."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spelangy.core.schema import from_table
from spelangy.evals.multiple_choice import (
    Contexts,
    ItemScore,
    comparisons,
    condition_score,
    contexts_by_condition,
    derangement,
    item_scores,
    score_condition,
)
from spelangy.evals.questions import Question, questions_digest
from spelangy.evals.scoring import OptionScores, pick
from spelangy.evals.step import CHANCE, ITEMS_FILE, SCORES_FILE
from spelangy.tokens.text_tokenizer import TextTokenizer
from spelangy.train.model import build_model, load_model
from tiny_run import TinyRun

CONDITIONS = ["spoken", "gold text", "asr text", "choices only", "wrong audio", "untrained"]


@pytest.fixture(scope="module")
def questions(tiny: TinyRun) -> list[Question]:
    return sorted(tiny.records("questions", "questions", Question), key=lambda question: question.id)


@pytest.fixture(scope="module")
def items(tiny: TinyRun) -> dict[str, list[ItemScore]]:
    """Stored items by condition, in order of question."""
    rows = from_table(pq.read_table(tiny.directory("eval") / ITEMS_FILE), ItemScore)
    found: dict[str, list[ItemScore]] = {name: [] for name in CONDITIONS}
    for row in sorted(rows, key=lambda row: row.question_id):
        found[row.condition].append(row)
    return found


@pytest.fixture(scope="module")
def summary(tiny: TinyRun) -> dict[str, Any]:
    return dict(json.loads((tiny.directory("eval") / SCORES_FILE).read_text()))


@pytest.fixture(scope="module")
def contexts(tiny: TinyRun) -> Contexts:
    return Contexts(tiny.spans.vocabulary, TextTokenizer.load(tiny.directory("text-tokenizer")))


@given(st.integers(2, 200), st.integers(0, 10))
def test_wrong_audio_is_another_question_for_every_question(num_items: int, seed: int) -> None:
    other = derangement(num_items, seed)
    assert sorted(other) == list(range(num_items))
    assert not [place for place, item in enumerate(other) if place == item]
    assert other == derangement(num_items, seed)


def test_every_condition_asks_the_same_questions(
    items: dict[str, list[ItemScore]], questions: list[Question], summary: dict[str, Any]
) -> None:
    for rows in items.values():
        assert [row.question_id for row in rows] == [question.id for question in questions]
        assert [row.gold for row in rows] == [question.gold for question in questions]
    assert [row["condition"] for row in summary["conditions"]] == CONDITIONS
    assert {row["num_items"] for row in summary["conditions"]} == {len(questions)}
    assert summary["num_questions_not_asked"] == 0
    assert summary["questions_digest"] == questions_digest(questions)


def test_the_summary_is_what_the_stored_items_add_up_to(
    items: dict[str, list[ItemScore]], summary: dict[str, Any], tiny: TinyRun
) -> None:
    for told in summary["conditions"]:
        rows = items[told["condition"]]
        assert told["num_correct"] == pytest.approx(sum(row.credit for row in rows))
        assert told["accuracy"] == pytest.approx(np.mean([row.credit for row in rows]))
        assert told["mean_gold_probability"] == pytest.approx(np.mean([row.gold_probability for row in rows]))
        assert 0 <= told["low"] <= told["accuracy"] <= told["high"] <= 1
    for told in summary["comparisons"]:
        assert told == next(row for row in comparisons(items) if row["against"] == told["against"])
    assert summary == tiny.finished["eval"].stored.circumstances["summary"]


def test_credit_follows_from_the_stored_scores_by_the_recipes_norm(
    items: dict[str, list[ItemScore]], tiny: TinyRun
) -> None:
    assert tiny.recipe.evals.norm == "per_token"
    for row in (row for rows in items.values() for row in rows):
        (choice,) = pick([np.array(row.per_token)])
        assert row.credit == choice.credit(row.gold)
        assert len(row.log_likelihood) == 4 and max(row.log_likelihood) < 0


def test_without_a_question_there_is_nothing_to_gain(items: dict[str, list[ItemScore]]) -> None:
    """PMI is taken against nothing but the switch token: all that choices-only sees."""
    assert np.abs([row.pmi for row in items["choices only"]]).max() < 1e-3
    assert np.abs([row.pmi for row in items["gold text"]]).max() > 1e-2


def test_sound_and_training_change_the_scores(items: dict[str, list[ItemScore]]) -> None:
    spoken = np.array([row.log_likelihood for row in items["spoken"]])
    for condition in CONDITIONS[1:]:
        other = np.array([row.log_likelihood for row in items[condition]])
        assert np.abs(spoken - other).max() > 1e-3, condition


def test_untrained_is_the_model_that_training_began_with(
    items: dict[str, list[ItemScore]], questions: list[Question], contexts: Contexts, tiny: TinyRun
) -> None:
    model = build_model(tiny.recipe.train, contexts.vocabulary)
    spoken = {row["recording_id"]: row["units"] for row in _units(tiny)}
    before = [contexts.spoken(spoken[question.id]) for question in questions]
    again = score_condition(model, "untrained", questions, before, contexts, "per_token")
    for row, stored in zip(again, items["untrained"], strict=True):
        assert row.log_likelihood == pytest.approx(stored.log_likelihood, abs=1e-3)


def _units(tiny: TinyRun) -> list[dict[str, Any]]:
    key = tiny.finished["question-units"].stored.key
    rows: list[dict[str, Any]] = tiny.store.table(key, "units").to_pylist()
    return rows


def test_choices_only_does_not_depend_on_the_question(
    questions: list[Question], contexts: Contexts, tiny: TinyRun
) -> None:
    reworded = [replace(question, question=f"{place}?") for place, question in enumerate(questions)]
    model = load_model(tiny.model)
    scores = []
    for asked in (questions, reworded):
        units = {question.id: [1, 2, 3 + place] for place, question in enumerate(asked)}
        heard = {question.id: question.question for question in asked}
        before = contexts_by_condition(asked, units, heard, contexts, seed=0)
        assert {context.tobytes() for context in before["choices only"]} == {contexts.nothing().tobytes()}
        scores.append(score_condition(model, "choices only", asked, before["choices only"], contexts, "sum"))
    assert scores[0] == scores[1]


def test_each_condition_has_the_context_it_names(questions: list[Question], contexts: Contexts) -> None:
    units = {question.id: [place, place] for place, question in enumerate(questions)}
    heard = {question.id: "what was heard" for question in questions}
    found = contexts_by_condition(questions, units, heard, contexts, seed=0)
    assert list(found) == CONDITIONS
    other = derangement(len(questions), 0)
    for place, question in enumerate(questions):
        vocabulary = contexts.vocabulary
        unit = vocabulary.first_speech_id + place
        assert found["spoken"][place].tolist() == [vocabulary.to_speech, unit, unit, vocabulary.to_text]
        assert found["wrong audio"][place].tolist() == found["spoken"][other[place]].tolist()
        assert found["untrained"][place].tolist() == found["spoken"][place].tolist()
        assert found["gold text"][place].tolist() == contexts.written(question.question).tolist()
        assert found["asr text"][place].tolist() == contexts.written("what was heard").tolist()
    assert contexts.option("Rome").tolist() == contexts.tokenizer.encode(" Rome").tolist()


def a_question(place: int, gold: int = 0) -> Question:
    return Question(
        id=f"q{place}", page_id="p", question="?", options=("a", "b", "c", "d"), gold=gold, kind="other", relaxation=0
    )


def scored(rows: Sequence[Sequence[float]]) -> OptionScores:
    ones = tuple(np.ones(4, np.int64) for _ in rows)
    return OptionScores(log_likelihood=tuple(np.array(row) for row in rows), num_tokens=ones, num_bytes=ones)


def items_with(rows: Sequence[Sequence[float]]) -> list[ItemScore]:
    questions = [a_question(place) for place in range(len(rows))]
    return item_scores("spoken", questions, scored(rows), scored([[0.0] * 4] * len(rows)), "sum")


RIGHT, WRONG, TIED = [-1.0, -2.0, -3.0, -4.0], [-2.0, -1.0, -3.0, -4.0], [-1.0, -1.0, -3.0, -4.0]


def test_a_tie_of_two_earns_half_and_all_alike_a_quarter() -> None:
    items = items_with([RIGHT, WRONG, TIED, [-1.0] * 4])
    assert [item.credit for item in items] == [1.0, 0.0, 0.5, 0.25]
    assert items[3].gold_probability == pytest.approx(CHANCE)
    score = condition_score("spoken", items)
    assert (score.num_correct, score.accuracy) == (1.75, 0.4375)


def test_the_norm_decides_and_the_others_are_kept() -> None:
    scores = OptionScores(
        log_likelihood=(np.array([-6.0, -4.0, -9.0, -9.0]),),
        num_tokens=(np.array([6, 2, 1, 1]),),
        num_bytes=(np.array([6, 1, 1, 1]),),
    )
    prior = scored([[-3.0, -9.0, -9.0, -9.0]])
    credits = {
        norm: item_scores("spoken", [a_question(0)], scores, prior, norm) for norm in ("sum", "per_token", "pmi")
    }
    assert {norm: rows[0].credit for norm, rows in credits.items()} == {"sum": 0.0, "per_token": 1.0, "pmi": 0.0}
    assert credits["sum"][0].pmi == (-3.0, 5.0, 0.0, 0.0) == credits["pmi"][0].pmi


def test_spoken_better_than_another_condition_is_a_positive_difference() -> None:
    spoken, other = items_with([RIGHT] * 9 + [WRONG]), items_with([WRONG] * 8 + [RIGHT] * 2)
    (found,) = comparisons({"spoken": spoken, "choices only": other})
    assert (found["against"], found["num_only_b"], found["num_only_a"]) == ("choices only", 8, 1)
    assert found["difference"] == pytest.approx(0.7)
    assert found["p_value"] == pytest.approx(2 * (1 + 9) / 2**9)
    (turned,) = comparisons({"spoken": other, "choices only": spoken})
    assert turned["difference"] == pytest.approx(-0.7) and turned["p_value"] == found["p_value"]


def test_a_tie_is_no_right_answer_in_a_paired_test() -> None:
    (found,) = comparisons({"spoken": items_with([TIED] * 6), "wrong audio": items_with([WRONG] * 6)})
    assert (found["difference"], found["p_value"]) == (0.0, 1.0)
