"""One recipe small enough to run whole in a test: four pages, ten seconds of a recording, a model of two layers."""

import runpy
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from spelangy.core.schema import from_table
from spelangy.core.splits import is_heldout
from spelangy.engine.daft_runner import RunnerSettings
from spelangy.engine.pipeline import FinishedStep, Pipeline
from spelangy.engine.progress import StepProgress
from spelangy.engine.step import Inputs, TableStep
from spelangy.recipe.load import load_recipe
from spelangy.recipe.path import recipe_pipeline
from spelangy.recipe.settings import Recipe
from spelangy.store.objects import Store
from spelangy.tokens.documents import SPANS_FOLDER
from spelangy.tokens.span_store import SpanStore
from spelangy.train.step import MODEL_FOLDER

EXAMPLES = Path(__file__).parents[1] / "examples"
BECKETT = "package:moonshine_voice/assets/beckett.wav"
PAGES = ("04-honeybee-colony.html", "08-story-of-vaccines.html", "15-lighthouses.html", "22-the-moon.html")
ONE_WORKER = RunnerSettings(num_workers=1)
QUIET = StepProgress(quiet=True)

# Seed 9 holds out the page on the Moon and asks fourteen questions, five of them with numerals.
RECIPE = """
seed = 9

[curate]
asr = ["moonshine-tiny-en"]
[[curate.sources]]
uris = ["{recording}", "{missing}"]
licence = "MIT"

[synth]
pages = ["{archive}"]
pause_s = 0.1
voices = [{{ tts = "hibari", voice = "heart", weight = 3 }}]
[synth.gate]
grade = "whole"
unit = "line"
[synth.quest]
max_per_page = 3

[tokens]
codebook_size = 32
text_vocabulary_size = 300
heldout_share = 0.3
[tokens.mixture]
text = 0.5
krist = 0.25
quest = 0.2
crawl = 0.05

[train]
width = 64
layers = 2
heads = 2
row_tokens = 128
batch_rows = 4
steps = 20
warmup_steps = 4
learning_rate = 5e-3
eval_every = 5
checkpoint_every = 10
threads = 1

[evals]
question_share = 0.4
"""


@dataclass(frozen=True, kw_only=True)
class TinyRun:
    """A finished run of the whole path: where it is, what it was asked to do, what every step made."""

    path: Path
    recipe: Recipe
    store: Store
    finished: Mapping[str, FinishedStep]

    def records(self, step: str, table: str, record_type: type[Any]) -> list[Any]:
        return from_table(self.store.table(self.finished[step].stored.key, table), record_type)

    @property
    def inputs(self) -> Inputs:
        return Inputs(self.store, {name: step.stored for name, step in self.finished.items()})

    def directory(self, step: str) -> Path:
        return self.store.directory(self.finished[step].stored.key)

    @property
    def model(self) -> Path:
        return self.directory("train") / MODEL_FOLDER

    @cached_property
    def spans(self) -> SpanStore:
        return SpanStore.open(self.directory("span-store") / SPANS_FOLDER)

    def is_heldout(self, document_id: str) -> bool:
        return is_heldout(document_id, self.recipe.tokens.heldout_share, self.recipe.seed)

    def changed(self, *overrides: str) -> Recipe:
        """The recipe under another name, so that this run's refs stay where they are."""
        return load_recipe(self.path, ["name=changed", *overrides])


def build_archive(folder: Path, pages: tuple[str, ...] = PAGES) -> Path:
    """A web archive of some of the example pages."""
    chosen = folder / "pages"
    chosen.mkdir()
    for name in pages:
        shutil.copy(EXAMPLES / "pages" / name, chosen / name)
    archive = folder / "pages.warc.gz"
    archive.write_bytes(runpy.run_path(str(EXAMPLES / "build_warc.py"))["build_archive"](chosen))
    return archive


def write_recipe(folder: Path) -> Path:
    """The recipe's file, beside its archive."""
    path = folder / "tiny.toml"
    missing, archive = folder / "missing.wav", build_archive(folder)
    path.write_text(RECIPE.format(recording=BECKETT, missing=missing, archive=archive))
    return path


def in_this_process(pipeline: Pipeline) -> Pipeline:
    """The same work without worker processes, whose start-up takes longer than work this small."""
    steps = [
        replace(step, loads_model=False) if isinstance(step, TableStep) else step for step in pipeline.steps.values()
    ]
    return Pipeline(pipeline.name, steps)


def run_tiny(folder: Path) -> TinyRun:
    """Runs the whole path with real models."""
    path = write_recipe(folder)
    recipe, store = load_recipe(path), Store(folder / "store")
    finished = in_this_process(recipe_pipeline(recipe, store)).run(store, ONE_WORKER, QUIET)
    return TinyRun(path=path, recipe=recipe, store=store, finished=finished)
