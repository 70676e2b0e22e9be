"""``data``, ``models`` and ``doctor``: looking at what is there."""

import platform
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from spelangy.backends.load import create, describe, required_options
from spelangy.backends.protocols import ROLES
from spelangy.cli.options import DEFAULT_STORE, JsonOption, RecipeArgument, SetOption, StoreOption
from spelangy.cli.printing import print_json, print_rows
from spelangy.core.errors import UserError
from spelangy.core.plugins import backends
from spelangy.core.settings import BackendChoice
from spelangy.recipe.load import load_recipe
from spelangy.recipe.settings import Recipe
from spelangy.store.objects import Store
from spelangy.tokens.documents import SPANS_FOLDER
from spelangy.tokens.interleave import Modality
from spelangy.tokens.span_store import SpanStore
from spelangy.tokens.text_tokenizer import TextTokenizer
from spelangy.train.rows import TrainingRows

data_app = typer.Typer(help="Look into the store, or take data out of it.", no_args_is_help=True)
models_app = typer.Typer(help="Which models can be used here.", no_args_is_help=True)

LIBRARIES = ("daft", "pyarrow", "av", "onnxruntime", "faster-whisper", "torch", "transformers", "tokenizers", "ray")
MIN_FREE_GB = 5.0


def _built(store: Store, recipe: Recipe, step: str) -> str:
    key = store.ref(recipe.name, step)
    if key is None or store.find(key) is None:
        raise UserError(f"step {step} of {recipe.name} is not built", hint="spelangy run it first")
    return key


@data_app.command("inspect")
def inspect_data(
    recipe: RecipeArgument,
    row: Annotated[int, typer.Option("--row", min=0, help="Number of the training row.")] = 0,
    set_: SetOption = None,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Show one packed training row: text as text, speech as unit counts, documents one below the other."""
    loaded, opened = load_recipe(recipe, set_ or []), Store(store)
    spans = SpanStore.open(opened.directory(_built(opened, loaded, "span-store")) / SPANS_FOLDER)
    tokenizer = TextTokenizer.load(opened.directory(_built(opened, loaded, "text-tokenizer")))
    packed = TrainingRows(spans, loaded.tokens, loaded.train, loaded.seed).mixture().row(row)
    console = Console()
    console.print(f"row {row}: source {packed.source}, {(packed.document >= 0).sum()} of {packed.ids.size} tokens used")
    for document in range(packed.document.max() + 1):
        place = packed.document == document
        console.print(_drawn(packed.ids[place], packed.modality[place], tokenizer))


def _drawn(ids: Any, modality: Any, tokenizer: TextTokenizer) -> Text:
    drawn = Text()
    start = 0
    for end in range(1, len(ids) + 1):
        if end < len(ids) and modality[end] == modality[start]:
            continue
        if modality[start] == Modality.TEXT:
            drawn.append(_printable(tokenizer.decode(ids[start:end])), style="green")
        elif modality[start] == Modality.SPEECH:
            drawn.append(f" ‹{end - start} units, {(end - start) * 0.08:.1f} s›", style="cyan")
        else:
            drawn.append(" |", style="bold magenta")
        start = end
    return drawn


def _printable(text: str) -> str:
    """Crawled text may hold control characters; a terminal would obey them."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "·" for letter in text)


def _models() -> Iterator[dict[str, Any]]:
    order = {role: place for place, role in enumerate(ROLES)}
    for full_name in sorted(backends(), key=lambda name: (order.get(name.partition(".")[0], len(order)), name)):
        role, _, name = full_name.partition(".")
        row = {"role": role, "name": name, "usable": "no", "from": "", "licence": "", "to fix": ""}
        needed = required_options(role, name)
        if needed:
            yield {**row, "usable": "by recipe", "from": f"options: {', '.join(needed)}"}
            continue
        try:
            info = describe(role, BackendChoice(name=name))
            yield {**row, "usable": "yes", "from": info.origin, "licence": info.licence}
        except UserError as error:
            yield {**row, "to fix": error.hint or error.message}


@models_app.command("list")
def list_models(json: JsonOption = False) -> None:
    """Every installed backend by role: whether it can be used offline, from where, or the line that mends it."""
    rows = list(_models())
    if json:
        print_json(rows)
    else:
        print_rows("Models", rows)


@models_app.command("check")
def check_models(json: JsonOption = False) -> None:
    """Load every usable pretrained model once; exits 1 when one of them fails to load."""
    rows = [_loaded(row) for row in _models() if row["usable"] == "yes" and row["role"] != "speech-tokenizer"]
    if json:
        print_json(rows)
    else:
        print_rows("Models, loaded", rows)
    raise typer.Exit(int(any(row["loads"] != "yes" for row in rows)))


def _loaded(row: dict[str, Any]) -> dict[str, Any]:
    try:
        create(row["role"], BackendChoice(name=row["name"]))
        outcome = "yes"
    except UserError as error:
        outcome = error.message
    return {"role": row["role"], "name": row["name"], "loads": outcome}


def doctor(store: StoreOption = DEFAULT_STORE, json: JsonOption = False) -> None:
    """Say what is installed, which model of each role is usable offline, what is missing and the line that fixes it."""
    findings = [*_machine(store), *_libraries()]
    models = list(_models())
    missing = [role for role in ROLES if not any(row["role"] == role and row["usable"] == "yes" for row in models)]
    if json:
        print_json({"machine": findings, "models": models, "roles_without_model": missing})
    else:
        print_rows("Machine and libraries", findings)
        print_rows("Models", models)
        for role in missing:
            print(f"no usable {role}: see its line above")
        if not missing:
            print("Every role has a model that works offline.")
    raise typer.Exit(1 if any(row["ok"] == "no" for row in findings) or missing else 0)


def _machine(store: str) -> Iterator[dict[str, str]]:
    yield _finding("Python", platform.python_version(), sys.version_info >= (3, 11), "install Python 3.11 or newer")
    place = Path(store) if "://" not in store else Path.cwd()
    existing = next(path for path in (place.absolute(), *place.absolute().parents) if path.exists())
    free_gb = shutil.disk_usage(existing).free / 1e9
    yield _finding("free disk", f"{free_gb:.0f} GB", free_gb >= MIN_FREE_GB, "free some, or choose --store")
    yield _finding("compiler", shutil.which("cc") or "none", True, "")


def _libraries() -> Iterator[dict[str, str]]:
    for name in LIBRARIES:
        try:
            yield _finding(name, version(name), True, "")
        except PackageNotFoundError:
            is_extra = name == "ray"
            yield _finding(name, "not installed", is_extra, f"pip install '{'spelangy[ray]' if is_extra else name}'")


def _finding(what: str, found: str, is_ok: bool, fix: str) -> dict[str, str]:
    needs_fix = not is_ok or found == "not installed"
    return {"what": what, "found": found, "ok": "yes" if is_ok else "no", "to fix": fix if needs_fix else ""}


def register(app: typer.Typer) -> None:
    """Adds this module's commands."""
    app.add_typer(data_app, name="data")
    app.add_typer(models_app, name="models")
    app.command()(doctor)
