"""A pipeline: steps in order, what would run and why (`plan`), and the running of it (`run`).

For each step: inputs ready → lineage key → committed already? reuse : pending items → Daft → shards → one object.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from spelangy.core.errors import UserError, did_you_mean
from spelangy.core.hashing import digest
from spelangy.engine.daft_runner import RunnerSettings, run_items, start_runner
from spelangy.engine.guard import advice_for, warm_up
from spelangy.engine.progress import StepProgress
from spelangy.engine.shards import ITEM_DIGEST, ShardFolder, item_digests
from spelangy.engine.step import ArtefactStep, Inputs, Step, TableStep, table_address
from spelangy.store.files import full_disks
from spelangy.store.objects import Lineage, Store, StoredObject

Status = Literal["reuse", "build", "waits"]


@dataclass(frozen=True, kw_only=True)
class PlannedStep:
    """What a run would do with one step.

    Attributes:
        status: ``reuse``; ``build``; or ``waits``: decided once the inputs it waits for are built.
        key: Lineage key, empty while it waits.
    """

    step: str
    status: Status
    why: str
    key: str


@dataclass(frozen=True, kw_only=True)
class FinishedStep:
    """What a run did with one step."""

    step: str
    status: Literal["reused", "built"]
    why: str
    seconds: float
    stored: StoredObject


class Pipeline:
    """The steps of one recipe, each after the steps it reads.

    Args:
        name: The recipe's name: where its refs live.
    """

    def __init__(self, name: str, steps: Sequence[Step]) -> None:
        self.name = name
        self.steps = {step.name: step for step in steps}
        assert len(self.steps) == len(steps), "step names must be unique"
        for position, step in enumerate(steps):
            known = {earlier.name for earlier in steps[:position]}
            assert {table_address(name)[0] for name in (*step.inputs, *step.shared)} <= known, (
                f"{step.name} reads ahead"
            )

    def upto(self, *targets: str) -> "Pipeline":
        """The part of the pipeline that `targets` need.

        Raises:
            UserError: When there is no such step.
        """
        needed: list[str] = []
        for target in targets:
            if target not in self.steps:
                raise UserError(f"{self.name} has no step {target!r}", hint=did_you_mean(target, self.steps))
            self._visit(target, needed)
        return Pipeline(self.name, [step for name, step in self.steps.items() if name in needed])

    def _visit(self, name: str, needed: list[str]) -> None:
        if name not in needed:
            for source in (*self.steps[name].inputs, *self.steps[name].shared):
                self._visit(table_address(source)[0], needed)
            needed.append(name)

    def plan(self, store: Store) -> list[PlannedStep]:
        """What `run` would do, without doing it."""
        ready: dict[str, StoredObject] = {}
        planned = []
        for step in self.steps.values():
            waiting = [name for name in _sources(step) if name not in ready]
            if waiting:
                planned.append(PlannedStep(step=step.name, status="waits", why=f"for {', '.join(waiting)}", key=""))
                continue
            lineage = lineage_of(step, Inputs(store, ready))
            stored = store.find(lineage.key)
            if stored is None:
                why = self.why_changed(store, lineage)
                planned.append(PlannedStep(step=step.name, status="build", why=why, key=lineage.key))
            else:
                ready[step.name] = stored
                planned.append(PlannedStep(step=step.name, status="reuse", why="unchanged", key=lineage.key))
        return planned

    def run(self, store: Store, settings: RunnerSettings, progress: StepProgress) -> dict[str, FinishedStep]:
        """Runs what needs running; returns every step's object.

        Raises:
            UserError: When a step's request cannot be met.
        """
        finished: dict[str, FinishedStep] = {}
        if settings.runner == "native" and self._will_load_models(store):
            warm_up()  # imports beside the steps before the first that needs it
        with progress:
            for step in self.steps.values():
                inputs = Inputs(store, {name: finished[name].stored for name in _sources(step)})
                finished[step.name] = self._run_step(step, inputs, store, settings, progress)
        return finished

    def _will_load_models(self, store: Store) -> bool:
        planned = {step.step: step.status for step in self.plan(store)}
        return any(
            isinstance(step, TableStep) and step.loads_model and planned[name] != "reuse"
            for name, step in self.steps.items()
        )

    def _run_step(
        self, step: Step, inputs: Inputs, store: Store, settings: RunnerSettings, progress: StepProgress
    ) -> FinishedStep:
        lineage = lineage_of(step, inputs)
        stored = store.find(lineage.key)
        why, seconds = "unchanged", 0.0
        if stored is None:
            why = self.why_changed(store, lineage)
            started = time.perf_counter()
            report = progress.step(step.name)
            if isinstance(step, TableStep):
                stored = run_table_step(step, lineage, inputs, settings, report)
            else:
                stored = build_artefact(step, lineage, inputs, report)
            seconds = time.perf_counter() - started
            progress.note(f"built   {step.name:<18} {seconds:6.1f} s  {why}")
        else:
            progress.note(f"reused  {step.name}")
        store.set_ref(self.name, step.name, lineage.key)
        status: Literal["reused", "built"] = "built" if seconds else "reused"
        return FinishedStep(step=step.name, status=status, why=why, seconds=seconds, stored=stored)

    def why_changed(self, store: Store, lineage: Lineage) -> str:
        """What differs from the object that the step stood at before."""
        previous_key = store.ref(self.name, lineage.step)
        previous = store.find(previous_key) if previous_key else None
        return "first run" if previous is None else "; ".join(_differences(previous.lineage, lineage))


def _sources(step: Step) -> list[str]:
    return sorted({table_address(name)[0] for name in (*step.inputs, *step.shared)})


def lineage_of(step: Step, inputs: Inputs) -> Lineage:
    """The lineage of `step` on these inputs."""
    digests = {name: inputs.digest(name) for name in (*step.inputs, *step.shared)}
    return Lineage(step=step.name, version=step.version, config=step.config, seed=step.seed, inputs=digests)


def _differences(before: Lineage, after: Lineage) -> list[str]:
    old, new = _flat(asdict(before)), _flat(asdict(after))
    changed = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    return [_difference(name, old.get(name), new.get(name)) for name in changed]


def _difference(name: str, old: Any, new: Any) -> str:
    kind, _, rest = name.partition(".")
    if kind == "inputs":
        return f"input {rest} changed"
    return f"{name} {_short(old)} → {_short(new)}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}…"


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, Mapping) and value:
        pairs = (_flat(inner, f"{prefix}.{name}" if prefix else str(name)) for name, inner in value.items())
        return {name: inner for pair in pairs for name, inner in pair.items()}
    return {prefix: value}


def run_table_step(
    step: TableStep,
    lineage: Lineage,
    inputs: Inputs,
    settings: RunnerSettings,
    report: Callable[[int, int], None],
) -> StoredObject:
    """Does the pending items of a step and commits its tables.

    Raises:
        AssertionError: When every item fails.
    """
    shards = ShardFolder(inputs.store.files.root, _family(lineage, step), step.outputs)
    items = step.items(inputs)
    digests = item_digests(items)
    assert pc.count_distinct(items["id"]).as_py() == items.num_rows, f"{step.name}: item ids repeat"
    is_pending = pc.invert(pc.is_in(digests, shards.finished()[ITEM_DIGEST].combine_chunks()))
    pending = items.append_column(ITEM_DIGEST, digests).filter(is_pending)
    done = items.num_rows - pending.num_rows
    report(done, items.num_rows)
    if pending.num_rows:
        start_runner(settings.runner, settings.address)
        failures = []
        for outcome in run_items(step, pending, step.worker(inputs), shards, settings):
            done += 1
            failures += [outcome.failure] if outcome.failure else []
            report(done, items.num_rows)
        # One bad item is bad data; all of them is a bug, and must not end as an empty table.
        assert len(failures) < items.num_rows, (
            f"{step.name} failed on every item; the first: {failures[0]}{advice_for(failures[0])}"
        )
    tables = step.settle(shards.collect(digests))
    circumstances = {
        "num_items": items.num_rows,
        "num_items_from_earlier_runs": items.num_rows - pending.num_rows,
        "work_seconds": _work_seconds(shards.finished(), digests),
        "num_workers": settings.num_workers,
        "runner": settings.runner,
        **step.summary(tables),
    }
    return inputs.store.commit_tables(lineage, tables, circumstances)


def _family(lineage: Lineage, step: TableStep) -> str:
    """Key of all that decides an item's output but the item: see `engine.shards`."""
    shared = {name: lineage.inputs[name] for name in step.shared}
    config = {name: value for name, value in lineage.config.items() if name not in step.listing}
    return digest(replace(lineage, config=config, inputs=shared))


def _work_seconds(finished: pa.Table, digests: pa.Array) -> float:
    wanted = finished.filter(pc.is_in(finished[ITEM_DIGEST], digests))
    return round(pc.sum(wanted["seconds"]).as_py() or 0.0, 3)


def build_artefact(
    step: ArtefactStep, lineage: Lineage, inputs: Inputs, report: Callable[[int, int], None]
) -> StoredObject:
    """Builds and commits an artefact."""
    directory = inputs.store.artefact_directory(lineage)
    with full_disks(str(directory)):
        summary = step.build(inputs, directory, report)
    return inputs.store.commit_artefact(lineage, {"summary": dict(summary)})
