"""The adapter against a stand-in for the pipeline of pyannote.audio: the attributes of its `DiarizeOutput`.

pyannote.core, whose annotations the pipeline returns, is the real one.
"""

import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from spelangy.backends import diarizer_pyannote
from spelangy.backends.diarizer_pyannote import PyannoteDiarizer
from spelangy.core.errors import UserError
from spelangy.core.spans import Span, samples
from spelangy.testing import check_diarizer, voiced_sound

core = pytest.importorskip("pyannote.core")


@dataclass
class DiarizeOutput:
    """As pyannote.audio 4 declares it."""

    speaker_diarization: Any
    exclusive_speaker_diarization: Any
    speaker_embeddings: Any = None


class StandInPipeline:
    """Two speakers who overlap from 2 s to 3 s; the exclusive output gives that second to the first."""

    embeddings: Any = np.array([[3.0, 0.0], [0.0, 0.5]])

    def __init__(self) -> None:
        self.calls: list[tuple[dict[str, Any], dict[str, Any]]] = []

    @classmethod
    def from_pretrained(cls, checkpoint: str, token: Any = "not given") -> "StandInPipeline":
        assert token is None
        pipeline = cls()
        pipeline.checkpoint = checkpoint
        return pipeline

    def to(self, device: Any) -> "StandInPipeline":
        return self

    def __call__(self, file: dict[str, Any], **bounds: int) -> DiarizeOutput:
        self.calls.append((file, bounds))
        return DiarizeOutput(
            speaker_diarization=annotation(("A", 0.5, 3.0), ("B", 2.0, 4.0)),
            exclusive_speaker_diarization=annotation(("A", 0.5, 3.0), ("B", 3.0, 4.0)),
            speaker_embeddings=self.embeddings,
        )


def annotation(*turns: tuple[str, float, float]) -> Any:
    made = core.Annotation()
    for index, (label, start, end) in enumerate(turns):
        made[core.Segment(start, end), index] = label
    return made


@pytest.fixture
def pipeline(tmp_path, monkeypatch):
    """A directory that holds a pipeline, with pyannote.audio replaced."""
    audio = ModuleType("pyannote.audio")
    audio.Pipeline = StandInPipeline
    audio.__spec__ = core.__spec__
    monkeypatch.setitem(sys.modules, "pyannote.audio", audio)
    (tmp_path / "config.yaml").write_text("pipeline: {}\n")
    return tmp_path


SOUND = np.zeros(samples(5.0), np.float32)


def test_overlap_is_cut_out_and_flagged(pipeline):
    turns = PyannoteDiarizer(model=str(pipeline)).diarize(SOUND, [Span(0, SOUND.size)])
    found = [(turn.span.start / 16_000, turn.span.end / 16_000, turn.speaker, turn.is_overlap) for turn in turns]
    assert found == [(0.5, 2.0, "S0", False), (2.0, 3.0, "S0", True), (3.0, 4.0, "S1", False)]
    assert [turn.embedding.tolist() for turn in turns] == [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]


def test_nothing_outside_the_speech_is_a_turn(pipeline):
    speech = [Span(samples(1.0), samples(1.5)), Span(samples(3.5), samples(5.0))]
    turns = PyannoteDiarizer(model=str(pipeline)).diarize(SOUND, speech)
    assert [turn.span for turn in turns] == [speech[0], Span(samples(3.5), samples(4.0))]


def test_the_sound_is_handed_over_in_memory_with_the_bounds_that_were_given(pipeline):
    diarizer = PyannoteDiarizer(model=str(pipeline), max_speakers=3)
    diarizer.diarize(SOUND, [Span(0, SOUND.size)])
    ((file, bounds),) = diarizer._pipeline.calls
    assert tuple(file["waveform"].shape) == (1, SOUND.size) and file["sample_rate"] == 16_000
    assert bounds == {"max_speakers": 3}


@pytest.mark.parametrize("embeddings", [None, np.full((2, 4), np.nan)])
def test_speakers_without_an_embedding_get_the_even_direction(pipeline, monkeypatch, embeddings):
    monkeypatch.setattr(StandInPipeline, "embeddings", embeddings)
    turns = PyannoteDiarizer(model=str(pipeline)).diarize(SOUND, [Span(0, SOUND.size)])
    assert all(np.linalg.norm(turn.embedding) == pytest.approx(1.0) for turn in turns)


def test_keeps_the_contract(pipeline):
    check_diarizer(PyannoteDiarizer(model=str(pipeline)), voiced_sound(5.0), [Span(samples(0.5), samples(4.0))])


def test_nobody_heard_is_no_turn(pipeline, monkeypatch):
    nobody = DiarizeOutput(annotation(), annotation(), np.zeros((0, 2)))
    monkeypatch.setattr(StandInPipeline, "__call__", lambda self, file, **bounds: nobody)
    assert PyannoteDiarizer(model=str(pipeline)).diarize(SOUND, [Span(0, SOUND.size)]) == []


def test_a_directory_is_named_by_its_content(pipeline):
    before = PyannoteDiarizer.describe(model=str(pipeline))
    assert before.revision.startswith("sha256:") and before.role == "diarizer"
    (pipeline / "config.yaml").write_text("pipeline: {changed: yes}\n")
    assert PyannoteDiarizer.describe(model=str(pipeline)).revision != before.revision


def test_a_hub_pipeline_is_named_by_its_commit(pipeline, monkeypatch):
    snapshot = pipeline / "snapshots" / ("c" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "config.yaml").write_text("pipeline: {}\n")
    found = str(snapshot / "config.yaml")
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_args, **_options: found)
    info = PyannoteDiarizer.describe()
    assert (info.revision, info.licence) == ("pyannote/speaker-diarization-community-1@ccccccc", "CC-BY-4.0")
    assert PyannoteDiarizer()._pipeline.checkpoint == str(snapshot)


def test_what_is_missing_is_said_with_the_line_that_mends_it(pipeline, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_args, **_options: None)
    with pytest.raises(UserError, match="hf download pyannote/speaker-diarization-community-1"):
        PyannoteDiarizer.describe()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"config\.yaml"):
        PyannoteDiarizer.describe(model=str(tmp_path / "empty"))
    monkeypatch.setattr(diarizer_pyannote, "find_spec", lambda _name: None)
    with pytest.raises(UserError, match=r"spelangy\[pyannote\]"):
        PyannoteDiarizer(model=str(pipeline))
