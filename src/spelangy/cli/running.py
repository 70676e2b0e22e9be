"""``run``, ``plan`` and ``report``: whole recipes."""

import shlex
import sys
import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from spelangy.cli.options import (
    DEFAULT_STORE,
    DEFAULT_TIME_LIMIT_S,
    AddressOption,
    Circumstances,
    JsonOption,
    MemoryOption,
    QuietOption,
    RecipeArgument,
    RunnerOption,
    SetOption,
    StoreOption,
    TimeLimitOption,
    WorkersOption,
    circumstances,
)
from spelangy.cli.printing import print_json, print_rows
from spelangy.core.errors import UserError
from spelangy.core.records import Drop
from spelangy.core.schema import from_table
from spelangy.curate.config import AudioSource
from spelangy.curate.probe import probe_audio
from spelangy.engine.estimate import Estimate, StepEstimate, estimate, measured_here, recorded_s
from spelangy.engine.pipeline import FinishedStep, Pipeline, PlannedStep
from spelangy.engine.progress import StepProgress
from spelangy.engine.step import Inputs, TableStep
from spelangy.recipe.load import load_recipe
from spelangy.recipe.models import resolve_models
from spelangy.recipe.path import recipe_pipeline
from spelangy.recipe.settings import Recipe
from spelangy.report.data import ModelRow, ReportData
from spelangy.report.gather import gather
from spelangy.report.page import render
from spelangy.report.tables import RunStep
from spelangy.store.objects import Store

AudioOption = Annotated[
    list[str] | None, typer.Option("--audio", help="More recordings: a file, folder or glob. Repeatable.")
]


def with_audio(recipe: Recipe, audio: list[str] | None) -> Recipe:
    """The recipe with recordings given on the command line beside its own."""
    if not audio:
        return recipe
    sources = (*recipe.curate.sources, AudioSource(uris=tuple(audio)))
    return recipe.model_copy(update={"curate": recipe.curate.model_copy(update={"sources": sources})})


def run_pipeline(pipeline: Pipeline, store: Store, settings: Circumstances) -> dict[str, FinishedStep]:
    """Runs a pipeline with progress on stderr."""
    return pipeline.run(store, settings.runner, StepProgress(quiet=settings.quiet))


def tell_models(recipe: Recipe, settings: Circumstances) -> None:
    """Says on stderr which models the run takes, and from where."""
    progress = StepProgress(quiet=settings.quiet)
    for model in resolve_models(recipe):
        progress.note(f"model   {model.role:<8} {model.name}: {model.origin}")


def quarantine_exit_code(recipe: Recipe, store: Store, finished: Mapping[str, FinishedStep]) -> int:
    """3 when more inputs were quarantined than the recipe allows, else 0."""
    if "ingest" not in finished:
        return 0
    key = finished["ingest"].stored.key
    drops = from_table(store.table(key, "drops"), Drop)
    quarantined = sum(drop.kind == "quarantined" for drop in drops)
    num_inputs = store.table(key, "recordings").num_rows
    return 3 if quarantined > recipe.curate.max_quarantined_ratio * num_inputs else 0


def write_report(
    recipe: Recipe,
    recipe_text: str,
    store: Store,
    finished: Mapping[str, FinishedStep],
    part: str = "",
) -> tuple[ReportData, str]:
    """Renders the run's page into the store; returns its data and where it is.

    Args:
        part: Which part of the recipe was run; its page lies beside the whole run's.
    """
    steps = {
        name: RunStep(stored=step.stored, status=step.status, why=step.why, seconds=step.seconds)
        for name, step in finished.items()
    }
    data = gather(
        store,
        steps,
        title=recipe.name,
        recipe=recipe_text,
        created=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        models=[
            ModelRow(
                role=model.role, name=model.name, revision=model.revision, licence=model.licence, origin=model.origin
            )
            for model in resolve_models(recipe)
        ],
        commands=[shlex.join(["spelangy", *sys.argv[1:]])],
    )
    name = f"reports/{'-'.join(filter(None, (recipe.name, part)))}.html"
    store.files.write(name, render(data).encode())
    return data, store.files.url(name)


