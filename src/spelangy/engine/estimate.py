"""What a run will cost, before it runs: core-hours per step, wall time, disk.

    hours of audio × (seconds of work per second of audio) = core-hours        per step that is not reused

The factor of a step comes from this store, where the recipe ran before, else from `MEASURED`; a step that is in
neither is listed as unknown, not guessed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from spelangy.core.spans import SAMPLE_RATE_HZ
from spelangy.engine.pipeline import Pipeline, PlannedStep
from spelangy.store.objects import Store, StoredObject

Basis = Literal["reused", "this store", "table", "unknown"]

MEASURED: Mapping[str, float] = {
    "ingest": 0.003,
    "fingerprints": 0.001,
    "events": 0.004,
    "turns": 0.028,
    "languages": 0.023,
    "asr-moonshine-tiny-en": 0.017,
    "asr-whisper-tiny-en": 0.034,
    "asr-whisper-base": 0.070,
    "words": 0.001,
    "aligned": 0.012,
    "sound": 0.001,
    "quality": 0.007,
    "private": 0.0004,
    "duplicates": 0.0001,
    "chunks-fine": 0.0001,
    "chunks-coarse": 0.0001,
}
"""Seconds of work on one core per second of recording.

Source: ``make bench NAME=curate`` on 20 minutes of LibriSpeech test-other, AN4, AMI and read questions, two x86 cores;
steps without a model by their wall time. After one run of your own, the store's figures take their place. Of ``words``
without the compilation that its first item pays once per installation.
"""

FLAC_BYTES_PER_S = 15_400.0
"""Audio at 16 kHz as it is stored. Source: the same run, ``du -sb audio``; 32,000 uncompressed."""

TABLE_BYTES_PER_S = 5_000.0
"""Tables, and shards, which hold the same rows again. Source: the same run, twice ``du -sb objects``."""


@dataclass(frozen=True, kw_only=True)
class StepEstimate:
    """What one step will cost.

    Attributes:
        core_hours: None where nothing is known of the step.
        basis: Where the factor comes from.
    """

    step: str
    core_hours: float | None
    basis: Basis


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a run will cost.

    Attributes:
        hours: Of audio in all sources.
        core_hours: Sum over the steps that are known.
        wall_hours: With `num_workers` cores busy all the time.
        disk_gb: Audio and tables of the whole store, in GB (10^9 bytes).
        unknown: Steps that will run and of which nothing is known.
    """

    hours: float
    num_workers: int
    steps: tuple[StepEstimate, ...]
    disk_gb: float

    @property
    def core_hours(self) -> float:
        return sum(step.core_hours or 0.0 for step in self.steps)

    @property
    def wall_hours(self) -> float:
        return self.core_hours / self.num_workers

    @property
    def unknown(self) -> tuple[str, ...]:
        return tuple(step.step for step in self.steps if step.basis == "unknown")


def estimate(planned: Sequence[PlannedStep], hours: float, here: Mapping[str, float], num_workers: int) -> Estimate:
    """Costs of what a plan would build.

    Args:
        hours: Of audio that the steps will hear.
        here: Seconds of work per second of recording by step, as measured in this store.
    """
    return Estimate(
        hours=hours,
        num_workers=num_workers,
        steps=tuple(_step(step, hours, here) for step in planned),
        disk_gb=hours * 3600 * (FLAC_BYTES_PER_S + TABLE_BYTES_PER_S) / 1e9,
    )


def _step(step: PlannedStep, hours: float, here: Mapping[str, float]) -> StepEstimate:
    if step.status == "reuse":
        return StepEstimate(step=step.step, core_hours=0.0, basis="reused")
    if step.step in here:
        return StepEstimate(step=step.step, core_hours=hours * here[step.step], basis="this store")
    factor = MEASURED.get(step.step)
    if factor is None:
        return StepEstimate(step=step.step, core_hours=None, basis="unknown")
    return StepEstimate(step=step.step, core_hours=hours * factor, basis="table")


def measured_here(pipeline: Pipeline, store: Store) -> dict[str, float]:
    """Seconds of work per second of recording of each step, from the objects that the recipe's refs stand at.

    Only objects that were made from the recordings that the ref of ``ingest`` holds: after a run that was broken off,
    some refs are a generation behind.
    """
    found = {name: _at_ref(pipeline, store, name) for name in pipeline.steps}
    ingest = found.get("ingest")
    if ingest is None:
        return {}
    audio_s = recorded_s(store.table(ingest.key, "recordings"))
    return {
        name: stored.circumstances["work_seconds"] / audio_s
        for name, stored in found.items()
        if audio_s and stored and "work_seconds" in stored.circumstances and _is_current(stored, found)
    }


def recorded_s(recordings: pa.Table) -> float:
    """Seconds of sound in a table of recordings."""
    return float(pc.sum(recordings["num_samples"]).as_py() or 0) / SAMPLE_RATE_HZ


def _at_ref(pipeline: Pipeline, store: Store, name: str) -> StoredObject | None:
    key = store.ref(pipeline.name, name)
    return store.find(key) if key else None


def _is_current(stored: StoredObject, found: Mapping[str, StoredObject | None]) -> bool:
    """Whether the object was made from what the refs of its inputs, and theirs, stand at."""
    for name, content in stored.lineage.inputs.items():
        step, _, table = name.partition("/")
        source = found.get(step)
        digests = {file.sha256 for file in source.files if file.name == f"{table or step}.parquet"} if source else set()
        if source is None or (digests and content not in digests) or not _is_current(source, found):
            return False
    return True
