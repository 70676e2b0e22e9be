"""Kill -9 at any moment, start again: nothing twice, nothing missing, the same bytes in the end."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from functools import partial
from pathlib import Path
from random import Random

import pytest
from guarded import Answer, deeds_step

from spelangy.engine import guard
from spelangy.engine.daft_runner import RunnerSettings
from spelangy.engine.pipeline import FinishedStep, Pipeline
from spelangy.engine.progress import StepProgress
from spelangy.engine.step import Item, Produced, TableStep
from spelangy.store.objects import Store

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds processes in /proc")

NUM_ITEMS, SHARD_ITEMS, NUM_KILLS = 40, 3, 3
TWO_WORKERS = RunnerSettings(num_workers=2)


class Shout:
    def __call__(self, item: Item) -> Produced:
        return Produced(records={"shouts": [Answer(id=item["id"], text=item["text"].upper())]})


def two_steps(calls: Path) -> Pipeline:
    """A step with a guarded worker, then one in the engine's threads that reads its table."""
    shouts = TableStep(
        name="shouts",
        version=1,
        config={},
        inputs=("answers",),
        outputs={"shouts": Answer},
        items=lambda inputs: inputs.table("answers"),
        worker=lambda _: partial(Shout),
    )
    return Pipeline("killed", [deeds_step(["pauses"] * NUM_ITEMS, calls, SHARD_ITEMS), shouts])


def run(folder: Path) -> dict[str, FinishedStep]:
    return two_steps(folder / "calls").run(Store(folder / "store"), TWO_WORKERS, StepProgress(quiet=True))


def start(folder: Path) -> "subprocess.Popen[bytes]":
    script = f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import test_killed as here
        here.guard.PRELOADED[:] = ["spelangy.engine.guard"]  # no model here: a quick start
        here.run(here.Path({str(folder)!r}))
    """
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], start_new_session=True)


def num_calls(folder: Path) -> int:
    return sum(len(file.read_text().split()) for file in (folder / "calls").glob("*"))


def processes_of(session: int) -> list[int]:
    """Live processes of a session, whoever their parent is by now."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, in_session = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue  # ended while we looked
        if int(in_session) == session and state != "Z":
            found.append(int(stat.parent.name))
    return found


def wait_until_gone(session: int) -> None:
    deadline = time.monotonic() + 20
    while processes_of(session):
        assert time.monotonic() < deadline, f"still there: {processes_of(session)}"
        time.sleep(0.02)


def kill_after(process: "subprocess.Popen[bytes]", folder: Path, calls: int, pause_s: float, group: bool) -> None:
    """Kills once so many calls were made: the whole group, or the driver alone, and then the others must go too."""
    while num_calls(folder) < calls and process.poll() is None:
        time.sleep(0.005)
    time.sleep(pause_s)
    assert process.poll() is None, "it was over before it could be killed"
    (os.killpg if group else os.kill)(process.pid, signal.SIGKILL)
    process.wait()
    wait_until_gone(process.pid)


def test_killed_at_random_moments_the_end_is_the_same(tmp_path: Path) -> None:
    folder, random = tmp_path / "killed", Random(20261124)
    folder.mkdir()
    for kill in range(NUM_KILLS):
        process = start(folder)
        try:
            calls = num_calls(folder) + random.randint(0, NUM_ITEMS // NUM_KILLS - 2)
            kill_after(process, folder, calls, random.uniform(0, 0.1), group=kill % 2 == 0)
        finally:
            process.kill()
        after = num_calls(folder)
    time.sleep(0.2)
    assert num_calls(folder) == after, "somebody went on working"
    resumed = run(folder)

    assert resumed["answers"].stored.circumstances["num_items_from_earlier_runs"] > 0, "the kills came too early"
    per_item = [len(file.read_text().split()) for file in (folder / "calls").iterdir()]
    assert len(per_item) == NUM_ITEMS
    assert sum(per_item) - NUM_ITEMS <= NUM_KILLS * TWO_WORKERS.num_workers * SHARD_ITEMS
    (tmp_path / "whole").mkdir()
    whole = run(tmp_path / "whole")
    for name, table in (("answers", "answers"), ("answers", "drops"), ("shouts", "shouts")):
        assert resumed[name].stored.digest_of(table) == whole[name].stored.digest_of(table)
    assert resumed["shouts"].stored.num_rows("shouts") == NUM_ITEMS


def test_the_preloaded_modules_are_installed() -> None:
    """The server passes over what it cannot import, so a misspelt name would only show as lost time."""
    from importlib.util import find_spec

    assert all(find_spec(name) for name in guard.PRELOADED)
