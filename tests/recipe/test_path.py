"""The whole path as one pipeline: what runs, what is reused, what a changed key costs."""

import pickle

import pytest

from spelangy.core.records import Drop, Page, Recording
from spelangy.engine.step import TableStep
from spelangy.recipe.load import recipe_from
from spelangy.recipe.path import recipe_pipeline, synthesis_pipeline
from spelangy.recipe.settings import Recipe
from spelangy.store.objects import Store
from tiny_run import ONE_WORKER, PAGES, QUIET, TinyRun

CURATE = [
    "ingest", "fingerprints", "events", "turns", "languages", "asr-moonshine-tiny-en", "words", "aligned", "sound",
    "quality", "private", "duplicates", "chunks-fine", "chunks-coarse",
]  # fmt: skip
SYNTH = ["pages", "page-scores", "selected", "questions", "gate", "krist", "quest", "speech"]
MODEL = ["speech-tokenizer", "units", "text-tokenizer", "span-store", "train"]
EVALS = ["question-speech", "question-units", "question-heard", "eval"]


def rebuilt(tiny: TinyRun, *overrides: str) -> dict[str, str]:
    """Steps that a changed recipe would not reuse, with the plan's status."""
    planned = recipe_pipeline(tiny.changed(*overrides), tiny.store).plan(tiny.store)
    return {step.step: step.status for step in planned if step.status != "reuse"}


def test_every_step_of_every_room_is_built_once(tiny: TinyRun) -> None:
    assert list(tiny.finished) == [*CURATE, *SYNTH, *MODEL, *EVALS]
    assert {step.status for step in tiny.finished.values()} == {"built"}


def test_a_second_run_builds_nothing(tiny: TinyRun) -> None:
    again = recipe_pipeline(tiny.recipe, tiny.store).run(tiny.store, ONE_WORKER, QUIET)
    assert {step.status for step in again.values()} == {"reused"}
    assert {name: step.stored.key for name, step in again.items()} == {
        name: step.stored.key for name, step in tiny.finished.items()
    }


def test_every_page_is_read_and_an_input_that_is_not_there_is_counted(tiny: TinyRun) -> None:
    assert len(tiny.records("pages", "pages", Page)) == len(PAGES)
    assert sorted(row.status for row in tiny.records("ingest", "recordings", Recording)) == ["ok", "quarantined"]
    (drop,) = tiny.records("ingest", "drops", Drop)
    assert (drop.kind, drop.reason) == ("quarantined", "not found")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("tokens.interleave.plan=stochastic", {"train": "build", "eval": "waits"}),
        ("tokens.mixture.quest=0", {"train": "build", "eval": "waits"}),
        ("train.seed=1", {"train": "build", "eval": "waits"}),
        ("evals.norm=sum", {"eval": "build"}),
        ("train.eval_every=10", {}),
        ("train.threads=2", {}),
        ("curate.max_quarantined_ratio=1.0", {}),
        (
            "curate.views={fine={granularity='fine'}, coarse={granularity='coarse', max_gap_s=1.0}}",
            {"chunks-coarse": "build"},
        ),
    ],
)
def test_a_late_decision_costs_only_what_hangs_on_it(tiny: TinyRun, override: str, expected: dict[str, str]) -> None:
    assert rebuilt(tiny, override) == expected


def test_a_voice_weight_touches_speech_and_nothing_before_it(tiny: TinyRun) -> None:
    found = rebuilt(tiny, 'synth.voices=[{tts="hibari", voice="heart", weight=2}]')
    assert found["speech"] == found["question-speech"] == "build"
    assert set(found) == {"speech", *MODEL, *EVALS}


def test_a_share_of_questions_leaves_curation_alone(tiny: TinyRun) -> None:
    found = rebuilt(tiny, "evals.question_share=0.2")
    assert found["questions"] == "build" and found["gate"] == found["krist"] == found["quest"] == "waits"
    assert not set(found) & {*CURATE, "pages", "page-scores", "selected"}


def test_topics_are_measured_once_and_weighed_late(tiny: TinyRun) -> None:
    found = rebuilt(tiny, "synth.select.topics={science=2}")
    assert found["selected"] == "build" and not set(found) & {*CURATE, "pages", "page-scores"}


def test_a_changed_key_says_what_changed(tiny: TinyRun) -> None:
    recipe = tiny.recipe.model_copy(update={"seed": 10})
    planned = {step.step: step for step in recipe_pipeline(recipe, tiny.store).plan(tiny.store)}
    assert planned["selected"].why == "seed 9 → 10"


def test_a_room_without_input_is_left_out(tiny: TinyRun) -> None:
    def names(recipe: Recipe) -> list[str]:
        return list(recipe_pipeline(recipe, tiny.store).steps)

    assert names(tiny.changed("synth.pages=[]")) == [*CURATE, *MODEL]
    assert names(tiny.changed("curate.sources=[]")) == [*SYNTH, *MODEL, *EVALS]
    assert names(recipe_from({"name": "nothing"}, where="test")) == []


def test_a_part_of_the_path_takes_only_what_it_needs(tiny: TinyRun) -> None:
    pipeline = recipe_pipeline(tiny.recipe, tiny.store)
    before = ["pages", "page-scores", "selected", "questions", "gate"]
    assert list(pipeline.upto("quest").steps) == [*before, "quest"]
    alone = synthesis_pipeline(tiny.recipe, tiny.store, ("quest",))
    assert list(alone.steps) == [*before, "quest", "speech"]
    planned = {step.step: step.key for step in alone.plan(tiny.store)}
    assert {name: planned[name] for name in (*before, "quest")} == {
        name: tiny.finished[name].stored.key for name in (*before, "quest")
    }
    assert list(pipeline.upto("chunks-fine").steps) == [name for name in CURATE if name != "chunks-coarse"]


def test_every_worker_can_be_sent_to_another_process(tiny: TinyRun) -> None:
    steps = recipe_pipeline(tiny.recipe, tiny.store).steps.values()
    makers = {step.name: step.worker(tiny.inputs) for step in steps if isinstance(step, TableStep)}
    assert {"turns", "asr-moonshine-tiny-en", "speech", "units", "question-heard"} <= set(makers)
    assert all(pickle.loads(pickle.dumps(maker)) for maker in makers.values())


def test_another_place_gives_the_same_keys(tiny: TinyRun, tmp_path: object) -> None:
    """Host, path and worker count are never hashed."""
    elsewhere = recipe_pipeline(tiny.recipe, Store(f"{tmp_path}/elsewhere")).plan(Store(f"{tmp_path}/elsewhere"))
    keys = {step.step: step.key for step in elsewhere if step.key}
    assert keys["pages"] == tiny.finished["pages"].stored.key
    assert keys["ingest"] == tiny.finished["ingest"].stored.key
