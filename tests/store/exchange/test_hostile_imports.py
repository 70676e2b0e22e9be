"""Files made to break an importer: bad parts are counted, nothing outside is opened or written, and it ends."""

import gzip
import io
import json
import math
import os
import tarfile
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from exchange_records import RATE, plain_speech, read_back, sound
from hypothesis import given
from hypothesis import strategies as st

from spelangy.core.errors import Dropped, UserError
from spelangy.core.records import Drop
from spelangy.core.schema import from_table
from spelangy.core.spans import Span
from spelangy.store.exchange import IMPORTS, ImportRequest, import_data
from spelangy.store.exchange.passages import RawWord, checked_words
from spelangy.store.exchange.reading import MAX_DEPTH, parse_json
from spelangy.store.objects import Store

SECOND = sound(3, RATE)


@pytest.fixture
def inner(tmp_path: Path) -> Path:
    """A folder with a sound in it, within another that has one too."""
    folder = tmp_path / "inner"
    folder.mkdir()
    soundfile.write(folder / "talk.wav", SECOND, RATE, subtype="PCM_16")
    soundfile.write(tmp_path / "secret.wav", SECOND, RATE, subtype="PCM_16")
    return folder


def manifest(folder: Path, *rows: Any) -> Path:
    path = folder / "manifest.json"
    good = {"audio_filepath": "talk.wav", "text": "fine", "duration": 1.0}
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in (good, *rows)))
    return path


def dropped(form: str, path: Path, folder: Path, **options: Any) -> dict[str, int]:
    """Reasons of what was dropped beside one good part."""
    _, back, told = read_back(form, [path], folder, **options)
    assert len(back.turns) == 1
    return dict(told["dropped"])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../secret.wav", "audio outside the folders allowed"),
        ("link.wav", "audio outside the folders allowed"),
        ("folder-link/secret.wav", "audio outside the folders allowed"),
        ("{outer}/secret.wav", "audio outside the folders allowed"),
        ("/dev/zero", "audio not found"),
        ("/etc/passwd", "audio outside the folders allowed"),
        ("pipe.wav", "audio not found"),
        ("", "audio is no local file"),
        (".", "audio not found"),
        ("https://example.org/a.wav", "audio is no local file"),
        ("talk.wav\0.png", "audio is no local file"),
        ("x" * 5_000, "audio not found"),
        ("gone.wav", "audio not found"),
        ("manifest.json", "audio not decodable"),
        (7, "audio is no local file"),
        (None, "audio is no local file"),
        (["talk.wav"], "audio is no local file"),
    ],
)
def test_only_sound_below_the_folders_allowed_is_opened(inner: Path, tmp_path: Path, name: Any, reason: str) -> None:
    (inner / "link.wav").symlink_to(tmp_path / "secret.wav")
    (inner / "folder-link").symlink_to(tmp_path)
    os.mkfifo(inner / "pipe.wav")
    given_name = name.format(outer=tmp_path) if isinstance(name, str) else name
    path = manifest(inner, {"audio_filepath": given_name, "text": "x", "duration": 1.0})
    assert dropped("nemo", path, tmp_path / "store") == {reason: 1}


