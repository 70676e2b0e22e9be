"""The same pipeline on an S3 bucket: the same bytes, resumed after an interruption; a server on loopback stands in."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from guarded import deeds_pipeline

from spelangy.core.errors import UserError
from spelangy.core.records import Recording
from spelangy.core.schema import to_table
from spelangy.core.spans import Span
from spelangy.engine.daft_runner import RunnerSettings
from spelangy.engine.progress import StepProgress
from spelangy.store.objects import Lineage, Store
from spelangy.store.takedown import take_down

pytest.importorskip("s3fs")
moto_server = pytest.importorskip("moto.server")

ONE = RunnerSettings(num_workers=1)
QUIET = StepProgress(quiet=True)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """An empty bucket; whatever opens ``s3://`` finds it by the environment, in this process and in others."""
    import s3fs

    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "SPELANGY_CACHE": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    name = f"spelangy-{uuid4().hex}"
    s3fs.S3FileSystem().mkdir(name)
    yield f"s3://{name}/a/prefix"
    s3fs.S3FileSystem.clear_instance_cache()


def test_a_bucket_gives_the_bytes_of_a_local_store(bucket: str, tmp_path: Path) -> None:
    deeds = ["nothing", "raises", "nothing", "prints"]
    remote = deeds_pipeline(deeds, tmp_path / "calls").run(Store(bucket), ONE, QUIET)["answers"]
    local = deeds_pipeline(deeds, tmp_path / "calls").run(Store(tmp_path / "store"), ONE, QUIET)["answers"]
    for table in ("answers", "drops"):
        assert remote.stored.digest_of(table) == local.stored.digest_of(table)
    again = deeds_pipeline(deeds, tmp_path / "calls").run(Store(bucket), ONE, QUIET)["answers"]
    assert again.status == "reused"


def test_a_run_on_a_bucket_resumes(bucket: str, tmp_path: Path) -> None:
    script = f"""
        import os, sys, threading, time
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import test_object_store as here
        from pathlib import Path
        here.guard_imports()
        def watch():
            fs = here.Store({bucket!r}).files.fs
            while len(fs.glob({bucket!r} + "/shards/*/*.parquet")) < 2:
                time.sleep(0.05)
                fs.invalidate_cache()
            os.kill(os.getpid(), 9)
        threading.Thread(target=watch, daemon=True).start()
        calls = Path({str(tmp_path / "calls")!r})
        here.deeds_pipeline(["pauses"] * 30, calls, 2).run(here.Store({bucket!r}), here.ONE, here.QUIET)
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], env=dict(os.environ), timeout=100)
    assert killed.returncode == -9
    calls = tmp_path / "calls"
    resumed = deeds_pipeline(["pauses"] * 30, calls, 2).run(Store(bucket), ONE, QUIET)["answers"].stored
    assert resumed.circumstances["num_items_from_earlier_runs"] >= 4
    num_calls = [len(file.read_text().split()) for file in calls.iterdir()]
    assert len(num_calls) == 30 and sum(num_calls) <= 30 + 2
    whole = deeds_pipeline(["pauses"] * 30, tmp_path / "again", 2).run(Store(tmp_path / "store"), ONE, QUIET)
    assert resumed.digest_of("answers") == whole["answers"].stored.digest_of("answers")


def guard_imports() -> None:
    """A quick start: no model here."""
    from spelangy.engine import guard

    guard.PRELOADED[:] = ["spelangy.engine.guard"]


def test_audio_goes_to_a_bucket_and_back(bucket: str) -> None:
    audio = Store(bucket).audio
    pcm_S = np.random.default_rng(0).integers(-30_000, 30_000, 40_000).astype(np.int16)
    key = audio.put_pcm(pcm_S)
    assert audio.put_pcm(pcm_S) == key
    span = Span(12_345, 23_456)
    np.testing.assert_array_equal(np.rint(audio.read(key, span) * 32_768), pcm_S[span.start : span.end])
    assert audio.url(key).startswith(f"{bucket}/audio/")


def test_what_another_process_wrote_is_seen(bucket: str) -> None:
    """Listings are asked for anew: workers elsewhere add shards while we look."""
    files = Store(bucket).files
    assert files.list("shards/f") == []
    script = f"from spelangy.store.files import Files; Files({bucket!r}).write('shards/f/one.parquet', b'1')"
    subprocess.run([sys.executable, "-c", script], env=dict(os.environ), check=True, timeout=60)
    assert files.list("shards/f", ".parquet") == ["shards/f/one.parquet"]
    assert files.exists("shards/f/one.parquet") and files.read("shards/f/one.parquet") == b"1"


def test_a_bucket_that_is_not_there_is_a_bad_request(bucket: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot write"):
        deeds_pipeline(["nothing"], tmp_path / "calls").run(Store("s3://nowhere/x"), ONE, QUIET)


def test_a_takedown_reaches_a_bucket(bucket: str) -> None:
    store = Store(bucket)
    sound = np.arange(-800, 800, dtype=np.int16)
    gone, kept = ("a" * 32, store.audio.put_pcm(sound)), ("b" * 32, store.audio.put_pcm(sound[::-1].copy()))
    table = to_table([_recording(*gone), _recording(*kept)], Recording)
    tables = Lineage(step="ingest", version=1, config={}, seed=0, inputs={})
    store.commit_tables(tables, {"recordings": table}, {})
    notes = Lineage(step="notes", version=1, config={}, seed=0, inputs={})
    (store.artefact_directory(notes) / "notes.txt").write_text(f"{gone[0]} {kept[0]}")
    store.commit_artefact(notes, {})

    def rewrite(directory: Path, is_gone: Callable[[str], bool]) -> int:
        file = directory / "notes.txt"
        words = file.read_text().split()
        file.write_text(" ".join(word for word in words if not is_gone(word)))
        return sum(map(is_gone, words))

    report = take_down(store, [f"{gone[0]}.wav"], {"notes": rewrite})
    assert (report.remaining, report.num_documents, report.num_audio_files) == ([], 1, 1)
    assert store.table(tables.key, "recordings")["id"].to_pylist() == [kept[0]]
    assert store.files.read(f"objects/{notes.key}/notes.txt").decode() == kept[0]
    assert store.audio.read(kept[1]).size == sound.size
    with pytest.raises(FileNotFoundError):
        store.audio.read(gone[1])


def _recording(name: str, audio: str) -> Recording:
    return Recording(
        id=name, uri=f"{name}.wav", status="ok", reason="", num_samples=1600, audio=audio, source="s", licence="l",
        source_codec="c", source_sample_rate_hz=16_000, source_channels=1,
    )  # fmt: skip
