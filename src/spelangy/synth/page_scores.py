"""Step ``page-scores``: what can be said of each page's text before anything is decided about it.

scores   a page: its topic, the measurements that the text-quality rules look at, and the share of the rules it keeps
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from spelangy.backends.load import create, identity
from spelangy.backends.protocols import TopicClassifier
from spelangy.core.contamination import normalised_words
from spelangy.core.hashing import record_id
from spelangy.core.records import PageScores
from spelangy.core.settings import BackendChoice
from spelangy.engine.step import Item, Produced, TableStep
from spelangy.synth.config import SynthSettings

STOP_WORDS = frozenset(("the", "be", "to", "of", "and", "that", "have", "with"))
SHORT_LINE_CHARS = 30
_BULLETS = ("•", "‣", "▪", "▫", "◦", "●", "○", "■", "□", "- ", "* ", "– ")
_ELLIPSES = ("...", "…")
_ENDS = (".", "!", "?", "…", '"', "'", "”", "’")
_SENTENCE_END = re.compile(r"[.!?]+[\"'”’)\]]*(?=\s|\Z)")
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True, kw_only=True)
class TextRule:
    """A page keeps the rule when the measurement lies within [`least`, `most`]."""

    measure: str
    least: float = float("-inf")
    most: float = float("inf")
    source: str

    def is_kept(self, measured: Mapping[str, float]) -> bool:
        return self.least <= measured[self.measure] <= self.most


_GOPHER = "Gopher (Rae et al. 2021, arXiv:2112.11446, appendix A.1)"
_C4 = "C4 (Raffel et al. 2020, JMLR 21, section 2.2)"
_FINEWEB = "FineWeb (Penedo et al. 2024, arXiv:2406.17557, section 3.6)"

RULES = (
    TextRule(measure="num_words", least=50, most=100_000, source=_GOPHER),
    TextRule(measure="mean_word_length", least=3, most=10, source=_GOPHER),
    TextRule(measure="symbol_ratio", most=0.1, source=_GOPHER),
    TextRule(measure="alphabetic_ratio", least=0.8, source=_GOPHER),
    TextRule(measure="num_stop_words", least=2, source=_GOPHER),
    TextRule(measure="bullet_ratio", most=0.9, source=_GOPHER),
    TextRule(measure="ellipsis_ratio", most=0.3, source=_GOPHER),
    TextRule(measure="duplicate_line_ratio", most=0.3, source=_GOPHER),
    TextRule(measure="top_bigram_ratio", most=0.2, source=_GOPHER),
    TextRule(measure="num_sentences", least=3, source=_C4),
    TextRule(measure="has_placeholder", most=0, source=_C4),
    TextRule(measure="punctuated_ratio", least=0.12, source=_FINEWEB),
    TextRule(measure="short_line_ratio", most=0.67, source=_FINEWEB),
    TextRule(measure="duplicate_character_ratio", most=0.1, source=_FINEWEB),
)
"""Gopher's rules on whole documents and two of its repetitions, C4's on whole pages, FineWeb's own three.

Left out: those that judge lines apart, bad words, and Gopher's longer n-grams, which cost more than all the others.
"""


class ScorePage:
    """Measures one page."""

    def __init__(self, choice: BackendChoice | None) -> None:
        self.classifier: TopicClassifier | None = create("topics", choice) if choice else None

    def __call__(self, item: Item) -> Produced:
        topic, probability = self._topic(f"{item['title']}\n{item['text']}")
        measured = measure_text(item["text"])
        scores = PageScores(
            id=item["id"],
            topic=topic,
            topic_probability=probability,
            quality=sum(rule.is_kept(measured) for rule in RULES) / len(RULES),
            text_id=text_id(item["text"]),
            **measured,
        )
        return Produced(records={"measures": [scores]})

    def _topic(self, text: str) -> tuple[str, float]:
        if self.classifier is None:
            return "", 0.0
        probabilities_T = self.classifier.classify([text])[0]
        likeliest = int(probabilities_T.argmax())
        return self.classifier.topics[likeliest], float(probabilities_T[likeliest])


def text_id(text: str) -> str:
    """Equal for texts of the same words in the same order."""
    return record_id("text", " ".join(normalised_words(text)))


def measure_text(text: str) -> dict[str, Any]:
    """The measurements of `core.records.PageScores` by name; of an empty text all are 0."""
    words = text.split()
    return {
        **_word_measures(text, words),
        **_line_measures([line.strip() for line in text.split("\n") if line.strip()]),
    }


def _word_measures(text: str, words: Sequence[str]) -> dict[str, Any]:
    num_symbols = text.count("#") + text.count("...") + text.count("…")
    return {
        "num_words": len(words),
        "mean_word_length": _ratio(sum(map(len, words)), len(words)),
        "symbol_ratio": _ratio(num_symbols, len(words)),
        "alphabetic_ratio": _ratio(sum(map(bool, map(_LETTER.search, words))), len(words)),
        "num_stop_words": len(STOP_WORDS.intersection(text.lower().split())),
        "num_sentences": sum(1 for _ in _SENTENCE_END.finditer(text)),
        "top_bigram_ratio": _top_bigram_ratio(words),
        "has_placeholder": "{" in text or "lorem ipsum" in text.lower(),
    }


def _top_bigram_ratio(words: Sequence[str]) -> float:
    """A pair that stands once repeats nothing."""
    counts = Counter(pairwise(words))
    taken = max(((len(a) + len(b)) * count for (a, b), count in counts.items() if count > 1), default=0)
    return min(1.0, _ratio(taken, sum(map(len, words))))


def _line_measures(lines: Sequence[str]) -> dict[str, Any]:
    num_chars = sum(map(len, lines))
    repeated = _repeated(lines)
    return {
        "bullet_ratio": _ratio(sum(line.startswith(_BULLETS) for line in lines), len(lines)),
        "ellipsis_ratio": _ratio(sum(line.endswith(_ELLIPSES) for line in lines), len(lines)),
        "punctuated_ratio": _ratio(sum(line.endswith(_ENDS) for line in lines), len(lines)),
        "short_line_ratio": _ratio(sum(len(line) <= SHORT_LINE_CHARS for line in lines), len(lines)),
        "duplicate_line_ratio": _ratio(len(repeated), len(lines)),
        "duplicate_character_ratio": _ratio(sum(map(len, repeated)), num_chars),
    }


def _repeated(lines: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    # `add` gives None: a line is kept when it was there before, and remembered when not.
    return [line for line in lines if line in seen or seen.add(line)]  # type: ignore[func-returns-value]


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def page_scores_step(settings: SynthSettings) -> TableStep:
    """Topic and text quality of all pages; ``synth.select.classifier`` names the model, none: no topics."""
    choice = settings.select.classifier
    return TableStep(
        name="page-scores",
        version=1,
        config={"classifier": identity("topics", choice) if choice else None},
        inputs=("pages",),
        outputs={"measures": PageScores},
        items=lambda inputs: inputs.table("pages").select(["id", "title", "text"]),
        worker=lambda _: partial(ScorePage, choice),
        loads_model=choice is not None,
        shard_items=1024,
    )
