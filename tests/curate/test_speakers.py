"""Turns labelled again from stored embeddings: no sound is read, nothing but the label changes."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from tone_backends import Curate, conversation

import sound_files as sounds
from spelangy.backends.clustering import ClusterRule
from spelangy.core.records import Turn, turn_id
from spelangy.core.schema import from_table
from spelangy.curate.config import CurateSettings
from spelangy.curate.speakers import Recluster, speakers_step
from spelangy.store.objects import Store

LINES = (("alto", "good morning"), ("bass", "morning"), ("alto", "have you slept"), ("alto", "well"))


def turn(index: int, axis: int, **changes: object) -> Turn:
    embedding = tuple(np.eye(4, dtype=np.float32)[axis].tolist())
    start = 100_000 * index
    made = Turn(
        id=turn_id("r", index), recording_id="r", audio="no such sound", start=start, end=start + 40_000,
        speaker="S0", is_overlap=False, embedding=embedding,
    )  # fmt: skip
    return replace(made, **changes)


def relabelled(turns: list[Turn], **rule: float) -> list[Turn]:
    worker = Recluster(ClusterRule(**{"threshold": 0.5, **rule}))
    return list(worker({"id": "r", "turns": [asdict(one) for one in turns]}).records["turns"])


def test_voices_are_told_apart_and_nothing_but_the_label_changes() -> None:
    turns = [turn(0, 2), turn(1, 0), turn(2, 2), turn(3, 1)]
    found = relabelled(turns)
    assert [one.speaker for one in found] == ["S0", "S1", "S0", "S2"]
    assert [replace(one, speaker="S0") for one in found] == turns


def test_overlapped_and_short_turns_join_but_found_no_speaker() -> None:
    turns = [turn(0, 0), turn(1, 1, is_overlap=True), turn(2, 2, end=200_100), turn(3, 0)]
    assert {one.speaker for one in relabelled(turns)} == {"S0"}


def test_the_number_of_speakers_can_be_bounded() -> None:
    turns = [turn(index, index % 4) for index in range(8)]
    assert len({one.speaker for one in relabelled(turns, max_speakers=2)}) == 2
    assert len({one.speaker for one in relabelled([turn(i, 0) for i in range(5)], min_speakers=1)}) == 1


def test_turns_without_embeddings_keep_their_labels() -> None:
    turns = [turn(0, 0, embedding=(), speaker="alto"), turn(1, 1, speaker="S1")]
    assert relabelled(turns) == turns


def test_the_step_reads_turns_alone(tmp_path: Path, store: Store, curate: Curate) -> None:
    talk = sounds.write_wav(tmp_path / "talk.wav", conversation(*LINES))
    before = curate([talk], upto="turns")
    for sound in (tmp_path / "store" / "audio").rglob("*.flac"):
        sound.unlink()
    after = curate([talk], upto="speakers", recluster={"threshold": 0.5, "max_speakers": 1})
    old, new = (
        from_table(store.table(finished[step].stored.key, "turns"), Turn)
        for finished, step in ((before, "turns"), (after, "speakers"))
    )
    assert {one.speaker for one in old} == {"S0", "S1"} and {one.speaker for one in new} == {"S0"}
    assert [replace(one, speaker="") for one in old] == [replace(one, speaker="") for one in new]


def test_no_rule_no_step() -> None:
    with pytest.raises(AssertionError):
        speakers_step(CurateSettings())


def test_a_rule_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="min_speakers"):
        CurateSettings.model_validate({"recluster": {"min_speakers": 3, "max_speakers": 2}})
