"""Bytes that are the same every time, files that are whole or absent, memory that does not grow with the data."""

import errno
import gzip
import hashlib
import os
import tarfile
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from exchange_records import Speech, plain_speech, recording, speech_of

from spelangy.core.errors import UserError
from spelangy.core.records import Chunk, Word
from spelangy.core.schema import to_table
from spelangy.store.audio import AudioStore
from spelangy.store.exchange import EXPORTS, ImportRequest, export_stored, import_data
from spelangy.store.exchange.carried import tar_key
from spelangy.store.exchange.clips import clips
from spelangy.store.exchange.dossier import StoredRows, TableAddress, stored_dossiers
from spelangy.store.exchange.viewed import viewed_tables
from spelangy.store.objects import Lineage, Store
from spelangy.store.takedown import take_down


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def export_view(store: Store, form: str, directory: Path, name: str = "talks", **options: float) -> list[Path]:
    return export_stored(form, directory, store, viewed_tables(store, name, "fine"), **options)


@pytest.mark.parametrize("form", sorted(EXPORTS))
def test_stored_tables_are_exported_with_the_bytes_of_records_at_hand(store: Store, tmp_path: Path, form: str) -> None:
    speech = plain_speech(store.audio)
    speech.commit(store, "talks")
    at_hand = speech.export(form, tmp_path / "a", store.audio, shard_mb=0.03)
    stored = export_view(store, form, tmp_path / "b", shard_mb=0.03)
    assert [path.relative_to(tmp_path / "a") for path in at_hand] == [
        path.relative_to(tmp_path / "b") for path in stored
    ]
    assert [digest(path) for path in at_hand] == [digest(path) for path in stored]
    again = speech.export(form, tmp_path / "c", store.audio, shard_mb=0.03)
    assert [digest(path) for path in at_hand] == [digest(path) for path in again]


def test_golden_bytes(store: Store, tmp_path: Path) -> None:
    """What decides the bytes beside the sound: a change here is a change of format."""
    speech = plain_speech(store.audio)
    (lines,) = speech.export("jsonl", tmp_path / "jsonl", store.audio)
    assert digest(lines) == GOLDEN["jsonl"]
    (tar,) = speech.export("webdataset", tmp_path / "tar", store.audio)
    with tarfile.open(tar) as members:
        headers = [(m.name.partition(".")[2], m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode, m.type) for m in members]
        assert set(headers) == {(kind, 0, 0, 0, "", "", 0o644, b"0") for kind in ("flac", "json", "txt")}
        texts = [members.extractfile(m) for m in members.getmembers() if not m.name.endswith(".flac")]
        joined = b"".join(text.read() for text in texts if text is not None)
    assert hashlib.sha256(joined).hexdigest() == GOLDEN["webdataset"]


GOLDEN = {
    "jsonl": "f5f7a81ddf7dc10a2d13979b4be20e86f17c7e2a085e9ec9ddd39239ef226c78",
    "webdataset": "b805671ad20760cbe26cdd62b1ccd66ba33aa6c962bc23d89647833931da21a0",
}


@pytest.mark.parametrize("name", ["a.b", "a/b", "../a", "", "ä", "a b", "x" * 91, ".hidden"])
def test_keys_hold_nothing_that_a_tar_reader_cuts_at(name: str) -> None:
    key = tar_key(name)
    assert key != name and key.isalnum() and len(key) == 32
    assert tar_key("rec-fine_00000") == "rec-fine_00000"


def test_shards_are_closed_by_size_and_hold_every_chunk_once(store: Store, tmp_path: Path) -> None:
    speech = plain_speech(store.audio)
    one = speech.export("webdataset", tmp_path / "one", store.audio)
    each = speech.export("webdataset", tmp_path / "each", store.audio, shard_mb=0.001)
    assert len(one) == 1 and len(each) == len(speech.chunks)
    names = []
    for path in each:
        with tarfile.open(path) as tar:
            names += tar.getnames()
    with tarfile.open(one[0]) as tar:
        assert tar.getnames() == names


def test_files_of_an_earlier_export_are_not_mixed_with_the_new(store: Store, tmp_path: Path) -> None:
    speech = plain_speech(store.audio)
    before = {path: digest(path) for path in speech.export("webdataset", tmp_path / "o", store.audio, shard_mb=0.001)}
    with pytest.raises(UserError, match="holds 2 files of another export") as caught:
        speech.export("webdataset", tmp_path / "o", store.audio)
    assert "another folder" in caught.value.hint
    assert {path: digest(path) for path in (tmp_path / "o").iterdir()} == before
    (tmp_path / "o" / "notes.txt").write_text("mine")
    assert len(speech.export("webdataset", tmp_path / "o", store.audio, shard_mb=0.001)) == 3


