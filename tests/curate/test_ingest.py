"""Sources to recordings: what cannot be read is set aside with a reason and the run goes on."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from tone_backends import Curate

import sound_files as sounds
from spelangy.core.records import Drop, Recording
from spelangy.core.schema import from_table
from spelangy.core.spans import SAMPLE_RATE_HZ
from spelangy.curate.decode import decode
from spelangy.engine.pipeline import FinishedStep
from spelangy.store.objects import Store


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    return sounds.write_wav(tmp_path / "tone.wav", sounds.sine(1.0, SAMPLE_RATE_HZ))


def recordings(store: Store, finished: dict[str, FinishedStep]) -> dict[str, Recording]:
    table = store.table(finished["ingest"].stored.key, "recordings")
    return {Path(recording.uri).name: recording for recording in from_table(table, Recording)}


def drops(store: Store, finished: dict[str, FinishedStep], step: str = "ingest") -> list[Drop]:
    return from_table(store.table(finished[step].stored.key, "drops"), Drop)


def test_bad_files_are_set_aside_with_their_reason_and_the_rest_is_kept(
    tmp_path: Path, tone: Path, store: Store, curate: Curate
) -> None:
    reasons = sounds.write_bad_files(tmp_path / "bad")
    missing = tmp_path / "nowhere.wav"
    finished = curate([tmp_path / "bad" / "*", missing, tone], upto="ingest", min_recording_s=0.5)

    found = recordings(store, finished)
    assert {name: entry.reason for name, entry in found.items()} == {
        **reasons,
        "nowhere.wav": "not found",
        tone.name: "",
    }
    assert {name for name, entry in found.items() if entry.status == "ok"} == {tone.name}
    counted = drops(store, finished)
    assert sorted(drop.reason for drop in counted) == sorted([*reasons.values(), "not found"])
    assert {drop.kind for drop in counted} == {"quarantined"}
    assert all(drop.detail for drop in counted if drop.reason == "not decodable")
    (short,) = [drop for drop in counted if drop.reason == "too short"]
    assert short.value == pytest.approx(0.1)
    assert short.threshold == 0.5


def test_a_run_in_which_nothing_can_be_read_ends_in_empty_tables(tmp_path: Path, store: Store, curate: Curate) -> None:
    reasons = sounds.write_bad_files(tmp_path / "bad")
    finished = curate([tmp_path / "bad" / "*"], min_recording_s=0.5)
    assert len(drops(store, finished)) == len(reasons)
    assert store.table(finished["chunks-fine"].stored.key, "chunks").num_rows == 0


def test_a_recording_carries_what_was_decoded_and_what_the_source_says(
    tmp_path: Path, store: Store, curate: Curate
) -> None:
    path = sounds.write_m4a(tmp_path / "talk.m4a")
    (found,) = recordings(store, curate([path], upto="ingest")).values()
    pcm_S = decode(path, max_duration_s=60.0).pcm_S
    assert (found.num_samples, found.source_codec, found.source_sample_rate_hz) == (pcm_S.size, "aac", 44_100)
    assert (found.licence, found.source, found.uri) == ("CC0", "test", str(path))
    assert np.array_equal(np.rint(store.audio.read(found.audio) * 32_768).astype(np.int16), pcm_S)


def test_damage_is_kept_beside_the_sound(tmp_path: Path, store: Store, curate: Curate) -> None:
    path = sounds.write_m4a(tmp_path / "hole.m4a")
    path.write_bytes(sounds.with_hole(path.read_bytes()))
    (found,) = recordings(store, curate([path], upto="ingest")).values()
    assert (found.status, "packets not decodable" in found.reason) == ("ok", True)


def test_the_same_sound_in_two_containers_is_stored_once(
    tmp_path: Path, tone: Path, store: Store, curate: Curate
) -> None:
    pcm_S, _ = soundfile.read(tone, dtype="int16")
    soundfile.write(tmp_path / "tone.flac", pcm_S, SAMPLE_RATE_HZ)
    found = recordings(store, curate([tone, tmp_path / "tone.flac"], upto="ingest"))
    assert len({entry.id for entry in found.values()}) == 2
    assert len({entry.audio for entry in found.values()}) == 1


def test_a_copy_is_counted_and_not_taken_twice(tmp_path: Path, tone: Path, store: Store, curate: Curate) -> None:
    (tmp_path / "copy.wav").write_bytes(tone.read_bytes())
    finished = curate([tone, tmp_path / "copy.wav"], upto="ingest")
    assert list(recordings(store, finished)) == [tone.name]
    (drop,) = drops(store, finished)
    assert (drop.reason, drop.kind) == ("exact duplicate", "dropped")
    assert "copy.wav" in drop.detail


def test_the_longest_recording_is_a_setting(tone: Path, store: Store, curate: Curate) -> None:
    (drop,) = drops(store, curate([tone], upto="ingest", max_recording_s=0.7))
    assert (drop.reason, drop.threshold) == ("too long", 0.7)


def test_one_more_recording_is_the_only_one_decoded(tmp_path: Path, tone: Path, curate: Curate) -> None:
    first = curate([tone], upto="ingest")["ingest"].stored
    more = sounds.write_wav(tmp_path / "more.wav", sounds.sine(1.0, SAMPLE_RATE_HZ, 500.0))
    second = curate([tone, more], upto="ingest")["ingest"].stored
    assert (first.circumstances["num_items"], first.circumstances["num_items_from_earlier_runs"]) == (1, 0)
    assert (second.circumstances["num_items"], second.circumstances["num_items_from_earlier_runs"]) == (2, 1)
    assert second.key != first.key


def test_a_recording_that_moved_is_reused_and_another_licence_is_not(
    tmp_path: Path, tone: Path, curate: Curate
) -> None:
    curate([tone], upto="ingest")
    moved = tone.rename(tmp_path / "moved.wav")
    assert curate([moved], upto="ingest")["ingest"].status == "reused"
    sources = [{"uris": [str(moved)], "licence": "CC-BY-4.0"}]
    assert curate([], upto="ingest", sources=sources)["ingest"].status == "built"
