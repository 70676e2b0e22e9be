import errno
import html
import json
import os
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spelangy.core.errors import UserError
from spelangy.core.records import Chunk, Transcript, Turn, Word, turn_id
from spelangy.store.audio import AudioStore
from spelangy.store.exchange import export
from spelangy.store.exchange.captions import NOTE, vtt_text
from spelangy.store.exchange.dossier import Dossier
from spelangy.store.exchange.labels import ctm_lines, rttm_lines
from spelangy.store.exchange.manifests import chunk_lines, nemo_lines

RATE = 16_000
DAY = 24 * 3600 * RATE
AUDIO = AudioStore("memory://exchange")
TIMES = st.tuples(st.integers(0, DAY), st.integers(0, DAY)).map(sorted)
HOSTILE = st.text() | st.lists(
    st.sampled_from(["-->", "<script>alert(1)</script>", "\n", "\n\n", "\r", "\u2028", "\x85", "&amp;", "<v X>", "a "])
).map("".join)


def chunk(start: int = 0, end: int = RATE, text: str = "hello", **changes: Any) -> Chunk:
    plain: dict[str, Any] = {
        "id": "rec-fine-00000",
        "document_id": "rec",
        "recording_id": "rec",
        "audio": "ab" * 32,
        "index": 0,
        "speaker": "S0",
        "role": "speech",
        "source": "crawl",
        "licence": "CC-BY-4.0",
        "min_vote_ratio": 1.0,
        "confidence": 1.0,
        "dissent": (),
    }
    return Chunk(**(plain | {"start": start, "end": end, "text": text} | changes))


def turn(start: int, end: int, speaker: str = "S0", recording: str = "rec", index: int = 0) -> Turn:
    return Turn(
        id=turn_id(recording, index),
        recording_id=recording,
        audio="",
        start=start,
        end=end,
        speaker=speaker,
        is_overlap=False,
    )


def transcript(*words: Word, recording: str = "rec", index: int = 0) -> Transcript:
    return Transcript(id=turn_id(recording, index), recording_id=recording, systems=("a", "b"), words=words, dissent=())


def word(start: int, end: int, text: str = "hello", confidence: float = 0.5) -> Word:
    return Word(text=text, start=start, end=end, vote_ratio=1.0, confidence=confidence)


def dossier(*chunks: Chunk) -> Dossier:
    return Dossier(recording_id="rec", recording=None, chunks=chunks)


def assert_exact(offset: str, duration: str, start: int, end: int) -> None:
    """Equal as decimal numbers, and however a reader turns them into samples by rounding floats."""
    assert Decimal(offset) * RATE == start
    assert Decimal(duration) * RATE == end - start
    assert round(float(offset) * RATE) == start
    assert round(float(duration) * RATE) == end - start
    assert round((float(offset) + float(duration)) * RATE) == end
    assert int(np.rint(np.float64(offset) * RATE)) == start


@settings(max_examples=200)
@given(TIMES)
@example([1, 2])
@example([DAY - 1, DAY])
def test_times_are_exact_to_the_sample_in_every_format(times: list[int]) -> None:
    start, end = times
    line = json.loads(next(nemo_lines([dossier(chunk(start, end))], AUDIO)), parse_float=str)
    assert_exact(line["offset"], line["duration"], start, end)
    fields = rttm_lines([turn(start, end)])[0].split()
    assert_exact(fields[3], fields[4], start, end)
    fields = ctm_lines([transcript(word(start, end))])[0].split()
    assert_exact(fields[2], fields[3], start, end)


def test_nemo_lines_name_their_audio(tmp_path: Path) -> None:
    audio = AudioStore(str(tmp_path))
    key = audio.put_pcm(np.arange(RATE, dtype=np.int16))
    (line,) = map(json.loads, nemo_lines([dossier(chunk(1_000, 9_000, audio=key))], audio))
    assert Path(line["audio_filepath"]).is_file()
    assert (line["text"], line["speaker"], line["chunk_id"], line["licence"]) == (
        "hello", "S0", "rec-fine-00000", "CC-BY-4.0",
    )  # fmt: skip


@given(HOSTILE)
def test_a_chunk_is_one_json_line_whatever_it_says(text: str) -> None:
    said = chunk(3, 9, text)
    for lines in (nemo_lines([dossier(said)], AUDIO), chunk_lines([dossier(said)])):
        (line,) = lines
        assert "\n" not in line and json.loads(line)["text"] == text
    assert json.loads(next(chunk_lines([dossier(said)])))["start"] == 3


@given(st.lists(TIMES, max_size=4), HOSTILE)
def test_rttm_has_ten_fields_a_line(times: list[list[int]], speaker: str) -> None:
    lines = rttm_lines([turn(start, end, speaker) for start, end in times])
    assert len(lines) == len(times)
    for line in lines:
        fields = line.split()
        assert len(line.splitlines()) == 1 and len(fields) == 10
        assert fields[:3] + fields[5:7] + fields[8:] == ["SPEAKER", "rec", "1", "<NA>", "<NA>", "<NA>", "<NA>"]
    assert rttm_lines([turn(0, RATE, "am_adam, slow")])[0].split()[7] == "am_adam,_slow"


@given(HOSTILE, st.floats(0, 1))
def test_ctm_has_six_fields_a_line(text: str, confidence: float) -> None:
    (line,) = ctm_lines([transcript(word(0, RATE, text, confidence))])
    fields = line.split()
    assert len(line.splitlines()) == 1 and len(fields) == 6
    assert fields[:2] == ["rec", "1"]
    assert float(fields[5]) == pytest.approx(confidence, abs=1e-4)


