"""Weights may be fetched where a recipe allows it, before any step is made, and nowhere else."""

from pathlib import Path

import pytest

from spelangy.backends import weights
from spelangy.core.errors import UserError
from spelangy.recipe.load import recipe_from
from spelangy.recipe.path import recipe_pipeline
from spelangy.recipe.settings import Recipe
from spelangy.store.objects import Store


def recipe(*, allow_network: bool) -> Recipe:
    curate = {"sources": [{"uris": ["nowhere.wav"]}], "asr": ["whisper-tiny-en"]}
    return recipe_from({"name": "x", "allow_network": allow_network, "curate": curate}, where="test")


@pytest.fixture
def no_weights_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetched(entry: weights.WeightsEntry, hub: weights.HubPin) -> Path:
        raise UserError(f"asked {hub.repo}")

    monkeypatch.setattr(weights, "_missing_wheels", lambda entry: "gone" if entry.name == "whisper-tiny-en" else "")
    monkeypatch.setattr(weights, "_hub_cache_directory", lambda entry: None)
    monkeypatch.setattr(weights, "_download", fetched)


@pytest.mark.usefixtures("no_weights_here")
def test_the_hub_is_asked_only_where_the_recipe_allows_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not on this machine"):
        recipe_pipeline(recipe(allow_network=False), Store(tmp_path))
    with pytest.raises(UserError, match="asked Systran"):
        recipe_pipeline(recipe(allow_network=True), Store(tmp_path))
