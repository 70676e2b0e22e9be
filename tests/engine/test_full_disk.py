"""A disk that fills up or is read-only: a clear refusal, an intact store, and a run that goes on when there is room."""

import resource
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from guarded import Answer

from spelangy.core.errors import UserError
from spelangy.engine.daft_runner import RunnerSettings
from spelangy.engine.pipeline import FinishedStep, Pipeline
from spelangy.engine.progress import StepProgress
from spelangy.engine.step import ArtefactStep, Item, Produced, TableStep
from spelangy.store.audio import AudioStore
from spelangy.store.objects import Store

ONE = RunnerSettings(num_workers=1)
NUM_ITEMS, SECONDS_EACH = 8, 4

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts file systems as Linux does")


@dataclass(frozen=True)
class Noise:
    """Puts noise into the audio store, about 128 kB an item; notes every call."""

    audio: AudioStore
    calls: Path

    def __call__(self, item: Item) -> Produced:
        with (self.calls / item["id"]).open("a") as file:
            file.write("called\n")
        random = np.random.default_rng(item["seed"])
        key = self.audio.put_pcm(random.integers(-30_000, 30_000, SECONDS_EACH * 16_000).astype(np.int16))
        return Produced(records={"answers": [Answer(id=item["id"], text=key)]})


def noise_step(store: Store, calls: Path, loads_model: bool) -> TableStep:
    calls.mkdir(exist_ok=True)
    return TableStep(
        name="answers",
        version=1,
        config={},
        outputs={"answers": Answer},
        items=lambda _: pa.table({"id": [f"n{seed}" for seed in range(NUM_ITEMS)], "seed": range(NUM_ITEMS)}),
        worker=lambda _: partial(Noise, store.audio, calls),
        loads_model=loads_model,
        shard_items=1,
    )


def run(folder: Path, calls: Path, loads_model: bool) -> FinishedStep:
    store = Store(folder)
    pipeline = Pipeline("noise", [noise_step(store, calls, loads_model)])
    return pipeline.run(store, ONE, StepProgress(quiet=True))["answers"]


def mount(folder: Path, options: str) -> None:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"may not mount a file system: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a megabyte of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount(folder, "size=512k")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@linux_only
@pytest.mark.parametrize("loads_model", [False, True], ids=["in a thread", "in a child"])
def test_a_full_disk_is_refused_and_the_run_goes_on_when_there_is_room(
    loads_model: bool, disk: Path, tmp_path: Path
) -> None:
    calls = tmp_path / "calls"
    with pytest.raises(UserError, match=r"cannot write .*: No space left on device") as caught:
        run(disk / "store", calls, loads_model)
    assert "free space" in caught.value.hint
    assert Store(disk / "store").ref("noise", "answers") is None
    assert any(calls.iterdir()), "it was the work that filled the disk"

    mount(disk, "remount,size=64m")
    resumed = run(disk / "store", calls, loads_model)
    whole = run(tmp_path / "whole", tmp_path / "other-calls", loads_model)
    assert resumed.stored.digest_of("answers") == whole.stored.digest_of("answers")
    assert resumed.stored.circumstances["num_items_from_earlier_runs"] > 0
    store = Store(disk / "store")
    for key in store.table(resumed.stored.key, "answers")["text"].to_pylist():
        assert store.audio.read(key).size == SECONDS_EACH * 16_000, "no half-written sound under a content key"


@linux_only
@pytest.mark.parametrize("loads_model", [False, True], ids=["in a thread", "in a child"])
def test_a_read_only_store_is_refused(loads_model: bool, disk: Path, tmp_path: Path) -> None:
    mount(disk, "remount,ro")
    with pytest.raises(UserError, match=r"cannot write .*: Read-only file system"):
        run(disk / "store", tmp_path / "calls", loads_model)
    assert list(disk.iterdir()) == []


class Scratch:
    """Needs scratch space outside the store, and finds none."""

    def __call__(self, item: Item) -> Produced:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        try:
            Path(item["path"]).write_bytes(bytes(100_000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        return Produced(records={})


def test_a_worker_without_room_for_its_own_files_stops_the_run_and_blames_no_item(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    step = replace(
        noise_step(store, tmp_path / "calls", loads_model=True),
        items=lambda _: pa.table({"id": ["a"], "path": [str(tmp_path / "scratch")]}),
        worker=lambda _: partial(Scratch),
    )
    with pytest.raises(UserError, match="cannot write what answers writes: File too large"):
        Pipeline("noise", [step]).run(store, ONE, StepProgress(quiet=True))


def test_an_artefact_without_room_is_refused(tmp_path: Path) -> None:
    """In a process of its own: the limit would hold for the test run."""
    script = f"""
        import resource, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import test_full_disk as here
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            here.build(here.Path({str(tmp_path)!r}))
        except here.UserError as error:
            print(error)
    """
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)
    assert "cannot write" in ran.stdout and "File too large" in ran.stdout and "hint:" in ran.stdout
    finished = build(tmp_path)
    assert (Store(tmp_path / "store").directory(finished.stored.key) / "large").stat().st_size == 100_000


def build(folder: Path) -> FinishedStep:
    def fill(inputs: object, directory: Path, report: object) -> dict[str, int]:
        (directory / "large").write_bytes(bytes(100_000))
        return {}

    step = ArtefactStep(name="large", version=1, config={}, build=fill)
    return Pipeline("large", [step]).run(Store(folder / "store"), ONE, StepProgress(quiet=True))["large"]
