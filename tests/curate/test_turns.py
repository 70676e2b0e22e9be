"""Recordings to turns: every second is in a turn or counted as silence, and the voices are told apart."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tone_backends import Curate, conversation

import sound_files as sounds
from spelangy.core.records import Drop, Turn
from spelangy.core.schema import from_table
from spelangy.core.spans import SAMPLE_RATE_HZ
from spelangy.store.objects import Store

LINES = (("alto", "good morning"), ("bass", "morning"), ("alto", "have you slept"), ("alto", "well"))


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    return sounds.write_wav(tmp_path / "talk.wav", conversation(*LINES))


def test_turns_are_in_order_inside_the_recording_and_know_their_speaker(
    talk: Path, store: Store, curate: Curate
) -> None:
    finished = curate([talk], upto="turns")
    turns = from_table(store.table(finished["turns"].stored.key, "turns"), Turn)
    (recording,) = store.table(finished["ingest"].stored.key, "recordings").to_pylist()
    assert [turn.speaker for turn in turns] == ["S0", "S1", "S0", "S0"]
    assert [turn.id for turn in turns] == sorted(turn.id for turn in turns)
    assert all(turn.id.startswith(f"{recording['id']}-") for turn in turns)
    assert all(left.end <= right.start for left, right in pairwise(turns))
    assert turns[-1].end <= recording["num_samples"]
    assert {turn.audio for turn in turns} == {recording["audio"]}
    assert {turn.embedding for turn in turns} == {(1.0, 0.0), (0.0, 1.0)}


def test_sound_in_turns_and_silence_make_up_the_recording(talk: Path, store: Store, curate: Curate) -> None:
    finished = curate([talk], upto="turns")
    turns = from_table(store.table(finished["turns"].stored.key, "turns"), Turn)
    (drop,) = from_table(store.table(finished["turns"].stored.key, "drops"), Drop)
    (recording,) = store.table(finished["ingest"].stored.key, "recordings").to_pylist()
    assert drop.reason == "silence"
    in_turns_s = sum(turn.span.duration_s for turn in turns)
    assert in_turns_s + drop.duration_s == pytest.approx(recording["num_samples"] / SAMPLE_RATE_HZ)


def test_silence_is_dropped_whole_and_costs_no_later_step(tmp_path: Path, store: Store, curate: Curate) -> None:
    path = sounds.write_wav(tmp_path / "silence.wav", np.zeros((SAMPLE_RATE_HZ * 2, 1)))
    finished = curate([path])
    (drop,) = from_table(store.table(finished["turns"].stored.key, "drops"), Drop)
    assert (drop.reason, drop.kind, drop.duration_s) == ("no speech", "dropped", 2.0)
    assert finished["asr-tones"].stored.circumstances["num_items"] == 0
    assert store.table(finished["chunks-fine"].stored.key, "chunks").num_rows == 0


def test_quarantined_recordings_are_not_listened_to(tmp_path: Path, talk: Path, store: Store, curate: Curate) -> None:
    finished = curate([talk, tmp_path / "nowhere.wav"], upto="turns")
    assert finished["turns"].stored.circumstances["num_items"] == 1


def test_one_more_recording_is_the_only_one_heard(tmp_path: Path, talk: Path, store: Store, curate: Curate) -> None:
    first = curate([talk])
    more = sounds.write_wav(tmp_path / "more.wav", conversation(("bass", "another day")))
    second = curate([talk, more])
    for step in ("ingest", "turns", "asr-tones", "words", "chunks-fine"):
        before, after = first[step].stored.circumstances, second[step].stored.circumstances
        assert before["num_items_from_earlier_runs"] == 0
        assert after["num_items_from_earlier_runs"] == before["num_items"], step
        assert after["num_items"] > before["num_items"], step
