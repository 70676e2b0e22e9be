"""Evaluation questions are kept out of pages before anything is paid for them."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spelangy.core.errors import Dropped, UserError
from spelangy.core.hashing import record_id
from spelangy.core.records import Page, QuestionAnswer
from spelangy.engine.step import Inputs, Produced
from spelangy.synth.config import GateSettings
from spelangy.synth.contaminated import CONTAMINATED, KeepQuestionsOut, QuestionGate, gate_of, gate_step
from spelangy.synth.speakable import speakable

ASKED = "Who patented a beehive with hanging frames in 1852?"
PROSE = "The tower on the rock was built of granite.\n\nIts keepers lived on the island through the whole winter."


def a_page(text: str, *questions: QuestionAnswer) -> Page:
    return Page(id=record_id(text), uri="u", title="", text=text, licence="CC0", questions=questions)


def kept_out(page: Page, unit: str, grade: str = "whole") -> Produced:
    return KeepQuestionsOut(QuestionGate((ASKED,), grade), unit)(asdict(page))  # type: ignore[arg-type]


def reasons(produced: Produced) -> list[str]:
    return [why.reason for _, why, _ in produced.drops]


@pytest.mark.parametrize("said_as", [ASKED, speakable(ASKED), ASKED.upper(), f"Well, {ASKED} Langstroth did."])
def test_a_question_is_found_as_it_is_written_and_as_it_is_spoken(said_as: str) -> None:
    with pytest.raises(Dropped, match=CONTAMINATED):
        QuestionGate((ASKED,), "whole").check(said_as)


def test_whole_lets_a_part_pass_and_partial_does_not() -> None:
    part = "They patented a beehive with hanging frames in the year 1851."
    QuestionGate((ASKED,), "whole").check(part)
    with pytest.raises(Dropped) as caught:
        QuestionGate((ASKED,), "partial").check(part)
    assert (caught.value.value, caught.value.threshold) == (7, 6)


def test_two_forms_of_two_questions_do_not_make_their_words_common() -> None:
    """Six words in three questions are the language's; a question's spoken form is no question of its own."""
    gate = QuestionGate(
        ("Who opened the first bridge of iron in 1779?", "Who opened the first bridge of iron in 1801?"), "partial"
    )
    with pytest.raises(Dropped):
        gate.check("They opened the first bridge of iron with a feast.")


@given(st.text(alphabet="abc ?", max_size=60))
def test_without_questions_every_page_passes_as_it_is(text: str) -> None:
    page = a_page(text, QuestionAnswer(question=ASKED, answer="Langstroth"))
    for unit in ("page", "line"):
        produced = KeepQuestionsOut(QuestionGate((), "partial"), unit)(asdict(page))  # type: ignore[arg-type]
        assert produced.records["pages"] == [page] and not produced.drops


def test_unit_line_leaves_out_the_line_and_unit_page_the_page() -> None:
    page = a_page(f"{PROSE}\n\n{ASKED} It was Langstroth.\n\nThe lamp was put out at dawn.")
    produced = kept_out(page, "line")
    (kept,) = produced.records["pages"]
    assert reasons(produced) == [CONTAMINATED]
    assert kept.id == page.id and "beehive" not in kept.text and "put out at dawn" in kept.text
    with pytest.raises(Dropped, match=CONTAMINATED):
        kept_out(page, "page")


def test_a_question_across_two_lines_bars_the_page() -> None:
    with pytest.raises(Dropped, match=CONTAMINATED):
        kept_out(a_page(f"{PROSE}\nWho patented a beehive with\nhanging frames in 1852?"), "line")


@pytest.mark.parametrize("unit", ["page", "line"])
def test_a_question_in_mark_up_goes_alone(unit: str) -> None:
    other = QuestionAnswer(question="What was the tower built of?", answer="granite")
    page = a_page(PROSE, QuestionAnswer(question=ASKED, answer="Langstroth"), other)
    produced = kept_out(page, unit)
    (kept,) = produced.records["pages"]
    assert (kept.text, kept.questions, reasons(produced)) == (PROSE, (other,), [CONTAMINATED])


def test_a_run_of_words_may_reach_from_a_question_into_its_answer() -> None:
    text = "A beehive with hanging frames in 1852 Lorenzo Langstroth"
    asked = "Which man had frames in 1852?"
    gate = QuestionGate((asked,), "partial", (f"{asked} Lorenzo L Long",))
    gate.check("had frames in 1852 lorenzo")
    with pytest.raises(Dropped):
        gate.check("They had frames in 1852 Lorenzo and others.".replace("and", "L"))
    gate.check(text)


def test_files_of_questions_are_read_and_are_part_of_the_lineage(tmp_path: Path) -> None:
    file = tmp_path / "asked.jsonl"
    file.write_text(json.dumps({"question": ASKED, "answer": ["Langstroth"]}) + "\n")
    settings = GateSettings(questions=(str(file),))
    before = gate_step(settings, "pages", "own").config
    gate = gate_of(NoOwn(), "own", settings)
    assert (gate.questions, gate.answered) == ((ASKED,), (f"{ASKED} Langstroth",))
    file.write_text(json.dumps({"question": "Who?", "answer": "I"}) + "\n")
    assert gate_step(settings, "pages", "own").config != before
    with pytest.raises(UserError, match="is not there"):
        gate_step(GateSettings(questions=(str(tmp_path / "none.jsonl"),)), "pages", "own")


class NoOwn(Inputs):
    """A recipe without questions of its own."""

    def __init__(self) -> None: ...

    def table(self, name: str):  # type: ignore[no-untyped-def]
        import pyarrow as pa

        return pa.table({"question": pa.array([], pa.string())})
