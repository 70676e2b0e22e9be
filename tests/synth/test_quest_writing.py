"""Questions that a language model judges and answers: taken only where the page says so."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from spelangy.backends.protocols import LlmReply, LlmRequest, ModelInfo
from spelangy.core.errors import Dropped
from spelangy.core.records import LlmAnswer, Page, QuestionAnswer, Script
from spelangy.engine.step import Produced
from spelangy.synth.config import QuestSettings
from spelangy.synth.contaminated import CONTAMINATED, QuestionGate
from spelangy.synth.prompts import prompt
from spelangy.synth.quest import MinedQuestion
from spelangy.synth.quest_writing import ReasonedAnswer, check_grounded, passage
from spelangy.synth.scripts import WriteQuest
from spelangy.synth.writer import Reply, Writer

TEXT = """Metals

Copper is a reddish metal that carries electric current well. Most wires are drawn from it.

When was aluminium first isolated?

Aluminium was first isolated in 1825 by Hans Oersted. It soon cost more than gold."""

REASONING = ["Aluminium was rare for a long time.", "Hans Oersted was the first to isolate it, and that was in 1825."]
QUESTION = "When was aluminium first isolated?"
COPPER = QuestionAnswer(question="Which reddish metal carries electric current well?", answer="Copper")


def page(questions: tuple[QuestionAnswer, ...] = (), text: str = TEXT) -> Page:
    return Page(id="p1", uri="http://x.org", title="Metals", text=text, licence="CC0", questions=questions)


def mined(question: str = QUESTION, answer: str = "") -> MinedQuestion:
    return MinedQuestion(question=question, answer=answer, origin="faq", following=())


class Model:
    """Answers checks with `verdict` and questions with `answer`; keeps what it was asked."""

    info = ModelInfo(role="llm", name="model", revision="1", licence="none", concurrency=4)

    def __init__(self, verdict: Any, answer: Any) -> None:
        self.given = {prompt("question_check"): verdict, prompt("question_answer"): answer}
        self.asked: list[LlmRequest] = []

    def answers(self, requests: Sequence[LlmRequest]) -> Iterator[tuple[int, Reply]]:
        for index, request in enumerate(requests):
            self.asked.append(request)
            given = self.given[request.instruction]
            text = given if isinstance(given, str) else json.dumps(given)
            yield index, LlmReply(text=text, prompt_tokens=5, answer_tokens=3)


VALID = {"reason": "it names what it asks", "valid": True}
GOOD = {"reasoning": REASONING, "answer": "in 1825"}


def quest(
    tmp_path: Path, verdict: Any, answer: Any, asked: Page | None = None, gate: QuestionGate | None = None
) -> tuple[Produced, Model]:
    worker = WriteQuest(QuestSettings(max_per_page=2), gate or QuestionGate((), "whole"), str(tmp_path), seed=0)
    model = Model(verdict, answer)
    worker.writer = Writer(model, str(tmp_path))
    return worker(asdict(asked or page())), model


def texts(script: Script, role: str) -> list[str]:
    return [segment.text for segment in script.segments if segment.role == role]


def test_a_grounded_answer_is_spoken_with_its_reasoning(tmp_path: Path) -> None:
    produced, model = quest(tmp_path, VALID, GOOD)
    (script,) = produced.records["scripts"]
    assert (script.method, script.page_id, script.note) == ("llm", "p1", "origin: heading")
    assert texts(script, "question") == [QUESTION]
    assert texts(script, "reasoning")[1:] == [
        REASONING[0],
        "Hans Oersted was the first to isolate it, and that was in eighteen twenty-five.",
    ]
    assert texts(script, "answer")[0].endswith("in eighteen twenty-five.")
    assert [(one.purpose, one.is_taken) for one in produced.records["answers"]] == [
        ("question check", True),
        ("question answer", True),
    ]
    assert all(json.loads(request.schema)["additionalProperties"] is False for request in model.asked)
    assert not produced.drops


def test_a_question_that_the_model_holds_invalid_is_dropped_and_not_answered(tmp_path: Path) -> None:
    produced, model = quest(tmp_path, {"reason": "it asks about the site", "valid": False}, GOOD)
    assert not produced.records["scripts"] and len(model.asked) == 1
    ((_, why, _),) = produced.drops
    assert why.reason == "question not valid" and "it asks about the site" in why.detail
    (answer,) = produced.records["answers"]
    assert (answer.is_taken, answer.reason) == (False, "question not valid")


@pytest.mark.parametrize("broken", ["", "yes", "[]", '{"valid": "maybe"}', '{"valid": true, "reason": "a", "more": 1}'])
def test_a_verdict_that_cannot_be_read_leaves_the_question_to_the_rules(tmp_path: Path, broken: str) -> None:
    produced, _ = quest(tmp_path, broken, GOOD)
    assert [script.method for script in produced.records["scripts"]] == ["llm"]
    assert produced.records["answers"][0].reason == "answer not readable"


@pytest.mark.parametrize(
    "answer",
    ["no JSON", {**GOOD, "answer": "in 1828"}, {**GOOD, "reasoning": []}, {**GOOD, "reasoning": ["It says so."]}],
)
def test_an_answer_that_fails_its_checks_falls_back_to_the_pages_own_words(tmp_path: Path, answer: Any) -> None:
    produced, _ = quest(tmp_path, VALID, answer)
    (script,) = produced.records["scripts"]
    assert script.method == "template"
    assert "Hans Oersted" in " ".join(texts(script, "reasoning"))
    kept: LlmAnswer = produced.records["answers"][1]
    assert not kept.is_taken and kept.reason
    assert kept.text == (answer if isinstance(answer, str) else json.dumps(answer))


@pytest.mark.parametrize(
    ("reasoning", "answer", "stated", "reason"),
    [
        (["Aluminium was first isolated in 1825 by Hans Oersted in **Denmark**."], "in 1825", "", "markup"),
        (["As an AI, I know that aluminium was isolated in 1825."], "1825", "", "leakage"),
        (["Aluminium wurde im Jahre 1825 zuerst von Hans Oersted isoliert und war teuer."], "1825", "", "not English"),
        (["It was in 1825."], "1825", "", "reasoning length"),
        (REASONING, "the " * 41, "", "answer length"),
        ([*REASONING, "It took him 12 years to do it."], "in 1825", "", "new numbers"),
        ([*REASONING, "He did it with his friend Wohler in a shed."], "in 1825", "", "new entities"),
        (REASONING, "a yellow parrot", "", "answer not grounded"),
        (REASONING, "more than gold", "", "answer not reasoned"),
        (REASONING, "in 1825", "copper wires", "disagrees with the page"),
    ],
)
def test_what_the_page_does_not_say_is_refused(reasoning: list[str], answer: str, stated: str, reason: str) -> None:
    check_grounded(page(), mined(), ReasonedAnswer.model_construct(reasoning=REASONING, answer="in 1825"))
    with pytest.raises(Dropped) as refused:
        check_grounded(page(), mined(answer=stated), ReasonedAnswer.model_construct(reasoning=reasoning, answer=answer))
    assert refused.value.reason == reason


def test_evaluation_questions_are_barred_before_they_are_paid_for_and_after(tmp_path: Path) -> None:
    produced, model = quest(tmp_path, VALID, GOOD, gate=QuestionGate((QUESTION,), "whole"))
    assert [why.reason for _, why, _ in produced.drops] == [CONTAMINATED] and not model.asked
    later = QuestionGate((REASONING[0],), "whole")
    produced, model = quest(tmp_path, VALID, GOOD, gate=later)
    assert [why.reason for _, why, _ in produced.drops] == [CONTAMINATED] and len(model.asked) == 2
    assert not produced.records["scripts"]


def test_questions_are_asked_in_waves_until_there_are_enough(tmp_path: Path) -> None:
    asked = [f"Which metal is number {word}?" for word in ("two", "six", "ten")]
    more = tuple(QuestionAnswer(question=text, answer="Copper") for text in asked)
    produced, model = quest(tmp_path, VALID, GOOD, page((COPPER, *more)))
    assert len(produced.records["scripts"]) == 2
    reasons = [why.reason for _, why, _ in produced.drops]
    assert reasons.count("enough of this page") + reasons.count("no support") + 2 == 5
    assert len({request.text for request in model.asked}) == len(model.asked) / 2, "nobody is asked twice"


def test_the_passage_is_what_speaks_of_the_question_in_the_pages_order() -> None:
    long = "\n\n".join([*(f"Filler number {n} about wood and stone." for n in range(200)), TEXT])
    shown = passage(page(text=long), mined(), max_words=60)
    assert "1825 by Hans Oersted" in shown and len(shown.split()) <= 60
    assert passage(page(), mined(), max_words=1000).split() == TEXT.split()
    assert len(passage(page(text="word " * 900), mined(), max_words=50).split()) == 50
