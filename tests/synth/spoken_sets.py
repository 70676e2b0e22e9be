"""What tests of spoken sets share: fakes for every model, questions in a file, noises and rooms, and a run."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from spelangy.backends.protocols import Audio, ModelInfo, RecognizedClip
from spelangy.core.schema import from_table
from spelangy.core.settings import BackendChoice
from spelangy.engine.pipeline import Pipeline
from spelangy.store.objects import Store, StoredObject
from spelangy.synth import round_trip, set_folder, set_items, spoken_set
from spelangy.synth.config import VoiceSettings
from spelangy.synth.set_items import SpokenItem
from spelangy.synth.spoken_set import SpokenSetSettings, plan_spoken_set, spoken_set_steps
from spelangy.testing_fakes import FakeRecognizer, FakeSynthesizer
from tiny_run import ONE_WORKER, QUIET, in_this_process

QUESTIONS: tuple[dict[str, Any], ...] = (
    {"question": "Who is it?", "answer": "Ann"},
    {"question": "Where are the 2 of them?", "answer": ["here", "there"]},
    {"question": "Which is a tree?", "choices": ["cat", "dog", "oak", "ant"], "gold": 2},
)


class Models:
    """Fakes, with a note of what they were asked; the ASR fails on the word `failing`, on all if it `is_broken`."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []
        self.heard: list[str] = []
        self.failing = "never said"
        self.is_broken = False
        self.revision = "1"

    def create(self, role: str, _choice: BackendChoice) -> "Models":
        assert role in ("tts", "asr")
        return self

    def identity(self, role: str, choice: BackendChoice) -> dict[str, Any]:
        return {"role": role, "name": choice.name, "revision": self.revision}

    def describe(self, role: str, choice: BackendChoice) -> ModelInfo:
        return ModelInfo(role=role, name=choice.name, revision=self.revision, licence="CC0", origin="this machine")

    def synthesize(self, text: str, voice: str, rate: float = 1.0) -> Audio:
        self.said.append((text, voice))
        return FakeSynthesizer().synthesize(text, voice, rate)

    def transcribe(self, clips: Sequence[Audio]) -> list[RecognizedClip]:
        if self.is_broken:
            raise OSError("no answer")
        assert len(clips) == 1, "items are heard alone"
        found = FakeRecognizer().transcribe(clips)
        self.heard += [" ".join(word.text for word in clip.words) for clip in found]
        fails = any(word.text == self.failing for word in found[0].words)
        return [RecognizedClip(words=(), failure="server: no")] if fails else found

    def forget(self) -> None:
        self.said.clear()
        self.heard.clear()


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Models:
    fakes = Models()
    for module in (set_items, round_trip):
        monkeypatch.setattr(module, "create", fakes.create)
    monkeypatch.setattr(spoken_set, "identity", fakes.identity)
    monkeypatch.setattr(set_folder, "describe", fakes.describe)
    return fakes


def write_questions(path: Path, questions: Sequence[dict[str, Any]] = QUESTIONS) -> Path:
    path.write_text("".join(f"{json.dumps(question)}\n" for question in questions))
    return path


def write_sounds(folder: Path) -> Path:
    """Two noises and two rooms."""
    for kind in ("noises", "rooms"):
        (folder / kind).mkdir()
    for number, name in enumerate(("hiss", "roar")):
        noise = 0.1 * np.random.default_rng(number).standard_normal(160_000)
        soundfile.write(folder / "noises" / f"{name}.wav", noise, 16_000, subtype="FLOAT")
        room = np.exp(-np.arange(4_000) / 400) * np.random.default_rng(number).standard_normal(4_000)
        soundfile.write(folder / "rooms" / f"{name}.wav", np.r_[6.0, room], 16_000, subtype="FLOAT")
    return folder


def fake_voice(name: str, rate: float = 1.0) -> VoiceSettings:
    return VoiceSettings(tts=BackendChoice(name="fake"), voice=name, rate=rate)


def settings_of(folder: Path, **changes: Any) -> SpokenSetSettings:
    given = {"questions": [str(folder / "set.jsonl")], "voices": (fake_voice("alto"), fake_voice("bass")),
             "asr": "fake"}  # fmt: skip
    return SpokenSetSettings.model_validate({**given, **changes})


def run_set(settings: SpokenSetSettings, store: Store) -> dict[str, StoredObject]:
    steps = spoken_set_steps(plan_spoken_set(settings), store.audio)
    ran = in_this_process(Pipeline("set", steps)).run(store, ONE_WORKER, QUIET)
    return {name: step.stored for name, step in ran.items()}


def items_of(finished: dict[str, StoredObject], store: Store) -> list[SpokenItem]:
    return from_table(store.table(finished["spoken-set"].key, "items"), SpokenItem)
