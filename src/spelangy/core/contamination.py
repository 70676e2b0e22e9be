"""Which evaluation questions a training text contains: asked *before* an LLM or a synthesiser is paid for the text."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

MIN_N = 6
MAX_N = 13
"""Source: the paper's contiguous 6- to 13-gram matches."""

MIN_WHOLE_WORDS = 3
"""Shorter questions ("Why not?") stand in innocent texts: they cannot be tested."""

TEMPLATE_QUESTIONS = 3
"""An n-gram in so many questions ("what is the name of the") is the language's, not one question's."""

_APOSTROPHES = re.compile(r"['’‘ʼ]")
_NO_WORD = re.compile(r"[^\w]+|_+")

Words = tuple[str, ...]
Grade = Literal["template", "partial", "whole"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """A question found in a text.

    Attributes:
        index: Position of the question among those of the index.
        num_words: Length of the longest run of its words found.
        n: The largest n of 6…13 that the run holds (`num_words` itself for a short question found whole).
        matched: The run.
        grade: ``whole`` question, ``partial``, or ``template`` where the run is common to three questions or more.
    """

    index: int
    question: str
    num_words: int
    n: int
    matched: str
    grade: Grade


def normalised_words(text: str) -> Words:
    """NFKC, lower case, apostrophes closed up, all other punctuation gone."""
    plain = _APOSTROPHES.sub("", unicodedata.normalize("NFKC", text).lower())
    return tuple(_NO_WORD.sub(" ", plain).split())


def _ngrams(words: Words, n: int) -> Iterator[tuple[int, Words]]:
    return ((start, words[start : start + n]) for start in range(len(words) - n + 1))


class QuestionIndex:
    """Contiguous n-grams of questions; questions shorter than `min_n` words are found only whole.

    Args:
        questions: Evaluation questions (or question + answer texts).
        min_n: Shortest run of words that counts.
        max_n: Longest n that is told apart.
    """

    def __init__(self, questions: Iterable[str], *, min_n: int = MIN_N, max_n: int = MAX_N) -> None:
        assert 1 <= min_n <= max_n
        self.questions = tuple(questions)
        self.min_n, self.max_n = min_n, max_n
        self._words: list[Words] = [normalised_words(question) for question in self.questions]
        self._places: dict[Words, list[tuple[int, int]]] = defaultdict(list)
        for index, words in enumerate(self._words):
            for start, gram in _ngrams(words, self._key_length(words)):
                self._places[gram].append((index, start))
        self._lengths = sorted({len(gram) for gram in self._places})
        # Of grams that texts turned out to hold:
        self._counts: dict[Words, int] = {}
        self._by_next: dict[Words, dict[str, list[tuple[int, int]]]] = {}

    def _key_length(self, words: Words) -> int:
        return min(self.min_n, max(len(words), MIN_WHOLE_WORDS))

    def eligible_ratio(self, n: int) -> float:
        """Share of the questions with at least `n` words: the only ones an n-gram can be found of."""
        return sum(len(words) >= n for words in self._words) / max(1, len(self._words))

    def hits(self, text: str, *, templates: bool = True) -> list[Hit]:
        """The questions of which `text` holds a run of words, each with its longest run, by index.

        Args:
            templates: Whether hits of grade ``template`` are wanted, too; thousands of questions share some runs.
                Without them a question is told with its longest run that is none.
        """
        words = normalised_words(text)
        longest: dict[int, Words] = {}
        for length in self._lengths:
            for start, gram in _ngrams(words, length):
                for index, place in self._found(gram, words, start, templates):
                    run = self._run(words, start, index, place)
                    is_longer = len(run) > len(longest.get(index, ()))
                    if is_longer and (templates or self._grade(index, run) != "template"):
                        longest[index] = run
        return [self._hit(index, run) for index, run in sorted(longest.items())]

    def _found(self, gram: Words, words: Words, start: int, templates: bool) -> Iterator[tuple[int, int]]:
        """Where `gram` stands in the questions; without templates only where a longer run, or a whole question, may be.

        A run that ends with a gram of three questions is a template, whichever of them it is.
        """
        places = self._places.get(gram, [])
        if templates or len(places) < TEMPLATE_QUESTIONS or self._num_questions(gram) < TEMPLATE_QUESTIONS:
            yield from places
            return
        by_next = self._by_next.setdefault(gram, {}) or self._group(gram, places)
        yield from by_next.get("", ())
        yield from by_next.get(words[start + len(gram)], ()) if start + len(gram) < len(words) else ()

    def _group(self, gram: Words, places: Sequence[tuple[int, int]]) -> dict[str, list[tuple[int, int]]]:
        """The places of a gram by the word behind it, which is empty where a question ends."""
        grouped = self._by_next[gram]
        for index, place in places:
            rest = self._words[index][place + len(gram) :]
            grouped.setdefault(rest[0] if rest else "", []).append((index, place))
        return grouped

    def _run(self, words: Words, start: int, index: int, place: int) -> Words:
        """The common run that begins at `words[start]` and at `place` of the question."""
        question = self._words[index]
        length = 0
        while place + length < len(question) and start + length < len(words):
            if question[place + length] != words[start + length]:
                break
            length += 1
        return question[place : place + length]

    def _hit(self, index: int, run: Words) -> Hit:
        n = min(len(run), self.max_n)
        return Hit(
            index=index,
            question=self.questions[index],
            num_words=len(run),
            n=n,
            matched=" ".join(run),
            grade=self._grade(index, run),
        )

    def _grade(self, index: int, run: Words) -> Grade:
        if len(run) == len(self._words[index]):
            return "whole"
        grams = _ngrams(run, min(len(run), self.max_n))
        num_questions = min(self._num_questions(gram) for _, gram in grams)
        return "template" if num_questions >= TEMPLATE_QUESTIONS else "partial"

    def _num_questions(self, gram: Words) -> int:
        """How many questions hold `gram`: counted where it begins as the index knows it, and once."""
        if gram not in self._counts:
            places = self._places.get(gram[: self.min_n], ())
            holding = {index for index, start in places if self._words[index][start : start + len(gram)] == gram}
            self._counts[gram] = len(holding)
        return self._counts[gram]


def shares_words(left: Sequence[str], right: Sequence[str]) -> bool:
    """Whether one of two word lists holds all the words of the other: ``nile`` and ``river nile`` may be one answer."""
    return set(left) <= set(right) or set(right) <= set(left)
