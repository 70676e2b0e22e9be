"""Four-option questions for spoken question answering, built from questions with short answers.

(page id, question, answer) … ──> split by hash of the question ──> Quest side | evaluation side
evaluation side ──> coarse answer type ──> three distractors of that type ──> seeded order ──> Question
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from spelangy.core.contamination import Words, normalised_words, shares_words
from spelangy.core.errors import Dropped
from spelangy.core.hashing import digest, record_id
from spelangy.core.random import stream, uniform
from spelangy.core.records import QuestionAnswer

NUM_DISTRACTORS = 3
MAX_ANSWER_WORDS = 12
LENGTH_TOLERANCE = 0.3
WIDE_LENGTH_TOLERANCE = 0.6

KINDS = ("number", "date", "person", "place", "other")

Pair = tuple[str, QuestionAnswer]


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One multiple-choice item.

    Attributes:
        id: Hash of the page and the question: neither seed nor options change it.
        options: Four answers; `options[gold]` is right.
        gold: In [0, 3].
        kind: Coarse type of the answer, one of `KINDS`.
        relaxation: How far down the rules of `build_questions` its last distractor lies; 0 is the strict rule.
    """

    id: str
    page_id: str
    question: str
    options: tuple[str, ...]
    gold: int
    kind: str
    relaxation: int


class Split(NamedTuple):
    """Questions kept for evaluation, and those that may be spoken as Quest scripts. No question is in both."""

    evaluation: list[Pair]
    quest: list[Pair]


@dataclass(frozen=True, kw_only=True)
class _Item:
    """A pair with what the rules need of it."""

    id: str
    page_id: str
    pair: QuestionAnswer
    kind: str
    is_name: bool
    asked: Words
    words: Words
    accepted: tuple[Words, ...]


def split_pairs(pairs: Sequence[Pair], *, eval_share: float, seed: int) -> Split:
    """Each pair to one side, by the hash of its normalised question: the same question falls alike wherever it stands.

    Args:
        pairs: (page id, question with answer).
        eval_share: Expected share kept for evaluation, in [0, 1].
        seed: Of the split.
    """
    assert 0 <= eval_share <= 1
    split = Split(evaluation=[], quest=[])
    for pair in pairs:
        key = " ".join(normalised_words(pair[1].question))
        (split.evaluation if uniform(seed, "evaluation split", key) < eval_share else split.quest).append(pair)
    return split


def build_questions(
    pairs: Sequence[Pair], *, seed: int, aliases: Mapping[str, Sequence[str]] | None = None
) -> list[Question | Dropped]:
    """One four-option question, or the reason why there is none, per pair and in the same order.

    Distractors are gold answers of other items, drawn by frequency (so that gold answers and distractors follow one
    distribution) and seeded by item id. None may share all its words with an accepted answer or another option, answer
    the same question elsewhere, or stand in the question. Rules, relaxed in this order until three are found:

    0. same coarse type (and, for ``other``, both or neither a capitalised name), length in characters within 30 %
    1. same type, within 60 %
    2. same type, any length
    3. any type, within 30 %

    Drops: ``"no question"``, ``"no answer"``, ``"answer too long"`` (words), ``"repeated question"``,
    ``"too few distractors"`` (found).

    Args:
        pairs: (page id, question with answer).
        seed: Of the distractors and of the order of options.
        aliases: Further accepted answers by question text.

    Source: the paper's four-option cloze form; the rules are ours, because its options were never released.
    """
    items = [_item(page_id, pair, aliases or {}) for page_id, pair in pairs]
    usable = [item for item in items if isinstance(item, _Item)]
    accepted: dict[Words, set[Words]] = defaultdict(set)
    for item in usable:
        accepted[item.asked].update(item.accepted)
    pool = sorted({item.id: item for item in usable}.values(), key=lambda item: item.id)
    seen: set[Words] = set()
    return [_question_once(item, pool, accepted, seen, seed) for item in items]


def questions_digest(questions: Sequence[Question]) -> str:
    """The hash that a frozen question file carries; 64 hex digits, independent of the order."""
    return digest(sorted(questions, key=lambda question: question.id))


def answer_kind(question: str, answer: str) -> str:
    """The coarse type of an answer, one of `KINDS`: the answer's form first, then what the question asks for."""
    if _DATE.search(answer):
        return "date"
    if _NUMBER.search(answer):
        return "number"
    if not answer[:1].isupper():
        return "other"
    if _ASKS_PERSON.search(question):
        return "person"
    return "place" if _ASKS_PLACE.search(question) else "other"


