"""What was written in a format and read again is what it was, in every format, for any speech."""

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exchange_records import RATE, Speech, plain_speech, read_back, recording, said, speech_of
from hypothesis import HealthCheck, assume, given, settings

from spelangy.core.records import Chunk, Turn
from spelangy.core.spans import Span
from spelangy.store.audio import AudioStore
from spelangy.store.exchange import EXPORTS, IMPORTS, export, known_recordings
from spelangy.store.exchange.arrivals import CUT_FROM
from spelangy.store.objects import Store

LENGTHS = (2_000, 70_003)
WHOLE = ("nemo", "lhotse", "jsonl")
"""Formats over audio that stays where it is: recordings come back as they were."""
CLIPS = ("hf", "hf-disk", "shar", "nemo-tar", "webdataset")
"""Formats that carry a clip a chunk: each comes back as a recording of its own."""
NAMED = ("textgrid", "vtt")
"""Files named after their recording."""


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> AudioStore:
    return AudioStore(str(tmp_path_factory.mktemp("store")))


def fresh() -> Path:
    return Path(tempfile.mkdtemp(prefix="spelangy-exchange-"))


def drawn(audio: AudioStore, parts: list[list[dict[str, Any]]]) -> Speech:
    assume(any(parts))
    return speech_of([recording(audio, seed, length) for seed, length in enumerate(LENGTHS)], parts)


def heard(audio: AudioStore, chunk: Chunk) -> np.ndarray[Any, Any]:
    return audio.read(chunk.audio, Span(chunk.start, chunk.end))


EXAMPLES = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.mark.parametrize("form", [*WHOLE, *NAMED])
@EXAMPLES
@given(said(LENGTHS))
def test_recordings_words_and_chunks_come_back_as_they_were(
    form: str, audio: AudioStore, parts: list[list[dict[str, Any]]]
) -> None:
    speech, folder = drawn(audio, parts), fresh()
    try:
        speech.export(form, folder / "out", audio)
        options: dict[str, Any] = {"audio_roots": [Path(audio.root)]}
        if form in NAMED:
            options["known"] = {entry.id: entry for entry in speech.recordings}
        _, back, told = read_back(form, [folder / "out"], folder / "back", **options)
        assert told == {"dropped": {}, "clipped": {}}
        assert back.chunks == sorted(speech.chunks, key=lambda chunk: chunk.id)
        with_chunks = {chunk.recording_id for chunk in speech.chunks}
        assert list(back.recordings) == sorted(
            (entry for entry in speech.recordings if entry.id in with_chunks), key=lambda entry: entry.id
        )
        assert back.turns == sorted(speech.turns, key=lambda turn: turn.id)
        assert back.transcripts == sorted(speech.transcripts, key=lambda transcript: transcript.id)
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("form", CLIPS)
@EXAMPLES
@given(said(LENGTHS))
def test_clips_come_back_bit_for_bit_with_all_their_fields(
    form: str, audio: AudioStore, parts: list[list[dict[str, Any]]]
) -> None:
    speech, folder = drawn(audio, parts), fresh()
    try:
        speech.export(form, folder / "out", audio, shard_mb=0.02)
        store, back, told = read_back(form, [folder / "out"], folder / "back")
        assert told == {"dropped": {}, "clipped": {}}
        before = {chunk.id: chunk for chunk in speech.chunks}
        assert {chunk.id for chunk in back.chunks} == set(before)
        origins = {entry.id: json.loads(entry.metadata).get(CUT_FROM) for entry in back.recordings}
        for chunk in back.chunks:
            was = before[chunk.id]
            np.testing.assert_array_equal(heard(store.audio, chunk), heard(audio, was))
            place = {"recording_id": chunk.recording_id, "audio": chunk.audio, "start": chunk.start, "end": chunk.end}
            assert chunk == replace(was, **place)
            assert chunk.span.num_samples == was.span.num_samples
            if chunk.recording_id != was.recording_id:
                wanted = {"recording_id": was.recording_id, "start": was.start, "end": was.end}
                assert chunk.span.num_samples < 100 or origins[chunk.recording_id] == [wanted]
        assert words_by_text(back) == words_by_text(speech)
    finally:
        shutil.rmtree(folder)


def words_by_text(speech: Speech) -> list[tuple[Any, ...]]:
    """Words of all turns, timed from their turn's start."""
    starts = {turn.id: turn.start for turn in speech.turns}
    return sorted(
        (word.text, word.start - starts[said.id], word.end - starts[said.id], word.vote_ratio, word.confidence,
         word.is_timed, said.systems, said.dissent)
        for said in speech.transcripts
        for word in said.words
    )  # fmt: skip


@EXAMPLES
@given(said(LENGTHS))
def test_turns_come_back_from_rttm(audio: AudioStore, parts: list[list[dict[str, Any]]]) -> None:
    speech, folder = drawn(audio, parts), fresh()
    try:
        speech.export("rttm", folder / "out", audio)
        known = {entry.id: entry for entry in speech.recordings}
        _, back, told = read_back("rttm", [folder / "out"], folder / "back", known=known)
        assert told == {"dropped": {}, "clipped": {}}
        assert back.turns == sorted(speech.turns, key=lambda turn: turn.id)
        assert not back.chunks and not back.transcripts
    finally:
        shutil.rmtree(folder)


