"""The whole path as one pipeline: the rooms meet here, and only here, as tables."""

from spelangy.curate.path import curate_steps
from spelangy.engine.pipeline import Pipeline
from spelangy.engine.step import Step
from spelangy.recipe.settings import Recipe
from spelangy.store.objects import Store


def recipe_pipeline(recipe: Recipe, store: Store) -> Pipeline:
    """Every step that `recipe` describes, in order."""
    steps: list[Step] = curate_steps(recipe.curate, store.audio)
    return Pipeline(recipe.name, steps)
