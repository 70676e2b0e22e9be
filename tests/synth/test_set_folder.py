"""A spoken set as a folder: complete, frozen to the byte, and known by a hash of its content."""

import hashlib
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from spoken_sets import (
    QUESTIONS,
    Models,
    fake_voice,
    items_of,
    models,
    run_set,
    settings_of,
    write_questions,
    write_sounds,
)

from spelangy.core.errors import UserError
from spelangy.store.objects import Store
from spelangy.synth.set_folder import content_hash, export_spoken_set
from spelangy.synth.set_items import SpokenItem
from spelangy.synth.spoken_set import plan_spoken_set

__all__ = ["models"]


@pytest.fixture
def folder(tmp_path: Path, models: Models) -> Path:
    assert models.revision
    write_questions(tmp_path / "set.jsonl")
    return write_sounds(tmp_path)


def exported(folder: Path, out: str = "out", store: str = "store", **changes: Any) -> dict[str, Any]:
    opened = Store(folder / store)
    given = {"noises": [str(folder / "noises")], "snr_db": (10,), **changes}
    settings = settings_of(folder, **given)
    return export_spoken_set(folder / out, plan_spoken_set(settings), opened, run_set(settings, opened))


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "out" / "items.jsonl").read_text().splitlines()]


def test_every_line_has_its_sound(folder: Path) -> None:
    manifest = exported(folder)
    rows = lines(folder)
    assert len(rows) == manifest["num_items"] == 12
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    assert {path.name for path in (folder / "out" / "audio").iterdir()} == {f"{row['id']}.flac" for row in rows}
    audio = Store(folder / "store").audio
    for row in rows:
        sound, rate = soundfile.read(folder / "out" / row["file"], dtype="float32")
        assert rate == 16_000 and sound.shape == (row["num_samples"],)
        assert np.array_equal(sound, audio.read(row["audio"]))


def test_the_manifest_tells_what_the_set_is(folder: Path) -> None:
    write_questions(folder / "set.jsonl", [*QUESTIONS, {"question": "..."}, {"question": "Who is it?"}])
    manifest = exported(folder, rooms=[str(folder / "rooms")])
    assert manifest == json.loads((folder / "out" / "manifest.json").read_text())
    assert (manifest["num_questions"], manifest["num_complete_questions"], manifest["num_items"]) == (3, 3, 18)
    assert manifest["voices"][0] == {
        "voice": "fake:alto", "rate": 1.0, "accent": "", "sex": "",
        "backend": "fake", "model": "fake", "revision": "1", "licence": "CC0",
    }  # fmt: skip
    assert manifest["asr"]["licence"] == "CC0"
    assert manifest["drops"] == {"set-questions": {"nothing to say": 1, "repeated question": 1}}
    sha256 = hashlib.sha256((folder / "set.jsonl").read_bytes()).hexdigest()
    assert manifest["sources"] == [{"id": sha256[:32], "name": "set.jsonl"}]
    assert {noise["name"] for noise in manifest["noises"]} == {"hiss.wav", "roar.wav"} and manifest["rooms"]
    told = [(row["voice"], row["in_room"], row["snr_db"], row["num_items"]) for row in manifest["conditions"]]
    assert told == [
        (voice, in_room, snr_db, 3)
        for voice in ("fake:alto", "fake:bass")
        for in_room, snr_db in ((False, None), (True, None), (True, 10.0))
    ]
    text = (folder / "out" / "manifest.json").read_text() + (folder / "out" / "items.jsonl").read_text()
    assert str(folder) not in text and "this machine" not in text


def test_a_set_with_a_gap_says_how_many_questions_are_complete(folder: Path) -> None:
    manifest = exported(folder, snr_db=(-30,), max_wer=0.5)
    assert manifest["num_questions"] == 3 and manifest["num_complete_questions"] < 3
    assert manifest["drops"]["spoken-set"]["round trip"] == 12 - manifest["num_items"]


# ------------------------------------------------------------------------------------------------------------- frozen


def test_the_same_set_is_the_same_bytes_in_any_store_and_order(folder: Path) -> None:
    manifest = exported(folder)
    first = digests(folder / "out")
    times = {path: path.stat().st_mtime_ns for path in (folder / "out").rglob("*")}
    assert exported(folder) == manifest
    assert {path: path.stat().st_mtime_ns for path in (folder / "out").rglob("*")} == times
    voices = (fake_voice("bass"), fake_voice("alto"))
    assert exported(folder, out="elsewhere", store="another", voices=voices) == manifest
    assert digests(folder / "elsewhere") == first


