"""Stored artefacts to a page: figures that add up, chunks that can be heard, hostile text that stays text."""

import io
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from spelangy.core.contamination import normalised_words
from spelangy.core.records import Chunk, Drop, Page, Recording
from spelangy.core.schema import to_table
from spelangy.engine.pipeline import FinishedStep
from spelangy.recipe.path import recipe_pipeline
from spelangy.report.data import ReportData
from spelangy.report.gather import gather
from spelangy.report.page import render
from spelangy.report.tables import RunStep
from spelangy.store.objects import Lineage, Store
from tiny_run import ONE_WORKER, QUIET, TinyRun

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'><svg/onload=alert(3)>{{ 111*1001 }}"


def gathered(store: Store, steps: dict[str, RunStep]) -> ReportData:
    return gather(store, steps, title="tiny", recipe="seed = 9", created="today", models=[], commands=["spelangy run"])


def as_run(finished: dict[str, FinishedStep]) -> dict[str, RunStep]:
    return {
        name: RunStep(stored=step.stored, status=step.status, why=step.why, seconds=step.seconds)
        for name, step in finished.items()
    }


@pytest.fixture(scope="module")
def data(tiny: TinyRun) -> ReportData:
    return gathered(tiny.store, as_run(dict(tiny.finished)))


class Elements(HTMLParser):
    """Every element of a page with its attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_every_stage_accounts_for_what_went_in(data: ReportData) -> None:
    names = [stage.name for stage in data.funnel]
    assert names == [
        "ingest",
        "turns",
        "words",
        "chunks-fine",
        "chunks-coarse",
        "pages",
        "selected",
        "gate",
        "krist",
        "quest",
        "speech",
        "question-speech",
    ]
    for stage in data.funnel:
        assert stage.num_unaccounted == 0 and stage.num_kept > 0
        assert all(drop.reason and drop.count > 0 for drop in stage.drops)


def test_the_funnel_is_what_is_stored(data: ReportData, tiny: TinyRun) -> None:
    stages = {stage.name: stage for stage in data.funnel}
    (missing,) = stages["ingest"].drops
    assert (missing.reason, missing.kind, missing.count) == ("not found", "quarantined", 1)
    for step in ("quest", "gate", "chunks-fine"):
        drops = tiny.records(step, "drops", Drop)
        assert {drop.reason: drop.count for drop in stages[step].drops} == {
            reason: sum(drop.reason == reason for drop in drops) for reason in {drop.reason for drop in drops}
        }
    spoken_s = sum(row.num_samples for row in tiny.records("speech", "recordings", Recording)) / 16_000
    assert stages["speech"].hours_kept == pytest.approx(spoken_s / 3600)


def test_chunk_lengths_are_shown_by_view_and_source(data: ReportData, tiny: TinyRun) -> None:
    shown = {(row.view, row.source): row.seconds for row in data.chunk_seconds}
    assert set(shown) == {("fine", "crawl"), ("coarse", "crawl"), ("fine", "krist"), ("fine", "quest")}
    assert sum(map(len, shown.values())) == sum(
        len(tiny.records(step, "chunks", Chunk)) for step in ("chunks-fine", "chunks-coarse", "speech")
    )


def test_chunks_can_be_heard_and_crawled_ones_say_what_each_system_heard(data: ReportData) -> None:
    assert {chunk.source for chunk in data.chunks} == {"crawl", "krist", "quest"}
    for chunk in data.chunks:
        sound, rate = soundfile.read(io.BytesIO(chunk.audio))
        assert rate == 16_000 and len(sound) == round(chunk.duration_s * rate) and np.abs(sound).max() > 0.01
        assert chunk.text and chunk.document
        assert [name for name, _ in chunk.hypotheses] == (["moonshine-tiny-en"] if chunk.source == "crawl" else [])
    for chunk in (chunk for chunk in data.chunks if chunk.source == "crawl"):
        assert chunk.words_spell_text
        assert all(0 <= word.start_s <= word.end_s <= chunk.duration_s + 0.5 for word in chunk.words)
        ((_, heard),) = chunk.hypotheses
        assert normalised_words(heard) == normalised_words(chunk.text), "with one system the consensus is what it said"


def test_of_quest_whole_scripts_can_be_heard_with_the_address_of_their_page(data: ReportData, tiny: TinyRun) -> None:
    addresses = {page.uri for page in tiny.records("pages", "pages", Page)}
    chunks = tiny.records("speech", "chunks", Chunk)
    heard = [chunk for chunk in data.chunks if chunk.source == "quest"]
    assert heard and {chunk.document for chunk in heard} <= addresses
    for shown in heard:
        (script,) = {chunk.recording_id for chunk in chunks if shown.text.startswith(chunk.text) and chunk.index == 0}
        said = [chunk.text for chunk in sorted(chunks, key=lambda chunk: chunk.index) if chunk.recording_id == script]
        assert shown.text == " ".join(said)


def test_topics_are_counted_before_and_after(data: ReportData, tiny: TinyRun) -> None:
    assert sum(row.num_read for row in data.topics) == len(tiny.records("pages", "pages", Page))
    assert all(row.num_taken == row.num_read for row in data.topics) and data.topic_distance == pytest.approx(0.0)
    assert not data.writers and not data.refused


def test_losses_scores_and_lineage_are_all_there(data: ReportData, tiny: TinyRun) -> None:
    assert {(curve.split, curve.modality) for curve in data.losses} == {
        (split, modality) for split in ("train", "held-out") for modality in ("text", "speech")
    }
    assert all(curve.points[-1][0] == tiny.recipe.train.steps for curve in data.losses)
    assert len(data.scores) == 6 and all(row.chance == 0.25 for row in data.scores)
    assert [row.name for row in data.steps] == list(tiny.finished)
    assert any("Spoken questions" in line for line in data.findings)
    assert any("the path is whole, not that the model can answer" in note for note in data.score_notes)


def test_the_page_shows_it(data: ReportData) -> None:
    page = Elements(render(data))
    shown = " ".join(page.text.split())
    for chunk in data.chunks:
        assert " ".join(chunk.text.split())[:40] in shown
    for finding in data.findings:
        assert finding in shown
    assert sum(tag == "audio" for tag, _ in page.found) >= len(data.chunks)


def test_a_run_of_curation_alone_has_a_page(tiny: TinyRun) -> None:
    pipeline = recipe_pipeline(tiny.recipe, tiny.store).upto("chunks-fine", "chunks-coarse")
    found = gathered(tiny.store, as_run(pipeline.run(tiny.store, ONE_WORKER, QUIET)))
    assert (found.scores, found.losses, found.score_notes) == ((), (), ())
    assert {chunk.source for chunk in found.chunks} == {"crawl"}
    assert {step.status for step in found.steps} == {"reused"}
    assert "recordings could be read" in Elements(render(found)).text


def test_a_run_of_nothing_has_a_page(tmp_path: Path) -> None:
    found = gathered(Store(tmp_path), {})
    assert (found.funnel, found.chunks, found.findings) == ((), (), ())
    assert "tiny" in Elements(render(found)).text


def test_hostile_text_stays_text(tiny: TinyRun, tmp_path: Path) -> None:
    """A transcript, a uri, a speaker, a drop's detail: whatever a page or a recogniser says."""
    chunk: Chunk = tiny.records("speech", "chunks", Chunk)[0]
    (recording,) = (row for row in tiny.records("speech", "recordings", Recording) if row.id == chunk.recording_id)
    store = Store(tmp_path)
    audio = store.audio.put(tiny.store.audio.read(chunk.audio))
    drop = Drop(
        id="d", item_id=HOSTILE, step="speech", kind="dropped", reason=HOSTILE, value=1.0, threshold=None,
        detail=HOSTILE, duration_s=0.0,
    )  # fmt: skip
    tables: dict[str, Any] = {
        "chunks": [replace(chunk, audio=audio, text=HOSTILE, speaker=HOSTILE, dissent=(HOSTILE,))],
        "recordings": [replace(recording, uri=HOSTILE)],
        "drops": [drop],
    }
    stored = store.commit_tables(
        Lineage(step="speech", version=1, config={}, seed=0, inputs={}),
        {name: to_table(rows, type(rows[0])) for name, rows in tables.items()},
        {},
    )
    steps = {"speech": RunStep(stored=stored, status="built", why=HOSTILE, seconds=1.0)}
    data = gather(store, steps, title=HOSTILE, recipe=HOSTILE, created="today", models=[], commands=[HOSTILE])
    (heard,) = data.chunks
    assert heard.text == heard.document == heard.speaker == HOSTILE

    plain, hostile = Elements(render(gathered(tiny.store, {}))), Elements(render(data))
    assert HOSTILE in hostile.text and "111111" not in hostile.text
    scripts = [[tag for tag, _ in page.found if tag == "script"] for page in (plain, hostile)]
    assert scripts[0] == scripts[1]
    assert not [tag for tag, _ in hostile.found if tag == "img"]
    assert not [name for _, attributes in hostile.found for name in attributes if name.startswith("on")]
