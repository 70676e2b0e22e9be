"""Sampled quality: how many windows, which turns, and scores of nothing that was not heard."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spelangy.core.records import Recording, Turn, turn_id
from spelangy.core.schema import to_table
from spelangy.core.settings import BackendChoice
from spelangy.core.spans import Span, samples
from spelangy.curate import quality
from spelangy.curate.config import CurateSettings
from spelangy.curate.quality import WINDOW_SAMPLES, Rate, num_windows, quality_step, sample_turns
from spelangy.store.audio import AudioStore
from spelangy.testing import FakeQualityPredictor, voiced_sound


def turn(start_s: float, end_s: float, index: int, audio: str = "") -> Turn:
    return Turn(
        id=turn_id("r", index), recording_id="r", audio=audio, start=samples(start_s), end=samples(end_s), speaker="S0",
        is_overlap=False,
    )  # fmt: skip


def recording(key: str, num_samples: int, name: str = "r") -> Recording:
    return Recording(
        id=name, uri="", status="ok", reason="", num_samples=num_samples, audio=key, source="", licence="",
        source_codec="", source_sample_rate_hz=0, source_channels=0,
    )  # fmt: skip


class Listening(FakeQualityPredictor):
    """Remembers the clips it was given."""

    def __init__(self) -> None:
        self.clips: list[np.ndarray] = []

    def rate(self, clips):
        self.clips.extend(clips)
        return super().rate(clips)


@pytest.fixture
def ears(monkeypatch: pytest.MonkeyPatch) -> Listening:
    found = Listening()
    monkeypatch.setattr(quality, "create", lambda role, choice: {"quality": found}[role])
    return found


@pytest.fixture
def audio(tmp_path: Path) -> AudioStore:
    return AudioStore(str(tmp_path))


@pytest.mark.parametrize(
    ("duration_s", "per_hour", "windows"), [(0.5, 60, 1), (60, 60, 1), (61, 60, 2), (3 * 3600, 60, 180), (3600, 0.1, 1)]
)
def test_a_recording_buys_windows_by_its_length(duration_s: float, per_hour: float, windows: int) -> None:
    assert num_windows(duration_s, per_hour) == windows


@given(st.lists(st.floats(0, 5), max_size=30), st.integers(1, 40))
def test_the_sample_is_of_the_size_asked_and_prefers_turns_of_a_second(lengths: list[float], size: int) -> None:
    turns = [turn(10 * i, 10 * i + length, i) for i, length in enumerate(lengths)]
    spoken = [one for one in turns if one.span.num_samples]
    heard = sample_turns(turns, size)
    assert len(heard) == min(size, len(spoken))
    assert [one.id for one in heard] == sorted({one.id for one in heard})
    is_long = {one.id: one.span.num_samples >= samples(1.0) for one in spoken}
    assert sum(is_long[one.id] for one in heard) == min(size, sum(is_long.values()))


def test_the_same_turns_are_heard_whatever_their_order_and_a_larger_sample_holds_the_smaller() -> None:
    turns = [turn(3 * i, 3 * i + 2, i) for i in range(200)]
    heard = sample_turns(turns, 20)
    assert sample_turns(turns[::-1], 20) == heard
    assert {one.id for one in heard} < {one.id for one in sample_turns(turns, 30)}
    positions = [int(one.id[-6:]) for one in heard]
    assert positions[0] < 60 and positions[-1] > 140, "spread over the recording"


def test_turns_heard_are_scored_and_their_mean_stands_for_the_recording(audio: AudioStore, ears: Listening) -> None:
    sound = 0.1 * voiced_sound(60.0)
    sound[samples(20.0) :] *= 4
    key = audio.put(sound)
    turns = [turn(0, 12, 0, key), turn(14, 16, 1, key), turn(20, 29.5, 2, key), turn(40, 40.5, 3, key)]
    worker = Rate(audio, BackendChoice(name="any"), windows_per_hour=180.0)
    item = {"id": "r", "audio": key, "num_samples": sound.size, "turns": to_table(turns, Turn).to_pylist()}
    scores = worker(item).records["scores"]
    by_turn = {score.turn_id: score.value for score in scores}
    assert set(by_turn) == {"", *(one.id for one in turns[:3])}
    assert {score.name for score in scores} == {"mos_overall"}
    assert all(score.id == f"{score.turn_id or 'r'}-mos_overall" for score in scores)
    assert by_turn[""] == pytest.approx(np.mean([by_turn[one.id] for one in turns[:3]]))
    assert by_turn[turns[2].id] > by_turn[turns[0].id]
    assert [clip.size for clip in ears.clips] == [WINDOW_SAMPLES] * 3
    middle = Span(samples(6.0) - WINDOW_SAMPLES // 2, samples(6.0) - WINDOW_SAMPLES // 2 + WINDOW_SAMPLES)
    np.testing.assert_array_equal(ears.clips[0], audio.read(key, middle))
    two_seconds = audio.read(key, turns[1].span)
    np.testing.assert_array_equal(ears.clips[1], np.resize(two_seconds, WINDOW_SAMPLES))


def test_a_recording_without_turns_has_no_scores(audio: AudioStore, ears: Listening) -> None:
    settings = CurateSettings()
    step = quality_step(settings, audio)
    assert (step.name, step.loads_model) == ("quality", True)
    tables = {"ingest/recordings": to_table([recording("k", 9)], Recording), "turns": to_table([], Turn)}
    assert set(step.inputs) == set(tables)
    inputs = SimpleNamespace(table=tables.__getitem__)
    (item,) = step.items(inputs).to_pylist()
    assert step.worker(inputs)()(item).records == {"scores": []}
    assert not ears.clips


def test_the_model_and_the_number_of_windows_are_the_step_s_identity(audio: AudioStore) -> None:
    config = quality_step(CurateSettings(), audio).config
    assert config["windows_per_recording_hour"] == 60.0
    assert config["quality"]["revision"].startswith("speechmos 0.0.1.1")
    assert quality_step(CurateSettings(quality_windows_per_recording_hour=9), audio).config != config
