"""``data export`` and ``data import``: out of the store into other tools' formats, and in again."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, BinaryIO

import numpy as np
import typer

from spelangy.cli.inspecting import data_app
from spelangy.cli.options import DEFAULT_STORE, JsonOption, StoreOption
from spelangy.cli.printing import print_json, print_rows
from spelangy.core.errors import Dropped
from spelangy.core.records import Recording
from spelangy.curate.decode import sound_of
from spelangy.recipe.load import load_recipe
from spelangy.store.exchange import (
    EXPORTS,
    IMPORTS,
    Imported,
    ImportRequest,
    export_stored,
    import_data,
    known_recordings,
)
from spelangy.store.exchange.clips import DEFAULT_SHARD_MB
from spelangy.store.exchange.exporting import checked_form
from spelangy.store.exchange.sounds import MAX_SOUND_S, Heard, hear
from spelangy.store.exchange.viewed import viewed_tables
from spelangy.store.objects import Store

DataArgument = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A recipe, or the name of imported data.", show_default=False)
]


def export_data(
    recipe: DataArgument,
    form: Annotated[str, typer.Option("--format", help=", ".join(EXPORTS))] = "nemo",
    view: Annotated[str, typer.Option("--view", help="Chunk view; or speech, the synthetic speech.")] = "fine",
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write into.")] = Path("export"),
    shard_mb: Annotated[float, typer.Option("--shard-mb", min=0.001, help="Size of a shard.")] = DEFAULT_SHARD_MB,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Write a recipe's curated data in another tool's format; prints the files."""
    checked_form(form)
    opened = Store(store)
    tables = viewed_tables(opened, _name(recipe, opened), view)
    files = export_stored(form, out, opened, tables, shard_mb=shard_mb)
    for file in files:
        print(file)


def _name(recipe: str, store: Store) -> str:
    """What `recipe` is called in the store: a recipe file says it; imported data has no file."""
    is_imported = not Path(recipe).exists() and "/" not in recipe and store.ref(recipe, "ingest") is not None
    return recipe if is_imported else load_recipe(Path(recipe)).name


def import_command(
    form: Annotated[str, typer.Argument(metavar="FORMAT", help=", ".join(IMPORTS), show_default=False)],
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders with files of the format.")],
    name: Annotated[str, typer.Option("--name", help="What the data is called in the store.")],
    view: Annotated[str, typer.Option("--view", help="Chunk view that the segments become.")] = "fine",
    audio_root: Annotated[
        list[Path] | None, typer.Option("--audio-root", help="Folder that audio may be read from. Repeatable.")
    ] = None,
    recordings: Annotated[
        str, typer.Option("--recordings", help="Name of stored data that labels without audio are about.")
    ] = "",
    source: Annotated[str, typer.Option("--source", help="Source of recordings that do not say theirs.")] = "import",
    licence: Annotated[str, typer.Option("--licence", help="Licence of recordings that say none.")] = "unknown",
    out: Annotated[
        str, typer.Option("--out", "-o", "--store", envvar="SPELANGY_STORE", help="The store: a path or URL.")
    ] = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Read another tool's data into the store as recordings, turns, transcripts and chunks; prints what came of it."""
    opened = Store(out)
    request = ImportRequest(
        form=form,
        paths=paths,
        name=name,
        view=view,
        audio_roots=audio_root or (),
        source=source,
        licence=licence,
        known=_known(opened, recordings),
    )
    imported = import_data(request, opened, hear_anything)
    if json:
        print_json(asdict(imported))
    else:
        _print(name, imported)


def _known(store: Store, recordings: str) -> Mapping[str, Recording]:
    return known_recordings(store, recordings) if recordings else {}


def _print(name: str, imported: Imported) -> None:
    tables = [{"table": table, "rows": count} for table, count in imported.num_rows.items()]
    print_rows(f"{name}, {'reused' if imported.is_reused else 'imported'}", tables)
    for title, counts in (("Left out", imported.dropped), ("Times moved", imported.clipped)):
        if counts:
            print_rows(title, [{"why": why, "count": count} for why, count in sorted(counts.items())])


def hear_anything(file: BinaryIO, channel: int | None) -> Heard:
    """`hear`, and by FFmpeg what libsndfile cannot read (m4a, webm …); of that the channels are always mixed."""
    try:
        return hear(file, channel)
    except Dropped as dropped:
        if dropped.reason != "audio not decodable" or channel is not None:
            raise
    file.seek(0)
    with sound_of(file, "sound", max_duration_s=MAX_SOUND_S) as sound:
        pcm_S = np.concatenate(list(sound.blocks()))
        return Heard(pcm_S=pcm_S, codec=sound.codec, sample_rate_hz=sound.sample_rate_hz, channels=sound.channels)


def register(_app: typer.Typer) -> None:
    """Adds this module's commands to `data`."""
    data_app.command("export")(export_data)
    data_app.command("import")(import_command)
