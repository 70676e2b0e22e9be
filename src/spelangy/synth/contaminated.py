"""Step ``gate``: evaluation questions are kept out of pages before an LLM or a synthesiser is paid for them.

    selected pages ──> unit "page": a page that holds one is dropped ──────────────> pages
                   └─> unit "line": its line is dropped, then the page if one is left across lines

Questions that the page asks in its own mark-up are taken out one by one. What is written later is checked again
(`QuestionGate.check`): a model may put back what was taken out.
"""

import re
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Literal

from spelangy.core.contamination import QuestionIndex
from spelangy.core.errors import Dropped, UserError
from spelangy.core.records import Page
from spelangy.core.schema import from_rows
from spelangy.engine.step import Inputs, Item, Produced, TableStep
from spelangy.store.exchange.question_files import read_questions
from spelangy.store.inputs import FoundInput, find_inputs
from spelangy.synth.config import GateSettings
from spelangy.synth.speakable import speakable

_SAID_OTHERWISE = re.compile(r"[^A-Za-z ,?!'\"()\n]|\b[IVX]+\b")
"""What `speakable` may say in other words: anything but plain letters and the simplest marks, and Roman numerals."""

CONTAMINATED = "holds an evaluation question"

Drops = list[tuple[str, Dropped, float]]


@dataclass(frozen=True)
class QuestionGate:
    """Keeps evaluation questions out of training text.

    Attributes:
        grade: ``whole``: only questions found word for word; ``partial``: six of their words in a row, too.
        answered: The questions with their answers behind them: a run of words may reach from one into the other.
    """

    questions: tuple[str, ...]
    grade: Literal["whole", "partial"]
    answered: tuple[str, ...] = ()

    def check(self, text: str) -> None:
        """Raises `Dropped` when `text` holds one of the questions, as it is written or as it is spoken."""
        counted = ("whole",) if self.grade == "whole" else ("whole", "partial")
        for index in (*_indices(self.questions), *_indices(self.answered)):
            for hit in index.hits(text, templates=False):
                if hit.grade in counted:
                    raise Dropped(CONTAMINATED, value=hit.num_words, threshold=index.min_n, detail=hit.question)


@cache
def _indices(questions: tuple[str, ...]) -> tuple[QuestionIndex, ...]:
    """Written and spoken forms apart, so that a question's own other form never makes its words look common.

    ``in 1852`` stands in no script, ``in eighteen fifty-two`` may.
    """
    spoken = [speakable(question) if _SAID_OTHERWISE.search(question) else question for question in questions]
    return tuple(QuestionIndex(texts) for texts in (questions, spoken) if texts)


class KeepQuestionsOut:
    """One page without evaluation questions."""

    def __init__(self, gate: QuestionGate, unit: Literal["page", "line"]) -> None:
        self.gate = gate
        self.unit = unit

    def __call__(self, item: Item) -> Produced:
        (page,) = from_rows([item], Page)
        kept, drops = self._lines(page) if self.unit == "line" else (page.text, [])
        self.gate.check(kept)  # in unit "line": one that stands across two lines
        questions = []
        for pair in page.questions:
            try:
                self.gate.check(f"{pair.question}\n{pair.answer}")
                questions.append(pair)
            except Dropped as dropped:
                drops.append((page.id, dropped, 0.0))
        return Produced(records={"pages": [replace(page, text=kept, questions=tuple(questions))]}, drops=drops)

    def _lines(self, page: Page) -> tuple[str, Drops]:
        kept, drops = [], []
        for line in page.text.split("\n"):
            try:
                self.gate.check(line)
                kept.append(line)
            except Dropped as dropped:
                drops.append((page.id, dropped, 0.0))
        return "\n".join(kept), drops


def gate_step(settings: GateSettings, pages: str, questions: str) -> TableStep:
    """The pages from which evaluation questions are kept out.

    Args:
        pages: Name of the table of pages.
        questions: Name of the recipe's own table of evaluation questions, column ``question``.

    Raises:
        UserError: When a file of questions is not there.
    """
    files = question_files(settings)

    def worker(inputs: Inputs) -> partial[KeepQuestionsOut]:
        return partial(KeepQuestionsOut, gate_of(inputs, questions, settings), settings.unit)

    return TableStep(
        name="gate",
        version=1,
        config={"files": [file.id for file in files], "grade": settings.grade, "unit": settings.unit},
        inputs=(pages,),
        shared=(questions,),
        outputs={"pages": Page},
        items=lambda inputs: inputs.table(pages),
        worker=worker,
        shard_items=256,
    )


def question_files(settings: GateSettings) -> list[FoundInput]:
    """The files of evaluation questions that a recipe names, by content.

    Raises:
        UserError: When one is not there.
    """
    files = find_inputs(settings.questions, suffixes=(".jsonl", ".jsonl.gz", ".tsv", ".tsv.gz"))
    for file in files:
        if not Path(file.path).is_file():
            raise UserError(f"synth.gate.questions: {file.uri} is not there", hint="a JSONL or TSV file")
    return files


def gate_of(inputs: Inputs, questions: str, settings: GateSettings) -> QuestionGate:
    """The gate for the recipe's own questions and those of its files."""
    own = inputs.table(questions)["question"].to_pylist()
    asked = [entry for file in question_files(settings) for entry in read_questions(Path(file.path))]
    answered = [f"{entry.question} {entry.answers[0]}" for entry in asked if entry.answers]
    return QuestionGate(
        questions=tuple(dict.fromkeys([*own, *(entry.question for entry in asked)])),
        grade=settings.grade,
        answered=tuple(dict.fromkeys(answered)) if settings.grade == "partial" else (),
    )
