"""A store, and a curation room whose models are exact: see `tone_backends`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import tone_backends

from spelangy.curate.config import CurateSettings
from spelangy.curate.path import curate_steps
from spelangy.engine.daft_runner import RunnerSettings
from spelangy.engine.pipeline import FinishedStep, Pipeline
from spelangy.engine.progress import StepProgress
from spelangy.store.objects import Store


@pytest.fixture(scope="session")
def plugin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tone_backends.install(tmp_path_factory.mktemp("plugin"))


@pytest.fixture
def tones(plugin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tone backends are installed, here and in worker processes."""
    folders = [str(plugin_folder), str(Path(__file__).parent)]
    monkeypatch.syspath_prepend(folders[0])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def curate(store: Store, tones: None) -> tone_backends.Curate:
    """Runs the room up to a step over files: ``curate([path], upto="words", asr=["tones"])``."""

    def run(paths: list[Path], *, upto: str = "chunks-fine", **changes: Any) -> dict[str, FinishedStep]:
        settings: Mapping[str, Any] = {
            **tone_backends.SETTINGS,
            "sources": [{"uris": [str(path) for path in paths], "licence": "CC0", "source": "test"}],
            **changes,
        }
        steps = curate_steps(CurateSettings.model_validate(settings), store.audio)
        pipeline = Pipeline("curated", steps).upto(upto)
        return pipeline.run(store, RunnerSettings(num_workers=1), StepProgress(quiet=True))

    return run
