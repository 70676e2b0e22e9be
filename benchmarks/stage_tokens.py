"""Speech and text tokens: log-mel, units, and the rendering of packed rows from a span store."""

from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from figure import Figure, at_least
from material import Material
from measure import loaded, repeated
from spelangy.recipe.load import load_recipe
from spelangy.recipe.settings import Recipe
from spelangy.tokens.features import log_mel
from spelangy.tokens.kmeans import KMeansTokenizer
from spelangy.tokens.packing import PackedRow
from spelangy.tokens.span_store import SpanStore, StoredDocument, StoredSpan
from spelangy.tokens.store_writer import write_span_store
from spelangy.tokens.text_tokenizer import leading_space, train_text_tokenizer
from spelangy.tokens.units import EncodeTurns
from spelangy.tokens.vocabulary import Vocabulary
from spelangy.train.rows import TrainingRows

QUICKSTART = Path(__file__).parent.parent / "recipes" / "quickstart.toml"
PACKED_TOKENS_PER_S = 1_000_000
NUM_ROWS = 2_000
SPANS_PER_DOCUMENT = {"text": 14, "krist": 12, "quest": 6, "crawl": 9}
"""Mean number of spans, as in the quickstart's store."""

DOCUMENTS = {"text": 300, "krist": 300, "quest": 300, "crawl": 30}
MEAN_WORDS, MEAN_UNITS_PER_WORD = 14, 4.4
"""A sentence; speech at 2.8 words a second and 12.5 units a second."""


def figures(quick: bool) -> Iterator[Figure]:
    """All figures of this module."""
    with TemporaryDirectory() as folder:
        yield from tokens(Material(Path(folder), quick))


def tokens(material: Material) -> Iterator[Figure]:
    """The same, on material that earlier stages have brought in."""
    yield from _log_mel(material)
    yield from _units(material)
    yield from _packing(material)


def quickstart() -> Recipe:
    """The recipe whose sizes the benchmarks take."""
    return load_recipe(QUICKSTART)


def _log_mel(material: Material) -> Iterator[Figure]:
    log_mel(material.waves[0][:16_000])
    took_s, _ = repeated(lambda: [log_mel(wave_S) for wave_S in material.waves], budget_s=1.0, max_repeats=5)
    yield Figure(name="log-mel", value=took_s / material.duration_s, unit="RTF")


def _units(material: Material) -> Iterator[Figure]:
    directory = material.folder / "kmeans"
    settings = quickstart().tokens
    KMeansTokenizer.train(material.waves, codebook_size=settings.codebook_size, seed=0).save(directory)
    items = [
        {
            **{name: value for name, value in asdict(recording).items() if name in ("id", "audio", "num_samples")},
            "turns": [asdict(turn) for turn in material.turns if turn.recording_id == recording.id],
        }
        for recording in material.recordings
    ]
    short: dict[str, Any] = {**items[0], "turns": items[0]["turns"][:1]}
    worker, load_s = loaded(
        lambda: EncodeTurns(material.audio, settings.speech_tokenizer.name, directory), lambda worker: worker(short)
    )
    took_s, _ = repeated(lambda: [worker(item) for item in items], budget_s=1.0, max_repeats=5)
    yield Figure(name="units kmeans-logmel", value=took_s / material.duration_s, unit="RTF")
    yield Figure(name="units kmeans-logmel, load", value=load_s, unit="s")


def _packing(material: Material) -> Iterator[Figure]:
    recipe = quickstart()
    store = synthetic_store(material.folder, recipe)
    took_s, rows = repeated(lambda: list(_rows(store, recipe)), budget_s=1.0, max_repeats=3)
    num_tokens = sum(int((row.document >= 0).sum()) for row in rows)
    goals = at_least([PACKED_TOKENS_PER_S])
    yield Figure(name="span store, plan + render + pack", value=num_tokens / took_s, unit="tokens/s", goals=goals)


def _rows(store: SpanStore, recipe: Recipe) -> Iterator[PackedRow]:
    """The first rows of a run, from an opened store: what the trainer asks for."""
    return islice(TrainingRows(store, recipe.tokens, recipe.train, recipe.seed).mixture().rows_from(0), NUM_ROWS)


def synthetic_store(folder: Path, recipe: Recipe) -> SpanStore:
    """A span store with made-up words and units in the quickstart's lengths and sources, at ``folder/spans``."""
    rng = np.random.default_rng(0)
    documents = [
        _document(rng, source, number, recipe.tokens.codebook_size)
        for source, num_documents in DOCUMENTS.items()
        for number in range(num_documents)
    ]
    texts = (leading_space(span.text) for document in documents for span in document.spans)
    tokenizer = train_text_tokenizer(texts, recipe.tokens.text_vocabulary_size, folder / "text-tokenizer")
    write_span_store(
        folder / "spans",
        documents,
        text_tokenizer=tokenizer,
        vocabulary=Vocabulary(text_size=tokenizer.size, codebook_size=recipe.tokens.codebook_size),
        speech_tokenizer_digest="0" * 64,
    )
    return SpanStore.open(folder / "spans")


def _document(rng: np.random.Generator, source: str, number: int, codebook_size: int) -> StoredDocument:
    num_spans = 1 + int(rng.poisson(SPANS_PER_DOCUMENT[source] - 1))
    spans = tuple(_span(rng, source, codebook_size) for _ in range(num_spans))
    return StoredDocument(id=f"{source}-{number}", source=source, spans=spans)


def _span(rng: np.random.Generator, source: str, codebook_size: int) -> StoredSpan:
    num_words = 1 + int(rng.poisson(MEAN_WORDS - 1))
    num_units = 0 if source == "text" else int(num_words * MEAN_UNITS_PER_WORD)
    return StoredSpan(
        units=rng.integers(0, codebook_size, num_units).astype(np.uint16),
        text=" ".join(_word(rng) for _ in range(num_words)) + ".",
        start=0,
        end=num_units * 1_280,
        speaker="" if source == "text" else "S0",
        role="text" if source == "text" else "speech",
        confidence=1.0,
    )


def _word(rng: np.random.Generator) -> str:
    """A word of a Zipf-like vocabulary, spelt from its rank."""
    rank = min(int(rng.zipf(1.3)), 20_000)
    syllables = ("ba", "con", "di", "er", "fo", "ges", "in", "lo", "mu", "ta")
    return "".join(syllables[int(digit)] for digit in str(rank))
