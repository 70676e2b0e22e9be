"""``tokenizer``, ``train``, ``generate``, ``eval`` and ``study``."""

from collections.abc import Callable
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spelangy.backends.protocols import Audio
from spelangy.cli.options import (
    DEFAULT_STORE,
    Circumstances,
    JsonOption,
    QuietOption,
    RecipeArgument,
    SetOption,
    StoreOption,
    WorkersOption,
    circumstances,
)
from spelangy.cli.printing import print_json, print_rows
from spelangy.cli.running import run_pipeline, score_table, write_report
from spelangy.core.errors import Quarantined, UserError
from spelangy.curate.decode import decode
from spelangy.engine.pipeline import FinishedStep
from spelangy.engine.progress import StepProgress
from spelangy.recipe.load import load_recipe
from spelangy.recipe.path import recipe_pipeline
from spelangy.store.audio import float_audio
from spelangy.store.objects import Store
from spelangy.study.arms import load_study
from spelangy.study.run import run_study
from spelangy.train.step import MODEL_FOLDER

if TYPE_CHECKING:
    from spelangy.train.speech_lm import SpeechLM

MAX_PROMPT_S = 600.0

tokenizer_app = typer.Typer(help="Speech tokenizers: train one, turn sound into units.", no_args_is_help=True)

ModelArgument = Annotated[Path, typer.Argument(help="A model folder, as `spelangy train` prints it.")]


def _speech_lm(model: Path) -> "SpeechLM":
    # PyTorch and transformers take seconds to import; only commands that run a model pay for them.
    from spelangy.train.speech_lm import SpeechLM

    return SpeechLM.load(model)


def _sound(path: Path) -> Audio:
    try:
        return float_audio(decode(path, max_duration_s=MAX_PROMPT_S).pcm_S)
    except Quarantined as why:
        raise UserError(f"{path}: {why.reason}", hint="name a readable file that holds sound") from why


def _run_step(recipe: Path, set_: list[str] | None, store: str, settings: Circumstances, step: str) -> FinishedStep:
    opened = Store(store)
    pipeline = recipe_pipeline(load_recipe(recipe, set_ or []), opened).upto(step)
    return run_pipeline(pipeline, opened, settings)[step]


@tokenizer_app.command("train")
def train_tokenizer(
    recipe: RecipeArgument,
    set_: SetOption = None,
    store: StoreOption = DEFAULT_STORE,
    workers: WorkersOption = 0,
    quiet: QuietOption = False,
) -> None:
    """Train the recipe's speech tokenizer (and what it needs); prints its folder."""
    settings = circumstances("native", "auto", workers, quiet)
    print(Store(store).directory(_run_step(recipe, set_, store, settings, "speech-tokenizer").stored.key))


@tokenizer_app.command("encode")
def encode(
    model: ModelArgument,
    audio: Annotated[list[Path], typer.Argument(help="Audio files of any kind.")],
) -> None:
    """Units of audio files, 12.5 a second, as JSON lines on stdout."""
    lm = _speech_lm(model)
    for path in audio:
        print(dumps({"audio": str(path), "units": lm.units(_sound(path)).tolist()}, ensure_ascii=False))


def train(
    recipe: RecipeArgument,
    set_: SetOption = None,
    store: StoreOption = DEFAULT_STORE,
    workers: WorkersOption = 0,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Train the recipe's speech LM (and what it needs); prints its folder and held-out losses."""
    settings = circumstances("native", "auto", workers, quiet)
    finished = _run_step(recipe, set_, store, settings, "train")
    folder = Store(store).directory(finished.stored.key) / MODEL_FOLDER
    summary: dict[str, Any] = finished.stored.circumstances["summary"]
    if json:
        print_json({"model": str(folder), **summary})
        return
    rows = [
        {"held_out": name, "text_nats": losses["text"] or "", "speech_nats": losses["speech"] or ""}
        for name, losses in summary["heldout_nats"].items()
    ]
    print_rows("Cross-entropy of held-out documents", rows)
    print(f"model: {folder}")


def generate(
    model: ModelArgument,
    text: Annotated[str | None, typer.Option("--text", help="Go on after this text.")] = None,
    audio: Annotated[Path | None, typer.Option("--audio", help="Go on after this sound.")] = None,
    to: Annotated[str, typer.Option("--to", help="Modality of what follows: text or speech (units).")] = "text",
    max_tokens: Annotated[int, typer.Option("--max-tokens")] = 64,
    json: JsonOption = False,
) -> None:
    """Continue a text or a recording with a trained model, in text or in speech units."""
    if (text is None) == (audio is None):
        raise UserError("generate: give one prompt", hint="--text TEXT or --audio FILE")
    if to not in ("text", "speech"):
        raise UserError(f"--to {to}", hint="text or speech")
    lm = _speech_lm(model)
    heard = None if audio is None else _sound(audio)
    answer = lm.continue_prompt(text=text, audio_S=heard, to=to, max_tokens=max_tokens)  # type: ignore[arg-type]
    if json:
        print_json({"text": answer.text, "units": list(answer.units), "stopped_by": answer.stopped_by})
    else:
        print(answer.text if to == "text" else " ".join(map(str, answer.units)))


def evaluate(
    recipe: RecipeArgument,
    set_: SetOption = None,
    store: StoreOption = DEFAULT_STORE,
    workers: WorkersOption = 0,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Score the recipe's model on its spoken questions, with every control; prints the table."""
    settings = circumstances("native", "auto", workers, quiet)
    loaded = load_recipe(recipe, set_ or [])
    opened = Store(store)
    finished = run_pipeline(recipe_pipeline(loaded, opened).upto("eval"), opened, settings)
    data, _ = write_report(loaded, recipe.read_text(), opened, finished, part="eval")
    if json:
        print_json(finished["eval"].stored.circumstances["summary"])
        return
    print_rows("Spoken multiple choice, chance 25 %", score_table(data))
    for note in data.score_notes:
        print(f"· {note}")


def study(
    recipe: Annotated[Path, typer.Argument(help="The study, a TOML file.")],
    store: StoreOption = DEFAULT_STORE,
    workers: WorkersOption = 0,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Run every arm of a study with every seed, over one store, and compare the arms pair by pair."""
    settings = circumstances("native", "auto", workers, quiet)
    note: Callable[[str], None] = StepProgress(quiet=quiet).note
    result = run_study(load_study(recipe), Store(store), settings.runner, note)
    if json:
        print_json(result.to_json())
        return
    print_rows("Arms (mean over seeds)", [row.to_row() for row in result.arms])
    print_rows("Contrasts with the first arm", [row.to_row() for row in result.contrasts])
    for line in result.notes:
        print(f"· {line}")


def register(app: typer.Typer) -> None:
    """Adds this module's commands."""
    app.add_typer(tokenizer_app, name="tokenizer")
    app.command()(train)
    app.command()(generate)
    app.command(name="eval")(evaluate)
    app.command()(study)
