"""One trained text tokenizer and one store of mixed documents, shared by the tests of this room."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from spelangy.tokens.span_store import SpanStore, StoredDocument, StoredSpan
from spelangy.tokens.store_writer import write_span_store
from spelangy.tokens.text_tokenizer import TextTokenizer, train_text_tokenizer
from spelangy.tokens.vocabulary import Vocabulary

WORDS = [
    "the",
    "harbour",
    "town",
    "keeps",
    "a",
    "lamp",
    "burning",
    "all",
    "night",
    "nobody",
    "can",
    "say",
    "who",
    "why",
]
CODEBOOK_SIZE = 50
SPEECH_DOCUMENTS, TEXT_DOCUMENTS = 24, 8

StoreMaker = Callable[[Path, Iterable[StoredDocument]], SpanStore]


def sentence(rng: np.random.Generator) -> str:
    return " ".join(rng.choice(WORDS, size=rng.integers(1, 9))).capitalize() + "."


def speech_document(rng: np.random.Generator, number: int) -> StoredDocument:
    """Two speakers, four roles; one span in ten is too short for a frame and has no units."""
    spans, start = [], 0
    for _ in range(int(rng.integers(1, 14))):
        num_units = 0 if rng.random() < 0.1 else int(rng.integers(1, 60))
        end = start + max(num_units * 1280, 300)
        spans.append(
            StoredSpan(
                units=rng.integers(0, CODEBOOK_SIZE, num_units).astype(np.uint16),
                text=sentence(rng),
                start=start,
                end=end,
                speaker=f"S{rng.integers(2)}",
                role=str(rng.choice(["speech", "question", "reasoning", "answer"], p=[0.7, 0.1, 0.1, 0.1])),
                confidence=float(rng.random()),
            )
        )
        start = end
    return StoredDocument(id=f"speech-{number}", source="crawl" if number % 2 else "quest", spans=tuple(spans))


def text_document(rng: np.random.Generator, number: int) -> StoredDocument:
    spans = [text_span(sentence(rng)) for _ in range(int(rng.integers(1, 20)))]
    return StoredDocument(id=f"text-{number}", source="text", spans=tuple(spans))


def text_span(text: str) -> StoredSpan:
    nothing = np.zeros(0, dtype=np.uint16)
    return StoredSpan(units=nothing, text=text, start=0, end=0, speaker="", role="text", confidence=1.0)


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> TextTokenizer:
    rng = np.random.default_rng(0)
    texts = [f" {sentence(rng)}" for _ in range(300)]
    return train_text_tokenizer(texts, 300, tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="session")
def vocabulary(tokenizer: TextTokenizer) -> Vocabulary:
    return Vocabulary(text_size=tokenizer.size, codebook_size=CODEBOOK_SIZE)


@pytest.fixture(scope="session")
def make_store(tokenizer: TextTokenizer, vocabulary: Vocabulary) -> StoreMaker:
    def make(directory: Path, documents: Iterable[StoredDocument]) -> SpanStore:
        write_span_store(
            directory, documents, text_tokenizer=tokenizer, vocabulary=vocabulary, speech_tokenizer_digest="f" * 64
        )
        return SpanStore.open(directory)

    return make


@pytest.fixture(scope="session")
def documents() -> list[StoredDocument]:
    rng = np.random.default_rng(1)
    spoken = [speech_document(rng, number) for number in range(SPEECH_DOCUMENTS)]
    return spoken + [text_document(rng, number) for number in range(TEXT_DOCUMENTS)]


@pytest.fixture(scope="session")
def store(
    make_store: StoreMaker, documents: list[StoredDocument], tmp_path_factory: pytest.TempPathFactory
) -> SpanStore:
    return make_store(tmp_path_factory.mktemp("stores") / "mixed", documents)