@EXAMPLES
@given(said(LENGTHS))
def test_words_come_back_from_ctm(audio: AudioStore, parts: list[list[dict[str, Any]]]) -> None:
    speech = drawn(audio, parts)
    assume(any(word.start < word.end for said in speech.transcripts for word in said.words))
    folder = fresh()
    try:
        speech.export("ctm", folder / "out", audio)
        known = {entry.id: entry for entry in speech.recordings}
        _, back, told = read_back("ctm", [folder / "out"], folder / "back", known=known)
        found = [(row.recording_id, word.text, word.start, word.end) for row in back.transcripts for word in row.words]
        wanted = [
            (row.recording_id, word.text, word.start, word.end) for row in speech.transcripts for word in row.words
        ]
        assert sorted(found) == sorted(wanted) or told["dropped"]
        assert set(told["dropped"]) <= {"time is reversed or empty"}  # words of no length, alone in their turn
        assert told["clipped"] == {}
    finally:
        shutil.rmtree(folder)


def test_what_came_back_is_exported_with_the_same_bytes(audio: AudioStore, tmp_path: Path) -> None:
    speech = plain_speech(audio)
    before = speech.export("webdataset", tmp_path / "out", audio)
    _, back, _ = read_back("lhotse", speech.export("lhotse", tmp_path / "cuts", audio)[:1], tmp_path / "back",
                           audio_roots=[Path(audio.root)])  # fmt: skip
    after = back.export("webdataset", tmp_path / "again", AudioStore(str(tmp_path / "back")))
    assert [path.read_bytes() for path in before] == [path.read_bytes() for path in after]


def test_a_clip_of_a_clip_still_names_its_source(audio: AudioStore, tmp_path: Path) -> None:
    speech = plain_speech(audio)
    store, once, _ = read_back("webdataset", speech.export("webdataset", tmp_path / "1", audio), tmp_path / "store-1")
    shorter = [replace(chunk, start=chunk.start + 7) for chunk in once.chunks]
    paths = replace(once, chunks=shorter).export("webdataset", tmp_path / "2", store.audio)
    _, twice, _ = read_back("webdataset", paths, tmp_path / "store-2")
    clips = {chunk.recording_id for chunk in once.chunks}
    for entry in twice.recordings:
        nearest, first = json.loads(entry.metadata)[CUT_FROM]
        assert nearest["recording_id"] in clips and nearest["start"] == 7
        assert first["recording_id"] in {chunk.recording_id for chunk in speech.chunks}
        assert json.loads(entry.metadata)["feed"] == "a talk"


@pytest.mark.parametrize(
    ("form", "old", "new"), [("vtt", ">hello world", ">hello word"), ("textgrid", '"hello world"', '"hello word"')]
)
def test_an_edited_label_counts_as_it_stands(audio: AudioStore, tmp_path: Path, form: str, old: str, new: str) -> None:
    speech = plain_speech(audio)
    known = {entry.id: entry for entry in speech.recordings}
    for path in speech.export(form, tmp_path / "out", audio):
        path.write_text(path.read_text().replace(old, new))
    _, back, _ = read_back(form, [tmp_path / "out"], tmp_path / "back", known=known)
    assert sorted(chunk.text for chunk in back.chunks) == sorted(["hello word", "hello word", 'he said "hé" --> x'])


def test_everything_that_is_exported_is_imported() -> None:
    assert set(EXPORTS) <= set(IMPORTS)
    assert {*WHOLE, *CLIPS, *NAMED, "rttm", "ctm"} == set(EXPORTS)


def test_overlapped_turns_are_flagged_again(audio: AudioStore, tmp_path: Path) -> None:
    entry = recording(audio, 5, 3 * RATE)
    times = [(0, 20_000), (10_000, 12_000), (19_000, 30_000), (40_000, 41_000)]
    turns = [
        Turn(
            id=f"{entry.id}-{index:06d}",
            recording_id=entry.id,
            audio=entry.audio,
            start=start,
            end=end,
            speaker=f"S{index % 2}",
            is_overlap=index < 3,
        )
        for index, (start, end) in enumerate(times)
    ]
    export("rttm", tmp_path / "out", chunks=[], turns=turns, transcripts=[], audio=audio, recordings=[entry])
    _, back, _ = read_back("rttm", [tmp_path / "out"], tmp_path / "back", known={entry.id: entry})
    assert back.turns == turns


def test_labels_find_recordings_of_the_store_by_id_and_by_file_name(audio: AudioStore, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    speech = plain_speech(store.audio)
    speech.commit(store, "talks")
    known = known_recordings(store, "talks")
    assert known["1"] == known[speech.recordings[0].id] == speech.recordings[0]
    (tmp_path / "1.rttm").write_text("SPEAKER 1 1 0.5 0.25 <NA> <NA> anna <NA> <NA>\n")
    _, back, _ = read_back("rttm", [tmp_path / "1.rttm"], tmp_path / "back", known=known)
    (turn,) = back.turns
    assert (turn.recording_id, turn.start, turn.end, turn.speaker) == (speech.recordings[0].id, 8_000, 12_000, "anna")
