"""Which evaluation questions a training text contains: asked *before* an LLM or a synthesiser is paid for the text."""

import re
import unicodedata
from collections import Counter, defaultdict
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
        self._num_questions = Counter(gram for words in self._words for gram in self._all_grams(words))

    def _key_length(self, words: Words) -> int:
        return min(self.min_n, max(len(words), MIN_WHOLE_WORDS))

    def _all_grams(self, words: Words) -> set[Words]:
        return {gram for n in range(self.min_n, self.max_n + 1) for _, gram in _ngrams(words, n)}

    def eligible_ratio(self, n: int) -> float:
        """Share of the questions with at least `n` words: the only ones an n-gram can be found of."""
        return sum(len(words) >= n for words in self._words) / max(1, len(self._words))

    def hits(self, text: str) -> list[Hit]:
        """The questions of which `text` holds a run of words, each with its longest run, by index."""
        words = normalised_words(text)
        longest: dict[int, Words] = {}
        for length in self._lengths:
            for start, gram in _ngrams(words, length):
                for index, place in self._places.get(gram, ()):
                    run = self._run(words, start, index, place)
                    if len(run) > len(longest.get(index, ())):
                        longest[index] = run
        return [self._hit(index, run) for index, run in sorted(longest.items())]

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
            grade=self._grade(index, run, n),
        )

    def _grade(self, index: int, run: Words, n: int) -> Grade:
        if len(run) == len(self._words[index]):
            return "whole"
        num_questions = min(self._num_questions[gram] for _, gram in _ngrams(run, n))
        return "template" if num_questions >= TEMPLATE_QUESTIONS else "partial"


def shares_words(left: Sequence[str], right: Sequence[str]) -> bool:
    """Whether one of two word lists holds all the words of the other: ``nile`` and ``river nile`` may be one answer."""
    return set(left) <= set(right) or set(right) <= set(left)
