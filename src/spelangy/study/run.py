"""Runs a study and compares its arms: per-item means over seeds, paired tests over items, never pooled seeds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from spelangy.engine.daft_runner import RunnerSettings
from spelangy.engine.pipeline import FinishedStep
from spelangy.engine.progress import StepProgress
from spelangy.evals.statistics import holm, minimal_detectable_difference, paired_bootstrap, sign_flip, wilson
from spelangy.evals.step import ASSUMED_DISCORDANT_RATIO, ITEMS_FILE
from spelangy.recipe.path import recipe_pipeline
from spelangy.store.objects import Store
from spelangy.study.arms import MIN_SEEDS_FOR_A_CLAIM, Study

CONDITION = "spoken"


@dataclass(frozen=True, kw_only=True)
class ArmResult:
    """One arm, its seeds averaged.

    Attributes:
        accuracy: Mean over items of the mean over seeds, spoken condition; Wilson 95 % over items.
        heldout_text_nats: Text loss of interleaved held-out documents, mean over seeds.
        seed_spread: Highest minus lowest accuracy among the seeds.
    """

    arm: str
    num_items: int
    num_seeds: int
    accuracy: float
    low_95: float
    high_95: float
    seed_spread: float
    heldout_text_nats: float | None

    def to_row(self) -> dict[str, Any]:
        return {name: "" if value is None else value for name, value in asdict(self).items()}


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """One arm against the first: difference in points, bootstrap interval over items, sign-flip p, Holm-corrected."""

    arm: str
    against: str
    difference_points: float
    low_95: float
    high_95: float
    p_value: float
    p_holm: float

    def to_row(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """What a study found, and what it could not have found."""

    arms: tuple[ArmResult, ...]
    contrasts: tuple[Contrast, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def run_study(study: Study, store: Store, settings: RunnerSettings, note: Callable[[str], None]) -> StudyResult:
    """Runs every arm with every seed; what is stored already is reused."""
    credits: dict[str, list[NDArray[np.float64]]] = {arm: [] for arm in study.arms}
    losses: dict[str, list[float]] = {arm: [] for arm in study.arms}
    for (arm, seed), recipe in study.recipes.items():
        note(f"arm {arm}, seed {seed}")
        finished = recipe_pipeline(recipe, store).upto("eval").run(store, settings, StepProgress(quiet=True))
        credits[arm].append(item_credits(store, finished["eval"]))
        losses[arm] += _heldout_text(finished["train"])
    return compare(study.arms, credits, losses)


def item_credits(store: Store, finished: FinishedStep) -> NDArray[np.float64]:
    """Credit of every item under the spoken condition, in order of item id."""
    items = pq.read_table(store.directory(finished.stored.key) / ITEMS_FILE).sort_by("id").to_pylist()
    return np.array([item["credit"] for item in items if item["condition"] == CONDITION], dtype=np.float64)


def _heldout_text(finished: FinishedStep) -> list[float]:
    heldout: Mapping[str, Mapping[str, float | None]] = finished.stored.circumstances["summary"]["heldout_nats"]
    loss = heldout.get("interleaved", {}).get("text")
    return [] if loss is None else [loss]


def compare(
    arms: Sequence[str], credits: Mapping[str, Sequence[NDArray[np.float64]]], losses: Mapping[str, Sequence[float]]
) -> StudyResult:
    """Arms and contrasts from the credits of (arm, seed) runs on the same items."""
    means = {arm: np.mean(credits[arm], axis=0) for arm in arms}
    raw = [_contrast(arms[0], arm, means) for arm in arms[1:]]
    corrected = holm([contrast.p_value for contrast in raw])
    contrasts = [
        Contrast(**{**asdict(contrast), "p_holm": p_value}) for contrast, p_value in zip(raw, corrected, strict=True)
    ]
    return StudyResult(
        arms=tuple(_arm_result(arm, credits[arm], losses[arm]) for arm in arms),
        contrasts=tuple(contrasts),
        notes=tuple(_notes(len(means[arms[0]]), len(credits[arms[0]]))),
    )


def _arm_result(arm: str, credits: Sequence[NDArray[np.float64]], losses: Sequence[float]) -> ArmResult:
    mean = np.mean(credits, axis=0)
    by_seed = [float(values.mean()) for values in credits]
    interval = wilson(float(mean.sum()), len(mean))
    return ArmResult(
        arm=arm,
        num_items=len(mean),
        num_seeds=len(credits),
        accuracy=float(mean.mean()),
        low_95=interval.low,
        high_95=interval.high,
        seed_spread=max(by_seed) - min(by_seed),
        heldout_text_nats=float(np.mean(losses)) if losses else None,
    )


def _contrast(base: str, arm: str, means: Mapping[str, NDArray[np.float64]]) -> Contrast:
    interval = paired_bootstrap(means[base], means[arm])
    p_value = sign_flip(means[base], means[arm])
    return Contrast(
        arm=arm,
        against=base,
        difference_points=100 * interval.difference,
        low_95=100 * interval.low,
        high_95=100 * interval.high,
        p_value=p_value,
        p_holm=p_value,
    )


def _notes(num_items: int, num_seeds: int) -> Sequence[str]:
    smallest = minimal_detectable_difference(num_items, ASSUMED_DISCORDANT_RATIO)
    power = (
        f"With {num_items} items, a true difference below {smallest:.1f} points would be missed more than one time in "
        f"five (power .8, {ASSUMED_DISCORDANT_RATIO:.0%} of items discordant)."
    )
    seeds = f"{num_seeds} seed(s): fewer than {MIN_SEEDS_FOR_A_CLAIM} allow no claim about a recipe."
    return [power, seeds] if num_seeds < MIN_SEEDS_FOR_A_CLAIM else [power]
