"""The planner: costs from this store or from the table, and never a guess."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from spelangy.core.records import Recording
from spelangy.core.schema import to_table
from spelangy.engine import estimate as planner
from spelangy.engine.estimate import estimate, measured_here
from spelangy.engine.pipeline import Pipeline, PlannedStep
from spelangy.engine.step import TableStep, table_address
from spelangy.store.objects import Lineage, Store


def planned(**status: str) -> list[PlannedStep]:
    return [PlannedStep(step=name, status=how, why="", key="") for name, how in status.items()]  # type: ignore[arg-type]


def test_only_what_will_run_costs_and_what_is_unknown_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "MEASURED", {"turns": 0.1, "words": 0.01})
    cost = estimate(planned(ingest="reuse", turns="build", words="waits", magic="waits"), 10.0, {"turns": 0.2}, 4)
    assert [(step.step, step.core_hours, step.basis) for step in cost.steps] == [
        ("ingest", 0.0, "reused"),
        ("turns", 2.0, "this store"),
        ("words", 0.1, "table"),
        ("magic", None, "unknown"),
    ]
    assert cost.core_hours == pytest.approx(2.1)
    assert cost.wall_hours == pytest.approx(2.1 / 4)
    assert cost.unknown == ("magic",)


def test_disk_grows_with_hours() -> None:
    one, ten = (estimate([], hours, {}, 1).disk_gb for hours in (1.0, 10.0))
    assert ten == pytest.approx(10 * one)
    assert 0.03 < one < 0.12, "between a quarter of the 115 MB of an hour of samples and all of it"


def recording(name: str, seconds: int) -> Recording:
    return Recording(
        id=name, uri=name, status="ok", reason="", num_samples=seconds * 16_000, audio=name, source="crawl",
        licence="", source_codec="", source_sample_rate_hz=16_000, source_channels=1,
    )  # fmt: skip


def step(name: str, *inputs: str) -> TableStep:
    return TableStep(
        name=name, version=1, config={}, inputs=inputs, outputs={}, items=lambda _: pa.table({}), worker=lambda _: dict
    )


def commit(store: Store, name: str, table: pa.Table, work_seconds: float, **inputs: str) -> None:
    lineage = Lineage(step=name, version=1, config={}, seed=0, inputs={key: inputs[key] for key in inputs})
    stored = store.commit_tables(lineage, {table_address(name)[1]: table}, {"work_seconds": work_seconds})
    store.set_ref("talks", name, stored.key)


def test_factors_come_from_what_the_store_has_seen_of_the_same_recordings(tmp_path: Path) -> None:
    store = Store(tmp_path)
    pipeline = Pipeline("talks", [step("ingest"), step("turns", "ingest/recordings"), step("words", "turns")])
    assert measured_here(pipeline, store) == {}

    def ingest(seconds: int) -> str:
        table = to_table([recording("a", seconds)], Recording)
        lineage = Lineage(step="ingest", version=1, config={"s": seconds}, seed=0, inputs={})
        stored = store.commit_tables(lineage, {"recordings": table}, {"work_seconds": 1.0})
        store.set_ref("talks", "ingest", stored.key)
        return stored.digest_of("recordings")

    first = ingest(100)
    commit(store, "turns", pa.table({"id": ["t"]}), 20.0, **{"ingest/recordings": first})
    key = store.ref("talks", "turns") or ""
    found = store.find(key)
    assert found is not None
    commit(store, "words", pa.table({"id": ["w"]}), 5.0, turns=found.digest_of("turns"))
    assert measured_here(pipeline, store) == pytest.approx({"ingest": 0.01, "turns": 0.2, "words": 0.05})

    ingest(1000)  # a run that was broken off after ingest: the others are of the recordings before
    assert measured_here(pipeline, store) == pytest.approx({"ingest": 0.001})


def test_factors_of_the_table_are_of_steps_and_positive() -> None:
    assert planner.MEASURED and all(0 < factor < 10 for factor in planner.MEASURED.values())


def test_a_plan_of_nothing_costs_nothing(tmp_path: Path) -> None:
    assert measured_here(Pipeline("none", []), Store(tmp_path)) == {}
    assert estimate([], 0.0, {}, 2).core_hours == 0
    assert replace(estimate([], 1.0, {}, 2), num_workers=1).wall_hours == 0
