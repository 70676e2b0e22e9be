"""Quest by a language model: is the question valid, what leads to its answer, and does the page say so.

question ──> check: valid? ──> reasoning and answer, from the page's passages ──> grounded? ──> Script
                └─ no: dropped            └───────────── unusable ─────────────────┴─ no ──> the page's own sentences
"""

import json
from collections.abc import Sequence
from functools import cache

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spelangy.backends.protocols import LlmReply, LlmRequest
from spelangy.core.errors import Dropped
from spelangy.core.records import Page, Script
from spelangy.core.sentences import sentences
from spelangy.synth.gate import check_form, english_enough, entities, named_words, numbers
from spelangy.synth.prompts import prompt
from spelangy.synth.quest import (
    MAX_ANSWER_WORDS,
    MIN_GROUNDING_RATIO,
    MinedQuestion,
    answer_words,
    closed,
    content_words,
    held,
    reasoned_script,
)
from spelangy.synth.speakable import speakable
from spelangy.synth.writer import Reply, Writer
from spelangy.synth.written import Asked

MAX_PASSAGE_WORDS = 350
"""What a model is shown of a page: enough for an answer, and room for it in a context of 2,048 tokens."""

CHECK_TOKENS = 96
ANSWER_TOKENS = 320
MIN_REASONING_WORDS = 6
MAX_REASONING_WORDS = 150
MIN_AGREEMENT_RATIO = 0.5
"""Share of the words of an answer that the page states itself, which the model's answer has to have."""