_MONTHS = "january|february|march|april|may|june|july|august|september|october|november|december"
_DATE = re.compile(
    rf"\b(?:{_MONTHS})\b(?=\s?\d|$|,)|^(?:in\s)?(?:c\.\s?|around\s|about\s)?(?:1\d|20)\d\d(?:s|\sAD|\sCE)?$|\bcentur(?:y|ies)\b|"
    r"\d\s?(?:BCE?|AD|CE)\b|\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"\d|^(?:about |around |nearly |over |a |one )?(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|"
    r"twelve|\w+teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty(?:-\w+)?|half|dozen|hundred|thousand|million|billion)\b",
    re.IGNORECASE,
)
_ASKS_PERSON = re.compile(
    r"\bwho(?:m|se)?\b|\b(?:what|which)\s(?:\w+\s){0,3}?(?:author|writer|poet|painter|artist|composer|singer|actor|actress|"
    r"scientist|physicist|chemist|inventor|engineer|architect|explorer|king|queen|emperor|president|monk|god|man|woman)\b",
    re.IGNORECASE,
)
_ASKS_PLACE = re.compile(
    r"\bwhere\b|\b(?:what|which)\s(?:\w+\s){0,3}?(?:city|town|village|country|countries|nation|state|county|province|"
    r"continent|island|islands|river|lake|sea|ocean|mountain|mountains|desert|region|capital|place|port|district|volcano)\b|"
    r"\bcapital of\b",
    re.IGNORECASE,
)


def _item(page_id: str, pair: QuestionAnswer, aliases: Mapping[str, Sequence[str]]) -> _Item | Dropped:
    asked, words = normalised_words(pair.question), normalised_words(pair.answer)
    if not asked:
        return Dropped("no question", detail=pair.question)
    if not words:
        return Dropped("no answer", detail=pair.question)
    if len(words) > MAX_ANSWER_WORDS:
        return Dropped("answer too long", value=len(words), threshold=MAX_ANSWER_WORDS, detail=pair.question)
    others = [normalised_words(alias) for alias in aliases.get(pair.question, ())]
    return _Item(
        id=record_id("question", page_id, asked),
        page_id=page_id,
        pair=pair,
        kind=answer_kind(pair.question, pair.answer.strip()),
        is_name=pair.answer.strip()[:1].isupper(),
        asked=asked,
        words=words,
        accepted=(words, *filter(None, others)),
    )


def _question_once(
    item: _Item | Dropped, pool: Sequence[_Item], accepted: Mapping[Words, set[Words]], seen: set[Words], seed: int
) -> Question | Dropped:
    if isinstance(item, Dropped):
        return item
    if item.asked in seen:
        return Dropped("repeated question", detail=item.pair.question)
    seen.add(item.asked)
    return _question(item, pool, accepted[item.asked], seed)


def _question(item: _Item, pool: Sequence[_Item], accepted: set[Words], seed: int) -> Question | Dropped:
    order = stream(seed, item.id, "distractors").permutation(len(pool))
    chosen: list[_Item] = []
    relaxation = 0
    for level, candidate in _candidates(item, [pool[place] for place in order]):
        if _is_distractor(candidate, item, accepted, chosen):
            chosen.append(candidate)
            relaxation = level
        if len(chosen) == NUM_DISTRACTORS:
            return _arranged(item, chosen, relaxation, seed)
    return Dropped("too few distractors", value=len(chosen), threshold=NUM_DISTRACTORS, detail=item.pair.question)


def _candidates(item: _Item, drawn: Sequence[_Item]) -> Iterator[tuple[int, _Item]]:
    """The drawn items rule by rule, each with the number of the rule that lets it in."""
    same_kind = [other for other in drawn if _is_same_kind(other, item)]
    yield from ((0, other) for other in same_kind if _length_gap(item, other) <= LENGTH_TOLERANCE)
    yield from ((1, other) for other in same_kind if _length_gap(item, other) <= WIDE_LENGTH_TOLERANCE)
    yield from ((2, other) for other in same_kind)
    yield from ((3, other) for other in drawn if _length_gap(item, other) <= LENGTH_TOLERANCE)


def _is_same_kind(other: _Item, item: _Item) -> bool:
    return other.kind == item.kind and (item.kind != "other" or other.is_name == item.is_name)


def _length_gap(item: _Item, other: _Item) -> float:
    return abs(len(other.pair.answer) - len(item.pair.answer)) / len(item.pair.answer)


def _is_distractor(other: _Item, item: _Item, accepted: set[Words], chosen: Sequence[_Item]) -> bool:
    """Wrong for sure, unlike every other option, and not given away by the question."""
    if any(shares_words(other.words, answer) for answer in accepted):
        return False
    if any(shares_words(alias, item.words) for alias in other.accepted):
        return False
    if any(shares_words(other.words, option.words) for option in chosen):
        return False
    return not set(other.words) <= set(item.asked)


def _arranged(item: _Item, chosen: Sequence[_Item], relaxation: int, seed: int) -> Question:
    answers = [item.pair.answer.strip(), *(other.pair.answer.strip() for other in chosen)]
    order = stream(seed, item.id, "options").permutation(len(answers)).tolist()
    return Question(
        id=item.id,
        page_id=item.page_id,
        question=item.pair.question,
        options=tuple(answers[place] for place in order),
        gold=order.index(0),
        kind=item.kind,
        relaxation=relaxation,
    )
