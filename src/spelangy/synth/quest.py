"""Quest: questions a page raises, the sentences of the page that settle them, and the answer.

page ──> FAQ mark-up ────────────┐
     ├─> headings that ask ──────┼──> MinedQuestion ──> valid? ──> supporting sentences ──> grounded? ──> Script
     └─> sentences that ask ─────┘                        └──────────────┴───────────────────────┴──> Dropped
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from spelangy.core.contamination import Words, normalised_words
from spelangy.core.errors import Dropped
from spelangy.core.hashing import record_id
from spelangy.core.random import stream
from spelangy.core.records import Page, Script, ScriptSegment
from spelangy.core.sentences import sentences
from spelangy.synth.page_metadata import about
from spelangy.synth.short_answers import short_answer
from spelangy.synth.speakable import speakable

MIN_QUESTION_WORDS = 3
MAX_QUESTION_WORDS = 30
MAX_ANSWER_WORDS = 40
MIN_GROUNDING_RATIO = 0.8
MAX_SUPPORT_SENTENCES = 3
ENOUGH_SUPPORT_RATIO = 0.6
"""Share of a question's content words at which a shorter run of sentences is preferred to a longer one."""

MIN_SUPPORT_RATIO = 0.34
"""Least share of them that the supporting sentences must hold."""

_WH = {"what", "when", "where", "who", "whom", "whose", "which", "why", "how"}
_AUX = {
    "is", "are", "was", "were", "do", "does", "did", "has", "have", "had", "can", "could", "will", "would", "should",
    "may", "might", "must",
}  # fmt: skip
_STOP = _WH | _AUX | {
    "a", "an", "the", "of", "in", "on", "at", "to", "for", "from", "by", "with", "and", "or", "as", "it", "its", "that",
    "this", "these", "those", "there", "be", "been", "into", "than", "then", "not", "about", "many", "much", "name",
    "called",
}  # fmt: skip
_DANGLING = {
    "it", "its", "he", "him", "his", "she", "her", "hers", "they", "them", "their", "theirs", "this", "that", "these",
    "those",
}  # fmt: skip
_SITE = {"i", "me", "my", "we", "us", "you", "your"}
_NUMBER_WORDS = {
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty", "thirty", "forty",
    "fifty", "sixty", "seventy", "eighty", "ninety", "about", "around", "nearly", "roughly",
}  # fmt: skip
_ENDING = re.compile(r"(?<=\w{4})(?:ing|ed|est|er|ly|es|s)$|(?<=\w{3})s$")
_CONTENT_AFTER_THAT = re.compile(
    r"\b(?:that|those)\s(?:is|are|was|were|has|have|can|do|does|did|will)\b", re.IGNORECASE
)
_INTRODUCTIONS = (
    "Let us think about what is known.",
    "Here is what we know.",
    "Let us look at the facts.",
    "Consider the following.",
    "To answer that, recall this.",
    "Think it through.",
    "This is what the page tells us.",
    "Start from what is certain.",
)
_LONG_ANSWER_WORDS = 6
_LONG_ANSWERS = ("So the answer is: {}.", "The answer, in full: {}.", "Therefore the answer is this: {}.")
_ANSWERS = ("So the answer is {}.", "So the answer is: {}.", "Therefore the answer is {}.", "The answer, then, is {}.")


@dataclass(frozen=True, kw_only=True, slots=True)
class MinedQuestion:
    """A question as a page asks it.

    Attributes:
        answer: What the page's mark-up gives as its answer; empty for headings and sentences.
        origin: ``faq`` mark-up, a ``heading``, or a ``sentence`` of the prose.
        following: Up to three sentences after the question, where an author puts the answer; empty for ``faq``.
    """

    question: str
    answer: str
    origin: Literal["faq", "heading", "sentence"]
    following: tuple[str, ...]


def mine_questions(page: Page) -> list[MinedQuestion]:
    """The questions of a page: those of its mark-up, then those of its text in order; each once, however written."""
    found = [
        MinedQuestion(question=pair.question, answer=pair.answer, origin="faq", following=()) for pair in page.questions
    ]
    lines = [(line, sentences(line)) for line in page.text.splitlines() if line.strip()]
    flat = [(sentence, len(parts) == 1) for _, parts in lines for sentence in parts]
    for place, (sentence, is_line) in enumerate(flat):
        if re.search(r"\?[\"')]*$", sentence):
            following = tuple(text for text, _ in flat[place + 1 : place + 4] if not text.endswith("?"))
            origin: Literal["heading", "sentence"] = "heading" if is_line else "sentence"
            question = re.sub(r"^[\"'(\d.)\s]+|[\"')\s]+$", "", sentence)
            found.append(MinedQuestion(question=question, answer="", origin=origin, following=following))
    unique: dict[Words, MinedQuestion] = {}
    for mined in found:
        unique.setdefault(normalised_words(mined.question), mined)
    return list(unique.values())