def summary_of(finished: Mapping[str, FinishedStep], data: ReportData, report: str) -> dict[str, Any]:
    """A run's result for machines."""
    return {
        "report": report,
        "steps": [
            {"step": name, "status": step.status, "why": step.why, "seconds": round(step.seconds, 2),
             "key": step.stored.key}
            for name, step in finished.items()
        ],
        "findings": list(data.findings),
        "funnel": [
            {"stage": stage.name, "unit": stage.unit, "num_in": stage.num_in, "num_kept": stage.num_kept,
             "hours_kept": stage.hours_kept,
             "drops": [{"reason": drop.reason, "kind": drop.kind, "count": drop.count} for drop in stage.drops]}
            for stage in data.funnel
        ],
        "scores": score_table(data),
    }  # fmt: skip


def score_table(data: ReportData) -> list[dict[str, Any]]:
    """The evaluation as rows."""
    return [
        {
            "condition": row.condition,
            "items": row.num_items,
            "accuracy": round(row.accuracy, 4),
            "low_95": round(row.low, 4),
            "high_95": round(row.high, 4),
            "p_above_chance": row.p_value,
            "reads": row.verdict,
        }
        for row in data.scores
    ]


def funnel_table(data: ReportData) -> list[dict[str, Any]]:
    """The funnel as rows, one line a stage."""
    return [
        {
            "stage": stage.name,
            "unit": stage.unit,
            "in": stage.num_in,
            "kept": stage.num_kept,
            "minutes_kept": "" if stage.hours_kept is None else f"{60 * stage.hours_kept:.1f}",
            "left_out": ", ".join(f"{drop.reason} {drop.count}" for drop in stage.drops) or "nothing",
        }
        for stage in data.funnel
    ]


def print_run(data: ReportData, report: str) -> None:
    """A run's result for people."""
    print_rows("What was kept", funnel_table(data))
    if data.scores:
        print_rows("Spoken multiple choice, chance 25 %", score_table(data))
    for finding in data.findings:
        print(f"· {finding}")
    for note in data.score_notes[:1]:
        print(f"· {note}")
    print(f"report: {report}")


def run_part(
    recipe: Recipe,
    recipe_text: str,
    pipeline: Pipeline,
    store: Store,
    settings: Circumstances,
    json: bool,
    part: str,
) -> None:
    """Runs a part of a recipe, with a report and an exit code of its own.

    Raises:
        typer.Exit: At its end.
    """
    finished = run_pipeline(pipeline, store, settings)
    data, report = write_report(recipe, recipe_text, store, finished, part)
    if json:
        print_json(summary_of(finished, data, report))
    else:
        print_run(data, report)
    raise typer.Exit(quarantine_exit_code(recipe, store, finished))


