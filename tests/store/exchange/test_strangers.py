"""What other tools wrote, read in: their own writers where they can be installed, else files as they leave them."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from exchange_records import RATE, read_back, sound

from spelangy.core.records import Chunk, Turn
from spelangy.core.spans import Span
from spelangy.store.audio import AudioStore

TALK = sound(7, 3 * RATE)


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    """Three seconds of sound beside the labels."""
    soundfile.write(tmp_path / "talk.wav", TALK, RATE, subtype="PCM_16")
    return tmp_path


def lines(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def assert_hears(audio: AudioStore, chunk: Chunk, pcm_S: np.ndarray[Any, Any]) -> None:
    found = audio.read(chunk.audio, Span(chunk.start, chunk.end))
    np.testing.assert_array_equal(found, pcm_S.astype(np.float32) / 32_768)


def test_nemo_manifest(talk: Path) -> None:
    row = {"audio_filepath": "talk.wav", "offset": 0.5, "duration": 1.25, "text": "hello there", "lang": "en"}
    path = lines(talk / "m.json", row, {"audio_filepath": "talk.wav", "duration": 3.0, "text": "all of it"})
    store, back, told = read_back("nemo", [path], talk / "store", licence="CC0", source="talks")
    whole, part = sorted(back.chunks, key=lambda chunk: chunk.start)
    assert (part.start, part.end, part.text, part.metadata) == (8_000, 28_000, "hello there", '{"lang":"en"}')
    assert (whole.start, whole.end, whole.licence, whole.source) == (0, 3 * RATE, "CC0", "talks")
    assert [chunk.id for chunk in (whole, part)] == [f"{part.recording_id}-fine-{index:05d}" for index in range(2)]
    assert (whole.index, part.index, part.document_id) == (0, 1, part.recording_id)
    assert_hears(store.audio, part, TALK[8_000:28_000])
    assert all(turn.is_overlap for turn in back.turns)
    (entry,) = back.recordings
    assert (entry.uri, entry.source_codec, entry.num_samples) == ("talk.wav", "wav", 3 * RATE)
    words = [word for row in back.transcripts for word in row.words]
    assert not any(word.is_timed for word in words) and len(words) == 5
    assert told["clipped"] == {"word without times: placed between its neighbours": 5}
    assert all(part.start <= word.start < word.end <= part.end for word in back.transcripts[1].words)


def test_other_rates_and_channels_keep_their_seconds(tmp_path: Path) -> None:
    tone = np.sin(np.arange(2 * 44_100) / 20).astype(np.float32)
    soundfile.write(tmp_path / "talk.flac", np.stack([tone, tone], axis=1), 44_100)
    path = lines(tmp_path / "m.json", {"audio_filepath": "talk.flac", "offset": 1.0, "duration": 0.5, "text": "hm"})
    store, back, _ = read_back("nemo", [path], tmp_path / "store")
    (chunk,) = back.chunks
    assert (chunk.start, chunk.end) == (RATE, 24_000)
    (entry,) = back.recordings
    assert (entry.num_samples, entry.source_sample_rate_hz, entry.source_channels) == (2 * RATE, 44_100, 2)
    middle = store.audio.read(entry.audio)[RATE:24_000]
    np.testing.assert_allclose(middle, np.sin(np.arange(RATE, 24_000) * 44_100 / RATE / 20), atol=2e-3)


def test_lhotse_cuts_by_lhotse(talk: Path) -> None:
    import lhotse
    from lhotse.cut import MonoCut
    from lhotse.supervision import AlignmentItem

    recording = lhotse.Recording.from_file(talk / "talk.wav")
    words = [AlignmentItem("good", 0.3, 0.2, 0.5), AlignmentItem("day", 0.5, 0.2, None)]
    said = lhotse.SupervisionSegment(
        id="s", recording_id=recording.id, start=0.25, duration=1.0, text="good day", speaker="anna",
        language="English", alignment={"word": words},
    )  # fmt: skip
    cut = MonoCut(id="c", start=0.5, duration=2.0, channel=0, supervisions=[said], recording=recording)
    mixed = cut.mix(cut.with_id("d"))
    lhotse.CutSet.from_cuts([cut, mixed]).to_file(talk / "cuts.jsonl.gz")
    store, back, told = read_back("lhotse", [talk / "cuts.jsonl.gz"], talk / "store")
    (chunk,) = back.chunks
    assert (chunk.start, chunk.end, chunk.speaker, chunk.text) == (12_000, 28_000, "anna", "good day")
    assert json.loads(chunk.metadata) == {"language": "English"}
    assert_hears(store.audio, chunk, TALK[12_000:28_000])
    ((first, second),) = [row.words for row in back.transcripts]
    # Alignments of a cut count from its start, as its supervisions do.
    assert (first.start, first.end, first.confidence) == (12_800, 16_000, 0.5)
    assert (second.start, second.end, second.confidence) == (16_000, 19_200, 1.0)
    assert told["dropped"] == {"cut is no MonoCut": 1}


def test_lhotse_shar_by_lhotse(talk: Path) -> None:
    import lhotse

    recording = lhotse.Recording.from_file(talk / "talk.wav", recording_id="talk.no.1")
    cut = recording.to_cut().truncate(offset=0.5, duration=1.5, preserve_id=True)
    cut.supervisions = [
        lhotse.SupervisionSegment(id="s", recording_id=recording.id, start=0.0, duration=1.5, text="good day")
    ]
    shar = talk / "shar"
    shar.mkdir()
    lhotse.CutSet.from_cuts([cut]).to_shar(shar, fields={"recording": "flac"}, shard_size=10)
    store, back, told = read_back("shar", [shar], talk / "store")
    assert told["dropped"] == {}
    (chunk,) = back.chunks
    assert (chunk.start, chunk.end, chunk.text) == (0, 24_000, "good day")
    assert_hears(store.audio, chunk, TALK[8_000:32_000])


def test_webdataset_by_webdataset(tmp_path: Path) -> None:
    import webdataset

    with io.BytesIO() as buffer:
        soundfile.write(buffer, TALK[:8_000], RATE, format="WAV", subtype="PCM_16")
        data = buffer.getvalue()
    with webdataset.TarWriter(str(tmp_path / "a.tar")) as writer:
        writer.write({"__key__": "part/one", "wav": data, "txt": "good day", "json": {"lang": "en", "n": 1}})
        writer.write({"__key__": "part/two", "wav": data, "json": {"text": "again", "speaker": "bob"}})
        writer.write({"__key__": "part/three", "txt": "no sound"})
    store, back, told = read_back("webdataset", [tmp_path], tmp_path / "store")
    assert {(chunk.text, chunk.speaker) for chunk in back.chunks} == {("good day", "S0"), ("again", "bob")}
    assert_hears(store.audio, back.chunks[0], TALK[:8_000])
    assert told["dropped"] == {"sample without audio": 1}


def test_parquet_by_datasets(tmp_path: Path) -> None:
    import datasets

    with io.BytesIO() as buffer:
        soundfile.write(buffer, TALK[:8_000], RATE, format="FLAC", subtype="PCM_16")
        data = buffer.getvalue()
    rows = {
        "audio": [{"bytes": data, "path": "a.flac"}, {"bytes": None, "path": None}],
        "sentence": ["good day", "no bytes"],
        "locale": ["en", "en"],
    }
    loaded = datasets.Dataset.from_dict(rows).cast_column("audio", datasets.Audio(decode=False))
    loaded.to_parquet(str(tmp_path / "a.parquet"))
    store, back, told = read_back("hf", [tmp_path / "a.parquet"], tmp_path / "store")
    (chunk,) = back.chunks
    assert (chunk.text, chunk.metadata) == ("good day", '{"locale":"en"}')
    assert_hears(store.audio, chunk, TALK[:8_000])
    assert told["dropped"] == {"row without audio bytes": 1}


WHISPERX = {
    "segments": [
        {
            "start": 0.031, "end": 1.5, "text": " In 2014, I", "speaker": "SPEAKER_01", "avg_logprob": -0.2,
            "words": [
                {"word": "In", "start": 0.031, "end": 0.2, "score": 0.9, "speaker": "SPEAKER_01"},
                {"word": "2014,"},
                {"word": "I", "start": 0.6, "end": 0.7, "score": 0.5},
            ],
        },
        {"start": 1.5, "end": 2, "text": " left.", "words": [{"word": "left.", "start": 1.5, "end": 2, "score": 1}]},
    ],
    "word_segments": [],
    "language": "en",
}  # fmt: skip


def test_whisperx(talk: Path) -> None:
    (talk / "talk.json").write_text(json.dumps(WHISPERX))
    _, back, told = read_back("whisperx", [talk / "talk.json"], talk / "store")
    first, second = sorted(back.chunks, key=lambda chunk: chunk.start)
    assert (first.start, first.end, first.text, first.speaker) == (496, 24_000, "In 2014, I", "SPEAKER_01")
    assert json.loads(first.metadata) == {"avg_logprob": -0.2, "language": "en"}
    assert (second.start, second.end, second.speaker, second.confidence) == (24_000, 32_000, "S0", 1.0)
    words = back.transcripts[0].words
    assert [(word.text, word.start, word.end, word.is_timed) for word in words] == [
        ("In", 496, 3_200, True), ("2014,", 3_200, 9_600, False), ("I", 9_600, 11_200, True),
    ]  # fmt: skip
    assert back.transcripts[0].systems == ("whisperx",)
    assert told == {"dropped": {}, "clipped": {"word without times: placed between its neighbours": 1}}


def test_emilia_pipe_whole_and_in_clips(talk: Path) -> None:
    segment = {"text": " good day", "start": 0.5, "end": 1.0, "speaker": "SPEAKER_00", "language": "en", "dnsmos": 3.3}
    (talk / "talk.json").write_text(json.dumps([segment, segment | {"start": 1.0, "end": 2.0}]))
    _, back, _ = read_back("emilia", [talk / "talk.json"], talk / "store")
    assert [(chunk.start, chunk.end) for chunk in back.chunks] == [(8_000, 16_000), (16_000, 32_000)]
    assert json.loads(back.chunks[0].metadata) == {"dnsmos": 3.3, "language": "en"}
    soundfile.write(talk / "talk_0.wav", TALK[8_000:16_000], RATE)
    soundfile.write(talk / "talk_1.mp3", TALK[16_000:32_000] / 32_768, RATE)
    store, back, _ = read_back("emilia", [talk / "talk.json"], talk / "clips")
    by_start = {json.loads(chunk.metadata)["start_s"]: chunk for chunk in back.chunks}
    assert len(back.recordings) == 2 and all(chunk.start == 0 for chunk in back.chunks)
    assert_hears(store.audio, by_start[0.5], TALK[8_000:16_000])
    assert by_start[1.0].end == pytest.approx(RATE, abs=2_400)


def test_emilia_data_set(talk: Path) -> None:
    row = {"id": "EN_B0_S0_W0", "wav": "EN/talk.wav", "text": "good day", "duration": 3.0, "speaker": "EN_B0_S0",
           "language": "en", "dnsmos": 3.2}  # fmt: skip
    (talk / "EN").mkdir()
    (talk / "talk.wav").rename(talk / "EN/talk.wav")
    _, back, _ = read_back("emilia", [lines(talk / "EN.jsonl", row)], talk / "store")
    (chunk,) = back.chunks
    assert (chunk.start, chunk.end, chunk.speaker) == (0, 3 * RATE, "EN_B0_S0")
    assert json.loads(chunk.metadata) == {"dnsmos": 3.2, "duration": 3.0, "id": "EN_B0_S0_W0", "language": "en"}


ALIGNED = '''File type = "ooTextFile"
Object class = "TextGrid"

0
2.5
<exists>
3
"IntervalTier"
"anna - words"
0
2.5
3
0
0.5
"good"
0.5
0.75
"day ""sir"""
0.75
2.5
""
"IntervalTier"
"anna - phones"
0
2.5
1
0
2.5
"g"
"IntervalTier"
"Bob"
0
2.5
1
1
2.5
"and you"
'''


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_text_grids_of_aligners_and_of_people(talk: Path, encoding: str) -> None:
    (talk / "talk.TextGrid").write_text(ALIGNED, encoding=encoding)
    _, back, _ = read_back("textgrid", [talk / "talk.TextGrid"], talk / "store")
    (chunk,) = back.chunks
    assert (chunk.speaker, chunk.text, chunk.start, chunk.end) == ("Bob", "and you", 16_000, 40_000)
    said = {turn.speaker: turn for turn in back.turns}
    assert (said["anna"].start, said["anna"].end) == (0, 12_000)
    words = next(row.words for row in back.transcripts if row.id == said["anna"].id)
    assert [(word.text, word.start, word.end) for word in words] == [("good", 0, 8_000), ('day "sir"', 8_000, 12_000)]


def test_captions_of_people(talk: Path) -> None:
    (talk / "talk.vtt").write_text(
        "WEBVTT - a talk\r\n\r\nSTYLE\r\n::cue { }\r\n\r\n1\r\n00:00.500 --> 00:01.250 line:0\r\n"
        "<v.loud Anna>Good <i>day</i> &amp; hello\r\nthere</v>\r\n\r\n01:00:00.000 --> 01:00:01.000\r\ntoo late\r\n"
        "\r\nx --> y\r\nno times\r\n"
    )
    _, back, told = read_back("vtt", [talk / "talk.vtt"], talk / "store")
    (chunk,) = back.chunks
    assert (chunk.speaker, chunk.text, chunk.start, chunk.end) == ("Anna", "Good day & hello there", 8_000, 20_000)
    assert told["dropped"] == {"time is past the recording's end": 1, "caption without times": 1}


def test_ctm_begins_a_turn_after_a_pause(talk: Path) -> None:
    (talk / "talk.ctm").write_text(
        ";; a comment\ntalk 1 0.1 0.2 good 0.9\ntalk 1 0.3 0.2 day NA\ntalk 1 2.6 0.1 bye\n"
        "talk A 0.5 0.1 yes 1\ntalk 1\n"
    )
    _, back, told = read_back("ctm", [talk / "talk.ctm"], talk / "store")
    turns = [(turn.speaker, turn.start, turn.end) for turn in sorted(back.turns, key=lambda turn: turn.start)]
    assert turns == [("S0", 1_600, 8_000), ("channel-A", 8_000, 9_600), ("S0", 41_600, 43_200)]
    assert [[word.text for word in row.words] for row in back.transcripts] == [["good", "day"], ["yes"], ["bye"]]
    assert told["dropped"] == {"not a word of a CTM": 1}


def test_rttm_keeps_speakers_and_counts_other_lines(talk: Path) -> None:
    (talk / "meeting.rttm").write_text(
        "SPKR-INFO talk 1 <NA> <NA> <NA> unknown anna <NA> <NA>\nSPEAKER talk 1 0.25 1.5 <NA> <NA> anna <NA> <NA>\n"
    )
    _, back, told = read_back("rttm", [talk / "meeting.rttm"], talk / "store")
    (turn,) = back.turns
    assert turn == Turn(
        id=f"{turn.recording_id}-000000", recording_id=turn.recording_id, audio=turn.audio, start=4_000, end=28_000,
        speaker="anna", is_overlap=False,
    )  # fmt: skip
    assert told["dropped"] == {"not a SPEAKER line": 1}


def test_one_channel_of_several(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "call.wav", np.stack([TALK, TALK[::-1]], axis=1), RATE, subtype="PCM_16")
    source = {"type": "file", "channels": [0, 1], "source": "call.wav"}
    recording = {"id": "call", "sources": [source], "sampling_rate": RATE, "num_samples": TALK.size, "duration": 3.0}
    said = {"id": "s", "recording_id": "call", "start": 0, "duration": 3.0, "channel": 1, "text": "yes"}
    cut = {"id": "c", "start": 0, "duration": 3.0, "type": "MonoCut", "recording": recording, "supervisions": [said]}
    path = lines(tmp_path / "cuts.jsonl", cut | {"channel": 0}, cut | {"channel": 1}, cut | {"channel": 2})
    store, back, told = read_back("lhotse", [path], tmp_path / "store")
    assert len(back.recordings) == 2 and told["dropped"] == {"no such channel": 1}
    heard = [store.audio.read(entry.audio) * 32_768 for entry in back.recordings]
    assert sorted(int(samples[0]) for samples in heard) == sorted([int(TALK[0]), int(TALK[-1])])
