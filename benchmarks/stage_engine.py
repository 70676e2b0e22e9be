"""What the engine costs beside the models: a light step, worker processes, the whole curation pipeline.

Everything runs in a fresh process, as a user's command would: nothing is imported, loaded or warm.
"""

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from figure import Figure
from material import SPEECH, Material
from measure import in_fresh_process

QUICK_SPEECH = SPEECH[1:]
"""A reading and the dialogue, 38 s."""

NUM_ITEMS = 3


def figures(quick: bool) -> Iterator[Figure]:
    """All figures of this module."""
    with TemporaryDirectory() as folder:
        yield from engine(Material(Path(folder), quick))


def engine(material: Material) -> Iterator[Figure]:
    """The same, beside other stages."""
    uris = QUICK_SPEECH if material.quick else tuple(str(source["path"]) for source in material.sources)
    measured, peak_mb = in_fresh_process(_measure, str(material.folder / "engine"), uris)
    cores = os.cpu_count() or 1
    wall_s, model_s = measured["pipeline"], measured["work"] / cores
    yield Figure(name="engine, import", value=measured["import"], unit="s")
    yield Figure(name=f"engine, light step of {NUM_ITEMS} items", value=measured["light"], unit="s")
    yield Figure(name=f"engine, {NUM_ITEMS} items in worker processes", value=measured["heavy"], unit="s")
    yield Figure(name="curate pipeline, wall", value=wall_s, unit="s")
    yield Figure(name="curate pipeline, work / cores", value=model_s, unit="s")
    yield Figure(name="curate pipeline, engine overhead", value=wall_s - model_s, unit="s")
    yield Figure(name="curate pipeline, wall / (work / cores)", value=wall_s / model_s, unit="ratio")
    yield Figure(name="curate pipeline, all again, nothing to do", value=measured["again"], unit="s")
    if peak_mb:
        yield Figure(name="curate pipeline, peak memory of all processes", value=peak_mb, unit="MB")


def _measure(folder: str, uris: tuple[str, ...]) -> Mapping[str, float]:
    """Runs in the fresh process."""
    started = time.perf_counter()
    from spelangy.curate.config import AudioSource, CurateSettings
    from spelangy.curate.path import curate_steps
    from spelangy.curate.views import chunks_step
    from spelangy.engine.daft_runner import RunnerSettings
    from spelangy.engine.pipeline import Pipeline
    from spelangy.engine.progress import StepProgress
    from spelangy.store.objects import Store

    imported_s = time.perf_counter() - started
    store, settings = Store(folder), CurateSettings(sources=(AudioSource(uris=uris),))

    def run(pipeline: Pipeline) -> tuple[float, float]:
        begun = time.perf_counter()
        finished = pipeline.run(store, RunnerSettings(), StepProgress(quiet=True))
        work_s = sum(step.stored.circumstances["work_seconds"] for step in finished.values())
        return time.perf_counter() - begun, work_s

    empty = {"audio": "", "source": "", "licence": "", "metadata": "{}", "turns": [], "transcripts": [], "scores": []}
    items = pa.Table.from_pylist([{"id": f"item-{number}", **empty} for number in range(NUM_ITEMS)])
    step = replace(chunks_step("fine", settings), inputs=(), items=lambda _: items)
    run(Pipeline("first", [replace(step, name="first")]))  # starts Daft
    light_s, _ = run(Pipeline("light", [replace(step, name="light")]))
    heavy_s, _ = run(Pipeline("heavy", [replace(step, name="heavy", loads_model=True)]))
    begun = time.perf_counter()
    pipeline = Pipeline("curate", curate_steps(settings, store.audio))
    planned_s = time.perf_counter() - begun
    wall_s, work_s = run(pipeline)
    again_s, _ = run(pipeline)
    return {"import": imported_s, "light": light_s, "heavy": heavy_s, "pipeline": planned_s + wall_s, "work": work_s,
            "again": again_s}  # fmt: skip
