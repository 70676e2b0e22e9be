"""Every question by every voice in every condition; conditions that compare; nothing is spoken or heard twice."""

import json
from collections import Counter, defaultdict
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

from spelangy.core.errors import Dropped, UserError
from spelangy.core.records import Drop, Recording, Turn
from spelangy.core.schema import from_table
from spelangy.core.spans import FRAME_SAMPLES
from spelangy.store.objects import Store
from spelangy.synth.augment import active_samples, find_augmentation
from spelangy.synth.config import AugmentSettings
from spelangy.synth.set_items import LayOver, SpokenItem
from spelangy.synth.spoken_set import plan_spoken_set, spoken_set_steps

__all__ = ["models"]

NOISY: dict[str, Any] = {"snr_db": (10, 20)}


@pytest.fixture
def folder(tmp_path: Path, models: Models) -> Path:
    assert not models.said
    write_questions(tmp_path / "set.jsonl")
    return write_sounds(tmp_path)


@pytest.fixture
def store(folder: Path) -> Store:
    return Store(folder / "store")


def noisy(folder: Path, *, rooms: bool = False, **changes: Any) -> dict[str, Any]:
    in_rooms = {"rooms": [str(folder / "rooms")]} if rooms else {}
    return {"noises": [str(folder / "noises")], **NOISY, **in_rooms, **changes}


def made(folder: Path, store: Store, **changes: Any) -> list[SpokenItem]:
    return items_of(run_set(settings_of(folder, **changes), store), store)


def drops(folder: Path, store: Store, step: str, **changes: Any) -> list[Drop]:
    finished = run_set(settings_of(folder, **changes), store)
    return from_table(store.table(finished[step].key, "drops"), Drop)


# -------------------------------------------------------------------------------------------------------------- items


def test_every_question_is_spoken_by_every_voice_in_every_condition(folder: Path, store: Store) -> None:
    items = made(folder, store, **noisy(folder))
    assert Counter((item.voice, item.snr_db) for item in items) == {
        (voice, snr_db): len(QUESTIONS) for voice in ("fake:alto", "fake:bass") for snr_db in (None, 10.0, 20.0)
    }
    clusters = Counter(item.question_id for item in items)
    assert set(clusters.values()) == {6} and len(clusters) == len(QUESTIONS)
    assert len({item.id for item in items}) == len(items)
    assert [item.id for item in items] == sorted(item.id for item in items)


def test_an_item_carries_its_question_and_what_was_said(folder: Path, store: Store) -> None:
    by_text = {item.question: item for item in made(folder, store)}
    tree, two = by_text["Which is a tree?"], by_text["Where are the 2 of them?"]
    assert (tree.choices, tree.gold, tree.answers) == (("cat", "dog", "oak", "ant"), 2, ("oak",))
    assert tree.spoken == tree.question
    assert (two.spoken, two.answers, two.gold) == ("Where are the two of them?", ("here", "there"), None)
    for item in (tree, two):
        assert item.heard == item.spoken.lower().rstrip("?") and item.wer == 0.0
        assert store.audio.read(item.audio).size == item.num_samples
        assert item.num_samples % FRAME_SAMPLES == 0
        assert (item.room, item.noise, item.snr_db, item.rate) == ("", "", None, 1.0)


def test_a_voice_at_another_rate_is_another_voice(folder: Path, store: Store) -> None:
    voices = (fake_voice("alto"), fake_voice("alto", 2.0))
    lengths: dict[str, int] = defaultdict(int)
    for item in made(folder, store, voices=voices):
        lengths[item.voice] += item.num_samples
        assert item.rate == (2.0 if item.voice == "fake:alto@2" else 1.0)
    assert set(lengths) == {"fake:alto", "fake:alto@2"} and lengths["fake:alto@2"] < 0.8 * lengths["fake:alto"]


def test_other_steps_read_items_as_recordings_with_one_turn(folder: Path, store: Store) -> None:
    finished = run_set(settings_of(folder, **noisy(folder)), store)
    items = items_of(finished, store)
    recordings = from_table(store.table(finished["spoken-set"].key, "recordings"), Recording)
    turns = from_table(store.table(finished["spoken-set"].key, "turns"), Turn)
    for item, recording, turn in zip(items, recordings, turns, strict=True):
        assert item.id == recording.id == turn.recording_id
        assert item.audio == recording.audio == turn.audio
        assert (turn.start, turn.end, recording.num_samples) == (0, item.num_samples, item.num_samples)
        told = json.loads(recording.metadata)
        assert told.get("snr_db") == item.snr_db and turn.speaker == item.voice == told["voice"]


