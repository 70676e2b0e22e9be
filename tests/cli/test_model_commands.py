"""Commands that work on a finished run: what they print is what is stored; stdout holds data alone."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import soundfile
from typer.testing import CliRunner

from spelangy.cli.main import app
from spelangy.core.errors import UserError
from spelangy.core.records import Chunk, Transcript, Turn, Units
from spelangy.store.inputs import package_file
from tiny_run import TinyRun


def invoke(*arguments: object) -> str:
    """stdout of a command run in this process."""
    ran = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    return ran.stdout


def refused(*arguments: object) -> UserError:
    with pytest.raises(UserError) as caught:
        invoke(*arguments)
    return caught.value


def on(tiny: TinyRun, *command: object) -> tuple[object, ...]:
    return (*command, tiny.path, "--store", tiny.path.parent / "store")


@pytest.fixture(scope="module")
def sound(tiny: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    chunk = tiny.records("question-speech", "chunks", Chunk)[0]
    path = tmp_path_factory.mktemp("sound") / f"{chunk.recording_id}.wav"
    soundfile.write(path, tiny.store.audio.read(chunk.audio), 16_000, subtype="PCM_16")
    return path


def spelangy(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The command as it is installed, in a process of its own."""
    command = [str(Path(sys.executable).parent / "spelangy"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, env={**os.environ, "COLUMNS": "80"})


def test_train_prints_json_alone_on_stdout_and_its_log_on_stderr(tiny: TinyRun) -> None:
    ran = spelangy(*on(tiny, "train"), "--json")
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert Path(told["model"]) == tiny.model
    assert told["heldout_nats"] == tiny.finished["train"].stored.circumstances["summary"]["heldout_nats"]
    assert "reused  train" in ran.stderr and "built" not in ran.stderr


def test_a_bad_request_ends_with_2_a_message_and_no_traceback(tiny: TinyRun) -> None:
    ran = spelangy("generate", tiny.model)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "one prompt" in ran.stderr and "hint:" in ran.stderr and "Traceback" not in ran.stderr


@pytest.mark.parametrize("to", ["text", "speech"])
def test_generate_goes_on_from_text(tiny: TinyRun, to: str) -> None:
    told = json.loads(invoke("generate", tiny.model, "--text", "The lamp", "--to", to, "--max-tokens", 5, "--json"))
    assert set(told) == {"text", "units", "stopped_by"}
    assert bool(told["units"]) == (to == "speech" and told["stopped_by"] == "max_tokens") or len(told["units"]) < 5


def test_generate_goes_on_from_sound(tiny: TinyRun, sound: Path) -> None:
    told = json.loads(invoke("generate", tiny.model, "--audio", sound, "--max-tokens", 4, "--json"))
    plain = invoke("generate", tiny.model, "--audio", sound, "--max-tokens", 4)
    assert plain == f"{told['text']}\n" and told["units"] == []


def test_what_cannot_be_continued_is_refused(tiny: TinyRun, sound: Path, tmp_path: Path) -> None:
    assert "one prompt" in refused("generate", tiny.model, "--text", "a", "--audio", sound).message
    assert "--to song" in refused("generate", tiny.model, "--text", "a", "--to", "song").message
    assert "not found" in refused("generate", tiny.model, "--audio", tmp_path / "none.wav").message
    assert "no speech LM" in refused("generate", tmp_path, "--text", "a").message
    text = tmp_path / "text.wav"
    text.write_text("no sound")
    assert str(text) in refused("tokenizer", "encode", tiny.model, text).message


def test_encode_prints_a_json_line_a_file(tiny: TinyRun, sound: Path) -> None:
    beckett = package_file("package:moonshine_voice/assets/beckett.wav")
    own, other = map(json.loads, invoke("tokenizer", "encode", tiny.model, sound, beckett).splitlines())
    stored = {row.recording_id: list(row.units) for row in tiny.records("question-units", "units", Units)}
    assert own == {"audio": str(sound), "units": stored[sound.stem]}
    assert len(other["units"]) == 125 and max(other["units"]) < 32


def test_tokenizer_train_prints_its_folder(tiny: TinyRun) -> None:
    assert Path(invoke(*on(tiny, "tokenizer", "train"), "--quiet").strip()) == tiny.directory("speech-tokenizer")


def test_inspect_draws_a_row(tiny: TinyRun) -> None:
    drawn = invoke(*on(tiny, "data", "inspect"), "--row", 3)
    assert drawn.startswith("row 3: source ") and "of 128 tokens used" in drawn
    rows = [invoke(*on(tiny, "data", "inspect"), "--row", row) for row in range(8)]
    assert any("units," in row for row in rows)


def test_inspect_refuses_a_row_before_the_first_and_a_recipe_that_was_not_run(tiny: TinyRun, tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, [*map(str, on(tiny, "data", "inspect")), "--row", "-1"])
    assert ran.exit_code == 2
    assert "is not built" in refused("data", "inspect", tiny.path, "--store", tmp_path / "empty").message


@pytest.mark.parametrize("form", ["nemo", "jsonl", "rttm", "ctm", "vtt"])
def test_export_writes_every_record(tiny: TinyRun, tmp_path: Path, form: str) -> None:
    files = [
        Path(line) for line in invoke(*on(tiny, "data", "export"), "--format", form, "--out", tmp_path).splitlines()
    ]
    assert files and all(file.parent == tmp_path for file in files)
    lines = [line for file in files for line in file.read_text().splitlines()]
    chunks = len(tiny.records("chunks-fine", "chunks", Chunk))
    words = sum(len(row.words) for row in tiny.records("words", "transcripts", Transcript))
    turns = len(tiny.records("turns", "turns", Turn))
    expected = {"nemo": chunks, "jsonl": chunks, "rttm": turns, "ctm": words}
    found = sum(" --> " in line for line in lines) if form == "vtt" else len(lines)
    assert found == expected.get(form, chunks) > 0


def test_export_refuses_a_format_that_it_does_not_know(tiny: TinyRun, tmp_path: Path) -> None:
    error = refused(*on(tiny, "data", "export"), "--format", "nemmo", "--out", tmp_path)
    assert "nemmo" in error.message and "nemo" in error.hint


def test_eval_prints_the_stored_summary(tiny: TinyRun) -> None:
    told: dict[str, Any] = json.loads(invoke(*on(tiny, "eval"), "--json"))
    assert told == tiny.finished["eval"].stored.circumstances["summary"]
    table = invoke(*on(tiny, "eval"), "--quiet")
    assert all(row["condition"] in table for row in told["conditions"]) and "McNemar" in table


def test_synth_krist_reuses_what_a_whole_run_made_and_speaks_no_more_than_it_needs(tiny: TinyRun) -> None:
    told = json.loads(invoke(*on(tiny, "synth", "krist"), "--json"))
    before = ["pages", "page-scores", "selected", "questions", "gate", "krist"]
    assert [step["step"] for step in told["steps"]] == [*before, "speech"]
    assert {step["status"] for step in told["steps"][:-1]} == {"reused"}
    assert [stage["stage"] for stage in told["funnel"]] == ["pages", "selected", "gate", "krist", "speech"]
    scripts = tiny.finished["krist"].stored.num_rows("scripts")
    assert told["funnel"][-1]["num_kept"] == scripts
    speech = tiny.store.find(told["steps"][-1]["key"])
    assert speech is not None and speech.circumstances["num_items_from_earlier_runs"] == scripts, (
        "nothing is said twice"
    )
    assert Path(told["report"]).is_file()
    whole = json.loads(invoke(*on(tiny, "plan"), "--json"))
    assert {step["status"] for step in whole["steps"]} == {"reuse"}, "the whole run's own tables are as they were"


def test_topics_on_the_command_line_weigh_pages(tiny: TinyRun) -> None:
    told = json.loads(invoke(*on(tiny, "synth", "krist"), "--topics", "science=1,games=0.5", "--json"))
    status = {step["step"]: step["status"] for step in told["steps"]}
    assert status["page-scores"] == "reused" and status["selected"] == "built"
    assert "games=much" in refused(*on(tiny, "synth", "krist"), "--topics", "games=much").message
    assert "no topic" in refused(*on(tiny, "synth", "krist"), "--topics", "gardening=2").message


def test_synth_without_an_archive_is_refused(tiny: TinyRun) -> None:
    assert "no web pages" in refused(*on(tiny, "synth", "quest"), "--set", "synth.pages=[]").message


def test_report_renders_again_and_refuses_what_is_not_built(tiny: TinyRun) -> None:
    page = Path(invoke(*on(tiny, "report")).strip())
    assert page.is_file() and "McNemar" in page.read_text()
    assert "train" in refused(*on(tiny, "report"), "--set", "train.steps=21").message


def test_plan_says_that_all_is_there(tiny: TinyRun) -> None:
    planned = json.loads(invoke(*on(tiny, "plan"), "--json"))
    assert [row["step"] for row in planned["steps"]] == list(tiny.finished)
    assert {row["status"] for row in planned["steps"]} == {"reuse"}
    assert planned["estimate"]["audio_hours"] > 0 and planned["estimate"]["core_hours"] == 0
    assert planned["estimate"]["audio_hours_from"] == "decoded samples"


def test_plan_tells_what_a_run_would_cost(tiny: TinyRun, tmp_path: Path) -> None:
    command = ("plan", str(tiny.path), "--store", str(tmp_path / "empty"), "--workers", "4")
    told = invoke(*command)
    assert "an estimate:" in told and "with 4 workers" in told
    estimate = json.loads(invoke(*command, "--json"))["estimate"]
    assert estimate["audio_hours_from"].startswith("headers of")
    assert estimate["wall_hours"] == pytest.approx(estimate["core_hours"] / 4, abs=1e-3)
    assert estimate["basis"]["train"] == "unknown" and "train" in estimate["unknown"]


def test_models_list_names_every_backend_of_the_recipe(tiny: TinyRun) -> None:
    rows = {(row["role"], row["name"]): row for row in json.loads(invoke("models", "list", "--json"))}
    for used in (
        ("vad", "silero"),
        ("asr", "moonshine-tiny-en"),
        ("tts", "hibari"),
        ("speech-tokenizer", "kmeans-logmel"),
    ):
        assert rows[used]["usable"] == "yes" and rows[used]["licence"]
    assert all(row["to fix"] for row in rows.values() if row["usable"] == "no")


def test_doctor_finds_a_model_for_every_role(tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["doctor", "--json", "--store", str(tmp_path / "not" / "yet")])
    told = json.loads(ran.stdout)
    assert told["roles_without_model"] == []
    assert ran.exit_code == int(any(row["ok"] == "no" for row in told["machine"]))
    assert {"Python", "free disk", "daft", "torch"} <= {row["what"] for row in told["machine"]}
