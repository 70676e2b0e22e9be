"""A model that raises, hangs, dies or eats all memory on one item costs that item only."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from guarded import Broken, deeds_pipeline, deeds_step

from spelangy.core.errors import UserError
from spelangy.engine.daft_runner import RunnerSettings
from spelangy.engine.pipeline import Pipeline
from spelangy.engine.progress import StepProgress
from spelangy.store.objects import Store

HERE = Path(__file__).parent
QUIET = StepProgress(quiet=True)
ONE = RunnerSettings(num_workers=1, item_time_limit_s=60)

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def run(deeds: list[str], folder: Path, settings: RunnerSettings = ONE) -> tuple[list[str], dict[str, Any]]:
    """Runs the deeds; returns the ids that were answered, and the drops by item."""
    store = Store(folder / "store")
    finished = deeds_pipeline(deeds, folder / "calls").run(store, settings, QUIET)["answers"]
    drops = store.table(finished.stored.key, "drops").to_pylist()
    answered = store.table(finished.stored.key, "answers")["id"].to_pylist()
    return answered, {drop["item_id"]: drop for drop in drops}


@pytest.mark.parametrize(
    ("deed", "reason", "detail"),
    [
        ("raises", "error", "RuntimeError: unlucky"),
        ("segfaults", "worker died", "signal SIGSEGV"),
        ("killed", "worker died", "signal SIGKILL"),
        ("exits", "worker died", "exit code 7"),
        ("leaves_quietly", "worker died", "without a word"),
        ("wants_too_much", "out of memory", "MemoryError"),
    ],
)
def test_what_breaks_on_an_item_costs_that_item(deed: str, reason: str, detail: str, tmp_path: Path) -> None:
    answered, drops = run(["nothing", deed, "nothing", "nothing"], tmp_path)
    assert answered == ["000-nothing", "002-nothing", "003-nothing"]
    (drop,) = drops.values()
    assert (drop["item_id"], drop["kind"], drop["reason"]) == (f"001-{deed}", "failed", reason)
    assert detail in drop["detail"]
    assert all(len(file.read_text().split()) == 1 for file in (tmp_path / "calls").iterdir()), "nothing was done twice"


@pytest.mark.parametrize("deed", ["sleeps", "hangs_in_c"])
def test_an_item_that_hangs_is_given_up_at_the_time_limit(deed: str, tmp_path: Path) -> None:
    answered, drops = run(["nothing", deed, "nothing"], tmp_path, replace(ONE, item_time_limit_s=2))
    assert answered == ["000-nothing", "002-nothing"]
    drop = drops[f"001-{deed}"]
    assert (drop["kind"], drop["reason"], drop["threshold"]) == ("failed", "time limit", 2)
    assert 2 <= drop["value"] < 30
    first = int((tmp_path / "calls" / f"001-{deed}").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


@linux_only
def test_an_item_that_eats_all_memory_is_stopped_at_the_limit(tmp_path: Path) -> None:
    answered, drops = run(["nothing", "eats", "nothing"], tmp_path, replace(ONE, max_worker_memory_gb=1.0))
    assert answered == ["000-nothing", "002-nothing"]
    drop = drops["001-eats"]
    assert (drop["kind"], drop["reason"], drop["threshold"]) == ("failed", "out of memory", 1.0)
    assert 1.0 < drop["value"] < 3.0


def test_several_bad_items_beside_each_other_each_cost_themselves(tmp_path: Path) -> None:
    deeds = ["segfaults", "killed", "nothing", "raises", "exits", "nothing", "segfaults", "nothing"]
    answered, drops = run(deeds, tmp_path, replace(ONE, num_workers=2))
    assert answered == [f"{index:03d}-nothing" for index in (2, 5, 7)]
    assert {drop["reason"] for drop in drops.values()} == {"worker died", "error"} and len(drops) == 5


def test_what_a_limit_cost_is_tried_again_by_the_next_run(tmp_path: Path) -> None:
    store, calls = Store(tmp_path / "store"), tmp_path / "calls"
    deeds_pipeline(["nothing", "exits"], calls).run(store, ONE, QUIET)
    again = replace(deeds_step(["nothing", "exits", "pauses"], calls), config={"more": 1}, listing=("more",))
    Pipeline("deeds", [replace(again)]).run(store, ONE, QUIET)
    times_called = {file.name: len(file.read_text().split()) for file in calls.iterdir()}
    assert times_called == {"000-nothing": 1, "001-exits": 2, "002-pauses": 1}


@pytest.mark.parametrize(
    ("deed", "advice"), [("sleeps", "--item-time-limit"), ("wants_too_much", "--worker-memory"), ("exits", "stderr")]
)
def test_when_all_items_fail_for_want_of_resources_the_message_says_what_to_do(
    deed: str, advice: str, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match=f"(?s)failed on every item.*hint: .*{advice}"):
        run([deed], tmp_path, replace(ONE, item_time_limit_s=2))


def test_a_refusal_stops_the_run_and_keeps_what_was_finished(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be asked") as caught:
        run(["nothing", "refuses"], tmp_path)
    assert caught.value.hint == "ask something else"
    run(["nothing"], tmp_path)
    assert len((tmp_path / "calls" / "000-nothing").read_text().split()) == 1


def test_our_own_mistake_stops_the_run_with_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"(?s)guarded.py.*in asserts.*ours"):
        run(["nothing", "asserts"], tmp_path)


@pytest.mark.parametrize(
    ("deed", "kind", "message"),
    [
        ("refuses", UserError, "cannot be asked"),
        ("exits", UserError, r"does not load: worker died \(exit code 7\)"),
        ("sleeps", UserError, "does not load: time limit"),
        ("wants_too_much", UserError, "does not load: out of memory"),
        ("raises", AssertionError, "unlucky"),
    ],
)
def test_a_model_that_does_not_load_stops_the_run(
    deed: str, kind: type[Exception], message: str, tmp_path: Path
) -> None:
    step = replace(deeds_step(["nothing"], tmp_path), worker=lambda _: partial(Broken, deed, tmp_path))
    with pytest.raises(kind, match=message):
        Pipeline("deeds", [step]).run(Store(tmp_path / "store"), replace(ONE, item_time_limit_s=2), QUIET)


def test_workers_see_the_environment_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "store")
    monkeypatch.setenv("SPELANGY_TEST", "set after the server was started")
    finished = deeds_pipeline(["environment"], tmp_path / "calls").run(store, ONE, QUIET)["answers"]
    assert store.table(finished.stored.key, "answers")["text"].to_pylist() == ["set after the server was started"]


SCRIPT = """
    import sys
    sys.path.insert(0, {here!r})
    from pathlib import Path
    from guarded import deeds_pipeline
    from test_guard import QUIET, ONE
    from spelangy.store.objects import Store
    print("main script", flush=True)
    deeds_pipeline({deeds!r}, Path({folder!r}) / "calls", shard_items=1).run(
        Store(Path({folder!r}) / "store"), ONE, QUIET
    )
    """


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Any]:
    """Starts a script that runs deeds, as a user's script would: without ``if __name__ == "__main__"``."""
    started: list[subprocess.Popen[str]] = []

    def start(deeds: list[str]) -> "subprocess.Popen[str]":
        file = tmp_path / "script.py"
        file.write_text(textwrap.dedent(SCRIPT).format(here=str(HERE), deeds=deeds, folder=str(tmp_path)))
        started.append(
            subprocess.Popen([sys.executable, file], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_script_needs_no_guard_and_keeps_its_stdout(script: Any) -> None:
    process = script(["prints", "exits"])
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out == "main script\n"
    assert "chatter of a model library" in err


def wait_for(path: Path, timeout_s: float = 60.0) -> str:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if path.exists() and path.read_text().endswith("\n"):
            return path.read_text()
        time.sleep(0.02)
    raise AssertionError(f"{path} never came")


@pytest.mark.parametrize("deed", ["sleeps", "hangs_in_c"])
@linux_only
def test_no_child_outlives_a_killed_run(deed: str, script: Any, tmp_path: Path) -> None:
    process = script([deed])
    child = int(wait_for(tmp_path / "calls" / f"000-{deed}"))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{child}").exists()
    process.communicate(timeout=10)  # the pipes are closed: nobody else is left that holds them
