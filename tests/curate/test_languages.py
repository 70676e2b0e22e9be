"""Turns to guesses of their language: which windows are heard, and what is made of them."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tone_backends import conversation

import sound_files as sounds
from spelangy.core.records import LanguageGuess, Turn, turn_id
from spelangy.core.settings import BackendChoice
from spelangy.core.spans import Span, samples
from spelangy.curate.config import CurateSettings
from spelangy.curate.ingest import ingest_step
from spelangy.curate.languages import (
    GuessLanguages,
    WindowPlan,
    guess,
    languages_step,
    plan_windows,
    spread_windows,
    text_language,
)
from spelangy.curate.turns import turns_step
from spelangy.engine.daft_runner import RunnerSettings
from spelangy.engine.pipeline import Pipeline
from spelangy.engine.progress import StepProgress
from spelangy.store.audio import AudioStore
from spelangy.store.objects import Store

PLAN = WindowPlan(num_windows=2, window_samples=samples(5.0))
LINES = (("alto", "good morning everyone and welcome"), ("bass", "guten morgen allerseits und willkommen"))


def turns_of(*lengths_s: float, speaker: str = "S0") -> list[dict[str, Any]]:
    starts = [sum(lengths_s[:index]) for index in range(len(lengths_s))]
    return [
        {
            "id": turn_id("r", index),
            "recording_id": "r",
            "audio": "key",
            "start": samples(start),
            "end": samples(start + length),
            "speaker": speaker,
        }
        for index, (start, length) in enumerate(zip(starts, lengths_s, strict=True))
    ]


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.integers(1, 4), st.integers(1, 10**5))
def test_windows_lie_apart_inside_their_turn(start: int, length: int, count: int, window: int) -> None:
    span = Span(start, start + length)
    windows = spread_windows(span, WindowPlan(num_windows=count, window_samples=window))
    assert 1 <= len(windows) <= count
    assert all(found.clip(span) == found and found.num_samples == min(window, length) for found in windows)
    assert all(left.end <= right.start for left, right in pairwise(windows))


@given(st.lists(st.tuples(st.floats(0.05, 30), st.sampled_from("AB")), max_size=25))
def test_every_turn_is_heard_and_short_ones_share_with_their_own_speaker(rows: list[tuple[float, str]]) -> None:
    turns = turns_of(*(length for length, _ in rows))
    for turn, (_, speaker) in zip(turns, rows, strict=True):
        turn["speaker"] = speaker
    windows = list(plan_windows(turns, PLAN))
    assert {index for window in windows for index in window.turns} == set(range(len(turns)))
    for window in windows:
        assert len({turns[index]["speaker"] for index in window.turns}) == 1
        assert sum(span.num_samples for span in window.spans) <= PLAN.window_samples
        assert len(window.turns) == 1 or all(
            turns[index]["end"] - turns[index]["start"] < samples(2.0) for index in window.turns
        )


def test_a_speaker_s_short_turns_cost_one_window() -> None:
    windows = list(plan_windows(turns_of(0.5, 1.0, 12.0, 0.7, 6.0), PLAN))
    assert [window.turns for window in windows] == [(2,), (2,), (4,), (0, 1, 3)]


def test_the_guess_is_the_highest_mean() -> None:
    (turn,) = turns_of(12.0)
    found = guess(turn, [{"en": 0.9, "de": 0.1}, {"en": 0.2, "de": 0.8}])
    assert (found.language, found.num_windows, found.evidence) == ("en", 2, "audio")
    assert found.probability == pytest.approx(0.55)
    assert found.id == f"{turn['id']}-audio"


def test_silence_is_undetermined_and_counts_for_nothing() -> None:
    (turn,) = turns_of(12.0)
    silent = guess(turn, [{}, {}])
    assert (silent.language, silent.probability, silent.num_windows) == ("und", 0.0, 0)
    assert guess(turn, [{}, {"fr": 0.7, "es": 0.3}]).probability == pytest.approx(0.7)


def test_a_transcript_tells_its_language() -> None:
    assert text_language("Es war einmal ein König, der hatte drei Töchter.")[0] == "de"
    language, probability = text_language("Never in my life have I seen such a thing.")
    assert language == "en" and 0.5 < probability <= 1.0
    assert text_language(" ") == ("und", 0.0)


@pytest.fixture
def languages_of(store: Store, tones: None, tmp_path: Path):  # type: ignore[no-untyped-def]
    talk = sounds.write_wav(tmp_path / "talk.wav", conversation(*LINES))

    def run(**changes: Any) -> list[LanguageGuess]:
        values: Mapping[str, Any] = {
            "sources": [{"uris": [str(talk)]}], "vad": "loudness", "diarizer": "tones", "min_recording_s": 0.2,
            "lid": "voices", "asr": ["tones"], **changes,
        }  # fmt: skip
        settings = CurateSettings.model_validate(values)
        steps = [step(settings, store.audio) for step in (ingest_step, turns_step, languages_step)]
        finished = Pipeline("heard", steps).run(store, RunnerSettings(num_workers=1), StepProgress(quiet=True))
        turns = {turn.id for turn in _records(store, finished, "turns", Turn)}
        found: list[LanguageGuess] = _records(store, finished, "languages", LanguageGuess)
        assert {one.turn_id for one in found} == turns
        return found

    return run


def _records(store: Store, finished: Any, step: str, record_type: type[Any]) -> list[Any]:
    from spelangy.core.schema import from_table

    return from_table(store.table(finished[step].stored.key, step), record_type)


def test_each_turn_gets_its_language(languages_of: Any) -> None:
    found = languages_of(lid_window_s=1.0)
    assert [one.language for one in found] == ["en", "de"]
    assert all(one.probability > 0.9 and one.evidence == "audio" and one.num_windows >= 1 for one in found)


def test_the_size_of_blocks_changes_no_guess_of_long_turns(languages_of: Any) -> None:
    assert languages_of(lid_window_s=1.0, asr_block_s=1.0) == languages_of(lid_window_s=1.0)


def test_the_backend_is_the_recipe_s(tmp_path: Path, tones: None) -> None:
    worker = GuessLanguages(AudioStore(str(tmp_path)), BackendChoice(name="voices"), PLAN)
    key = worker.audio.put(conversation(("bass", "guten tag"), pause_s=0.0))
    turn = {**turns_of(0.3)[0], "audio": key}
    (found,) = worker({"id": "b", "turns": [turn]}).records["languages"]
    assert (found.language, found.num_windows) == ("de", 1)