def run(
    recipe: RecipeArgument,
    set_: SetOption = None,
    audio: AudioOption = None,
    store: StoreOption = DEFAULT_STORE,
    runner: RunnerOption = "native",
    address: AddressOption = "auto",
    workers: WorkersOption = 0,
    item_time_limit: TimeLimitOption = DEFAULT_TIME_LIMIT_S,
    worker_memory: MemoryOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Run a recipe: what is stored and unchanged is reused. Ends with the report's path and a table of scores."""
    settings = circumstances(runner, address, workers, quiet, item_time_limit, worker_memory)
    loaded = with_audio(load_recipe(recipe, set_ or []), audio)
    opened = Store(store)
    pipeline = recipe_pipeline(loaded, opened)
    tell_models(loaded, settings)
    finished = run_pipeline(pipeline, opened, settings)
    data, report = write_report(loaded, recipe.read_text(), opened, finished)
    if json:
        print_json(summary_of(finished, data, report))
    else:
        print_run(data, report)
    raise typer.Exit(quarantine_exit_code(loaded, opened, finished))


def plan(
    recipe: RecipeArgument,
    set_: SetOption = None,
    audio: AudioOption = None,
    store: StoreOption = DEFAULT_STORE,
    workers: WorkersOption = 0,
    json: JsonOption = False,
) -> None:
    """Say what a run would do, why, and about what it would cost, without doing it."""
    loaded = with_audio(load_recipe(recipe, set_ or []), audio)
    opened = Store(store)
    pipeline = recipe_pipeline(loaded, opened)
    planned = pipeline.plan(opened)
    settings = circumstances("native", "auto", workers, quiet=True)
    cost, how = estimated(pipeline, opened, planned, settings.runner.num_workers)
    rows = [
        {"step": step.step, "status": step.status, "why": step.why, "key": step.key[:12], "core_hours": hours(part)}
        for step, part in zip(planned, cost.steps, strict=True)
    ]
    if json:
        print_json({"steps": rows, "estimate": estimate_summary(cost, how)})
    else:
        people = [
            {**{name: row[name] for name in ("step", "status", "why", "key")}, "core_time": as_time(part.core_hours)}
            for row, part in zip(rows, cost.steps, strict=True)
        ]
        print_rows(f"Plan of {recipe}", people)
        print_estimate(cost, how)


def as_time(hours: float | None) -> str:
    """Hours as a person reads them: seconds, minutes or hours, to two or three digits."""
    if hours is None:
        return "unknown"
    if hours < 1 / 60:
        return f"{3600 * hours:.2g} s"
    return f"{60 * hours:.3g} min" if hours < 1 else f"{hours:,.3g} h"


def hours(part: StepEstimate) -> float | str:
    """A step's core-hours to three digits, or that they are not known."""
    return "unknown" if part.core_hours is None else float(f"{part.core_hours:.3g}")


def estimated(pipeline: Pipeline, store: Store, planned: list[PlannedStep], workers: int) -> tuple[Estimate, str]:
    """What the plan will cost, and how the hours of audio were found."""
    here = measured_here(pipeline, store)
    ingest = pipeline.steps.get("ingest")
    if not isinstance(ingest, TableStep):
        return estimate(planned, 0.0, here, workers), "no recordings in the recipe"
    status = next(step for step in planned if step.step == "ingest")
    if status.status == "reuse":
        audio_hours = recorded_s(store.table(status.key, "recordings")) / 3600
        return estimate(planned, audio_hours, here, workers), "decoded samples"
    probed = probe_audio(ingest.items(Inputs(store, {})))
    return estimate(planned, probed.hours, here, workers), probed.how


def estimate_summary(cost: Estimate, how: str) -> dict[str, Any]:
    """The estimate for machines."""
    return {
        "audio_hours": round(cost.hours, 4),
        "audio_hours_from": how,
        "core_hours": round(cost.core_hours, 4),
        "wall_hours": round(cost.wall_hours, 4),
        "workers": cost.num_workers,
        "disk_gb": round(cost.disk_gb, 4),
        "basis": {part.step: part.basis for part in cost.steps},
        "unknown": list(cost.unknown),
    }


def print_estimate(cost: Estimate, how: str) -> None:
    """The estimate for people."""
    print(f"· an estimate: {as_time(cost.hours)} of audio ({how}), {cost.disk_gb:.3g} GB of audio and tables")
    print(f"· {as_time(cost.core_hours)} on one core, about {as_time(cost.wall_hours)} with {cost.num_workers} workers")
    if cost.unknown:
        print(f"· not counted, because nothing is known of them yet: {', '.join(cost.unknown)}")


def report(
    recipe: RecipeArgument, set_: SetOption = None, audio: AudioOption = None, store: StoreOption = DEFAULT_STORE
) -> None:
    """Render the page of a finished run again, from what is stored."""
    loaded = with_audio(load_recipe(recipe, set_ or []), audio)
    opened = Store(store)
    pipeline = recipe_pipeline(loaded, opened)
    waiting = [step.step for step in pipeline.plan(opened) if step.status != "reuse"]
    if waiting:
        raise UserError(f"not everything is built: {', '.join(waiting)}", hint=f"spelangy run {recipe}")
    finished = run_pipeline(pipeline, opened, circumstances("native", "auto", 0, quiet=True))
    _, place = write_report(loaded, recipe.read_text(), opened, finished)
    print(place)


def register(app: typer.Typer) -> None:
    """Adds this module's commands."""
    app.command()(run)
    app.command()(plan)
    app.command()(report)
