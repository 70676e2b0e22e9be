"""A study: one base recipe, arms that each change a few keys of it, and seeds.

    base = "quickstart.toml"
    seeds = [0, 1, 2]

    [arms.deterministic]                    # the first arm is the one the others are compared with
    [arms.stochastic]
    "tokens.interleave.plan" = "stochastic"

All arms share one store: what an arm does not change is not computed again, so every arm hears the very same tokens.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from json import dumps
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from spelangy.core.errors import UserError
from spelangy.core.settings import Settings
from spelangy.recipe.load import load_recipe
from spelangy.recipe.settings import Recipe

MIN_SEEDS_FOR_A_CLAIM = 3


class StudySettings(Settings):
    """What a study file can say.

    Attributes:
        base: The base recipe, beside the study file.
        seeds: Training seeds; fewer than three allow no claim about a recipe, and the result says so.
        arms: Dotted recipe keys and their values, by arm.
    """

    base: str
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1)
    arms: dict[str, dict[str, Any]] = Field(min_length=2)


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study read from its file: every run's recipe by (arm, seed)."""

    name: str
    seeds: tuple[int, ...]
    arms: tuple[str, ...]
    recipes: dict[tuple[str, int], Recipe]


def load_study(path: Path) -> Study:
    """Reads a study and the recipe of each of its runs.

    Raises:
        UserError: When the file is missing or says something a study cannot say, or an arm names a wrong key.
    """
    try:
        settings = StudySettings.model_validate(tomllib.loads(path.read_text()))
    except OSError as error:
        raise UserError(f"study {path}: {error.strerror}", hint="recipes/study-interleaving.toml is one") from error
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise UserError(f"study {path}: {error}", hint="recipes/study-interleaving.toml is one") from error
    recipes = {
        (arm, seed): _arm_recipe(path, settings, arm, changes, seed)
        for arm, changes in settings.arms.items()
        for seed in settings.seeds
    }
    return Study(name=path.stem, seeds=settings.seeds, arms=tuple(settings.arms), recipes=recipes)


def _arm_recipe(path: Path, settings: StudySettings, arm: str, changes: dict[str, Any], seed: int) -> Recipe:
    name = re.sub(r"[^A-Za-z0-9_-]", "-", f"study-{path.stem}-{arm}-{seed}")
    overrides = [*_dotted(changes), ("name", name), ("train.seed", seed)]
    try:
        return load_recipe(path.parent / settings.base, [f"{key}={_toml(value)}" for key, value in overrides])
    except UserError as error:
        raise UserError(f"study {path}, arm {arm!r}: {error.message}", hint=error.hint) from error


def _dotted(changes: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Keys and values, whether a table's keys were written out with dots and quotes or as tables in tables."""
    for key, value in changes.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _toml(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{dumps(key)} = {_toml(inner)}" for key, inner in value.items()) + "}"
    return dumps(value)  # strings, numbers and truth values are written alike in JSON and in TOML