@pytest.mark.parametrize("form", sorted(EXPORTS))
def test_a_full_disk_leaves_nothing_half_written(
    store: Store, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    speech = plain_speech(store.audio)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left"):
        speech.export(form, tmp_path / "out", store.audio)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_table_whose_ids_part_recordings_is_gathered_all_the_same(store: Store) -> None:
    speech = plain_speech(store.audio)
    first, second, other = speech.chunks
    mixed = [replace(first, id="a"), replace(other, id="b"), replace(second, id="c")]
    lineage = Lineage(step="x", version=1, config={}, seed=0, inputs={})
    key = store.commit_tables(lineage, {"chunks": to_table(mixed, Chunk)}, {}).key
    rows = StoredRows(store, TableAddress(key=key, table="chunks"), Chunk)
    assert [chunk.id for chunk in rows.of(first.recording_id)] == ["a", "c"]
    assert [chunk.id for chunk in rows.of(other.recording_id)] == ["b"]
    assert rows.of("nobody") == []


def test_a_changed_table_is_refused(store: Store, tmp_path: Path) -> None:
    plain_speech(store.audio).commit(store, "talks")
    (path,) = (tmp_path / "store" / "objects").glob("*/chunks.parquet")
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(UserError, match="has changed since it was written"):
        export_view(store, "jsonl", tmp_path / "out")


def test_a_view_that_is_older_than_its_turns_is_refused(store: Store, tmp_path: Path) -> None:
    speech = plain_speech(store.audio)
    speech.commit(store, "talks")
    key = store.ref("talks", "chunks-fine")
    replace(speech, turns=speech.turns[:1]).commit(Store(tmp_path / "other"), "talks")
    other = Store(tmp_path / "other")
    turns = other.ref("talks", "turns")
    assert key is not None and turns is not None
    lineage = Lineage(step="turns", version=2, config={}, seed=0, inputs={})
    store.set_ref("talks", "turns", store.commit_tables(lineage, {"turns": other.table(turns, "turns")}, {}).key)
    with pytest.raises(UserError, match="no longer what chunks-fine was made of"):
        viewed_tables(store, "talks", "fine")
    with pytest.raises(UserError, match="chunks-coarse of talks is not built"):
        viewed_tables(store, "talks", "coarse")


def many(store: Store, num_recordings: int) -> Speech:
    """`num_recordings` names for one sound."""
    plain = plain_speech(store.audio)
    one, parts = plain.recordings[0], {"words": [], "speaker": "S0", "role": "speech", "share": 1.0, "confidence": 1.0}
    recordings = [replace(one, id=f"{index:032x}") for index in range(num_recordings)]
    part = {**parts, "start": 0, "end": 800, "text": "hello", "dissent": ["x" * 2_000]}
    return speech_of(recordings, [[part]] * num_recordings)


def test_memory_does_not_grow_with_the_number_of_recordings(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spelangy.store.tables.ROW_GROUP_ROWS", 50)
    peaks = []
    for count in (100, 400):
        name = f"n{count}"
        many(store, count).commit(store, name)
        tables = viewed_tables(store, name, "fine")
        tracemalloc.start()
        walked = stored_dossiers(
            store,
            recordings=tables.recordings,
            turns=tables.turns,
            transcripts=tables.transcripts,
            chunks=tables.chunks,
        )
        assert sum(len(clip.flac) > 0 for clip in clips(walked, store.audio)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # 400 chunks hold 0.8 MB of text; fourfold data may not take fourfold memory.
    assert peaks[1] < 1.8 * peaks[0]


def test_the_same_files_are_imported_once(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = plain_speech(AudioStore(str(tmp_path / "a"))).export(
        "lhotse", tmp_path / "out", AudioStore(str(tmp_path / "a"))
    )
    request = ImportRequest(form="lhotse", paths=[files[0]], name="talks", audio_roots=[tmp_path / "a"])
    first = import_data(request, store)
    assert not first.is_reused and first.num_rows == {
        "chunks": 3, "drops": 0, "recordings": 2, "transcripts": 2, "turns": 3,
    }  # fmt: skip
    monkeypatch.setattr(AudioStore, "put_pcm", lambda *_: pytest.fail("decoded again"))
    (tmp_path / "moved").mkdir()
    moved = files[0].rename(tmp_path / "moved" / files[0].name)
    again = import_data(replace(request, paths=[moved], name="elsewhere"), store)
    assert again == replace(first, is_reused=True)
    assert store.ref("elsewhere", "chunks-fine") == store.ref("talks", "words") == first.key


def test_other_sound_under_the_same_name_is_another_import(store: Store, tmp_path: Path) -> None:
    speech = plain_speech(AudioStore(str(tmp_path / "a")))
    (lines,) = speech.export("jsonl", tmp_path / "out", AudioStore(str(tmp_path / "a")))
    request = ImportRequest(form="jsonl", paths=[lines], name="talks", audio_roots=[tmp_path / "a"])
    first = import_data(request, store)
    one, other = sorted((tmp_path / "a").rglob("*.flac"))
    other.write_bytes(one.read_bytes())
    second = import_data(request, store)
    assert second.key != first.key and not second.is_reused


def test_an_import_does_not_take_the_name_of_a_recipe(store: Store, tmp_path: Path) -> None:
    speech = plain_speech(store.audio)
    speech.commit(store, "talks")
    paths = speech.export("webdataset", tmp_path / "out", store.audio)
    with pytest.raises(UserError, match="is a recipe's in this store"):
        import_data(ImportRequest(form="webdataset", paths=paths, name="talks"), store)
    for name in ("", "../x", "a/b", "-x"):
        with pytest.raises(UserError, match="--name"):
            import_data(ImportRequest(form="webdataset", paths=paths, name=name), store)


def test_imported_data_is_exported_under_its_name_and_taken_down(store: Store, tmp_path: Path) -> None:
    speech = plain_speech(AudioStore(str(tmp_path / "a")))
    paths = speech.export("webdataset", tmp_path / "out", AudioStore(str(tmp_path / "a")))
    request = ImportRequest(form="webdataset", paths=paths, name="talks")
    import_data(request, store)
    assert len(export_view(store, "jsonl", tmp_path / "b")[0].read_text().splitlines()) == 3
    gone = take_down(store, ["talks/1.wav"], {})
    assert not gone.remaining and len(gone.recordings) == 2  # both clips of it
    left = export_view(store, "jsonl", tmp_path / "b")[0].read_text()
    assert len(left.splitlines()) == 1 and speech.recordings[0].id not in left


def test_what_was_taken_down_is_not_imported_again(store: Store, tmp_path: Path) -> None:
    audio = AudioStore(str(tmp_path / "a"))
    speech = plain_speech(audio)
    paths = speech.export("webdataset", tmp_path / "out", audio)
    import_data(ImportRequest(form="webdataset", paths=paths, name="talks"), store)
    take_down(store, ["talks/1.wav"], {})
    cuts = speech.export("lhotse", tmp_path / "cuts", audio)[0]
    clips = ImportRequest(form="webdataset", paths=paths, name="again", view="other")
    assert import_data(clips, store).dropped == {"taken down": 2}
    # The whole recording has another id and another sound than its clips, but says where it comes from.
    whole = ImportRequest(form="lhotse", paths=[cuts], name="all", audio_roots=[tmp_path / "a"])
    assert import_data(whole, store).dropped == {"taken down": 2}


def masked_speech(audio: AudioStore) -> Speech:
    """A chunk whose name a view has masked, over the words as they were heard."""
    spoken = [
        Word(text=text, start=800 * index, end=800 * index + 700, vote_ratio=1.0, confidence=0.9)
        for index, text in enumerate(("call", "Annabella", "now."))
    ]
    part = {
        "start": 0, "end": 4_000, "speaker": "S0", "words": spoken, "dissent": (), "role": "speech", "share": 1.0,
        "confidence": 0.9, "text": "call [person] now.",
    }  # fmt: skip
    return speech_of([recording(audio, 5, 5_000)], [[part]])


def readable(path: Path) -> str:
    """What somebody who opens the file can read in it."""
    if path.suffix == ".parquet":
        return str(pq.read_table(path).to_pylist())
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("latin-1")


@pytest.mark.parametrize("form", sorted(set(EXPORTS) - {"ctm", "textgrid", "rttm"}))
def test_no_format_of_chunks_tells_what_a_mask_hides(store: Store, tmp_path: Path, form: str) -> None:
    masked_speech(store.audio).commit(store, "talks", private="mask")
    told = "".join(map(readable, export_view(store, form, tmp_path / "out")))
    assert "[person]" in told
    assert "Annabella" not in told


@pytest.mark.parametrize("private", ["mask", "drop"])
@pytest.mark.parametrize("form", ["ctm", "textgrid"])
def test_a_format_of_all_words_is_refused_for_a_view_that_hides_some(
    store: Store, tmp_path: Path, form: str, private: str
) -> None:
    masked_speech(store.audio).commit(store, "talks", private=private)
    with pytest.raises(UserError, match="hides the private ones"):
        export_view(store, form, tmp_path / "out")
    assert not (tmp_path / "out").exists()
