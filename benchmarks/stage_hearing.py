"""Real-time factors of what hears: decoding, voice activity, speakers, recognition, ROVER, chunks.

Real-time factor (RTF) = seconds of work / seconds of audio, one thread; lower is faster.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime

from figure import Figure, at_least, at_most
from material import Material, speech_s, turns_item
from measure import MACHINES_DIFFER, loaded, repeated, timed
from spelangy.backends.load import create
from spelangy.backends.protocols import Audio
from spelangy.backends.weights import resolve
from spelangy.core.records import Hypothesis, Turn
from spelangy.core.settings import BackendChoice
from spelangy.core.spans import Span
from spelangy.curate.config import CurateSettings
from spelangy.curate.rover import VoteRule
from spelangy.curate.transcribe import Transcribe
from spelangy.curate.views import CutChunks
from spelangy.curate.words import Combine
from spelangy.engine.step import Produced

SEEN_RTF = {"vad": 0.006, "diarizer": 0.03, "moonshine-tiny-en": 0.033, "whisper-tiny-en": 0.14, "whisper-base": 0.25}
"""Seen when the models were chosen, on two cores; ``diarizer`` on three hours, when it was built."""

CATALOGUE = {"whisper-tiny-en": "whisper-tiny-en", "whisper-base": "whisper-base"}
ROVER_WORDS_PER_S = 50_000
VAD_FRAME_SAMPLES, VAD_CONTEXT_SAMPLES = 512, 64
Heard = dict[str, list[Hypothesis]]


def figures(quick: bool) -> Iterator[Figure]:
    """All figures of this module."""
    with TemporaryDirectory() as folder:
        yield from hearing(Material(Path(folder), quick))


def hearing(material: Material) -> Iterator[Figure]:
    """The same, on material that other stages go on with."""
    yield from _ingest(material)
    yield from _vad(material)
    yield from _diarizer(material)
    heard: Heard = {}
    for choice in CurateSettings().asr:
        yield from _recognizer(material, choice, heard)
    yield from _consensus(material, heard)


def goal_rtf(stage: str) -> float:
    """What a stage may take."""
    return SEEN_RTF[stage] * MACHINES_DIFFER


def _ingest(material: Material) -> Iterator[Figure]:
    numbers = count()
    assert material.sources
    took_s, _ = repeated(lambda: material.ingest(f"ingest-{next(numbers)}"), budget_s=0.7, max_repeats=3)
    yield Figure(name="decode + ingest", value=took_s / material.duration_s, unit="RTF")


def _vad(material: Material) -> Iterator[Figure]:
    short_S = material.waves[0][:16_000]
    vad, load_s = loaded(lambda: create("vad", BackendChoice(name="silero")), lambda vad: vad.speech(short_S))
    took_s, _ = repeated(lambda: [vad.speech(wave_S) for wave_S in material.waves], budget_s=1.0, max_repeats=5)
    frame_by_frame = _FrameByFrameVad()
    peer_s, _ = repeated(lambda: [frame_by_frame(wave_S) for wave_S in material.waves], budget_s=1.0, max_repeats=3)
    yield Figure(
        name="vad silero",
        value=took_s / material.duration_s,
        unit="RTF",
        goals=at_most([goal_rtf("vad"), None]),
        peer="silero-vad, a run a frame",
        peer_value=peer_s / material.duration_s,
    )
    yield Figure(name="vad silero, load", value=load_s, unit="s")


class _FrameByFrameVad:
    """The streaming use of the silero-vad wheel's model: one run per 32 ms, its state handed on."""

    def __init__(self) -> None:
        found = find_spec("silero_vad")
        assert found is not None and found.submodule_search_locations
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        path = Path(found.submodule_search_locations[0]) / "data" / "silero_vad.onnx"
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def __call__(self, audio_S: Audio) -> list[float]:
        padded_S = np.pad(audio_S, (0, -audio_S.size % VAD_FRAME_SAMPLES))
        state, context = np.zeros((2, 1, 128), np.float32), np.zeros((1, VAD_CONTEXT_SAMPLES), np.float32)
        rate, probabilities = np.array(16_000), []
        for start in range(0, padded_S.size, VAD_FRAME_SAMPLES):
            frame = np.concatenate([context, padded_S[None, start : start + VAD_FRAME_SAMPLES]], axis=1)
            output, state = self.session.run(None, {"input": frame, "state": state, "sr": rate})
            context = frame[:, -VAD_CONTEXT_SAMPLES:]
            probabilities.append(float(output[0, 0]))
        return probabilities


