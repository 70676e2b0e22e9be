"""`data views` and `data takedown` on a whole run: views told apart; a recording gone from rows, sound and spans."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spelangy.cli.main import app
from spelangy.core.records import Chunk, Recording
from spelangy.core.schema import from_table
from spelangy.store.objects import Store
from spelangy.tokens.documents import SPANS_FOLDER
from spelangy.tokens.span_store import SpanStore
from tiny_run import TinyRun


@pytest.fixture
def copied(tiny: TinyRun, tmp_path: Path) -> Store:
    """A store of one's own to take from."""
    shutil.copytree(tiny.path.parent / "store", tmp_path / "store")
    return Store(tmp_path / "store")


def curated(tiny: TinyRun) -> Recording:
    (found,) = [row for row in tiny.records("ingest", "recordings", Recording) if row.status == "ok"]
    return found


def test_views_are_compared_by_their_stored_chunks(tiny: TinyRun) -> None:
    ran = CliRunner().invoke(
        app, ["data", "views", str(tiny.path), "--store", str(tiny.path.parent / "store"), "--json"]
    )
    told = {row["view"]: row for row in json.loads(ran.stdout)}
    assert set(told) == {"fine", "coarse"}
    for view, row in told.items():
        chunks = tiny.records(f"chunks-{view}", "chunks", Chunk)
        assert row["num_chunks"] == len(chunks) > 0
        assert row["hours"] == pytest.approx(sum(chunk.span.duration_s for chunk in chunks) / 3600)
        assert row["switches_deterministic"] == len(chunks) - 1


def test_a_taken_down_recording_is_in_no_file_of_the_store(tiny: TinyRun, copied: Store) -> None:
    gone = curated(tiny)
    root = Path(copied.files.root)
    spans = SpanStore.open(copied.directory(tiny.finished["span-store"].stored.key) / SPANS_FOLDER)
    assert gone.id in {spans.document_id(number) for number in range(spans.num_documents)}
    ran = CliRunner().invoke(app, ["data", "takedown", gone.uri, "--store", str(root), "--json"])
    told = json.loads(ran.stdout)
    assert (ran.exit_code, told["is_complete"], told["recordings"]) == (0, True, [gone.id])
    assert told["num_documents"] == 1
    assert told["num_audio_files"] == 1
    assert "train" in told["trained_on"]
    for path in root.rglob("*"):
        if path.is_file() and "takedowns" not in path.parts:
            assert gone.id.encode() not in path.read_bytes(), path
            assert gone.audio not in str(path)
    left = SpanStore.open(copied.directory(tiny.finished["span-store"].stored.key) / SPANS_FOLDER)
    assert left.num_documents == spans.num_documents - 1
    assert gone.id not in {left.document_id(number) for number in range(left.num_documents)}
    chunks = from_table(copied.table(tiny.finished["speech"].stored.key, "chunks"), Chunk)
    assert len(chunks) == len(tiny.records("speech", "chunks", Chunk)), "others' chunks went too"


def test_a_takedown_of_nothing_known_is_refused(copied: Store) -> None:
    ran = CliRunner().invoke(app, ["data", "takedown", "nobody.wav", "--store", copied.files.root])
    assert ran.exit_code == 1
    assert "no recording 'nobody.wav'" in str(ran.exception)
