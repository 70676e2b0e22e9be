"""Recordings to turns: every second is in a turn or counted as silence, and the voices are told apart."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tone_backends import Curate, conversation

import sound_files as sounds
from spelangy.backends.protocols import DiarizedSpan
from spelangy.core.records import Drop, Turn
from spelangy.core.schema import from_table
from spelangy.core.spans import SAMPLE_RATE_HZ, Span
from spelangy.curate.turns import MAX_TURN_SAMPLES, join_pauses
from spelangy.store.objects import Store

VOICES = np.eye(2, dtype=np.float32)
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


@st.composite
def diarized(draw: Any) -> list[DiarizedSpan]:
    spans, clock = [], 0
    for _ in range(draw(st.integers(0, 12))):
        start = clock + draw(st.sampled_from([0, 1, 8_000, 16_000, 16_001, 40_000]))
        clock = start + draw(st.sampled_from([1_600, 32_000, 440_000]))
        speaker, is_overlap = draw(st.integers(0, 1)), draw(st.integers(0, 5)) == 0
        spans.append(
            DiarizedSpan(
                span=Span(start, clock), speaker=f"S{speaker}", is_overlap=is_overlap, embedding=VOICES[speaker]
            )
        )
    return spans


@given(diarized(), st.sampled_from([0, 16_000]))
def test_pauses_are_joined_within_one_voice_and_nothing_else_changes(spans: list[DiarizedSpan], max_gap: int) -> None:
    joined = join_pauses(spans, max_gap)
    for turn in joined:
        parts = [one for one in spans if turn.span.start <= one.span.start < turn.span.end]
        assert {(one.speaker, one.is_overlap) for one in parts} == {(turn.speaker, turn.is_overlap)}
        assert (parts[0].span.start, parts[-1].span.end) == (turn.span.start, turn.span.end)
        assert len(parts) == 1 or (not turn.is_overlap and turn.span.num_samples <= MAX_TURN_SAMPLES)
        assert all(0 < right.span.start - left.span.end <= max_gap for left, right in pairwise(parts))
        assert np.allclose(turn.embedding, VOICES[int(turn.speaker[1])])
    assert sum(len([one for one in spans if one.span.overlap(turn.span)]) for turn in joined) == len(spans)
    if not max_gap:
        assert [turn.span for turn in joined] == [one.span for one in spans]


def test_a_breath_is_joined_and_a_longer_pause_is_not() -> None:
    said = [Span(0, 16_000), Span(32_000, 48_000), Span(64_001, 80_000)]
    spans = [DiarizedSpan(span=span, speaker="S0", is_overlap=False, embedding=VOICES[0]) for span in said]
    assert [turn.span for turn in join_pauses(spans, 16_000)] == [Span(0, 48_000), Span(64_001, 80_000)]
