"""``spelangy synth spoken-set`` from the shell: a folder of real speech, figures with intervals, requests refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile
from typer.testing import CliRunner

from spelangy.cli.main import app
from spelangy.cli.spoken_sets import condition_name, parse_voice, word_error_rates
from spelangy.core.errors import UserError
from spelangy.synth.set_items import SpokenItem

QUESTIONS = ({"question": "Who was president in 1999?", "answer": "Clinton"}, {"question": "?!"})


def invoke(*arguments: object) -> str:
    """stdout of a command run in this process."""
    ran = CliRunner().invoke(app, ["synth", "spoken-set", *map(str, arguments)], catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    return ran.stdout


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "set.jsonl"
    path.write_text("\n".join(map(json.dumps, QUESTIONS)))
    return path


def test_questions_become_a_folder_of_real_speech(questions: Path, tmp_path: Path) -> None:
    command = (questions, "-o", tmp_path / "out", "--store", tmp_path / "store", "--workers", 1)
    told = json.loads(invoke(*command, "--json", "--quiet"))
    (line,) = (tmp_path / "out" / "items.jsonl").read_text().splitlines()
    item = json.loads(line)
    assert (item["question"], item["spoken"]) == (
        "Who was president in 1999?",
        "Who was president in nineteen ninety-nine?",
    )
    assert item["voice"] == "hibari:heart" and item["wer"] < 0.3 and "president" in item["heard"]
    assert soundfile.info(tmp_path / "out" / item["file"]).frames == item["num_samples"] > 16_000
    assert told["manifest"] == json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert told["manifest"]["drops"] == {"set-questions": {"nothing to say": 1}}
    (rate,) = told["word_error_rates"]
    assert (rate["voice"], rate["condition"], rate["mean_wer"]) == ("hibari:heart", "clean", round(item["wer"], 4))
    people = invoke(*command)
    assert "1 items of 1 questions" in people and "nothing to say" in people and "hibari:heart" in people


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--voice", "heart"), "--voice heart: not TTS:VOICE"),
        (("--voice", "hibari:heart@3"), "RATE from 0.5 to 2"),
        (("--voice", "hibari:heart@quick"), "--voice hibari:heart@quick"),
        (("--voice", "hibary:heart"), "no tts backend named 'hibary'"),
        (("--asr", "moonshine"), "no asr backend named 'moonshine'"),
        (("--voice", "hibari:heart", "--voice", "hibari:heart"), "named twice"),
        (("--snr-db", "10"), "together"),
        (("--snr-db", "nan", "--noises", "."), "--snr-db nan"),
        (("--limit", "0"), "--limit 0"),
        (("--max-wer", "-1"), "--max-wer -1"),
        (("--rooms", "absent"), "no room at"),
    ],
)
def test_what_cannot_be_met_is_refused(questions: Path, tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message) as refused:
        invoke(questions, "-o", tmp_path / "out", "--store", tmp_path / "store", *options)
    assert refused.value.hint
    assert not (tmp_path / "out").exists()


def test_a_voice_is_read_as_tables_name_it() -> None:
    for text in ("hibari:heart", "kokoro:jf_nezumi@0.9", "piper:joe:en-US", "piper:joe:en-US@1.2"):
        assert parse_voice(text).speaker == text


# ------------------------------------------------------------------------------------------------------------ figures


def an_item(question: str, voice: str, wer: float | None, snr_db: float | None = None, room: str = "") -> SpokenItem:
    return SpokenItem(
        id=f"{question}{voice}{snr_db}{room}", question_id=question, question="", spoken="", answers=(), choices=(),
        gold=None, voice=voice, rate=1.0, snr_db=snr_db, room=room, noise="", audio="", num_samples=0, heard="",
        wer=wer,
    )  # fmt: skip


def rates(items: list[SpokenItem]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["voice"], row["condition"]): row for row in word_error_rates(items)}


def test_voices_of_one_question_are_one_observation() -> None:
    one = [an_item(f"q{number}", "a", float(number % 2)) for number in range(20)]
    copied = [replace(item, voice=voice, id=item.id + voice) for item in one for voice in "abcd"]
    alone, together = rates(one)["a", "clean"], rates(copied)["all voices", "clean"]
    assert (together["items"], together["questions"]) == (80, 20)
    for name in ("mean_wer", "low_95", "high_95"):
        assert together[name] == alone[name]
    assert alone["low_95"] < 0.5 == alone["mean_wer"] < alone["high_95"]


def test_conditions_are_told_apart_and_what_was_not_heard_is_left_out() -> None:
    items = [
        an_item("q", "a", 0.0),
        an_item("q", "a", 0.25, snr_db=20.0),
        an_item("q", "a", 0.5, snr_db=0.0),
        an_item("q", "a", 1.0, snr_db=-5.0),
        an_item("q", "a", 0.125, room="hall.wav"),
        an_item("q", "a", None, snr_db=20.0, room="hall.wav"),
    ]
    found = rates(items)
    assert [(condition, row["mean_wer"]) for (_, condition), row in found.items()] == [
        ("clean", 0.0),
        ("20 dB", 0.25),
        ("0 dB", 0.5),
        ("-5 dB", 1.0),
        ("room", 0.125),
    ]
    assert {row["low_95"] for row in found.values()} == {None}, "one question has no interval"
    assert condition_name(True, 2.5) == "room 2.5 dB"
    assert word_error_rates([an_item("q", "a", None)]) == []
