"""Training speed of the quickstart's model, bf16 beside fp32."""

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Literal

from figure import Figure, at_least
from material import Material
from spelangy.recipe.settings import Recipe
from spelangy.tokens.span_store import SpanStore
from spelangy.train.config import TrainConfig
from spelangy.train.loop import train
from spelangy.train.rows import TrainingRows
from stage_tokens import quickstart, synthetic_store

Precision = Literal["bf16", "fp32"]
WARM_UP_STEPS = 2
NUM_STEPS = {True: 5, False: 27}
NUM_ROUNDS = {True: 2, False: 3}
"""In turns, so that a busy moment does not hit one precision alone."""


def figures(quick: bool) -> Iterator[Figure]:
    """All figures of this module."""
    with TemporaryDirectory() as folder:
        yield from training(Material(Path(folder), quick))


def training(material: Material) -> Iterator[Figure]:
    """The same, on the span store of the token stage where that ran before."""
    recipe, place = quickstart(), material.folder / "spans"
    store = SpanStore.open(place) if place.exists() else synthetic_store(material.folder, recipe)
    seen: dict[Precision, list[float]] = {"bf16": [], "fp32": []}
    for number in range(NUM_ROUNDS[material.quick]):
        for precision, speeds in seen.items():
            speeds += tokens_per_s(material, store, recipe, precision, number)
    yield Figure(
        name=f"training, quickstart's model, {recipe.train.threads} threads, bf16",
        value=median(seen["bf16"]),
        unit="tokens/s",
        goals=at_least([None]),
        peer="fp32",
        peer_value=median(seen["fp32"]),
    )


def tokens_per_s(
    material: Material, store: SpanStore, recipe: Recipe, precision: Precision, number: int
) -> list[float]:
    """Speed of each step after the first few of a fresh run, padding not counted."""
    num_steps = NUM_STEPS[material.quick]
    changes = {"precision": precision, "steps": num_steps, "warmup_steps": 1, "eval_every": 10**6}
    config = TrainConfig(**{**recipe.train.model_dump(), **changes, "checkpoint_every": 10**6})
    mixture = TrainingRows(store, recipe.tokens, config, recipe.seed).mixture()
    seen: list[float] = []
    train(
        config,
        rows_from=mixture.rows_from,
        heldout={},
        vocabulary=store.vocabulary,
        fingerprint=mixture.fingerprint,
        directory=material.folder / f"train-{precision}-{number}",
        on_step=lambda metrics: seen.append(metrics.tokens_per_s),
    )
    return seen[WARM_UP_STEPS:]
