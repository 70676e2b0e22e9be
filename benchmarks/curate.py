"""Curation as a whole: its wall time beside the bare time of its models, and beside one recogniser of a peer.

Pipeline, models and peer work on the same sound, on the same cores, in the same run, one after another. The pipeline
runs in a fresh process, as a user's command would: nothing is imported, loaded or compiled before.
"""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from figure import Figure, Goal
from material import SPEECH
from measure import in_fresh_process, timed
from spelangy.core.spans import SAMPLE_RATE_HZ
from spelangy.store.audio import to_pcm
from spelangy.store.inputs import find_inputs

MINUTES, QUICK_MINUTES = 30.0, 10.0
NUM_FILES = 6
PAUSE_SAMPLES = 6_400
CORPORA, SUFFIXES = ("librispeech_test_other", "an4_test", "ami", "slq"), (".wav", ".flac")
BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"
MAX_OVERHEAD, MAX_PEER_RATIO = 1.15, 2.0
PEER = "faster-whisper base alone, its defaults"


def figures(quick: bool) -> Iterator[Figure]:
    """All figures of this module."""
    minutes = float(os.environ.get("BENCH_MINUTES", QUICK_MINUTES if quick else MINUTES))
    with TemporaryDirectory() as folder:
        paths = write_talks(Path(folder), minutes)
        yield from _figures(Path(folder), paths, sum(soundfile.info(path).duration for path in paths))


def write_talks(folder: Path, minutes: float) -> list[str]:
    """`NUM_FILES` recordings of real speech, `minutes` in all where there is so much: utterances with pauses between.

    From public corpora (`CORPORA` in the data folder), nothing twice; without them from the speech inside a wheel, over
    and over, which is hard on the peer: Whisper's defaults take repeated text for a loop and hear it again.
    """
    order = np.random.default_rng(0).permutation(len(found := _utterances()))
    talks: list[list[NDArray[np.int16]]] = [[] for _ in range(NUM_FILES)]
    left = round(60 * minutes * SAMPLE_RATE_HZ)
    for number, index in enumerate(order.tolist()):
        if left <= 0:
            break
        sound = to_pcm(np.asarray(read_16k(found[index]), np.float32))[:left]
        talks[number % NUM_FILES] += [sound, np.zeros(PAUSE_SAMPLES, np.int16)]
        left -= sound.size + PAUSE_SAMPLES
    paths = [folder / f"talk-{number}.wav" for number in range(NUM_FILES)]
    for path, parts in zip(paths, talks, strict=True):
        soundfile.write(path, np.concatenate(parts), SAMPLE_RATE_HZ)
    return [str(path) for path in paths]


def _utterances() -> list[str]:
    data = Path(os.environ.get("SPELANGY_DATA", BESIDE))
    files = [str(path) for corpus in CORPORA for path in sorted((data / corpus).rglob("*")) if path.suffix in SUFFIXES]
    return files or [entry.path for entry in find_inputs(SPEECH, ())] * 30


def read_16k(path: str) -> NDArray[np.float64]:
    """Samples of a sound file at 16 kHz mono."""
    sound, rate_hz = soundfile.read(path, always_2d=True)
    return np.asarray(soxr.resample(sound.mean(axis=1), rate_hz, SAMPLE_RATE_HZ))


def _figures(folder: Path, paths: list[str], duration_s: float) -> Iterator[Figure]:
    cores = os.cpu_count() or 1
    pipeline, peak_mb = in_fresh_process(_run_pipeline, str(folder / "store"), paths)
    bare, _ = in_fresh_process(_run_models, str(folder / "store"), paths, 0, 1)
    beside_s = _models_beside(str(folder / "store"), paths, cores)
    peer, _ = in_fresh_process(_run_peer, paths, cores)
    for step, took_s in bare.items():
        yield Figure(name=f"bare model, {step}, one core", value=took_s / duration_s, unit="RTF")
    wall_s, model_s, peer_s = pipeline["wall"], sum(bare.values()) / cores, peer["wall"]
    goals = (Goal(compare="<=", limit=MAX_OVERHEAD),)
    yield Figure(name="curation, wall", value=wall_s / duration_s, unit="RTF")
    yield Figure(name="bare models, one after another / cores", value=model_s / duration_s, unit="RTF")
    yield Figure(name="curation / (bare models / cores)", value=wall_s / model_s, unit="ratio", goals=goals)
    yield Figure(name="bare models, a process a core side by side", value=beside_s / duration_s, unit="RTF")
    yield Figure(name="curation / bare models side by side", value=wall_s / beside_s, unit="ratio", goals=goals)
    goals = (Goal(compare="<=", limit=MAX_PEER_RATIO),)
    yield Figure(name=f"curation with three systems / {PEER}", value=wall_s / peer_s, unit="ratio", goals=goals)
    yield Figure(name=PEER, value=peer_s / duration_s, unit="RTF")
    yield Figure(name="curation again, nothing to do", value=pipeline["again"], unit="s")
    if peak_mb:
        yield Figure(name="curation, peak memory of all processes", value=peak_mb, unit="MB")


