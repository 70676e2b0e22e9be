"""``curate``: recordings alone."""

from pathlib import Path
from typing import Annotated

import typer

from spelangy.cli.options import (
    DEFAULT_STORE,
    DEFAULT_TIME_LIMIT_S,
    AddressOption,
    JsonOption,
    MemoryOption,
    QuietOption,
    RunnerOption,
    SetOption,
    TimeLimitOption,
    WorkersOption,
    circumstances,
)
from spelangy.cli.running import (
    AudioOption,
    run_part,
    tell_models,
    with_audio,
)
from spelangy.core.errors import UserError
from spelangy.recipe.load import default_curation, load_recipe
from spelangy.recipe.path import recipe_pipeline
from spelangy.store.objects import Store

OptionalRecipe = Annotated[
    Path | None, typer.Argument(help="The recipe; without one, the default curation of --audio.", show_default=False)
]
OutOption = Annotated[
    str, typer.Option("--out", "-o", "--store", envvar="SPELANGY_STORE", help="Where everything is kept: path or URL.")
]


def curate(
    recipe: OptionalRecipe = None,
    set_: SetOption = None,
    audio: AudioOption = None,
    out: OutOption = DEFAULT_STORE,
    runner: RunnerOption = "native",
    address: AddressOption = "auto",
    workers: WorkersOption = 0,
    item_time_limit: TimeLimitOption = DEFAULT_TIME_LIMIT_S,
    worker_memory: MemoryOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Recordings → turns → three ASR systems → ROVER → chunk views, and a report to listen to."""
    settings = circumstances(runner, address, workers, quiet, item_time_limit, worker_memory)
    loaded = with_audio(load_recipe(recipe, set_ or []) if recipe else default_curation(set_ or []), audio)
    if not loaded.curate.sources:
        raise UserError("curate: no recordings", hint="give some: --audio FILE, folder or glob")
    targets = [f"chunks-{view}" for view in loaded.curate.views]
    opened = Store(out)
    if recipe is None:
        tell_models(loaded, settings)
    text = recipe.read_text() if recipe else loaded.model_dump_json(indent=1, include={"name", "seed", "curate"})
    pipeline = recipe_pipeline(loaded, opened).upto(*targets)
    run_part(loaded, text, pipeline, opened, settings, json, part="curate" if recipe else "")


def register(app: typer.Typer) -> None:
    """Adds this module's commands."""
    app.command()(curate)
