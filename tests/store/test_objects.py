"""Objects exist whole or not at all, keys follow from lineage alone, refs move, and damage is refused."""

import errno
import hashlib
import os
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spelangy.core.errors import UserError
from spelangy.core.hashing import digest
from spelangy.store.files import WRITING
from spelangy.store.objects import Lineage, Store, StoredObject

LINEAGE = Lineage(
    step="turns",
    version=3,
    config={"max_gap_s": 0.5, "models": ("vad@1", "ge2e@2")},
    seed=7,
    inputs={"ingest/recordings": "ab" * 32},
)
TABLES = {"turns": pa.table({"id": ["b", "a"], "start": [5, 0]}), "drops": pa.table({"id": pa.array([], pa.string())})}


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Store(tmp_path / "store" if request.param == "local" else f"memory://{uuid4().hex}/store")


@pytest.fixture
def local(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def build(store: Store, lineage: Lineage = LINEAGE, text: str = "weights") -> Path:
    directory = store.artefact_directory(lineage)
    (directory / "model").mkdir(exist_ok=True)
    (directory / "model" / "weights").write_text(text)
    (directory / "config.json").write_text("{}")
    return directory


# ---------------------------------------------------------------------------------------------------------- lineage


def test_the_key_of_a_known_lineage_stays_what_it_is() -> None:
    """Another key here would make every object ever stored unfindable."""
    canonical = (
        '{"config":{"max_gap_s":0.5,"models":["vad@1","ge2e@2"]},"inputs":{"ingest/recordings":"' + "ab" * 32 + '"},'
        '"seed":7,"step":"turns","version":3}'
    )
    assert LINEAGE.key == hashlib.sha256(canonical.encode()).hexdigest()
    assert LINEAGE.key == "7ec4f39641fdf75a7bea5a30715b6f8504971a0626638cc40bcbff7b928cf88f"


@pytest.mark.parametrize(
    "changes",
    [
        {"step": "turn"},
        {"version": 4},
        {"config": {"max_gap_s": 0.5}},
        {"config": {"max_gap_s": 0.5, "models": ("ge2e@2", "vad@1")}},
        {"seed": 8},
        {"inputs": {"ingest/recordings": "ac" * 32}},
        {"inputs": {"ingest": "ab" * 32}},
        {"inputs": {}},
    ],
    ids=str,
)
def test_whatever_decides_the_content_changes_the_key(changes: dict[str, Any]) -> None:
    assert replace(LINEAGE, **changes).key != LINEAGE.key


@given(st.permutations(["c", "a", "b"]))
def test_the_order_of_config_and_inputs_does_not_change_the_key(names: list[str]) -> None:
    ordered = {name: name for name in "abc"}
    shuffled = {name: name for name in names}
    assert (
        replace(LINEAGE, config=shuffled, inputs=shuffled).key == replace(LINEAGE, config=ordered, inputs=ordered).key
    )


def test_host_time_place_and_workers_are_noted_but_never_hashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Store(tmp_path / "here").commit_tables(LINEAGE, TABLES, {"num_workers": 1})
    monkeypatch.setattr("platform.node", lambda: "elsewhere")
    monkeypatch.setattr("time.gmtime", lambda: time.struct_time((2001, 1, 1, 0, 0, 0, 0, 1, 0)))
    there = Store(tmp_path / "there").commit_tables(LINEAGE, TABLES, {"num_workers": 64})
    assert (there.key, there.files, there.digest_of()) == (here.key, here.files, here.digest_of())
    assert there.circumstances == {"host": "elsewhere", "finished": "2001-01-01T00:00:00Z", "num_workers": 64}
    assert here.circumstances["host"] != "elsewhere"


# ------------------------------------------------------------------------------------------------------- visibility


def test_what_was_committed_is_found_and_read(store: Store) -> None:
    committed = store.commit_tables(LINEAGE, TABLES, {})
    found = store.find(LINEAGE.key)
    assert found is not None
    assert (found.key, found.lineage.key, found.files) == (LINEAGE.key, LINEAGE.key, committed.files)
    assert store.table(LINEAGE.key, "turns").to_pydict() == {"id": ["a", "b"], "start": [0, 5]}
    assert (found.num_rows("turns"), found.num_rows("drops")) == (2, 0)


def test_an_object_without_its_lineage_does_not_exist(store: Store) -> None:
    assert store.find(LINEAGE.key) is None
    store.files.write(f"objects/{LINEAGE.key}/turns.parquet", b"data came first")
    assert store.find(LINEAGE.key) is None
    with pytest.raises(AssertionError, match="not committed"):
        store.table(LINEAGE.key, "turns")


def test_a_kill_between_data_and_lineage_leaves_no_object(tmp_path: Path) -> None:
    script = f"""
        import os, pyarrow as pa
        from spelangy.store.objects import Lineage, Store
        Store._commit = lambda *arguments: os.kill(os.getpid(), 9)
        lineage = Lineage(step="s", version=1, config={{}}, seed=0, inputs={{}})
        Store({str(tmp_path)!r}).commit_tables(lineage, {{"t": pa.table({{"id": ["a"]}})}}, {{}})
    """
    assert subprocess.run([sys.executable, "-c", textwrap.dedent(script)]).returncode == -9
    store, lineage = Store(tmp_path), Lineage(step="s", version=1, config={}, seed=0, inputs={})
    assert store.files.list(f"objects/{lineage.key}") == [f"objects/{lineage.key}/t.parquet"]
    assert store.find(lineage.key) is None
    store.commit_tables(lineage, {"t": pa.table({"id": ["a"]})}, {})
    assert store.table(lineage.key, "t").num_rows == 1


def test_a_full_disk_under_the_lineage_leaves_no_object(local: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_file = Path.replace

    def full(path: Path, target: Path) -> Path:
        if target.name == "lineage.json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace_file(path, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(UserError, match="No space left"):
        local.commit_tables(LINEAGE, TABLES, {})
    assert local.find(LINEAGE.key) is None


def test_two_processes_that_write_one_object_agree(tmp_path: Path) -> None:
    """A reader beside them sees nothing, then the whole object, and never a part or a mixture."""
    script = f"""
        import sys, pyarrow as pa
        from spelangy.store.objects import Lineage, Store
        store = Store({str(tmp_path)!r})
        lineage = Lineage(step="s", version=1, config={{}}, seed=0, inputs={{}})
        rows = range(20_000) if sys.argv[1] == "up" else reversed(range(20_000))
        table = pa.table({{"id": [f"{{row:06d}}" for row in rows]}})
        print("ready", flush=True)
        sys.stdin.readline()
        for round in range(15):
            store.commit_tables(lineage, {{"t": table}}, {{"writer": sys.argv[1]}})
    """
    store, lineage = Store(tmp_path), Lineage(step="s", version=1, config={}, seed=0, inputs={})
    command = [sys.executable, "-c", textwrap.dedent(script)]
    writers = [
        subprocess.Popen([*command, way], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for way in ("up", "down")
    ]
    for writer in writers:
        assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    num_reads = 0
    while any(writer.poll() is None for writer in writers):
        if store.find(lineage.key) is not None:
            assert store.table(lineage.key, "t").num_rows == 20_000
            num_reads += 1
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    assert num_reads > 3
    assert sorted(path.name for path in (tmp_path / "objects" / lineage.key).iterdir()) == ["lineage.json", "t.parquet"]


# ----------------------------------------------------------------------------------------------------------- damage


@pytest.mark.parametrize("damage", ["flipped", "shorter", "gone"])
def test_a_table_that_changed_since_it_was_written_is_refused(store: Store, damage: str) -> None:
    store.commit_tables(LINEAGE, TABLES, {})
    name = f"objects/{LINEAGE.key}/turns.parquet"
    data = bytearray(store.files.read(name))
    data[len(data) // 2] ^= 1
    if damage == "gone":
        store.files.fs.rm(store.files.path(name))
    else:
        store.files.write(name, bytes(data) if damage == "flipped" else bytes(data[:-1]))
    with pytest.raises(UserError, match="has changed since it was written") as caught:
        store.table(LINEAGE.key, "turns")
    assert "delete that object's folder" in caught.value.hint
    assert store.table(LINEAGE.key, "drops").num_rows == 0


def test_digests_cover_every_table_and_each_by_itself(local: Store) -> None:
    def committed(seed: int, turns: pa.Table) -> StoredObject:
        return local.commit_tables(replace(LINEAGE, seed=seed), {**TABLES, "turns": turns}, {})

    first, second = committed(0, TABLES["turns"]), committed(1, TABLES["turns"].slice(1))
    assert first.key != second.key
    assert first.digest_of("drops") == second.digest_of("drops")
    assert first.digest_of("turns") != second.digest_of("turns")
    assert first.digest_of() != second.digest_of()


# --------------------------------------------------------------------------------------------------------- artefacts


def test_an_artefact_is_its_files(store: Store) -> None:
    build(store)
    assert store.find(LINEAGE.key) is None, "not before it is committed"
    committed = store.commit_artefact(LINEAGE, {"summary": {"loss": 1.5}})
    assert [file.name for file in committed.files] == ["config.json", "model/weights"]
    assert committed.files[1].sha256 == hashlib.sha256(b"weights").hexdigest()
    assert (store.directory(LINEAGE.key) / "model" / "weights").read_text() == "weights"
    found = store.find(LINEAGE.key)
    assert found is not None and found.circumstances["summary"] == {"loss": 1.5}
    assert found.digest_of() == digest({file.name: file.sha256 for file in committed.files})


def test_a_broken_off_build_goes_on_where_it_was(store: Store) -> None:
    (store.artefact_directory(LINEAGE) / "step-100").write_text("state")
    assert (store.artefact_directory(LINEAGE) / "step-100").read_text() == "state"


def test_what_a_killed_write_left_is_no_part_of_the_artefact(local: Store) -> None:
    (build(local) / f"{WRITING}x1").write_text("half a lineage")
    assert [file.name for file in local.commit_artefact(LINEAGE, {}).files] == ["config.json", "model/weights"]


def test_another_machine_fetches_an_artefact_once(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(store)
    store.commit_artefact(LINEAGE, {})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another machine's cache"))
    other = Store(store.files.root)
    directory = other.directory(LINEAGE.key)
    assert (directory / "model" / "weights").read_text() == "weights"
    (directory / "mark").touch()
    assert (other.directory(LINEAGE.key) / "mark").exists(), "fetched a second time"


def test_a_build_broken_off_here_and_finished_elsewhere_is_read_from_elsewhere(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if store.files.is_local:
        pytest.skip("on a local store both build in one folder")
    build(store, text="half")
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("XDG_CACHE_HOME", str(tmp_path / "another machine's cache"))
        build(store, text="weights")
        store.commit_artefact(LINEAGE, {})
    assert (store.directory(LINEAGE.key) / "model" / "weights").read_text() == "weights"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that not even root can write to")
def test_an_artefact_on_a_read_only_store_is_a_bad_request() -> None:
    with pytest.raises(UserError, match="cannot write"):
        Store("/proc/store").artefact_directory(LINEAGE)


# -------------------------------------------------------------------------------------------------------------- refs


def test_refs_move_and_belong_to_their_recipe(store: Store) -> None:
    assert store.ref("quickstart", "turns") is None
    store.set_ref("quickstart", "turns", "a" * 64)
    store.set_ref("other", "turns", "c" * 64)
    store.set_ref("quickstart", "turns", "b" * 64)
    assert store.ref("quickstart", "turns") == "b" * 64
    assert store.ref("other", "turns") == "c" * 64


def test_moving_a_ref_leaves_the_object_it_pointed_at(store: Store) -> None:
    store.commit_tables(LINEAGE, TABLES, {})
    store.set_ref("r", "turns", LINEAGE.key)
    store.set_ref("r", "turns", "b" * 64)
    assert store.table(LINEAGE.key, "turns").num_rows == 2


def test_how_a_run_went_is_kept_and_never_hashed(tmp_path: Path) -> None:
    digests = set()
    for number in range(2):
        store = Store(tmp_path / f"store-{number}")
        lineage = Lineage(step="train", version=1, config={}, seed=0, inputs={})
        directory = store.artefact_directory(lineage)
        (directory / "losses.jsonl").write_text("the same")
        (directory / "circumstances").mkdir()
        (directory / "circumstances" / "metrics.jsonl").write_text(f"speed {number}")
        stored = store.commit_artefact(lineage, {})
        assert "circumstances/metrics.jsonl" in {file.name for file in stored.files}
        digests.add(stored.digest_of())
    assert len(digests) == 1


def test_a_relative_store_is_the_same_place_from_any_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store("store")
    monkeypatch.chdir("/")
    store.set_ref("recipe", "step", "key")
    assert (tmp_path / "store" / "refs" / "recipe" / "step").read_text() == "key\n"
    assert store.audio.root == str(tmp_path / "store")
