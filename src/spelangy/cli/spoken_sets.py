"""``synth spoken-set``: files of questions to a frozen folder of spoken ones, and how well an ASR hears them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from pydantic import ValidationError

from spelangy.cli.options import (
    DEFAULT_STORE,
    DEFAULT_TIME_LIMIT_S,
    JsonOption,
    MemoryOption,
    QuietOption,
    StoreOption,
    TimeLimitOption,
    WorkersOption,
    circumstances,
)
from spelangy.cli.printing import print_json, print_rows
from spelangy.cli.running import run_pipeline
from spelangy.cli.synthesizing import synth_app
from spelangy.core.errors import UserError
from spelangy.core.schema import from_table
from spelangy.core.settings import BackendChoice
from spelangy.engine.pipeline import Pipeline
from spelangy.evals.statistics import paired_bootstrap
from spelangy.store.objects import Store
from spelangy.synth.config import VoiceSettings
from spelangy.synth.set_folder import export_spoken_set
from spelangy.synth.set_items import SpokenItem
from spelangy.synth.spoken_set import ITEMS, SpokenSetSettings, plan_spoken_set, spoken_set_steps

DEFAULT_VOICE = "hibari:heart"
ALL_VOICES = "all voices"

VoicesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--voice", help="TTS:VOICE[:ACCENT][@RATE]: speaks every question. Repeatable.", show_default=DEFAULT_VOICE
    ),
]


def spoken_set(
    questions: Annotated[list[str], typer.Argument(help="Questions: JSONL, JSON or TSV; files, folders or globs.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the set.")],
    voice: VoicesOption = None,
    noises: Annotated[
        list[str] | None, typer.Option("--noises", help="Noises: a folder, file or glob. Repeatable.")
    ] = None,
    snr_db: Annotated[
        list[float] | None, typer.Option("--snr-db", help="A level of noise beside none, dB. Repeatable.")
    ] = None,
    rooms: Annotated[
        list[str] | None, typer.Option("--rooms", help="Impulse responses: a folder, file or glob. Repeatable.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="At most so many questions, drawn by id.")] = None,
    asr: Annotated[str, typer.Option("--asr", help="Hears every item, as a measurement; none: nobody.")] = (
        "moonshine-tiny-en"
    ),
    max_wer: Annotated[
        float | None, typer.Option("--max-wer", help="Leave out items heard with a higher word error rate.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the draws of questions, rooms and noises.")] = 0,
    store: StoreOption = DEFAULT_STORE,
    workers: WorkersOption = 0,
    item_time_limit: TimeLimitOption = DEFAULT_TIME_LIMIT_S,
    worker_memory: MemoryOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Speak evaluation questions: each by every voice, clean and at each noise level; prints what an ASR hears."""
    settings = _settings(
        questions=questions,
        voices=[parse_voice(text) for text in voice or [DEFAULT_VOICE]],
        noises=noises or (),
        snr_db=snr_db or (),
        rooms=rooms or (),
        limit=limit,
        asr=None if asr == "none" else asr,
        max_wer=max_wer,
        seed=seed,
    )
    plan, opened = plan_spoken_set(settings), Store(store)
    pipeline = Pipeline(f"spoken-set-{out.absolute().name}", spoken_set_steps(plan, opened.audio))
    how = circumstances("native", "auto", workers, quiet, item_time_limit, worker_memory)
    finished = {name: step.stored for name, step in run_pipeline(pipeline, opened, how).items()}
    manifest = export_spoken_set(out, plan, opened, finished)
    step, table = ITEMS.split("/")
    rates = word_error_rates(from_table(opened.table(finished[step].key, table), SpokenItem))
    if json:
        print_json({"folder": str(out), "manifest": manifest, "word_error_rates": rates})
    else:
        _print(out, manifest, rates)


def _settings(**given: Any) -> SpokenSetSettings:
    try:
        return SpokenSetSettings.model_validate(given)
    except ValidationError as error:
        raise _refusal(error) from error


def _refusal(error: ValidationError) -> UserError:
    problem = error.errors()[0]
    option = str(problem["loc"][0]).replace("_", "-")
    return UserError(f"--{option} {problem['input']}: {problem['msg']}", hint="spelangy synth spoken-set --help")


def parse_voice(text: str) -> VoiceSettings:
    """``TTS:VOICE[:ACCENT][@RATE]``, as speakers are named in tables.

    Raises:
        UserError: When it is none.
    """
    named, _, rate = text.partition("@")
    tts, _, voice = named.partition(":")
    voice, _, accent = voice.partition(":")
    try:
        if not tts or not voice:
            raise ValueError("no voice")
        return VoiceSettings(tts=BackendChoice(name=tts), voice=voice, accent=accent, rate=float(rate or 1.0))
    except ValueError as error:  # pydantic's is one
        raise UserError(
            f"--voice {text}: not TTS:VOICE[:ACCENT][@RATE], RATE from 0.5 to 2", hint="for example kokoro:jf_alpha@0.9"
        ) from error


def word_error_rates(items: Sequence[SpokenItem]) -> list[dict[str, Any]]:
    """Mean word error rate of the items by voice and condition, with its 95 % interval over questions."""
    return [
        {"voice": voice, "condition": condition, **_mean([item for item in found if item.wer is not None])}
        for voice, condition, found in _groups(items)
        if any(item.wer is not None for item in found)
    ]


def _groups(items: Sequence[SpokenItem]) -> Iterator[tuple[str, str, list[SpokenItem]]]:
    """(voice, condition, items), dry before rooms and quiet before loud; with several voices all of them at the end."""
    conditions = sorted(
        {(bool(item.room), item.snr_db) for item in items},
        key=lambda found: (found[0], found[1] is not None, -(found[1] or 0.0)),
    )
    voices = sorted({item.voice for item in items})
    for voice in [*voices, *([ALL_VOICES] if len(voices) > 1 else [])]:
        of_voice = [item for item in items if voice in (item.voice, ALL_VOICES)]
        for condition in conditions:
            found = [item for item in of_voice if (bool(item.room), item.snr_db) == condition]
            yield voice, condition_name(*condition), found


def condition_name(in_room: bool, snr_db: float | None) -> str:
    """``clean``, ``10 dB``, ``room``, ``room 10 dB``."""
    parts = (["room"] if in_room else []) + ([] if snr_db is None else [f"{snr_db:g} dB"])
    return " ".join(parts) or "clean"


def _mean(items: Sequence[SpokenItem]) -> dict[str, Any]:
    rates = np.array([item.wer for item in items], np.float64)
    told = paired_bootstrap(np.zeros(len(rates)), rates, clusters=[item.question_id for item in items])
    has_interval = told.num_clusters > 1
    return {
        "items": len(items),
        "questions": told.num_clusters,
        "mean_wer": round(told.difference, 4),
        "low_95": round(told.low, 4) if has_interval else None,
        "high_95": round(told.high, 4) if has_interval else None,
    }


def _print(out: Path, manifest: dict[str, Any], rates: Sequence[dict[str, Any]]) -> None:
    if rates:
        print_rows("Word error rate of the round trip, mean of items", rates)
    drops = [
        {"step": step, "why": why, "count": count}
        for step, reasons in manifest["drops"].items()
        for why, count in reasons.items()
    ]
    if drops:
        print_rows("Left out", drops)
    print(f"{manifest['num_items']} items of {manifest['num_questions']} questions, content {manifest['content'][:12]}")
    print(f"set: {out}")


def register(_app: typer.Typer) -> None:
    """Adds this module's command to `synth`."""
    synth_app.command("spoken-set")(spoken_set)
