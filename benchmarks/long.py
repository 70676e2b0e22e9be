"""What a long recording costs the steps that look at it as a whole: time per second of sound, and peak memory.

Each step's worker runs in a process of its own; the recording is the dialogue in the speech wheel, over and over.
Processor seconds are of the whole process, imports included.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import soundfile

from figure import Figure
from material import SPEECH, ingested, sources_of
from measure import in_fresh_process
from spelangy.core.records import Recording
from spelangy.curate.config import CurateSettings
from spelangy.curate.events import events_step
from spelangy.curate.turns import turns_step
from spelangy.engine.step import TableStep
from spelangy.store.audio import AudioStore
from spelangy.store.inputs import find_inputs

QUICK_MINUTES = (2, 4)
MINUTES = (20, 60, 180)


def figures(quick: bool) -> Iterator[Figure]:
    """All figures of this module."""
    for minutes in QUICK_MINUTES if quick else MINUTES:
        with TemporaryDirectory() as folder:
            _write_recording(Path(folder) / "long.wav", minutes)
            yield from _figures(folder, minutes)


def _write_recording(path: Path, minutes: int) -> None:
    sound, rate_hz = soundfile.read(find_inputs(SPEECH[-1:], ())[0].path, dtype="int16")
    missing = minutes * 60 * rate_hz
    with soundfile.SoundFile(path, "w", rate_hz, 1) as file:
        while missing > 0:
            file.write(sound[:missing])
            missing -= len(sound)


def _figures(folder: str, minutes: int) -> Iterator[Figure]:
    (recording, *costs), peak_mb = in_fresh_process(_ingest, folder)
    yield from _told("ingest", minutes, costs, peak_mb)
    for name, step in (("turns", turns_step), ("events", events_step)):
        costs, peak_mb = in_fresh_process(_step, folder, step, recording)
        yield from _told(name, minutes, costs, peak_mb)


def _told(step: str, minutes: int, costs: Sequence[float], peak_mb: float) -> Iterator[Figure]:
    wall_s, cpu_s = costs
    name = f"{step}, {minutes} minutes"
    yield Figure(name=name, value=wall_s / (60 * minutes), unit="RTF")
    yield Figure(name=f"{name}, processor", value=cpu_s, unit="s")
    yield Figure(name=f"{name}, peak memory", value=peak_mb, unit="MB")


def _ingest(folder: str) -> tuple[Recording, float, float]:
    """Runs in a fresh process."""
    sources = sources_of([f"{folder}/long.wav"])
    started = time.perf_counter()
    (recording,) = ingested(sources, AudioStore(folder))
    return recording, time.perf_counter() - started, time.process_time()


def _step(folder: str, step: Callable[[CurateSettings, AudioStore], TableStep], recording: Recording) -> list[float]:
    """Runs in a fresh process; loading the model counts."""
    started = time.perf_counter()
    worker = step(CurateSettings(), AudioStore(folder)).worker({})()
    worker(asdict(recording))
    return [time.perf_counter() - started, time.process_time()]
