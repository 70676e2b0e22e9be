"""The whole path as one pipeline: the rooms meet here, and only here, as tables.

curate  ingest → turns → asr-… → words → aligned → chunks-fine, chunks-coarse (and all that is measured: curate.path)
synth   pages → questions (set aside first) → krist, quest → speech
tokens  speech-tokenizer → units · text-tokenizer → span-store
train   train
evals   question-speech → question-units, question-heard → eval
"""

from collections.abc import Sequence

from spelangy.curate.path import curate_steps, view_tables
from spelangy.engine.pipeline import Pipeline
from spelangy.engine.step import Step
from spelangy.evals.spoken import heard_step, questions_step
from spelangy.evals.step import eval_step
from spelangy.recipe.models import resolve_models
from spelangy.recipe.settings import Recipe
from spelangy.store.audio import AudioStore
from spelangy.store.objects import Store
from spelangy.synth.scripts import krist_step, pages_step, quest_step
from spelangy.synth.speak import speech_step
from spelangy.tokens.documents import span_store_step, text_tokenizer_step
from spelangy.tokens.units import speech_tokenizer_step, units_step
from spelangy.train.step import train_step

SPOKEN = {"speech/turns": "speech/recordings"}
ASKED = {"question-speech/turns": "question-speech/recordings"}
TOKENIZER = "speech-tokenizer"


def recipe_pipeline(recipe: Recipe, store: Store) -> Pipeline:
    """Every step that `recipe` describes, in order; a room without input (no recordings, no archives) is left out."""
    if recipe.allow_network:
        resolve_models(recipe)  # what is fetched stays in the hub's cache, where every process finds it offline
    audio = store.audio
    has_recordings, has_pages = bool(recipe.curate.sources), bool(recipe.synth.pages)
    steps: list[Step] = []
    if has_recordings:
        steps += curate_steps(recipe.curate, audio)
    if has_pages:
        steps += _synth_steps(recipe, audio)
    if has_recordings or has_pages:
        steps += _model_steps(recipe, audio, has_recordings, has_pages)
    if has_pages:
        steps += _eval_steps(recipe, audio)
    return Pipeline(recipe.name, steps)


def _synth_steps(recipe: Recipe, audio: AudioStore) -> Sequence[Step]:
    return [
        pages_step(recipe.synth),
        questions_step(recipe.evals, recipe.tokens.heldout_share, recipe.seed),
        krist_step(recipe.synth, "questions/questions", recipe.seed),
        quest_step(recipe.synth, "questions/questions", recipe.seed),
        speech_step("speech", ("krist/scripts", "quest/scripts"), recipe.synth, audio, recipe.seed),
    ]


def _model_steps(recipe: Recipe, audio: AudioStore, has_recordings: bool, has_pages: bool) -> Sequence[Step]:
    curated = view_tables(recipe.curate)
    tables = {**({curated.turns: curated.recordings} if has_recordings else {}), **(SPOKEN if has_pages else {})}
    chunks = [*(["chunks-fine/chunks"] if has_recordings else []), *(["speech/chunks"] if has_pages else [])]
    texts = ["krist/texts"] if has_pages else []
    return [
        speech_tokenizer_step(chunks, recipe.tokens, audio, recipe.seed),
        units_step("units", tables, recipe.tokens, audio, TOKENIZER),
        text_tokenizer_step(chunks, texts, recipe.tokens, recipe.seed),
        span_store_step(chunks, ["units/units"], texts, recipe.tokens),
        train_step(recipe.train, recipe.tokens, recipe.seed),
    ]


def _eval_steps(recipe: Recipe, audio: AudioStore) -> Sequence[Step]:
    return [
        speech_step("question-speech", ("questions/scripts",), recipe.synth, audio, recipe.seed),
        units_step("question-units", ASKED, recipe.tokens, audio, TOKENIZER),
        heard_step(recipe.evals, "question-speech/recordings", audio),
        eval_step(recipe.evals, recipe.train, recipe.seed),
    ]
