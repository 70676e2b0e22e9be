"""``synth``: web pages to spoken scripts, a kind at a time."""

from collections.abc import Callable
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
from spelangy.cli.running import run_part, tell_models
from spelangy.core.errors import UserError
from spelangy.recipe.load import load_recipe
from spelangy.recipe.path import synthesis_pipeline
from spelangy.recipe.settings import Recipe
from spelangy.store.objects import Store
from spelangy.synth.select import parse_topics

synth_app = typer.Typer(help="Web pages → Krist and Quest scripts → speech.", no_args_is_help=True)

PagesOption = Annotated[
    list[str] | None,
    typer.Option("--pages", help="More pages: WARC, WET, HTML, Parquet or JSONL; file, folder or glob. Repeatable."),
]
TopicsOption = Annotated[
    str, typer.Option("--topics", help="Weights that steer which pages are taken: science=2,health=1.5", metavar="LIST")
]


def with_pages(recipe: Recipe, pages: list[str] | None, topics: str) -> Recipe:
    """The recipe with pages and topic weights given on the command line beside its own."""
    synth = recipe.synth
    if pages:
        synth = synth.model_copy(update={"pages": (*synth.pages, *pages)})
    if topics:
        weights = {**synth.select.topics, **parse_topics(topics)}
        synth = synth.model_copy(update={"select": synth.select.model_copy(update={"topics": weights})})
    return recipe.model_copy(update={"synth": synth})


def _command(kinds: tuple[str, ...]) -> Callable[..., None]:
    def command(
        recipe: RecipeArgument,
        set_: SetOption = None,
        pages: PagesOption = None,
        topics: TopicsOption = "",
        store: StoreOption = DEFAULT_STORE,
        runner: RunnerOption = "native",
        address: AddressOption = "auto",
        workers: WorkersOption = 0,
        item_time_limit: TimeLimitOption = DEFAULT_TIME_LIMIT_S,
        worker_memory: MemoryOption = None,
        quiet: QuietOption = False,
        json: JsonOption = False,
    ) -> None:
        settings = circumstances(runner, address, workers, quiet, item_time_limit, worker_memory)
        _synth(kinds, recipe, with_pages(load_recipe(recipe, set_ or []), pages, topics), store, settings, json)

    return command


for _name, _kinds, _help in (
    ("krist", ("krist",), "Knowledge-rich prose of web pages, spoken; ends with the yield and a report to listen to."),
    (
        "quest",
        ("quest",),
        "Question, reasoning, answer of web pages, spoken; with yield and report.",
    ),
    ("speech", ("krist", "quest"), "Both, as a whole run has them."),
):
    synth_app.command(name=_name, help=_help)(_command(_kinds))


def _synth(kinds: tuple[str, ...], path: Path, recipe: Recipe, store: str, settings: Circumstances, json: bool) -> None:
    if not recipe.synth.pages:
        raise UserError(f"{path}: synth.pages names no web pages", hint='for example: pages = ["pages.warc.gz"]')
    opened = Store(store)
    pipeline = synthesis_pipeline(recipe, opened, kinds)
    tell_models(recipe, settings)
    run_part(recipe, path.read_text(), pipeline, opened, settings, json, part="-".join(kinds))


def register(app: typer.Typer) -> None:
    """Adds this module's commands."""
    app.add_typer(synth_app, name="synth")