def check_question(question: str) -> None:
    """Returns when `question` can be asked on its own, of somebody who does not see the page.

    Raises:
        Dropped: ``"question length"`` (words), ``"not a question"`` (no wh-word, no auxiliary in front),
            ``"about the site"`` (I, we, you …), ``"dangling pronoun"`` (a pronoun before any noun it could mean).
    """
    words = re.findall(r"[\w'’-]+", question.lower())
    for threshold, is_out in ((MIN_QUESTION_WORDS, int.__lt__), (MAX_QUESTION_WORDS, int.__gt__)):
        if is_out(len(words), threshold):
            raise Dropped("question length", value=len(words), threshold=threshold, detail=question)
    if not (_WH & set(words) or words[0] in _AUX):
        raise Dropped("not a question", detail=question)
    if _SITE & set(words):
        raise Dropped("about the site", detail=question)
    if _is_dangling(question, words):
        raise Dropped("dangling pronoun", detail=question)


def _is_dangling(question: str, words: Sequence[str]) -> bool:
    """A pronoun is settled by a noun before it; ``that`` also opens clauses, and ``it`` may be empty before ``to``."""
    if _CONTENT_AFTER_THAT.search(question) and words[0] in _WH and len(content_words(question)) >= 2:
        words = [word for word in words if word not in ("that", "those")]
    for place, word in enumerate(words):
        is_empty_it = word == "it" and {"to", "when", "that", "if"} & set(words[place:])
        if word in _DANGLING and not is_empty_it:
            return not any(before not in _STOP and len(before) > 2 for before in words[:place])
    return False


def quest_script(page: Page, question: MinedQuestion, *, seed: int = 0) -> Script:
    """Question, reasoning, answer. The reasoning is the page's own sentences; the answer must stand in them.

    Where the page gives no answer, a short one of the type the question asks for is read off the supporting sentences.
    The wordings that join the parts are drawn by `core.random.stream` on the script's id.

    Raises:
        Dropped: What `check_question` raises, and ``"no support"`` (share of the question's words in its best
            sentences), ``"no short answer"``, ``"answer length"`` (words), ``"answer not grounded"`` (likewise).

    Source: paper section "Quest"; rules and the page stand where the paper has an LLM's filter and reasoning.
    """
    check_question(question.question)
    support = _support(page, question)
    answer = question.answer or short_answer(question.question, support)
    if not answer:
        raise Dropped("no short answer", detail=question.question)
    _check_answer(answer, support)
    reasoning = [part for text in support for part in sentences(closed(speakable(text)))]
    return reasoned_script(page, question, reasoning, answer, method="template", seed=seed)


def reasoned_script(
    page: Page,
    question: MinedQuestion,
    reasoning: Sequence[str],
    answer: str,
    *,
    method: Literal["template", "llm"],
    seed: int,
) -> Script:
    """The script of a question whose reasoning and answer are settled; `reasoning` is a list of speakable sentences."""
    script_id = record_id("quest", page.id, normalised_words(question.question), seed)
    return Script(
        id=script_id,
        page_id=page.id,
        kind="quest",
        method=method,
        note=f"origin: {question.origin}",
        licence=page.licence,
        segments=_segments(question.question, reasoning, answer, stream(seed, script_id, "wording")),
        metadata=about(page),
    )


def _support(page: Page, question: MinedQuestion) -> list[str]:
    """The best supporting sentence by token overlap, or the best two or three in a row where one does not suffice.

    A question without a stated answer needs one sentence that is plainly about it: its answer will be read off there.
    """
    asked, answer = content_words(question.question), answer_words(question.answer)
    floor = MIN_SUPPORT_RATIO if question.answer else ENOUGH_SUPPORT_RATIO
    best: tuple[bool, float, list[str]] = (False, -1.0, [])
    for window in _windows(_candidates(page, question), MAX_SUPPORT_SENTENCES if question.answer else 1):
        is_grounded, ratio = held(answer, window) >= MIN_GROUNDING_RATIO, held(asked, window)
        is_enough = best[0] and best[1] >= ENOUGH_SUPPORT_RATIO and not _opens_with_pronoun(best[2][0])
        if is_enough and len(window) > len(best[2]):
            break
        if (is_grounded, ratio) > best[:2]:
            best = (is_grounded, ratio, window)
    if best[1] < floor:
        raise Dropped("no support", value=max(0.0, best[1]), threshold=floor, detail=question.question)
    return best[2]


