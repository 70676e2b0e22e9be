"""Every export opened by the tool that it is for: sound bit for bit that of the store, times to the sample."""

import io
import json
import tarfile
import warnings
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from exchange_records import RATE, Speech, plain_speech

from spelangy.core.records import Chunk
from spelangy.store.audio import AudioStore


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> AudioStore:
    return AudioStore(str(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module")
def speech(audio: AudioStore) -> Speech:
    return plain_speech(audio)


def ordered(speech: Speech) -> list[Chunk]:
    return sorted(speech.chunks, key=lambda chunk: (chunk.recording_id, chunk.start))


def decoded(data: bytes) -> np.ndarray[Any, Any]:
    samples, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    assert rate == RATE
    return samples


def assert_same_sound(found: np.ndarray[Any, Any], chunk: Chunk, audio: AudioStore) -> None:
    np.testing.assert_array_equal(found, audio.read(chunk.audio, chunk.span))


def test_datasets_loads_parquet(speech: Speech, audio: AudioStore, tmp_path: Path) -> None:
    import datasets

    files = speech.export("hf", tmp_path / "out", audio, shard_mb=0.03)
    assert len(files) > 1
    loaded = datasets.load_dataset(
        "parquet", data_files=[str(file) for file in files], cache_dir=str(tmp_path / "cache"), split="train"
    )
    assert loaded.features["audio"] == datasets.Audio(sampling_rate=RATE)
    check_rows(loaded, speech, audio)


def test_datasets_loads_the_folder_by_its_name(speech: Speech, audio: AudioStore, tmp_path: Path) -> None:
    import datasets

    speech.export("hf", tmp_path / "out", audio)
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert list(loaded) == ["train"] and len(loaded["train"]) == len(speech.chunks)


def test_datasets_loads_from_disk(speech: Speech, audio: AudioStore, tmp_path: Path) -> None:
    import datasets

    speech.export("hf-disk", tmp_path / "out", audio, shard_mb=0.03)
    loaded = datasets.load_from_disk(str(tmp_path / "out"))
    assert loaded.features["audio"] == datasets.Audio(sampling_rate=RATE)
    check_rows(loaded, speech, audio)


def check_rows(loaded: Any, speech: Speech, audio: AudioStore) -> None:
    import datasets

    rows = list(loaded.cast_column("audio", datasets.Audio(decode=False)))
    assert len(rows) == len(speech.chunks)
    for row, chunk in zip(rows, ordered(speech), strict=True):
        assert_same_sound(decoded(row["audio"]["bytes"]), chunk, audio)
        assert (row["text"], row["chunk_id"], row["index"]) == (chunk.text, chunk.id, chunk.index)
        assert (row["start_samples"], row["end_samples"]) == (chunk.start, chunk.end)
        assert row["dissent"] == list(chunk.dissent)
        starts = [(word["text"], word["start"] + chunk.start, word["end"] + chunk.start) for word in row["words"]]
        assert starts == words_in(speech, chunk)


def words_in(speech: Speech, chunk: Chunk) -> list[tuple[str, int, int]]:
    turn = next(turn for turn in speech.turns if (turn.recording_id, turn.start) == (chunk.recording_id, chunk.start))
    words = [word for row in speech.transcripts if row.id == turn.id for word in row.words]
    return [(word.text, word.start, word.end) for word in words]


def test_lhotse_loads_cuts(speech: Speech, audio: AudioStore, tmp_path: Path) -> None:
    import lhotse

    speech.export("lhotse", tmp_path, audio)
    cuts = list(lhotse.CutSet.from_file(tmp_path / "cuts.jsonl.gz"))
    lhotse.validate(lhotse.CutSet.from_cuts(cuts), read_data=True)
    for cut, chunk in zip(cuts, ordered(speech), strict=True):
        assert cut.num_samples == chunk.span.num_samples
        assert Decimal(str(cut.start)) * RATE == chunk.start
        assert_same_sound(cut.load_audio()[0], chunk, audio)
        (supervision,) = cut.supervisions
        assert (supervision.text, supervision.speaker) == (chunk.text, chunk.speaker)


def test_lhotse_loads_recordings_and_supervisions(speech: Speech, audio: AudioStore, tmp_path: Path) -> None:
    import lhotse

    speech.export("lhotse", tmp_path, audio)
    recordings = lhotse.RecordingSet.from_file(tmp_path / "recordings.jsonl.gz")
    supervisions = lhotse.SupervisionSet.from_file(tmp_path / "supervisions.jsonl.gz")
    lhotse.validate_recordings_and_supervisions(recordings, supervisions)
    assert {recording.id: recording.num_samples for recording in recordings} == {
        entry.id: entry.num_samples for entry in speech.recordings
    }
    chunks = {chunk.id: chunk for chunk in speech.chunks}
    for supervision in supervisions:
        chunk = chunks[supervision.id]
        assert Decimal(str(supervision.start)) * RATE == chunk.start
        starts = [Decimal(str(word.start)) * RATE for word in supervision.alignment["word"]]
        assert starts in ([], [101, 5_001], [1])


def test_lhotse_loads_shar(speech: Speech, audio: AudioStore, tmp_path: Path) -> None:
    import lhotse

    files = speech.export("shar", tmp_path, audio, shard_mb=0.03)
    assert len(files) > 2
    cuts = list(lhotse.CutSet.from_shar(in_dir=tmp_path))
    lhotse.validate(lhotse.CutSet.from_cuts(cuts))
    for cut, chunk in zip(cuts, ordered(speech), strict=True):
        assert_same_sound(cut.load_audio()[0], chunk, audio)
        (supervision,) = cut.supervisions
        assert supervision.text == chunk.text
        assert supervision.custom["chunk_id"] == chunk.id


def test_webdataset_reads_shards(speech: Speech, audio: AudioStore, tmp_path: Path) -> None:
    import webdataset

    files = speech.export("webdataset", tmp_path, audio, shard_mb=0.03)
    assert len(files) > 1
    samples = list(webdataset.WebDataset([str(file) for file in files], shardshuffle=False, empty_check=False))
    for sample, chunk in zip(samples, ordered(speech), strict=True):
        assert sample["__key__"] == chunk.id
        assert_same_sound(decoded(sample["flac"]), chunk, audio)
        assert sample["txt"].decode() == json.loads(sample["json"])["text"] == chunk.text


def test_nemo_tars_hold_what_their_manifests_say(speech: Speech, audio: AudioStore, tmp_path: Path) -> None:
    speech.export("nemo-tar", tmp_path, audio, shard_mb=0.03)
    whole = [json.loads(line) for line in (tmp_path / "tarred_audio_manifest.json").read_text().splitlines()]
    chunks = iter(ordered(speech))
    shards = sorted({line["shard_id"] for line in whole})
    assert shards == list(range(len(shards))) and len(shards) > 1
    for shard in shards:
        lines = (tmp_path / f"sharded_manifests/manifest_{shard}.json").read_text().splitlines()
        assert [json.loads(line) for line in lines] == [line for line in whole if line["shard_id"] == shard]
        with tarfile.open(tmp_path / f"audio_{shard}.tar") as tar:
            for line, member in zip(map(json.loads, lines), tar.getmembers(), strict=True):
                chunk, file = next(chunks), tar.extractfile(member)
                assert file is not None and member.name == line["audio_filepath"]
                assert_same_sound(decoded(file.read()), chunk, audio)
                assert round(line["duration"] * RATE) == chunk.span.num_samples


def test_a_reader_by_offset_hears_what_the_nemo_manifest_names(
    speech: Speech, audio: AudioStore, tmp_path: Path
) -> None:
    speech.export("nemo", tmp_path, audio)
    lines = [json.loads(line) for line in (tmp_path / "manifest.jsonl").read_text().splitlines()]
    for line, chunk in zip(lines, ordered(speech), strict=True):
        samples, _ = soundfile.read(
            line["audio_filepath"],
            start=round(line["offset"] * RATE),
            frames=round(line["duration"] * RATE),
            dtype="float32",
        )
        assert_same_sound(samples, chunk, audio)


def test_lhotse_reads_rttm_and_ctm(speech: Speech, audio: AudioStore, tmp_path: Path) -> None:
    import lhotse

    rttm = speech.export("rttm", tmp_path / "rttm", audio)
    turns = {(turn.recording_id, turn.start, turn.end, turn.speaker) for turn in speech.turns}
    found = lhotse.SupervisionSet.from_rttm(rttm)
    assert {(row.recording_id, round(row.start * RATE), round(row.end * RATE), row.speaker) for row in found} == turns
    speech.export("lhotse", tmp_path / "lhotse", audio)
    supervisions = lhotse.SupervisionSet.from_file(tmp_path / "lhotse/supervisions.jsonl.gz")
    words = {(row.recording_id, word.text) for row in speech.transcripts for word in row.words}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in speech.export("ctm", tmp_path / "ctm", audio):
            aligned = supervisions.with_alignment_from_ctm(path)
            for row in aligned:
                if row.recording_id == path.stem:
                    assert {(path.stem, word.symbol) for word in row.alignment["word"]} <= words


def test_praatio_reads_text_grids(speech: Speech, audio: AudioStore, tmp_path: Path) -> None:
    from praatio import textgrid

    for path in speech.export("textgrid", tmp_path, audio):
        grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=False)
        chunks = [chunk for chunk in speech.chunks if chunk.recording_id == path.stem]
        for speaker in {chunk.speaker for chunk in chunks}:
            entries = grid.getTier(f"chunks {speaker}").entries
            wanted = [(chunk.start, chunk.end, chunk.text) for chunk in chunks if chunk.speaker == speaker]
            assert [(round(start * RATE), round(end * RATE), text) for start, end, text in entries] == wanted
            assert all(Decimal(str(start)) * RATE % 1 == 0 for start, _, _ in entries)
        entry = next(entry for entry in speech.recordings if entry.id == path.stem)
        assert Decimal(str(grid.maxTimestamp)) * RATE == entry.num_samples
        said = [word for row in speech.transcripts if row.recording_id == path.stem for word in row.words]
        found = [
            (round(start * RATE), round(end * RATE), text) for start, end, text in grid.getTier("words S0").entries
        ]
        assert found == [(word.start, word.end, word.text) for word in said]
