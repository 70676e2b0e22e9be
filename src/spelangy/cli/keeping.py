"""``data views`` and ``data takedown``: what the views of a store hold, and what must leave it."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from spelangy.cli.inspecting import data_app
from spelangy.cli.options import DEFAULT_STORE, JsonOption, RecipeArgument, StoreOption
from spelangy.cli.printing import print_json, print_rows
from spelangy.core.chunk_statistics import view_statistics
from spelangy.core.errors import UserError
from spelangy.recipe.load import load_recipe
from spelangy.store.objects import Store
from spelangy.store.takedown import Takedown, take_down
from spelangy.tokens.documents import SPANS_FOLDER
from spelangy.tokens.removal import remove_documents

ROUNDED = 2


def views(recipe: RecipeArgument, store: StoreOption = DEFAULT_STORE, json: JsonOption = False) -> None:
    """Compare the chunk views of a recipe: lengths, speakers, and modality switches of each."""
    loaded, opened = load_recipe(recipe), Store(store)
    found = []
    for view in loaded.curate.views:
        key = opened.ref(loaded.name, f"chunks-{view}")
        if key is None or opened.find(key) is None:
            raise UserError(f"view {view} of {loaded.name} is not built", hint=f"spelangy curate {recipe}")
        found.append(asdict(view_statistics(view, opened.table(key, "chunks"))))
    if json:
        print_json(found)
        return
    rows = [{name: round(value, ROUNDED) if isinstance(value, float) else value for name, value in row.items()}
            for row in found]  # fmt: skip
    # A row a measure: views are few, measures many.
    names = [name for name in rows[0] if name != "view"]
    print_rows(
        f"Views of {recipe}",
        [{"measure": name, **{str(row["view"]): str(row[name]) for row in rows}} for name in names],
    )


def takedown(
    sources: Annotated[list[str], typer.Argument(help="Recording ids, uris, or globs of uris.")],
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Remove recordings from all tables, views, audio and span stores for good, and prove it; else exit 1."""
    report = take_down(Store(store), sources, {"span-store": _remove_from_span_store})
    if json:
        print_json(report.to_json())
    else:
        _print(report)
    raise typer.Exit(1 if report.remaining else 0)


def _remove_from_span_store(directory: Path, is_gone: Callable[[str], bool]) -> int:
    return remove_documents(directory / SPANS_FOLDER, is_gone)


def _print(report: Takedown) -> None:
    print_rows("Rows removed", [{"table": name, "rows": count} for name, count in sorted(report.rows.items())])
    print(
        f"{len(report.recordings)} recordings taken down: {report.num_audio_files} audio files, "
        f"{report.num_documents} documents of span stores, {report.num_shards} shards, {report.num_reports} reports."
    )
    for name in report.deleted_objects:
        print(f"· deleted, made again by the next run: {name}")
    for name in report.trained_on:
        print(f"· made from it, without a copy of it; made again by the next run: {name}")
    if report.remaining:
        print("NOT complete; these files still name it:")
        for name in report.remaining:
            print(f"  {name}")
    else:
        print(f"Proof: {report.num_files_searched} files of the store searched, none names it. It cannot come back.")


def register(_app: typer.Typer) -> None:
    """Adds this module's commands to `data`."""
    data_app.command("views")(views)
    data_app.command("takedown")(takedown)
