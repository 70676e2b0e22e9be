"""Step ``eval``, and what others need to know of its results without loading a model."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from spelangy.engine.step import ArtefactStep, Inputs
from spelangy.evals.config import EvalSettings
from spelangy.train.config import TrainConfig

NUM_OPTIONS = 4
CHANCE = 1 / NUM_OPTIONS
ITEMS_FILE = "items.parquet"
SCORES_FILE = "scores.json"
ASSUMED_DISCORDANT_RATIO = 0.3
"""Share of items on which two models disagree, assumed for the minimal detectable difference."""


def eval_step(settings: EvalSettings, train: TrainConfig, seed: int) -> ArtefactStep:
    """Scores the recipe's model on its spoken questions under every condition of `evals.multiple_choice`."""

    def build(inputs: Inputs, directory: Path, report: Callable[[int, int], None]) -> Mapping[str, Any]:
        # PyTorch and transformers take seconds to import; a plan, or a run that reuses the scores, needs neither.
        from spelangy.evals.multiple_choice import score_model

        return score_model(inputs, directory, report, settings.norm, train, seed)

    return ArtefactStep(
        name="eval",
        version=1,
        config={"norm": settings.norm, "untrained": train.identity()},
        inputs=("questions/questions", "question-units/units", "question-heard/heard", "train", "text-tokenizer"),
        seed=seed,
        build=build,
    )
