"""``curate`` and ``synth``: one room of a recipe at a time."""

from pathlib import Path
from typing import Annotated

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
from spelangy.cli.printing import print_json
from spelangy.cli.running import (
    AudioOption,
    print_run,
    quarantine_exit_code,
    run_pipeline,
    summary_of,
    tell_models,
    with_audio,
    write_report,
)
from spelangy.core.errors import UserError
from spelangy.recipe.load import default_curation, load_recipe
from spelangy.recipe.path import recipe_pipeline
from spelangy.recipe.settings import Recipe
from spelangy.store.objects import Store

synth_app = typer.Typer(help="Web pages → Krist and Quest scripts → speech.", no_args_is_help=True)

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
    _run_part(loaded, recipe, targets, out, settings, json, part="curate" if recipe else "")


def _run_part(
    recipe: Recipe,
    path: Path | None,
    targets: list[str],
    store: str,
    settings: Circumstances,
    json: bool,
    part: str,
) -> None:
    opened = Store(store)
    if path is None:
        tell_models(recipe, settings)
    finished = run_pipeline(recipe_pipeline(recipe, opened).upto(*targets), opened, settings)
    text = path.read_text() if path else recipe.model_dump_json(indent=1, include={"name", "seed", "curate"})
    data, report = write_report(recipe, text, opened, finished, part)
    if json:
        print_json(summary_of(finished, data, report))
    else:
        print_run(data, report)
    raise typer.Exit(quarantine_exit_code(recipe, opened, finished))


def _synth(targets: list[str], recipe: Path, set_: list[str] | None, store: str, quiet: bool, json: bool) -> None:
    loaded = load_recipe(recipe, set_ or [])
    if not loaded.synth.pages:
        raise UserError(f"{recipe}: synth.pages names no web pages", hint='for example: pages = ["pages.warc.gz"]')
    _run_part(loaded, recipe, targets, store, circumstances("native", "auto", 0, quiet), json, part="-".join(targets))


@synth_app.command()
def krist(
    recipe: RecipeArgument,
    set_: SetOption = None,
    store: StoreOption = DEFAULT_STORE,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Knowledge-rich prose scripts of the recipe's pages."""
    _synth(["krist"], recipe, set_, store, quiet, json)


@synth_app.command()
def quest(
    recipe: RecipeArgument,
    set_: SetOption = None,
    store: StoreOption = DEFAULT_STORE,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Question, reasoning, answer scripts of the recipe's pages."""
    _synth(["quest"], recipe, set_, store, quiet, json)


@synth_app.command()
def speech(
    recipe: RecipeArgument,
    set_: SetOption = None,
    store: StoreOption = DEFAULT_STORE,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """All scripts, spoken."""
    _synth(["speech"], recipe, set_, store, quiet, json)


def register(app: typer.Typer) -> None:
    """Adds this module's commands."""
    app.command()(curate)
    app.add_typer(synth_app, name="synth")