def _diarizer(material: Material) -> Iterator[Figure]:
    short_S = material.waves[0][:64_000]
    whole = [Span(0, short_S.size)]
    diarizer, load_s = loaded(
        lambda: create("diarizer", CurateSettings().diarizer), lambda diarizer: diarizer.diarize(short_S, whole)
    )
    vad = create("vad", BackendChoice(name="silero"))
    pairs = [(wave_S, vad.speech(wave_S)) for wave_S in material.waves]
    took_s, found = repeated(lambda: [diarizer.diarize(*pair) for pair in pairs], budget_s=1.0, max_repeats=3)
    material.turns = material.turns_from(found)  # the next stages need not find them again
    goals = at_most([goal_rtf("diarizer")])
    yield Figure(name="diarizer", value=took_s / material.duration_s, unit="RTF", goals=goals)
    yield Figure(name="diarizer, load", value=load_s, unit="s")


def _recognizer(material: Material, choice: BackendChoice, heard: Heard) -> Iterator[Figure]:
    turns = material.heard_turns
    items = _items(turns)
    shortest = turns_item([min(turns, key=lambda turn: turn.span.num_samples)])
    is_whisper = choice.name in CATALOGUE
    # Whisper's first call is no slower than others, and its shortest costs as much as 30 s of speech.
    worker, load_s = loaded(
        lambda: Transcribe(material.audio, choice), lambda worker: None if is_whisper else worker(shortest)
    )
    took_s, produced = timed(lambda: [worker(item) for item in items])
    heard[choice.name] = [hypothesis for part in produced for hypothesis in part.records["hypotheses"]]
    peer = _default_whisper(material, choice) if is_whisper else None
    yield Figure(
        name=f"asr {choice.name}",
        value=took_s / speech_s(turns),
        unit="RTF",
        goals=at_most([goal_rtf(choice.name), *([None] if peer else [])]),
        peer="faster-whisper, its defaults" if peer else "",
        peer_value=peer,
    )
    yield Figure(name=f"asr {choice.name}, load", value=load_s, unit="s")


def _items(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    recordings = dict.fromkeys(turn.recording_id for turn in turns)
    return [turns_item([turn for turn in turns if turn.recording_id == recording]) for recording in recordings]


def _default_whisper(material: Material, choice: BackendChoice) -> float:
    """RTF of the same weights, precision and threads as most people call them: a turn at a time, nothing set."""
    from faster_whisper import WhisperModel

    directory = resolve(CATALOGUE[choice.name]).directory
    model = WhisperModel(str(directory), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True)
    turns = material.heard_turns
    clips = [material.audio.read(turn.audio, turn.span) for turn in turns]
    took_s, _ = timed(lambda: [list(model.transcribe(clip)[0]) for clip in clips])
    return took_s / speech_s(turns)


def _consensus(material: Material, heard: Heard) -> Iterator[Figure]:
    turns, settings = material.heard_turns, CurateSettings()
    by_turn = {turn.id: [found for system in heard.values() for found in system if found.turn_id == turn.id]
               for turn in turns}  # fmt: skip
    items = [{**asdict(turn), "hypotheses": [asdict(found) for found in by_turn[turn.id]]} for turn in turns]
    items = [item for item in items if any(found["words"] for found in item["hypotheses"])]
    combine = Combine(tuple(heard), VoteRule(**settings.rover.model_dump()))
    produced = [combine(item) for item in items]  # the first call compiles the alignment kernel
    num_words = sum(len(part.records["transcripts"][0].words) for part in produced)
    took_s, _ = repeated(lambda: [combine(item) for item in items], budget_s=1.0)
    goals = at_least([ROVER_WORDS_PER_S])
    yield Figure(name="rover of three systems", value=num_words / took_s, unit="words/s", goals=goals)
    yield from _chunks(turns, produced, settings)


def _chunks(turns: Sequence[Turn], produced: Sequence[Produced], settings: CurateSettings) -> Iterator[Figure]:
    item = {
        **dict.fromkeys(("id", "audio", "source", "licence", "metadata"), ""),
        "turns": [asdict(turn) for turn in turns],
        "transcripts": [asdict(transcript) for part in produced for transcript in part.records["transcripts"]],
        "scores": [asdict(score) for part in produced for score in part.records["scores"]],
    }
    for view, chosen in settings.views.items():
        cut = CutChunks(view, chosen)
        cut(item)
        took_s, _ = repeated(lambda cut=cut: cut(item), budget_s=0.5)  # type: ignore[misc]
        yield Figure(name=f"chunk view {view}", value=took_s / speech_s(turns), unit="RTF")
