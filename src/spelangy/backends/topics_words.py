"""Topics of pages by their words: a linear model over a fixed vocabulary, shipped with the package.

Shape legend: N pages; T = 24 topics; V words of the vocabulary.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from importlib import resources
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from spelangy.backends.protocols import ModelInfo
from spelangy.core.hashing import digest_bytes
from spelangy.core.topics import TOPICS

MODEL_FILE = "topics_words.npz"
MAX_CHARS = 10_000
"""What is read of a page: as much as it was trained on."""

_WORD = re.compile(r"\w\w+")


class WordTopics:
    """Says which of the 24 topics of WebOrganizer a page is about, from the words it holds; no order, no address.

    About 4,600 pages a second on one core (median page: 2,000 characters). Probabilities are calibrated for pages of
    all topics in equal number. A page in another language than English gets an answer that means nothing; one without
    any known word is about as likely of each topic.

    Source: ours; a logistic regression on 10,892 pages. What it was trained on and how often it is right:
    ``docs/models/topics-words.md``; how it is made: ``benchmarks/train_topics.py``.
    """

    topics: tuple[str, ...] = TOPICS

    def __init__(self) -> None:
        self.info = self.describe()
        with np.load(BytesIO(_content()), allow_pickle=False) as model:
            words = model["words"].tobytes().decode().split("\n")
            self._rows = {word: row for row, word in enumerate(words)}
            self._idf_V = model["idf"].astype(np.float64)
            self._weights_VT = model["weights"].astype(np.float64) * model["scales"].astype(np.float64)
            self._bias_T = model["bias"].astype(np.float64)

    @classmethod
    @cache
    def describe(cls) -> ModelInfo:
        """Which model this is; its revision is its content."""
        return ModelInfo(
            role="topics",
            name="words",
            revision=f"sha256:{digest_bytes(_content())[:16]}",
            licence="Apache-2.0",
            origin="spelangy",
        )

    def classify(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Probabilities of `topics`, shape [N, T]; each page on its own."""
        if not texts:
            return np.zeros((0, len(self.topics)), np.float32)
        return np.stack([self._probabilities(text) for text in texts]).astype(np.float32)

    def _probabilities(self, text: str) -> NDArray[np.float64]:
        counts = Counter(words_of(text))
        known = sorted(
            (row, 1.0 + math.log(count)) for word, count in counts.items() if (row := self._rows.get(word)) is not None
        )
        logits_T = self._bias_T.copy()
        if known:
            rows = np.array([row for row, _ in known])
            tf_idf = np.array([value for _, value in known]) * self._idf_V[rows]
            # A sum over the first axis adds row to row in order, on any machine; a matrix product need not.
            logits_T += (self._weights_VT[rows] * tf_idf[:, None]).sum(axis=0) / math.sqrt(math.fsum(tf_idf**2))
        exponents = np.exp(logits_T - logits_T.max())
        return np.asarray(exponents / exponents.sum())


def _content() -> bytes:
    return resources.files("spelangy.backends").joinpath(MODEL_FILE).read_bytes()


def words_of(text: str) -> list[str]:
    """The words that the model counts: two letters or digits and more, in lower case."""
    return _WORD.findall(text[:MAX_CHARS].lower())
