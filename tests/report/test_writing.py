"""What a report tells of a language model's answers is what is stored."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from spelangy.core.records import LlmAnswer
from spelangy.core.schema import to_table
from spelangy.report.tables import RunStep, RunTables
from spelangy.report.writing import EXAMPLES_PER_REASON, refused_answers, writer_findings, writer_rows
from spelangy.store.objects import Lineage, Store


def answer(number: int, **changed: Any) -> LlmAnswer:
    plain: dict[str, Any] = {
        "id": f"a{number}", "page_id": "p", "purpose": "rewrite", "model": "m", "source": f"given {number}",
        "text": f"told {number}", "is_taken": True, "reason": "", "value": None, "threshold": None, "detail": "",
        "prompt_tokens": 10, "answer_tokens": 3, "cost": 0.25,
    }  # fmt: skip
    return LlmAnswer(**{**plain, **changed})


@pytest.fixture
def tables(tmp_path: Path) -> RunTables:
    store = Store(tmp_path)
    krist = [
        *(answer(number) for number in range(3)),
        *(answer(number, is_taken=False, reason="numbers", detail="1889") for number in range(3, 8)),
        answer(8, is_taken=False, reason="length"),
    ]
    quest = [answer(9, purpose="question check"), answer(10, purpose="question answer", is_taken=False, reason="x")]
    steps = {
        name: stored(store, name, to_table(rows, LlmAnswer)) for name, rows in (("krist", krist), ("quest", quest))
    }
    return RunTables(store, steps)


def stored(store: Store, name: str, answers: pa.Table) -> RunStep:
    lineage = Lineage(step=name, version=1, config={}, seed=0, inputs={})
    return RunStep(stored=store.commit_tables(lineage, {"answers": answers}, {}), status="built", why="", seconds=0.0)


def test_answers_add_up_by_purpose(tables: RunTables) -> None:
    rewrite, check, reply = writer_rows(tables)
    assert (rewrite.num_asked, rewrite.num_taken, rewrite.refused) == (9, 3, (("numbers", 5), ("length", 1)))
    assert (rewrite.prompt_tokens, rewrite.answer_tokens, rewrite.cost) == (90, 27, 2.25)
    assert (check.purpose, check.refused, check.taken_ratio) == ("question check", (), 1.0)
    assert (reply.purpose, reply.num_taken) == ("question answer", 0)
    assert "3 of 9 answers of m passed their checks (33%); most were refused for numbers" in next(
        writer_findings(tables)
    )


def test_a_few_refused_answers_of_every_reason_can_be_read(tables: RunTables) -> None:
    shown = list(refused_answers(tables))
    reasons = [(one.purpose, one.reason) for one in shown]
    assert reasons.count(("rewrite", "numbers")) == EXAMPLES_PER_REASON
    assert set(reasons) == {("rewrite", "numbers"), ("rewrite", "length"), ("question answer", "x")}
    assert all(one.source.startswith("given") and one.text.startswith("told") for one in shown)
    assert shown == list(refused_answers(tables))