def test_a_folder_that_is_named_is_allowed(inner: Path, tmp_path: Path) -> None:
    path = manifest(inner, {"audio_filepath": str(tmp_path / "secret.wav"), "text": "x", "duration": 1.0})
    _, back, told = read_back("nemo", [path], tmp_path / "store", audio_roots=[tmp_path])
    assert len(back.turns) == 2 and not told["dropped"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"offset": -1}, "time is negative"),
        ({"offset": 1e9}, "time is past the recording's end"),
        ({"offset": 10**400}, "time is no number"),
        ({"offset": math.nan}, "time is no number"),
        ({"duration": math.inf}, "time is no number"),
        ({"duration": -0.5}, "time is reversed or empty"),
        ({"duration": 0}, "time is reversed or empty"),
        ({"duration": "long"}, "duration is no number"),
        ({"duration": True}, "duration is no number"),
        ({"offset": {"s": 1}}, "offset is no number"),
        ({"text": "  "}, "no text"),
        ({"text": 5}, "text is no text"),
        ({"text": "\ud800"}, "text is no Unicode"),
        ({"speaker": "\udfff"}, "text is no Unicode"),
        ({"note": "\ud800"}, "metadata is no JSON"),
        ({"note": math.nan}, "metadata is no JSON"),
    ],
)
def test_a_bad_line_costs_that_line(inner: Path, tmp_path: Path, fields: dict[str, Any], reason: str) -> None:
    row = {"audio_filepath": "talk.wav", "text": "x", "duration": 0.5}
    assert dropped("nemo", manifest(inner, row | fields), tmp_path / "store") == {reason: 1}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"audio_filepath": "talk.wav", "text": "x", "text": "y"}', "JSON says a key twice"),
        ('{"audio_filepath": "talk.wav", "n": ' + "9" * 10_000 + "}", "not JSON"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "JSON nested too deep"),
        ('{"a": ' + "[" * 40 + "]" * 40 + "}", "JSON nested too deep"),
    ],
)
def test_a_line_that_is_no_json_costs_that_line(inner: Path, tmp_path: Path, line: str, reason: str) -> None:
    assert dropped("nemo", manifest(inner, line), tmp_path / "store") == {reason: 1}


