"""What a language model's answers become: taken, or refused by their checks and kept for reading."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from spelangy.backends.protocols import LlmReply, LlmRequest
from spelangy.core.errors import Dropped
from spelangy.core.hashing import record_id
from spelangy.core.records import LlmAnswer
from spelangy.synth.writer import Reply


class Asked:
    """The answers that one page was given, each with what became of it."""

    def __init__(self, page_id: str, model: str) -> None:
        self.page_id = page_id
        self.model = model
        self.answers: list[LlmAnswer] = []

    def keep(self, purpose: str, request: LlmRequest, reply: Reply, refused: Dropped | None) -> None:
        """Notes a reply; `refused` says why it was not taken, and is the reply itself where the model refused."""
        told = reply if isinstance(reply, LlmReply) else LlmReply(text="", prompt_tokens=0, answer_tokens=0)
        self.answers.append(
            LlmAnswer(
                id=record_id("answer", self.page_id, purpose, len(self.answers)),
                page_id=self.page_id,
                purpose=purpose,
                model=self.model,
                source=request.text,
                text=told.text,
                is_taken=refused is None,
                reason=refused.reason if refused else "",
                value=refused.value if refused else None,
                threshold=refused.threshold if refused else None,
                detail=refused.detail if refused else "",
                prompt_tokens=told.prompt_tokens,
                answer_tokens=told.answer_tokens,
                cost=told.cost,
            )
        )

    def refused(self) -> Mapping[str, int]:
        """How many answers were not taken, by reason, sorted."""
        reasons = [answer.reason for answer in self.answers if not answer.is_taken]
        return {reason: reasons.count(reason) for reason in sorted(set(reasons))}


def written_totals(tables: Mapping[str, pa.Table]) -> Mapping[str, Any]:
    """What a step's answers took: requests, tokens and cost, and how many were taken; for its lineage."""
    answers = tables["answers"]
    if not answers.num_rows:
        return {}
    return {
        "llm_answers": answers.num_rows,
        "llm_answers_taken": int(pc.sum(answers["is_taken"]).as_py()),
        "llm_prompt_tokens": int(pc.sum(answers["prompt_tokens"]).as_py()),
        "llm_answer_tokens": int(pc.sum(answers["answer_tokens"]).as_py()),
        "llm_cost": round(float(pc.sum(answers["cost"]).as_py()), 6),
    }


def counted(reasons: Mapping[str, int]) -> str:
    """``entities 2, length 1``."""
    return ", ".join(f"{reason} {count}" for reason, count in reasons.items())


def texts_of(segments: Sequence[Any]) -> str:
    """The text of a script's segments, a line each."""
    return "\n".join(segment.text for segment in segments)