def test_the_order_of_lines_changes_no_item(folder: Path) -> None:
    manifest = exported(folder)
    write_questions(folder / "set.jsonl", QUESTIONS[::-1])
    again = exported(folder, out="again")
    assert again["content"] == manifest["content"]
    assert (folder / "again" / "items.jsonl").read_bytes() == (folder / "out" / "items.jsonl").read_bytes()


@pytest.mark.parametrize(
    "changes",
    [{"limit": 2}, {"seed": 1}, {"snr_db": (15,)}, {"voices": (fake_voice("alto"),)}, {"asr": None}, {"max_wer": 0.9}],
)
def test_another_set_is_refused_a_folder_that_holds_one(folder: Path, changes: dict[str, Any]) -> None:
    exported(folder)
    before = digests(folder / "out")
    with pytest.raises(UserError, match=r"out holds another spoken set \(manifest.json differs"):
        exported(folder, **changes)
    assert digests(folder / "out") == before


def test_a_part_that_was_changed_is_noticed(folder: Path) -> None:
    exported(folder)
    sounds = sorted((folder / "out" / "audio").iterdir())
    whole = sounds[0].read_bytes()
    for damaged in (sounds[1].read_bytes(), whole[:-200], b"no sound", None):
        sounds[0].unlink() if damaged is None else sounds[0].write_bytes(damaged)
        with pytest.raises(UserError, match=f"audio/{sounds[0].name} differs"):
            exported(folder)
    sounds[0].write_bytes(whole)
    exported(folder)
    (folder / "out" / "audio" / "extra.flac").write_bytes(whole)
    with pytest.raises(UserError, match=r"extra.flac differs"):
        exported(folder)
    (folder / "out" / "audio" / "extra.flac").unlink()
    (folder / "out" / "items.jsonl").unlink()
    with pytest.raises(UserError, match=r"items\.jsonl"):
        exported(folder)


def test_a_broken_off_export_is_finished_by_the_next(folder: Path) -> None:
    exported(folder)
    whole = digests(folder / "out")
    (folder / "out" / "manifest.json").unlink()
    sorted((folder / "out" / "audio").iterdir())[0].unlink()
    (folder / "out" / "README.md").write_text("mine")
    exported(folder)
    mine = digests(folder / "out")
    assert mine.pop("README.md") and mine == whole


def test_a_folder_with_sounds_of_something_else_is_refused(folder: Path) -> None:
    (folder / "out" / "audio").mkdir(parents=True)
    (folder / "out" / "audio" / "mine.flac").write_bytes(b"mine")
    with pytest.raises(UserError, match="another export"):
        exported(folder)
    assert digests(folder / "out").keys() == {"audio/mine.flac"}


def test_a_set_without_an_item_is_refused_with_the_reasons(folder: Path) -> None:
    write_questions(folder / "set.jsonl", [{"question": "..."}])
    with pytest.raises(UserError, match="nothing to say"):
        exported(folder)
    assert not (folder / "out").exists()


# ------------------------------------------------------------------------------------------------------- content hash


def test_the_content_is_what_is_asked_and_not_what_was_heard(folder: Path) -> None:
    store = Store(folder / "store")
    items = items_of(run_set(settings_of(folder), store), store)
    expected = content_hash(items)
    shuffled = random.Random(0).sample(items, len(items))
    assert shuffled != items and content_hash(shuffled) == expected
    deaf = [replace(item, heard="what", wer=1.0) for item in items]
    assert content_hash(deaf) == expected
    changes: list[dict[str, Any]] = [
        {"question": "x"}, {"spoken": "x"}, {"answers": ("x",)}, {"choices": ("x",)}, {"gold": 3}, {"audio": "x"},
        {"voice": "x"}, {"rate": 1.5}, {"snr_db": 3.0}, {"room": "x"}, {"noise": "x"}, {"num_samples": 1},
        {"question_id": "x"}, {"id": "x"},
    ]  # fmt: skip
    assert {name for change in changes for name in change} | {"heard", "wer"} == set(SpokenItem.__slots__)
    for change in changes:
        assert content_hash([replace(items[0], **change), *items[1:]]) != expected
