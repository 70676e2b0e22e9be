"""``data export`` and ``data import`` as a user gives them."""

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from spelangy.cli.main import app
from spelangy.core.errors import UserError
from spelangy.store.exchange import EXPORTS, IMPORTS
from spelangy.store.objects import Store

RATE = 16_000
TALK = np.random.default_rng(0).integers(-20_000, 20_000, 2 * RATE, dtype=np.int16)


def invoke(*arguments: Any) -> str:
    ran = CliRunner().invoke(app, [*map(str, arguments)])
    assert ran.exit_code == 0, ran.output or ran.exception
    return ran.stdout


def refused(*arguments: Any) -> UserError:
    ran = CliRunner().invoke(app, [*map(str, arguments)])
    assert isinstance(ran.exception, UserError), ran.exception
    return ran.exception


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "talk.wav", TALK, RATE, subtype="PCM_16")
    rows = [
        {
            "audio_filepath": "talk.wav",
            "offset": 0.0001875,
            "duration": 0.9998125,
            "text": "good day",
            "speaker": "anna",
        },
        {"audio_filepath": "talk.wav", "offset": 1.0, "duration": 0.5, "text": "bye", "speaker": "bob"},
        {"audio_filepath": "/etc/passwd", "text": "secret", "duration": 1},
    ]
    path = tmp_path / "manifest.json"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def test_imported_data_is_exported_in_every_format(manifest: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    told = json.loads(invoke("data", "import", "nemo", manifest, "-o", store, "--name", "talks", "--json"))
    assert told["num_rows"] == {"chunks": 2, "drops": 1, "recordings": 1, "transcripts": 2, "turns": 2}
    assert told["dropped"] == {"audio outside the folders allowed": 1} and not told["is_reused"]
    for form in EXPORTS:
        out = tmp_path / "out" / form
        files = invoke("data", "export", "talks", "--format", form, "--store", store, "--out", out).splitlines()
        assert files and all(Path(file).is_file() for file in files)
    back = tmp_path / "back"
    invoke("data", "import", "shar", tmp_path / "out" / "shar", "--store", back, "--name", "talks", "--view", "clips")
    assert Store(back).ref("talks", "chunks-clips") is not None
    lines = invoke(
        "data", "export", "talks", "--format", "jsonl", "--view", "clips", "--store", back, "-o", tmp_path / "x"
    )
    rows = [json.loads(line) for line in Path(lines.strip()).read_text().splitlines()]
    assert sorted(row["end"] - row["start"] for row in rows) == [8_000, 15_997]


def test_import_prints_what_came_and_what_was_left_out(manifest: Path, tmp_path: Path) -> None:
    arguments = ("data", "import", "nemo", manifest, "-o", tmp_path / "store", "--name", "talks")
    told = invoke(*arguments)
    assert "talks, imported" in told and "audio outside the folders allowed" in told and "Times moved" in told
    assert "talks, reused" in invoke(*arguments)


def test_labels_find_the_recordings_of_stored_data(manifest: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    invoke("data", "import", "nemo", manifest, "-o", store, "--name", "talks")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "talk.rttm").write_text("SPEAKER talk 1 0.5 1.0 <NA> <NA> anna <NA> <NA>\n")
    labels = ("data", "import", "rttm", tmp_path / "labels", "-o", store, "--name", "labels")
    assert "audio not found" in refused(*labels).message
    assert json.loads(invoke(*labels, "--recordings", "talks", "--json"))["num_rows"]["turns"] == 1
    assert "no recordings of nobody" in refused(*labels, "--recordings", "nobody").message


def test_a_format_a_path_and_a_name_are_checked(manifest: Path, tmp_path: Path) -> None:
    end = ("-o", tmp_path / "store", "--name", "talks")
    assert "nemmo" in refused("data", "import", "nemmo", manifest, *end).message
    assert "is no file or folder" in refused("data", "import", "nemo", tmp_path / "gone", *end).message
    assert "is no file or folder" in refused("data", "import", "nemo", "/dev/null", *end).message
    assert "no files of format shar" in refused("data", "import", "shar", tmp_path, *end).message
    assert refused("data", "export", "talks", "--store", tmp_path / "store").message
    assert not (tmp_path / "store").exists()


def test_what_libsndfile_cannot_read_ffmpeg_reads(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "talk.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray((TALK / 32_768).astype(np.float32)[None], format="fltp", layout="mono")
        frame.rate = RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    segment = {"start": 0.5, "end": 1.0, "text": "good day", "words": []}
    (tmp_path / "talk.json").write_text(json.dumps({"segments": [segment]}))
    arguments = ("data", "import", "whisperx", tmp_path / "talk.json", "-o", tmp_path / "store", "--name", "talks")
    assert json.loads(invoke(*arguments, "--json"))["num_rows"]["chunks"] == 1


def test_every_format_is_told_in_the_help() -> None:
    assert all(form in invoke("data", "import", "--help") for form in IMPORTS)