def test_ten_levels_are_not_too_deep() -> None:
    assert parse_json("[" * 10 + "]" * 10)
    with pytest.raises(Dropped, match="nested too deep"):
        parse_json("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2))


def test_every_drop_is_a_row_that_says_where(inner: Path, tmp_path: Path) -> None:
    store, _, _ = read_back("nemo", [manifest(inner, "{")], tmp_path / "store")
    key = store.ref("back", "ingest")
    assert key is not None
    (drop,) = from_table(store.table(key, "drops"), Drop)
    assert (drop.item_id, drop.step, drop.kind, drop.reason) == (
        "manifest.json:2",
        "import-nemo",
        "dropped",
        "not JSON",
    )


def member(name: str, data: bytes = b"", **changes: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in changes.items():
        setattr(info, field, value)
    return info, data


def tar_of(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with io.BytesIO() as buffer:
        soundfile.write(buffer, SECOND, RATE, format="WAV", subtype="PCM_16")
        good = buffer.getvalue()
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in (member("good.wav", good), member("good.txt", b"fine"), *members):
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize(
    ("hostile", "reason"),
    [
        (member("../escape.txt", b"x"), "unsafe member name"),
        (member("/tmp/escape.txt", b"x"), "unsafe member name"),
        (member("a/../../escape.txt", b"x"), "unsafe member name"),
        (member("a\\b.txt", b"x"), "unsafe member name"),
        (member("link.wav", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "member is no plain file"),
        (member("hard.wav", type=tarfile.LNKTYPE, linkname="good.wav"), "member is no plain file"),
        (member("device.wav", type=tarfile.CHRTYPE), "member is no plain file"),
        (member("bad.json", b"{"), "sample without audio"),
    ],
)
def test_a_hostile_member_costs_itself(tmp_path: Path, hostile: tuple[tarfile.TarInfo, bytes], reason: str) -> None:
    before = set(tmp_path.parent.rglob("*escape*"))
    path = tar_of(tmp_path / "a.tar", hostile)
    assert dropped("webdataset", path, tmp_path / "store") == {reason: 1}
    assert set(tmp_path.parent.rglob("*escape*")) == before
    assert not Path("/tmp/escape.txt").exists()


def test_a_cut_archive_is_read_up_to_there(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "a.tar", member("late.wav", b"x" * 50_000))
    path.write_bytes(path.read_bytes()[:-30_000])
    assert dropped("webdataset", path, tmp_path / "store") == {"archive damaged": 1}


@pytest.mark.parametrize("form", sorted(set(IMPORTS) - {"shar", "nemo-tar"}))
@pytest.mark.parametrize("data", [b"", b"\0" * 600, b"PAR1 not", b"\xff\xfe\xff", b"{}", b"[]", b"null", b'"a"'])
def test_rubbish_is_a_bad_request(tmp_path: Path, form: str, data: bytes) -> None:
    path = tmp_path / "talk.jsonl"
    path.write_bytes(data)
    with pytest.raises(UserError, match="nothing could be imported"):
        import_data(ImportRequest(form=form, paths=[path], name="x"), Store(tmp_path / "store"))
    assert Store(tmp_path / "store").ref("x", "ingest") is None


@pytest.mark.parametrize("form", ["shar", "nemo-tar"])
def test_a_tar_that_is_not_there_is_a_bad_request(tmp_path: Path, form: str) -> None:
    name = {"shar": "cuts.000000.jsonl.gz", "nemo-tar": "tarred_audio_manifest.json"}[form]
    text = b'{"id": "a", "audio_filepath": "a.flac", "text": "x", "duration": 1}\n'
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    with pytest.raises(UserError, match=r"audio not found|archive damaged"):
        import_data(ImportRequest(form=form, paths=[tmp_path], name="x"), Store(tmp_path / "store"))


def test_a_broken_gzip_is_read_up_to_there(inner: Path, tmp_path: Path) -> None:
    path = inner / "manifest.jsonl.gz"
    rows = gzip.compress(b'{"audio_filepath": "talk.wav", "text": "x"}\n') + gzip.compress(b"{" * 5_000)[:-12]
    path.write_bytes(rows)
    assert dropped("nemo", path, tmp_path / "store") == {"file damaged": 1}


def test_lhotse_sources_that_are_commands_are_not_run(inner: Path, tmp_path: Path) -> None:
    said = [{"id": "s", "start": 0, "duration": 1.0, "text": "x"}]
    rows = []
    for kind, source in (("file", "talk.wav"), ("command", f"touch {tmp_path}/ran"), ("url", "http://127.0.0.1/x")):
        recording = {"sources": [{"type": kind, "channels": [0], "source": source}]}
        rows.append({"id": "c", "start": 0, "duration": 1.0, "recording": recording, "supervisions": said})
    rows.append(rows[0] | {"recording": rows[0]["recording"] | {"transforms": [{"name": "Speed"}]}})
    path = inner / "cuts.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert dropped("lhotse", path, tmp_path / "store") == {
        "recording is not one file": 2, "recording is transformed": 1,
    }  # fmt: skip
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("rate", "channels", "reason"), [(8, 1, "sample rate too low"), (48_000, 700, "")])
def test_a_header_does_not_decide_how_much_memory_is_taken(
    tmp_path: Path, rate: int, channels: int, reason: str
) -> None:
    soundfile.write(tmp_path / "odd.wav", np.zeros((20_000, channels), np.int16), rate, subtype="PCM_16")
    soundfile.write(tmp_path / "talk.wav", SECOND, RATE, subtype="PCM_16")
    path = manifest(tmp_path, {"audio_filepath": "odd.wav", "text": "x"})
    _, back, told = read_back("nemo", [path], tmp_path / "store")
    assert told["dropped"] == ({reason: 1} if reason else {})
    assert {entry.num_samples for entry in back.recordings} == ({RATE} if reason else {RATE, 20_000 // 3 + 1})


def word(start: float | None, end: float | None, text: str = "w") -> RawWord:
    return RawWord(text=text, start=start, end=end)


@pytest.mark.parametrize(
    ("words", "kept", "reasons", "clips"),
    [
        ([(10, 20), (20, 30)], [(10, 20), (20, 30)], [], 0),
        ([(math.nan, 20), (20, 30)], [(20, 30)], ["word time is no number"], 0),
        ([(10, math.inf)], [], ["word time is no number"], 0),
        ([(30, 20)], [], ["word time is reversed"], 0),
        ([(-9_000, 20)], [], ["word time is out of range"], 0),
        ([(-5, 20)], [(0, 20)], [], 1),
        ([(90, 105)], [(90, 100)], [], 1),
        ([(200, 300)], [], ["word time is out of range"], 0),
        ([(10, 25), (20, 30)], [(10, 20), (20, 30)], [], 1),
        ([(20, 30), (10, 15)], [(20, 30)], ["word time is out of order"], 0),
        ([(10, 20), (None, None), (40, 50)], [(10, 20), (20, 40), (40, 50)], [], 1),
        ([(None, None), (None, 7)], [(0, 50), (50, 100)], [], 2),
        ([(10, 1e300)], [], ["word time is out of range"], 0),
    ],
)
def test_word_times_are_checked(
    words: list[tuple[Any, Any]], kept: list[tuple[int, int]], reasons: list[str], clips: int
) -> None:
    clipped: Counter[str] = Counter()
    raw = [word(*times) for times in words]
    found, left = checked_words(raw, Span(0, 100), may_overlap=False, clipped=clipped)
    assert [(entry.start, entry.end) for entry in found] == kept
    assert [why.reason for _, why in left] == reasons and clipped.total() == clips


TIME = st.none() | st.floats() | st.integers(-200, 300).map(float)


@given(st.lists(st.tuples(TIME, TIME, st.text(max_size=3), st.floats(), st.floats()), max_size=8), st.booleans())
def test_whatever_the_words_what_is_kept_is_in_range_and_the_rest_is_counted(
    words: list[tuple[Any, ...]], may_overlap: bool
) -> None:
    raw = [
        RawWord(text=text, start=start, end=end, vote_ratio=vote, confidence=confidence)
        for start, end, text, vote, confidence in words
    ]
    kept, left = checked_words(raw, Span(10, 100), may_overlap=may_overlap, clipped=Counter())
    assert len(kept) + len(left) == len(words)
    for entry in kept:
        assert 10 <= entry.start <= entry.end <= 100 and entry.text.strip()
        assert 0 <= entry.vote_ratio <= 1 and 0 <= entry.confidence <= 1
    if not may_overlap:
        assert all(a.end <= b.start for a, b in pairwise(kept))


def test_damaged_fields_of_ours_cost_their_line(tmp_path: Path) -> None:
    store = Store(tmp_path / "from")
    speech = plain_speech(store.audio)
    (path,) = speech.export("jsonl", tmp_path / "out", store.audio)
    first = json.loads(path.read_text().splitlines()[0])
    bad: list[dict[str, Any]] = [
        {"start": -1}, {"end": 10**30}, {"index": "1"}, {"confidence": 2}, {"confidence": None}, {"id": "a/../b"},
        {"id": ""}, {"dissent": "x"}, {"metadata": "[]"}, {"metadata": "{"}, {"recording": "[]"}, {"systems": [1]},
        {"recording": '{"id": 1}'}, {"recording_id": "../x"}, {"audio": "../../etc/passwd"}, {"audio": "a" * 64},
        {"words": [{"text": "a"}]}, {"words": 5}, {"text": None}, {"licence": "\ud800"},
    ]  # fmt: skip
    path.write_text("".join(f"{json.dumps(row)}\n" for row in [first, *(first | change for change in bad)]))
    _, back, told = read_back("jsonl", [path], tmp_path / "store", audio_roots=[tmp_path / "from"])
    assert len(back.chunks) == 1 and sum(told["dropped"].values()) == len(bad)


def test_a_chunk_id_that_comes_twice_comes_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "from")
    files = plain_speech(store.audio).export("webdataset", tmp_path / "out", store.audio)
    _, back, told = read_back("webdataset", [*files, *files], tmp_path / "store")
    assert told["dropped"] == {"chunk id twice": 3} and len(back.chunks) == len(back.turns) == 3


def test_all_formats_are_named_in_the_refusal(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no import format 'whisper'") as caught:
        import_data(ImportRequest(form="whisper", paths=[], name="x"), Store(tmp_path))
    assert caught.value.hint == "did you mean 'whisperx'?"
    assert len(IMPORTS) == 14