class QuestionVerdict(BaseModel):
    """Whether a question can be asked; the reason comes first, so that the verdict may follow from it."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(max_length=400)
    valid: bool


class ReasonedAnswer(BaseModel):
    """What leads to the answer, and the answer."""

    model_config = ConfigDict(extra="forbid")

    reasoning: list[str] = Field(min_length=1, max_length=8)
    answer: str = Field(min_length=1, max_length=400)


@cache
def _schema(kind: type[BaseModel]) -> str:
    return json.dumps(kind.model_json_schema(), sort_keys=True)


def valid_questions(
    page: Page, questions: Sequence[MinedQuestion], writer: Writer, asked: Asked
) -> list[Dropped | None]:
    """Per question None where the model holds it valid, or cannot say; else why not."""
    requests = [_check_request(page, question) for question in questions]
    return [
        _kept(asked, "question check", request, reply, _verdict(reply, question))
        for question, request, reply in zip(questions, requests, writer.replies(requests), strict=True)
    ]


def _kept(
    asked: Asked, purpose: str, request: LlmRequest, reply: Reply, verdict: tuple[Dropped | None, Dropped | None]
) -> Dropped | None:
    refused, invalid = verdict
    asked.keep(purpose, request, reply, refused or invalid)
    return invalid


def _verdict(reply: Reply, question: MinedQuestion) -> tuple[Dropped | None, Dropped | None]:
    """(what is wrong with the reply, what is wrong with the question)."""
    if isinstance(reply, Dropped):
        return reply, None
    try:
        verdict = QuestionVerdict.model_validate_json(reply.text)
    except ValidationError as error:
        return unreadable(error), None
    if verdict.valid:
        return None, None
    return None, Dropped("question not valid", detail=f"{question.question} ({' '.join(verdict.reason.split())})")


def unreadable(error: ValidationError) -> Dropped:
    """An answer that does not follow its schema; says where."""
    problem = error.errors()[0]
    place = ".".join(map(str, problem["loc"]))
    return Dropped("answer not readable", detail=f"{place}: {problem['msg']}".strip(": "))


def _check_request(page: Page, question: MinedQuestion) -> LlmRequest:
    return LlmRequest(
        instruction=prompt("question_check"),
        text=_shown(page, question),
        max_tokens=CHECK_TOKENS,
        schema=_schema(QuestionVerdict),
    )


def written_scripts(
    page: Page, questions: Sequence[MinedQuestion], writer: Writer, asked: Asked, seed: int
) -> list[Script | None]:
    """Per question the script that the model reasoned, where it passes `check_grounded`; all are asked for at once."""
    requests = [
        LlmRequest(
            instruction=prompt("question_answer"),
            text=_shown(page, question),
            max_tokens=ANSWER_TOKENS,
            schema=_schema(ReasonedAnswer),
        )
        for question in questions
    ]
    scripts: list[Script | None] = []
    for question, request, reply in zip(questions, requests, writer.replies(requests), strict=True):
        script, refused = _script(page, question, reply, seed)
        asked.keep("question answer", request, reply, refused)
        scripts.append(script)
    return scripts


def _script(page: Page, question: MinedQuestion, reply: Reply, seed: int) -> tuple[Script | None, Dropped | None]:
    try:
        if isinstance(reply, Dropped):
            raise reply
        reasoned = _readable(reply)
        check_grounded(page, question, reasoned)
        reasoning = [part for text in reasoned.reasoning for part in sentences(closed(speakable(text)))]
        return reasoned_script(page, question, reasoning, reasoned.answer, method="llm", seed=seed), None
    except Dropped as refused:
        return None, refused


def _readable(reply: LlmReply) -> ReasonedAnswer:
    try:
        return ReasonedAnswer.model_validate_json(reply.text)
    except ValidationError as error:
        raise unreadable(error) from error


def check_grounded(page: Page, question: MinedQuestion, reasoned: ReasonedAnswer) -> None:
    """Returns when reasoning and answer may stand for what the page says.

    Drops what carries mark-up or echoes its prompt, is not English, holds a number or a name that neither page nor
    question has, gives an answer that the page or the reasoning does not hold, or that disagrees with the one the page
    states itself. It cannot see a wrong relation between right words.

    Raises:
        Dropped: ``"markup"``, ``"leakage"``, ``"boilerplate"``, ``"not English"``, ``"reasoning length"`` and ``"answer
            length"`` (words), ``"new numbers"``, ``"new entities"``, ``"answer not grounded"``, ``"answer not
            reasoned"``, ``"disagrees with the page"`` (shares).
    """
    source = f"{page.title}\n{page.text}\n{question.question}\n{question.answer}"
    said = " ".join(closed(text.strip()) for text in reasoned.reasoning)
    whole = f"{said} {reasoned.answer}"
    check_form(source, whole)
    _check_length("reasoning length", said, MIN_REASONING_WORDS, MAX_REASONING_WORDS)
    _check_length("answer length", reasoned.answer, 1, MAX_ANSWER_WORDS)
    english_enough(whole)
    _check_new("new numbers", numbers(whole) - numbers(source))
    _check_new("new entities", entities(whole) - named_words(source))
    answer = answer_words(reasoned.answer)
    _check_share("answer not grounded", held(answer, [source]), MIN_GROUNDING_RATIO, reasoned.answer)
    _check_share("answer not reasoned", held(answer, [said]), MIN_GROUNDING_RATIO, reasoned.answer)
    if question.answer:
        agreed = held(answer_words(question.answer), [whole])
        _check_share("disagrees with the page", agreed, MIN_AGREEMENT_RATIO, question.answer)


def _check_length(reason: str, text: str, least: int, most: int) -> None:
    num_words = len(text.split())
    if not least <= num_words <= most:
        raise Dropped(reason, value=num_words, threshold=least if num_words < least else most)


def _check_new(reason: str, found: frozenset[str]) -> None:
    if found:
        raise Dropped(reason, value=len(found), threshold=0, detail=", ".join(sorted(found)[:5]))


def _check_share(reason: str, share: float, threshold: float, detail: str) -> None:
    if share < threshold:
        raise Dropped(reason, value=share, threshold=threshold, detail=detail)


def _shown(page: Page, question: MinedQuestion) -> str:
    return f"Title: {page.title}\n\nExcerpt:\n{passage(page, question)}\n\nQuestion: {question.question}"


def passage(page: Page, question: MinedQuestion, *, max_words: int = MAX_PASSAGE_WORDS) -> str:
    """The paragraphs of the page that speak of the question most, in the page's order, at most `max_words`.

    What follows the question on the page, and the answer its mark-up gives, count as much as the question's own words.
    """
    wanted = content_words(" ".join((question.question, question.answer, *question.following)))
    paragraphs = [part for part in page.text.split("\n") if part.strip()]
    ranked = sorted(range(len(paragraphs)), key=lambda place: (-held(wanted, [paragraphs[place]]), place))
    taken: list[int] = []
    left = max_words
    for place in ranked:
        num_words = len(paragraphs[place].split())
        if num_words <= left:
            taken.append(place)
            left -= num_words
    if not taken and ranked:
        return " ".join(paragraphs[ranked[0]].split()[:max_words])
    return "\n".join(paragraphs[place] for place in sorted(taken))