# --------------------------------------------------------------------------------------------------------- conditions


def sounds(items: list[SpokenItem], store: Store) -> dict[tuple[str, str], dict[float | None, np.ndarray]]:
    """By question and voice: the sound of each level."""
    found: dict[tuple[str, str], dict[float | None, np.ndarray]] = defaultdict(dict)
    for item in items:
        found[item.question_id, item.voice][item.snr_db] = store.audio.read(item.audio).astype(np.float64)
    return found


def test_levels_differ_in_nothing_but_the_level_of_one_noise(folder: Path, store: Store) -> None:
    for levels in sounds(made(folder, store, **noisy(folder)), store).values():
        noise_10, noise_20 = (levels[snr_db] - levels[None] for snr_db in (10.0, 20.0))
        assert np.abs(noise_10 - 10**0.5 * noise_20).max() < 5 / 32_768
        speech = levels[None][active_samples(levels[None].astype(np.float32))]
        assert 10 * np.log10(np.mean(speech**2) / np.mean(noise_10**2)) == pytest.approx(10, abs=0.1)


def test_rooms_change_one_thing_at_a_time(folder: Path, store: Store) -> None:
    items = made(folder, store, **noisy(folder, rooms=True))
    dry = [item for item in items if not item.room]
    assert {item.snr_db for item in dry} == {None} and not any(item.noise for item in dry)
    assert Counter(bool(item.room) for item in items) == {False: 6, True: 18}
    for levels in sounds([item for item in items if item.room], store).values():
        noise_10, noise_20 = (levels[snr_db] - levels[None] for snr_db in (10.0, 20.0))
        assert np.abs(noise_10 - 10**0.5 * noise_20).max() < 5 / 32_768


def test_all_voices_of_a_question_stand_in_one_room_and_one_noise(folder: Path, store: Store) -> None:
    questions = [{"question": f"Who is number {number}?"} for number in "abcdefghij"]
    write_questions(folder / "set.jsonl", questions)
    by_question: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for item in made(folder, store, **noisy(folder, rooms=True)):
        if item.noise:
            by_question[item.question_id].add((item.room, item.noise))
    assert all(len(places) == 1 for places in by_question.values())
    assert len(set().union(*by_question.values())) == 4, "questions draw from all rooms and noises"


def test_another_seed_draws_other_noises(folder: Path, store: Store) -> None:
    first, again, other = (
        {item.id: item.audio for item in made(folder, store, **noisy(folder, seed=seed))} for seed in (0, 0, 1)
    )
    assert first == again
    assert first.keys() == other.keys() and first != other


def test_a_level_whose_noise_is_silent_is_dropped(folder: Path, store: Store) -> None:
    quiet = np.zeros(16_000 * 60, np.float32)
    quiet[:100] = 0.5
    soundfile.write(folder / "quiet.wav", quiet, 16_000, subtype="FLOAT")
    rooms = find_augmentation(AugmentSettings(noises=(str(folder / "quiet.wav"),)))
    key = store.audio.put(0.1 * np.ones(16_000, np.float32))
    level = {"id": "i", "take_id": "t", "question_id": "q", "audio": key, "num_samples": 16_000, "in_room": False}
    with pytest.raises(Dropped, match="noise is silent here"):
        LayOver(store.audio, rooms, 0)({**level, "snr_db": 10.0})
    (clean,) = LayOver(store.audio, rooms, 0)({**level, "snr_db": None}).records["levels"]
    assert (clean.audio, clean.noise) == (key, "")


# ----------------------------------------------------------------------------------------------------------- one time


