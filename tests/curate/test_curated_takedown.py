"""A recording taken down from a curated store: gone from every file, and it cannot come back."""

from pathlib import Path

import pytest
from tone_backends import Curate, conversation

import sound_files as sounds
from spelangy.core.records import Chunk, Drop, Recording
from spelangy.core.schema import from_table
from spelangy.store.audio import AudioStore
from spelangy.store.objects import Store
from spelangy.store.refused import RefusedRecordings
from spelangy.store.takedown import take_down

pytestmark = pytest.mark.usefixtures("tones")


@pytest.fixture
def talks(tmp_path: Path) -> list[Path]:
    return [
        sounds.write_wav(tmp_path / "kept.wav", conversation(("alto", "good morning"))),
        sounds.write_wav(tmp_path / "gone.wav", conversation(("bass", "good night"))),
    ]


def texts(store: Store, key: str) -> list[str]:
    return [chunk.text for chunk in from_table(store.table(key, "chunks"), Chunk)]


def files_with(store: Store, needle: str) -> list[str]:
    root = Path(store.files.root)
    found = [path for path in root.rglob("*") if path.is_file() and "takedowns" not in path.parts]
    return [str(path) for path in found if needle.encode() in path.read_bytes() or needle in str(path)]


def test_one_recording_goes_and_the_other_stays(curate: Curate, store: Store, talks: list[Path]) -> None:
    finished = curate(talks)
    key = finished["chunks-fine"].stored.key
    recordings = from_table(store.table(finished["ingest"].stored.key, "recordings"), Recording)
    (gone,) = [found for found in recordings if found.uri.endswith("gone.wav")]
    (kept,) = [found for found in recordings if found.uri.endswith("kept.wav")]
    report = take_down(store, [str(talks[1])], {})
    assert report.remaining == []
    assert report.recordings == (gone.id,)
    assert report.num_audio_files == 1
    assert report.rows["ingest/recordings"] == 1
    assert report.rows["chunks-fine/chunks"] == 1
    assert texts(store, key) == ["good morning"]
    assert files_with(store, gone.id) == []
    assert files_with(store, gone.audio) == []
    assert files_with(store, "gone.wav") == []
    assert AudioStore(store.files.root).read(kept.audio).size == kept.num_samples


def test_it_cannot_come_back_and_no_model_runs_again(curate: Curate, store: Store, talks: list[Path]) -> None:
    before = curate(talks)
    take_down(store, ["*/gone.wav"], {})
    after = curate(talks)
    assert texts(store, after["chunks-fine"].stored.key) == ["good morning"]
    again = {name: step.stored.circumstances["num_items_from_earlier_runs"] for name, step in after.items()}
    done = {name: step.stored.circumstances["num_items"] for name, step in after.items()}
    assert {name for name in again if again[name] < done[name]} <= {"chunks-fine"}
    assert before["ingest"].stored.key != after["ingest"].stored.key


def test_the_same_sound_in_another_file_goes_too_and_is_refused_later(
    curate: Curate, store: Store, talks: list[Path], tmp_path: Path
) -> None:
    sound = conversation(("bass", "good night"))
    curate(talks)
    take_down(store, [str(talks[1])], {})
    copy = sounds.write_wav(tmp_path / "copy.w64", sound)
    finished = curate([talks[0], copy])
    assert texts(store, finished["chunks-fine"].stored.key) == ["good morning"]
    drops = from_table(store.table(finished["ingest"].stored.key, "drops"), Drop)
    assert [drop.reason for drop in drops] == ["taken down"]


def test_a_takedown_is_remembered_by_hashes_alone_and_may_be_repeated(
    curate: Curate, store: Store, talks: list[Path]
) -> None:
    curate(talks)
    take_down(store, [str(talks[1])], {})
    (refused,) = RefusedRecordings(store.files.root).all()
    assert refused.is_done
    assert take_down(store, [str(talks[1])], {}).recordings == ()
    assert take_down(store, [refused.recording_id], {}).remaining == []


def test_a_takedown_that_was_broken_off_is_finished_by_the_next(
    curate: Curate, store: Store, talks: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    finished = curate(talks)
    monkeypatch.setattr("spelangy.store.takedown._Removal._delete_audio", _killed)
    with pytest.raises(KeyboardInterrupt):
        take_down(store, [str(talks[1])], {})
    monkeypatch.undo()
    assert not RefusedRecordings(store.files.root).all()[0].is_done
    report = take_down(store, [str(talks[1])], {})
    assert report.num_audio_files == 1
    assert report.remaining == []
    assert texts(store, finished["chunks-fine"].stored.key) == ["good morning"]


def _killed(_: object) -> None:
    raise KeyboardInterrupt