def _windows(texts: Sequence[str], max_length: int) -> Iterator[list[str]]:
    """Runs of neighbours, shorter ones first."""
    for length in range(1, max_length + 1):
        for start in range(len(texts) - length + 1):
            yield list(texts[start : start + length])


def _candidates(page: Page, question: MinedQuestion) -> list[str]:
    """What follows a heading or a sentence that asks; for mark-up, the statements of the whole page."""
    asked = normalised_words(question.question)
    texts = question.following or _page_sentences(page.text)
    return [text for text in texts if not text.endswith("?") and normalised_words(text) != asked]


@lru_cache(maxsize=4)
def _page_sentences(text: str) -> tuple[str, ...]:
    return tuple(sentence for line in text.splitlines() for sentence in sentences(line))


def _check_answer(answer: str, support: Sequence[str]) -> None:
    num_words = len(answer.split())
    if num_words > MAX_ANSWER_WORDS:
        raise Dropped("answer length", value=num_words, threshold=MAX_ANSWER_WORDS)
    ratio = held(answer_words(answer), support)
    if ratio < MIN_GROUNDING_RATIO:
        raise Dropped("answer not grounded", value=ratio, threshold=MIN_GROUNDING_RATIO, detail=answer)


def _segments(
    question: str, said_before: Sequence[str], answer: str, draw: np.random.Generator
) -> tuple[ScriptSegment, ...]:
    asked = f"{speakable(question).rstrip('?.! ')}?"
    introduction = _INTRODUCTIONS[draw.integers(len(_INTRODUCTIONS))]
    said = _inline(speakable(answer))
    wordings = _LONG_ANSWERS if len(said.split()) > _LONG_ANSWER_WORDS else _ANSWERS
    concluded = wordings[draw.integers(len(wordings))].format(said)
    reasoning = [introduction, *said_before]
    return (
        ScriptSegment(role="question", text=asked),
        *(ScriptSegment(role="reasoning", text=text) for text in reasoning),
        *(ScriptSegment(role="answer", text=text) for text in sentences(concluded)),
    )


def closed(text: str) -> str:
    """`text` with a mark at its end."""
    return text if text.endswith((".", "?", "!")) else f"{text.rstrip(',;:')}."


def _inline(answer: str) -> str:
    """The answer as a part of a sentence: no final mark, no capital but a name's."""
    answer = answer.rstrip(".!?,;: ")
    first, _, rest = answer.partition(" ")
    opens_small = first.lower() in _STOP or first.lower().split("-")[0] in _NUMBER_WORDS
    return f"{first.lower()} {rest}".strip() if opens_small else answer


def _opens_with_pronoun(text: str) -> bool:
    words = normalised_words(text)
    return bool(words) and words[0] in _DANGLING


@lru_cache(maxsize=4096)
def _spoken_words(text: str) -> tuple[str, ...]:
    """Words as they are spoken, so that ``1969`` equals ``nineteen sixty-nine``. Cached: a page is asked many times."""
    return normalised_words(speakable(text))


def content_words(text: str) -> frozenset[str]:
    """Stems of the words that carry meaning, as they are spoken."""
    return frozenset(_stem(word) for word in _spoken_words(text) if word not in _STOP)


def answer_words(answer: str) -> frozenset[str]:
    """Content words of an answer; all its words where it is made of small ones (``do``, ``about one``)."""
    return content_words(answer) or frozenset(_stem(word) for word in _spoken_words(answer))


def _stem(word: str) -> str:
    """``melting``, ``melts`` → ``melt``: enough to count overlap, and wrong the same way on both sides."""
    return _ENDING.sub("", word)


def held(words: frozenset[str], texts: Sequence[str]) -> float:
    """Share of `words` that `texts` hold together."""
    present = {_stem(word) for text in texts for word in _spoken_words(text)}
    return len(words & present) / max(1, len(words))