def test_nothing_is_spoken_or_heard_twice(folder: Path, store: Store, models: Models) -> None:
    def new(**changes: Any) -> tuple[int, int]:
        models.forget()
        run_set(settings_of(folder, **changes), store)
        return len(models.said), len(models.heard)

    alto, bass = fake_voice("alto"), fake_voice("bass")
    assert new(voices=(alto,)) == (3, 3)
    assert new(voices=(alto,)) == (0, 0)
    assert new(voices=(bass, alto)) == (3, 3), "one more voice"
    assert new(voices=(alto, bass), **noisy(folder, snr_db=(10,))) == (0, 6), "one more level"
    assert new(voices=(alto, bass), **noisy(folder)) == (0, 6), "and one more"
    assert new(voices=(alto, bass), limit=2) == (0, 0), "fewer questions"
    assert new(voices=(alto, bass), max_wer=0.5) == (0, 0), "a decision"
    write_questions(folder / "set.jsonl", [*QUESTIONS, {"question": "Why?"}])
    assert new(voices=(alto,)) == (1, 1), "one more question"
    write_questions(folder / "set.jsonl", [{**QUESTIONS[0], "answer": "Bob"}, *QUESTIONS[1:]])
    assert new(voices=(alto,)) == (0, 0), "another answer"
    models.revision = "2"
    assert new(voices=(alto,)) == (3, 3), "another model"


def test_a_set_that_was_not_finished_goes_on(folder: Path, store: Store, models: Models) -> None:
    """A recogniser that breaks is tried again; what was spoken stays."""
    models.is_broken = True
    with pytest.raises(AssertionError, match="failed on every item"):
        run_set(settings_of(folder), store)
    models.is_broken = False
    models.forget()
    assert len(made(folder, store)) == 6
    assert (len(models.said), len(models.heard)) == (0, 6)


# ------------------------------------------------------------------------------------------------------------ hearing


def test_what_is_heard_badly_is_left_out_only_on_request(folder: Path, store: Store) -> None:
    loud = noisy(folder, snr_db=(-30,))
    items = made(folder, store, **loud)
    wers = {item.snr_db: item.wer for item in items}
    assert wers[None] == 0.0 and (wers[-30.0] or 0.0) > 0.5
    assert len(items) == 12
    kept = made(folder, store, **loud, max_wer=0.5)
    assert [item for item in items if item.wer is not None and item.wer <= 0.5] == kept
    left_out = drops(folder, store, "spoken-set", **loud, max_wer=0.5)
    assert len(left_out) == 12 - len(kept)
    assert {(drop.reason, drop.threshold) for drop in left_out} == {("round trip", 0.5)}


def test_what_the_recogniser_fails_on_has_no_rate(folder: Path, store: Store, models: Models) -> None:
    models.failing = "tree"
    items = made(folder, store)
    assert {item.question for item in items if item.wer is None} == {"Which is a tree?"}
    assert len(made(folder, store, max_wer=9.0)) == 4
    assert {drop.reason for drop in drops(folder, store, "spoken-set", max_wer=9.0)} == {"not heard"}


def test_nobody_has_to_listen(folder: Path, store: Store, models: Models) -> None:
    items = made(folder, store, asr=None)
    assert not models.heard and {(item.heard, item.wer) for item in items} == {("", None)}


def test_what_cannot_be_spoken_is_dropped_and_counted(folder: Path, store: Store) -> None:
    write_questions(folder / "set.jsonl", [*QUESTIONS, {"question": "?"}, {"question": "who is it"}])
    assert len(made(folder, store)) == 6
    reasons = Counter(drop.reason for drop in drops(folder, store, "set-questions"))
    assert reasons == {"nothing to say": 1, "repeated question": 1}


# ----------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"snr_db": (10,)}, "together"),
        ({"noises": ("{folder}/noises",)}, "together"),
        ({"voices": (fake_voice("alto"), fake_voice("alto"))}, "fake:alto is named twice"),
        ({"questions": ("{folder}/absent.jsonl",)}, "absent.jsonl: there is no such file"),
        ({"noises": ("{folder}/absent",), "snr_db": (10,)}, "no noise at"),
        ({"rooms": ("{folder}/set.jsonl",)}, "no sound"),
    ],
)
def test_what_cannot_be_met_is_refused_before_anything_is_spoken(
    folder: Path, models: Models, changes: dict[str, Any], message: str
) -> None:
    given = {
        name: [value.format(folder=folder) if isinstance(value, str) else value for value in values]
        for name, values in changes.items()
    }
    with pytest.raises(UserError, match=message):
        plan_spoken_set(settings_of(folder, **given))
    assert not models.said


def test_models_are_in_the_lineage_and_places_are_not(folder: Path, store: Store) -> None:
    steps = spoken_set_steps(plan_spoken_set(settings_of(folder, **noisy(folder, rooms=True))), store.audio)
    told = json.dumps([step.config for step in steps])
    assert '"revision": "1"' in told and r"\"revision\":\"1\"" in told
    assert str(folder) not in told
