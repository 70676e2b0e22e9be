"""Steps on Daft: reuse, resume, growth, drops, and equal bytes on one machine and on Ray."""

import subprocess
import sys
import textwrap
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from spelangy.core.errors import Dropped, UserError
from spelangy.core.hashing import record_id
from spelangy.engine.daft_runner import RunnerSettings
from spelangy.engine.pipeline import Pipeline
from spelangy.engine.progress import StepProgress
from spelangy.engine.step import ArtefactStep, Inputs, Item, Produced, TableStep
from spelangy.store.objects import Store

QUIET = StepProgress(quiet=True)
NATIVE = RunnerSettings(num_workers=2)


@dataclass(frozen=True, kw_only=True)
class Square:
    id: str
    value: int
    root: float


class Squarer:
    """Squares numbers; refuses negative ones; breaks on 13; notes every call in a folder."""

    def __init__(self, factor: int, calls: Path) -> None:
        self.factor = factor
        self.calls = calls

    def __call__(self, item: Item) -> Produced:
        self.calls.mkdir(exist_ok=True)
        (self.calls / record_id(item["id"])).touch()
        if item["number"] < 0:
            raise Dropped("negative", value=item["number"], threshold=0)
        if item["number"] == 13:
            raise RuntimeError("unlucky")
        if item["number"] == 1313:
            raise UserError("cannot be asked", hint="ask something else")
        square = Square(id=item["id"], value=item["number"] ** 2 * self.factor, root=item["number"] / 3)
        return Produced(records={"squares": [square]})


def numbers_table(numbers: list[int]) -> pa.Table:
    return pa.table({"id": [f"n{number}" for number in numbers], "number": numbers})


def squares_step(numbers: list[int], calls: Path, factor: int = 1, loads_model: bool = False) -> TableStep:
    return TableStep(
        name="squares",
        version=1,
        config={"factor": factor, "numbers": numbers},
        outputs={"squares": Square},
        items=lambda _: numbers_table(numbers),
        worker=lambda _: partial(Squarer, factor, calls),
        loads_model=loads_model,
        shard_items=3,
    )


def total(inputs: Inputs, directory: Path, report: Any) -> dict[str, int]:
    result = sum(record.value for record in inputs.records("squares", Square))
    (directory / "total.txt").write_text(str(result))
    report(1, 1)
    return {"total": result}


def pipeline(step: TableStep) -> Pipeline:
    summing = ArtefactStep(name="total", version=1, config={}, inputs=("squares",), build=total)
    return Pipeline("numbers", [step, summing])


@pytest.fixture(autouse=True)
def workers_find_this_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worker processes import the step's code by name, as they would a user's package."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    return tmp_path / "calls"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_a_second_run_computes_nothing_and_a_changed_config_says_what_changed(store: Store, calls: Path) -> None:
    pipe = pipeline(squares_step([3, 1, 2], calls))
    first = pipe.run(store, NATIVE, QUIET)
    assert [step.status for step in first.values()] == ["built", "built"]
    assert (store.directory(first["total"].stored.key) / "total.txt").read_text() == "14"

    second = pipe.run(store, NATIVE, QUIET)
    assert [step.status for step in second.values()] == ["reused", "reused"]
    assert {step.status for step in pipe.plan(store)} == {"reuse"}

    changed = pipeline(squares_step([3, 1, 2], calls, factor=2))
    plan = changed.plan(store)
    assert [(step.status, step.why) for step in plan] == [
        ("build", "config.factor 1 → 2"),
        ("waits", "for squares"),
    ]


def test_drops_are_counted_and_a_failing_item_costs_only_itself(store: Store, calls: Path) -> None:
    finished = pipeline(squares_step([5, -4, 13, 6], calls)).run(store, NATIVE, QUIET)
    key = finished["squares"].stored.key
    assert store.table(key, "squares")["value"].to_pylist() == [25, 36]
    drops = {row["item_id"]: row for row in store.table(key, "drops").to_pylist()}
    assert drops["n-4"]["reason"] == "negative"
    assert (drops["n-4"]["value"], drops["n-4"]["threshold"]) == (-4, 0)
    assert drops["n13"]["kind"] == "failed"
    assert "unlucky" in drops["n13"]["detail"]


def test_a_step_that_fails_on_every_item_is_a_bug_and_no_empty_table(store: Store, calls: Path) -> None:
    with pytest.raises(AssertionError, match="unlucky"):
        pipeline(squares_step([13], calls)).run(store, NATIVE, QUIET)
    assert store.ref("numbers", "squares") is None