def _run_pipeline(folder: str, paths: list[str]) -> Mapping[str, float]:
    from spelangy.engine.daft_runner import RunnerSettings
    from spelangy.engine.progress import StepProgress

    started = time.perf_counter()
    store, pipeline = _pipeline(folder, paths)
    progress = StepProgress(quiet="BENCH_STEPS" not in os.environ)
    pipeline.run(store, RunnerSettings(), progress)  # type: ignore[attr-defined]
    wall_s = time.perf_counter() - started
    again_s, _ = timed(lambda: pipeline.run(store, RunnerSettings(), progress))  # type: ignore[attr-defined]
    return {"wall": wall_s, "again": again_s}


def _pipeline(folder: str, paths: list[str]) -> tuple[object, object]:
    from spelangy.curate.config import AudioSource, CurateSettings
    from spelangy.curate.path import curate_steps
    from spelangy.engine.pipeline import Pipeline
    from spelangy.store.objects import Store

    store, settings = Store(folder), CurateSettings(sources=(AudioSource(uris=tuple(paths)),))
    return store, Pipeline("curate", curate_steps(settings, store.audio))


def _models_beside(folder: str, paths: list[str], cores: int) -> float:
    """Wall time of the bare models when each core has a process with its share of the items: cores share memory and
    more, so this is what the machine can do at best."""
    with ThreadPoolExecutor(cores) as threads:
        runs = [threads.submit(in_fresh_process, _run_models, folder, paths, part, cores) for part in range(cores)]
        return max(sum(run.result()[0].values()) for run in runs)


def _run_models(folder: str, paths: list[str], part: int, parts: int) -> Mapping[str, float]:
    """Seconds of each step that runs a model: its worker called directly, loaded and warm, no engine around it.

    Args:
        part: Which of `parts` equal shares of the items to work on.
    """
    from spelangy.engine.daft_runner import RunnerSettings
    from spelangy.engine.progress import StepProgress
    from spelangy.engine.step import Inputs, TableStep

    store, pipeline = _pipeline(folder, paths)
    finished = pipeline.run(store, RunnerSettings(), StepProgress(quiet=True))  # type: ignore[attr-defined]
    inputs = Inputs(store, {name: step.stored for name, step in finished.items()})  # type: ignore[arg-type]
    took: dict[str, float] = {}
    for step in pipeline.steps.values():  # type: ignore[attr-defined]
        if isinstance(step, TableStep) and step.loads_model:
            worker, items = step.worker(inputs)(), step.items(inputs).to_pylist()[part::parts]
            worker(items[0])
            took[step.name], _ = timed(lambda worker=worker, items=items: [worker(item) for item in items])  # type: ignore[misc]
            print(f"{step.name} {took[step.name]:.1f} s", file=sys.stderr)
    return took


def _run_peer(paths: list[str], cores: int) -> Mapping[str, float]:
    from faster_whisper import WhisperModel

    from spelangy.backends.weights import resolve

    model = WhisperModel(str(resolve("whisper-base").directory), device="cpu", compute_type="int8", cpu_threads=cores,
                         local_files_only=True)  # fmt: skip
    list(model.transcribe(np.zeros(16_000, np.float32), language="en")[0])  # loaded and warm

    def transcribe() -> int:
        return sum(len(segment.text) for path in paths for segment in model.transcribe(path)[0])

    return {"wall": timed(transcribe)[0]}
