"""The whole path as one pipeline: the rooms meet here, and only here, as tables.

curate  ingest → turns → asr-… → words → aligned → chunks-fine, chunks-coarse (and all that is measured: curate.path)
synth   pages → page-scores → selected → questions (set aside first) → gate → krist, quest → speech
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
from spelangy.synth.contaminated import gate_step
from spelangy.synth.page_scores import page_scores_step
from spelangy.synth.scripts import krist_step, quest_step
from spelangy.synth.select import selected_step
from spelangy.synth.speak import speech_step
from spelangy.synth.web.pages import pages_step
from spelangy.tokens.documents import span_store_step, text_tokenizer_step
from spelangy.tokens.units import speech_tokenizer_step, units_step
from spelangy.train.step import train_step

SPOKEN = {"speech/turns": "speech/recordings"}
ASKED = {"question-speech/turns": "question-speech/recordings"}
TOKENIZER = "speech-tokenizer"
TAKEN = "selected/pages"
QUESTIONS = "questions/questions"


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
        steps += _synth_steps(recipe, store, ("krist", "quest"))
    if has_recordings or has_pages:
        steps += _model_steps(recipe, audio, has_recordings, has_pages)
    if has_pages:
        steps += _eval_steps(recipe, audio)
    return Pipeline(recipe.name, steps)


def synthesis_pipeline(recipe: Recipe, store: Store, kinds: Sequence[str]) -> Pipeline:
    """Pages to speech for some kinds of script, ``krist`` or ``quest``: what `recipe_pipeline` does of it, no more.

    It has refs of its own; what it wrote and spoke is found by the whole recipe's run, and the other way round.
    """
    if recipe.allow_network:
        resolve_models(recipe)
    return Pipeline("-".join((recipe.name, *kinds)), _synth_steps(recipe, store, kinds))


def _synth_steps(recipe: Recipe, store: Store, kinds: Sequence[str]) -> Sequence[Step]:
    synth, seed, root = recipe.synth, recipe.seed, store.files.root
    write = {"krist": krist_step, "quest": quest_step}
    return [
        pages_step(synth),
        page_scores_step(synth),
        selected_step(synth, seed),
        questions_step(recipe.evals, TAKEN, recipe.tokens.heldout_share, seed),
        gate_step(synth.gate, TAKEN, QUESTIONS),
        *(write[kind](synth, QUESTIONS, root, seed) for kind in kinds),
        speech_step("speech", tuple(f"{kind}/scripts" for kind in kinds), synth, store.audio, seed),
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
        speech_step("question-speech", ("questions/scripts",), recipe.synth, audio, recipe.seed, plain=True),
        units_step("question-units", ASKED, recipe.tokens, audio, TOKENIZER),
        heard_step(recipe.evals, "question-speech/recordings", audio),
        eval_step(recipe.evals, recipe.train, recipe.seed),
    ]