def test_what_failed_is_tried_again_by_the_next_run_that_needs_it(store: Store, calls: Path) -> None:
    shared = {"factor": 1}
    pipeline(replace(squares_step([13, 1], calls), config=shared)).run(store, NATIVE, QUIET)
    for file in calls.iterdir():
        file.unlink()
    source = ArtefactStep(
        name="source", version=1, config={}, build=lambda inputs, directory, report: _write(directory)
    )
    again = replace(squares_step([13, 1], calls), config=shared, inputs=("source",))
    finished = Pipeline("numbers", [source, again]).run(store, NATIVE, QUIET)["squares"]
    assert [file.name for file in calls.iterdir()] == [record_id("n13")]
    assert store.table(finished.stored.key, "drops").num_rows == 1


def test_a_request_that_cannot_be_met_stops_the_run(store: Store, calls: Path) -> None:
    with pytest.raises(UserError, match="cannot be asked") as caught:
        pipeline(squares_step([1313], calls)).run(store, NATIVE, QUIET)
    assert caught.value.hint == "ask something else"


def test_a_grown_corpus_pays_only_for_what_is_new(store: Store, calls: Path) -> None:
    step = squares_step([1, 2, 3], calls)
    same_config = {"factor": 1}
    pipeline(replace(step, config=same_config)).run(store, NATIVE, QUIET)
    for file in calls.iterdir():
        file.unlink()
    source = ArtefactStep(
        name="source", version=1, config={"numbers": 4}, build=lambda inputs, directory, report: _write(directory)
    )
    grown = replace(squares_step([1, 2, 3, 4], calls), config=same_config, inputs=("source",))
    finished = Pipeline("numbers", [source, grown]).run(store, NATIVE, QUIET)
    assert [file.name for file in calls.iterdir()] == [record_id("n4")]
    assert store.table(finished["squares"].stored.key, "squares")["value"].to_pylist() == [1, 4, 9, 16]


def _write(directory: Path) -> dict[str, int]:
    (directory / "numbers").write_text("1 2 3 4")
    return {}


def test_processes_and_threads_give_equal_bytes(tmp_path: Path, calls: Path) -> None:
    digests = set()
    for loads_model in (False, True):
        store = Store(tmp_path / f"store-{loads_model}")
        step = squares_step(list(range(20)), calls, loads_model=loads_model)
        digests.add(pipeline(step).run(store, NATIVE, QUIET)["squares"].stored.digest_of("squares"))
    assert len(digests) == 1


def test_a_killed_run_resumes_where_it_was(tmp_path: Path) -> None:
    script = textwrap.dedent(
        f"""
        import os, sys, time
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import test_pipeline as here
        from pathlib import Path
        class Slow(here.Squarer):
            def __call__(self, item):
                if len(list(Path({str(tmp_path / "store" / "shards")!r}).glob("*/*.parquet"))) >= 2:
                    os.kill(os.getpid(), 9)
                return super().__call__(item)
        here.Squarer = Slow
        step = here.squares_step(list(range(12)), Path({str(tmp_path / "calls")!r}))
        here.pipeline(step).run(here.Store({str(tmp_path / "store")!r}), here.NATIVE, here.QUIET)
        """
    )
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=100)
    assert killed.returncode == -9
    store = Store(tmp_path / "store")
    again = tmp_path / "again"
    finished = pipeline(squares_step(list(range(12)), again)).run(store, NATIVE, QUIET)["squares"]
    num_kept = finished.stored.circumstances["num_items_from_earlier_runs"]
    assert 5 <= num_kept < 12, "the first two shards hold three items and two"
    assert len(list(again.iterdir())) == 12 - num_kept
    whole = pipeline(squares_step(list(range(12)), again)).run(Store(tmp_path / "other"), NATIVE, QUIET)["squares"]
    assert finished.stored.digest_of("squares") == whole.stored.digest_of("squares")


def test_two_nodes_of_ray_give_the_same_bytes(ray_address: str, tmp_path: Path) -> None:
    """In a process of its own: Daft takes one runner a process."""
    numbers = [5, -4, 13, *range(20, 40)]
    script = textwrap.dedent(
        f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import test_pipeline as here
        from pathlib import Path
        settings = here.RunnerSettings(runner="ray", address={ray_address!r}, num_workers=2)
        for heavy in (False, True):
            step = here.squares_step({numbers}, Path({str(tmp_path / "calls")!r}), loads_model=heavy)
            stored = here.pipeline(step).run(here.Store(f"{tmp_path}/ray-{{heavy}}"), settings, here.QUIET)["squares"]
            print(stored.stored.digest_of("squares"), stored.stored.digest_of("drops"))
        import ray
        print(sum(node["Alive"] for node in ray.nodes()))
        """
    )
    env = {"PYTHONPATH": str(Path(__file__).parent), "PATH": str(Path(sys.executable).parent), "HOME": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=110, env=env)
    assert ran.returncode == 0, ran.stderr[-2000:]
    native = pipeline(squares_step(numbers, tmp_path / "calls")).run(Store(tmp_path / "native"), NATIVE, QUIET)
    digests = [native["squares"].stored.digest_of(table) for table in ("squares", "drops")]
    assert ran.stdout.split() == [*digests, *digests, "2"]