def test_ctm_keeps_the_words_in_order_and_closes_their_spaces() -> None:
    lines = ctm_lines(
        [transcript(word(0, 800, "New  York"), word(800, 1_600, "is")), transcript(word(1_600, 2_400, "big"))]
    )
    assert [line.split()[4] for line in lines] == ["New_York", "is", "big"]


# --------------------------------------------------------------------------------------------------------------- vtt

TIMING = re.compile(r"(\d{2,}):([0-5]\d):([0-5]\d)\.(\d{3}) --> (\d{2,}):([0-5]\d):([0-5]\d)\.(\d{3})")


def milliseconds(hours: str, minutes: str, seconds: str, rest: str) -> int:
    return ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + int(rest)


@settings(max_examples=200)
@given(TIMES)
@example([959_999, 60 * RATE])
@example([3_600 * RATE - 1, 3_600 * RATE])
def test_vtt_times_are_well_formed_and_right_to_half_a_millisecond(times: list[int]) -> None:
    timing = vtt_text(dossier(chunk(times[0], times[1]))).splitlines()[5]
    match = TIMING.fullmatch(timing)
    assert match is not None, timing
    for sample, clock in zip(times, (match.groups()[:4], match.groups()[4:]), strict=True):
        assert abs(milliseconds(*clock) - sample / 16) <= 0.5


@settings(max_examples=200)
@given(st.lists(st.tuples(HOSTILE, HOSTILE), max_size=4))
@example([("a --> b", "S--"), ("<script>\n\n00:00.000 --> 00:01.000", "---"), ("&lt;", "&gt;")])
def test_no_text_can_end_its_cue_or_open_a_tag(said: list[tuple[str, str]]) -> None:
    chunks = [chunk(index, index + 1, text, speaker=speaker) for index, (text, speaker) in enumerate(said)]
    blocks = vtt_text(dossier(*chunks)).removesuffix("\n").split("\n\n")
    assert blocks[0] == "WEBVTT" and len(blocks) == 1 + 2 * len(chunks)
    for note, (text, speaker) in zip(blocks[1::2], said, strict=True):
        assert "-->" not in note and len(note.splitlines()) == 1
        fields = json.loads(note.removeprefix(NOTE))
        assert (fields["text"], fields["speaker"]) == (text, speaker)
    for block, (text, speaker) in zip(blocks[2::2], said, strict=True):
        name, timing, caption = re.split(r"\r\n|\r|\n", block)
        assert name == "rec-fine-00000" and timing.count("-->") == 1
        assert "-->" not in caption
        voice = re.fullmatch(r"<v ([^<>]*)>([^<>]*)", caption)
        assert voice is not None, caption
        assert [html.unescape(part).split() for part in voice.groups()] == [speaker.split(), text.split()]


# ------------------------------------------------------------------------------------------------------------ export


def export_all(form: str, directory: Path) -> list[Path]:
    """Two recordings whose chunk ids do not sort by recording."""
    chunks = [
        chunk(0, 10, "first", id="a", recording_id="x"),
        chunk(0, 10, "other", id="b", recording_id="y"),
        chunk(10, 20, "second", id="c", recording_id="x"),
    ]
    turns = [turn(10, 20, recording="x", index=1), turn(0, 10, recording="y"), turn(0, 10, recording="x")]
    transcripts = [transcript(word(0, 10), recording="y"), transcript(word(0, 10, "é"), recording="x")]
    return export(form, directory, chunks=chunks, turns=turns, transcripts=transcripts, audio=AUDIO)


@pytest.mark.parametrize(
    ("form", "names", "num_lines"),
    [
        ("nemo", ["manifest.jsonl"], 3),
        ("jsonl", ["chunks.jsonl"], 3),
        ("rttm", ["x.rttm", "y.rttm"], 3),
        ("ctm", ["x.ctm", "y.ctm"], 2),
        ("vtt", ["x.vtt", "y.vtt"], 20),
    ],
)
def test_every_record_is_exported_once(form: str, names: list[str], num_lines: int, tmp_path: Path) -> None:
    written = export_all(form, tmp_path / "out" / "here")
    assert [path.name for path in written] == names
    assert sorted(path.name for path in (tmp_path / "out" / "here").iterdir()) == names
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in written) == num_lines


def test_a_recordings_file_is_in_time_order(tmp_path: Path) -> None:
    rttm, _ = export_all("rttm", tmp_path)
    starts = [float(line.split()[3]) for line in rttm.read_text().splitlines()]
    assert starts == sorted(starts) and len(starts) == 2
    vtt, _ = export_all("vtt", tmp_path)
    assert vtt.read_text().index("first") < vtt.read_text().index("second")


def test_an_unknown_format_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no export format 'rtm'") as caught:
        export_all("rtm", tmp_path / "out")
    assert caught.value.hint == "did you mean 'rttm'?"
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_a_bad_request_and_keeps_the_earlier_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (earlier,) = export_all("nemo", tmp_path)
    before = earlier.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left"):
        export_all("nemo", tmp_path)
    assert earlier.read_bytes() == before
    assert list(tmp_path.iterdir()) == [earlier]


def test_a_place_that_is_no_folder_is_a_bad_request(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(UserError, match="cannot write"):
        export_all("nemo", tmp_path / "out")
