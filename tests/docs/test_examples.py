"""The code in docs/architecture.md works as it stands there."""

import importlib
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import get_args

import numpy as np
import pyarrow as pa
import pytest

from spelangy.backends.load import create, describe
from spelangy.core.errors import UserError
from spelangy.core.plugins import backends
from spelangy.core.records import Turn
from spelangy.core.settings import BackendChoice
from spelangy.curate.path import curate_steps
from spelangy.engine.daft_runner import RunnerSettings
from spelangy.engine.pipeline import Pipeline
from spelangy.engine.progress import StepProgress
from spelangy.engine.step import Produced, TableStep
from spelangy.evals.config import Condition
from spelangy.recipe.load import load_recipe
from spelangy.report.gather import NOTES
from spelangy.store.audio import AudioStore
from spelangy.store.objects import Store
from spelangy.testing import check_recognizer, voiced_sound

PAGE = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text(encoding="utf-8")
FILES = {name: text for text, name in re.findall(r"```(?:python|toml)\n(# ([\w.]+)\n.*?)```", PAGE, re.DOTALL)}


def written(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The block headed ``# name`` as a module of its own."""
    (folder / name).write_text(FILES[name])
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, Path(name).stem, raising=False)
    return importlib.import_module(Path(name).stem)


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The example plugin as pip would leave it: its module, and its entry point in a dist-info folder."""
    project = tomllib.loads(FILES["pyproject.toml"])["project"]
    info = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [
        line
        for group, entries in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {target}" for name, target in entries.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return written("spelangy_loudness.py", tmp_path, monkeypatch)


def test_the_plugin_keeps_the_contract_and_so_says_its_own_test(
    plugin: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_recognizer(plugin.LoudnessRecognizer())
    written("test_spelangy_loudness.py", tmp_path, monkeypatch).test_it_keeps_the_contract()


def test_the_plugin_is_found_by_its_entry_point_and_takes_its_options(plugin: ModuleType) -> None:
    assert "asr.loudness" in backends()
    choice = BackendChoice(name="loudness", options={"threshold": 0.5})
    assert describe("asr", choice).revision == "1.0.0"
    (heard,) = create("asr", choice).transcribe([voiced_sound(1.0)])
    assert [word.text for word in heard.words] == ["quiet"]
    with pytest.raises(UserError, match="loudness") as refused:
        describe("asr", BackendChoice(name="loudness", options={"treshold": 0.5}))
    assert "threshold" in refused.value.hint


def test_a_recipe_can_name_the_plugin(plugin: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('[curate]\nasr = [{ name = "loudness", options = { threshold = 0.02 } }]\n')
    steps = curate_steps(load_recipe(tmp_path / "own.toml").curate, AudioStore(str(tmp_path)))
    asr = next(step for step in steps if step.name == "asr-loudness")
    assert asr.config["asr"] == {"name": "loudness", "options": {"threshold": 0.02}, "revision": "1.0.0"}


def test_the_step_measures_drops_and_is_reused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = written("loudness_step.py", tmp_path, monkeypatch)
    store = Store(tmp_path / "store")
    sound = np.concatenate([voiced_sound(1.0), np.zeros(16_000, np.float32)])
    key = store.audio.put(sound)
    pipeline = Pipeline("example", [turns_step(key), module.loudness_step(-40.0, store.audio)])

    finished = pipeline.run(store, RunnerSettings(num_workers=1), StepProgress(quiet=True))
    scores = store.table(finished["loudness"].stored.key, "scores").to_pylist()
    rms_db = 20 * np.log10(np.sqrt(np.mean(store.audio.read(key)[:16_000] ** 2)))
    assert [(row["id"], row["name"]) for row in scores] == [("r-000000-loudness_db", "loudness_db")]
    assert scores[0]["value"] == pytest.approx(rms_db, abs=1e-3)
    (drop,) = store.table(finished["loudness"].stored.key, "drops").to_pylist()
    assert (drop["item_id"], drop["reason"], drop["threshold"]) == ("r-000001", "too quiet", -40.0)
    assert {step.status for step in pipeline.plan(store)} == {"reuse"}


def turns_step(audio: str) -> TableStep:
    """One second of sound and one of silence as two turns."""
    turns = [
        Turn(id=f"r-{n:06d}", recording_id="r", audio=audio, start=n * 16_000, end=(n + 1) * 16_000, speaker="S0",
             is_overlap=False)
        for n in range(2)
    ]  # fmt: skip
    return TableStep(
        name="turns",
        version=1,
        config={"audio": audio},
        outputs={"turns": Turn},
        items=lambda _: pa.table({"id": ["r"]}),
        worker=lambda _: lambda: lambda item: Produced(records={"turns": turns}),
    )


def test_the_view_is_a_step_of_its_own(tmp_path: Path) -> None:
    (snippet,) = re.findall(r"```toml\n(\[curate\.views.*?)```", PAGE, re.DOTALL)
    (tmp_path / "views.toml").write_text(snippet)
    steps = curate_steps(load_recipe(tmp_path / "views.toml").curate, AudioStore(str(tmp_path)))
    views = {step.name: step for step in steps if step.name.startswith("chunks-")}
    assert list(views) == ["chunks-fine", "chunks-strict"]
    assert views["chunks-strict"].config["thresholds"]["max_disagreement_ratio"] == 0.2


def test_what_the_page_says_of_conditions_is_complete() -> None:
    """The places to touch name the same conditions."""
    names = set(get_args(Condition))
    assert names == set(NOTES)
    table = importlib.import_module("spelangy.evals.multiple_choice").__doc__ or ""
    assert all(re.search(rf"^{name}\s", table, re.MULTILINE) for name in names)


def test_the_rooms_of_the_page_are_the_packages_there_are() -> None:
    rooms = re.findall(r"^\| `(\w+)` \|", PAGE.partition("## Rooms")[2].partition("\n## ")[0], re.MULTILINE)
    source = Path(__file__).parents[2] / "src" / "spelangy"
    assert sorted(rooms) == sorted(path.parent.name for path in source.glob("*/__init__.py"))
