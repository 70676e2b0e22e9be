"""A takedown leaves nothing of a recording, everything of the others, and no way back."""

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spelangy.core.errors import UserError
from spelangy.core.hashing import canonical_json
from spelangy.core.records import Recording
from spelangy.core.schema import to_table
from spelangy.store.mentions import mentioning
from spelangy.store.objects import Lineage, Store
from spelangy.store.refused import RefusedRecordings
from spelangy.store.takedown import take_down


def test_mentions_are_found_however_deep_they_are_nested() -> None:
    table = pa.Table.from_pylist(
        [
            {"id": "a", "words": [{"text": "x", "tags": ["needle-1"]}], "note": None},
            {"id": "needle", "words": [], "note": "n"},
            {"id": "c", "words": [{"text": "y", "tags": []}], "note": "has needle in it"},
            {"id": "d", "words": None, "note": None},
        ]
    )
    assert mentioning(table, "needle").to_pylist() == [True, True, True, False]
    assert mentioning(table.slice(3), "needle").to_pylist() == [False]


def test_an_empty_table_mentions_nothing() -> None:
    assert mentioning(pa.schema([("id", pa.string())]).empty_table(), "x").to_pylist() == []


def test_slices_of_nested_columns_keep_their_rows() -> None:
    rows = [{"id": str(index), "words": [{"text": "needle" if index == 7 else "x"}]} for index in range(10)]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    assert mentioning(pq.read_table(sink).slice(5), "needle").to_pylist() == [False, False, True, False, False]


def test_an_unknown_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no recording"):
        take_down(Store(tmp_path), ["nobody.wav"], {})
    assert not list(tmp_path.rglob("takedowns/*"))


def recording(name: str, audio: str, metadata: str = "{}") -> Recording:
    return Recording(
        id=name * 32, uri=f"{name}.wav", status="ok", reason="", num_samples=1, audio=audio * 64, source="s",
        licence="l", source_codec="c", source_sample_rate_hz=16_000, source_channels=1, metadata=metadata,
    )  # fmt: skip


def test_the_same_sound_and_clips_cut_out_of_it_go_too(tmp_path: Path) -> None:
    store = Store(tmp_path)
    clip = canonical_json({"cut_from": [{"recording_id": "a" * 32, "start": 0, "end": 1}]})
    table = to_table(
        [recording("a", "1"), recording("b", "1"), recording("c", "2", clip), recording("d", "3")], Recording
    )
    lineage = Lineage(step="ingest", version=1, config={}, seed=0, inputs={})
    store.commit_tables(lineage, {"recordings": table}, {})
    report = take_down(store, ["a.wav"], {})
    assert report.recordings == ("a" * 32, "b" * 32, "c" * 32)
    assert store.table(lineage.key, "recordings")["id"].to_pylist() == ["d" * 32]
    assert RefusedRecordings(str(tmp_path)).keys() >= {"a" * 32, "1" * 64, "2" * 64}


def test_an_artefact_goes_when_nobody_can_rewrite_it_and_so_does_what_a_broken_off_one_left(tmp_path: Path) -> None:
    store = Store(tmp_path)
    table = to_table([recording("a", "1"), recording("d", "3")], Recording)
    store.commit_tables(Lineage(step="ingest", version=1, config={}, seed=0, inputs={}), {"recordings": table}, {})
    kept, gone, left = (
        Lineage(step=step, version=1, config={}, seed=0, inputs={}) for step in ("kept", "gone", "left")
    )
    for lineage, text in ((kept, "nothing of it"), (gone, f"all of {'a' * 32}"), (left, f"half of {'a' * 32}")):
        (store.artefact_directory(lineage) / "notes.txt").write_text(text)
    store.commit_artefact(kept, {})
    store.commit_artefact(gone, {})
    report = take_down(store, ["a" * 32], {})
    assert report.remaining == []
    assert report.deleted_objects == [f"gone {gone.key[:12]}", f"unfinished {left.key[:12]}"]
    assert store.find(kept.key) is not None
    assert not (tmp_path / "objects" / gone.key).exists() and not (tmp_path / "objects" / left.key).exists()


def test_a_file_that_still_names_it_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path)
    table = to_table([recording("a", "1")], Recording)
    store.commit_tables(Lineage(step="ingest", version=1, config={}, seed=0, inputs={}), {"recordings": table}, {})
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("x" * 100 + "a" * 32)
    report = take_down(store, ["a.wav"], {})
    assert report.remaining == ["notes/mine.txt"]
    assert not RefusedRecordings(str(tmp_path)).all()[0].is_done
