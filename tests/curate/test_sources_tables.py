"""Hugging Face datasets: rows are read where they lie, and what `datasets` itself writes is understood."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spelangy.core.errors import Quarantined, UserError
from spelangy.core.hashing import digest_bytes
from spelangy.curate.config import AudioSource
from spelangy.curate.fetch import FetchLimits
from spelangy.curate.found import FoundSource
from spelangy.curate.opening import SourceOpener
from spelangy.curate.sources import find_sources

LIMITS = FetchLimits(max_bytes=10_000_000, max_s=10.0)


def found(*uris: object, **fields: str) -> list[FoundSource]:
    return find_sources([AudioSource.model_validate({"uris": [str(uri) for uri in uris], **fields})])


def read(entry: FoundSource, opener: SourceOpener | None = None) -> bytes:
    with (opener or SourceOpener(LIMITS)).open(entry) as (file, content):
        data = file.read()
        assert content == entry.id == digest_bytes(data)[:32]
        return data


def told(entry: FoundSource) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(entry.metadata)
    return fields


def table(num: int, name: str = "audio") -> pa.Table:
    sounds = [{"bytes": np.random.default_rng(row).bytes(200), "path": f"{row}.wav"} for row in range(num)]
    rows = {name: sounds, "text": [f"text {row}" for row in range(num)], "speaker": list(range(num))}
    return pa.table({**rows, "vector": [[0.0]] * num})


@pytest.mark.parametrize("num", [1, 100])
def test_a_parquet_file_with_sound(tmp_path: Path, num: int) -> None:
    pq.write_table(table(num), tmp_path / "a.parquet", row_group_size=33)
    entries = sorted(found(tmp_path / "a.parquet"), key=lambda entry: entry.place.offset)
    opener = SourceOpener(LIMITS)
    expected = [row["bytes"] for row in table(num)["audio"].to_pylist()]
    assert [read(entry, opener) for entry in entries] == expected
    assert [read(entry, opener) for entry in reversed(entries)] == expected[::-1]
    assert told(entries[-1]) == {
        "path": f"{num - 1}.wav",
        "row": num - 1,
        "speaker": num - 1,
        "text": f"text {num - 1}",
    }
    assert entries[-1].uri == f"{tmp_path}/a.parquet#{num - 1}"


@pytest.mark.parametrize("kind", ["stream", "file"])
def test_an_arrow_file_with_sound(tmp_path: Path, kind: str) -> None:
    data = table(50)
    path = tmp_path / "a.arrow"
    make = pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file
    with pa.OSFile(str(path), "wb") as sink, make(sink, data.schema) as writer:
        writer.write_table(data, max_chunksize=7)
    assert {read(entry) for entry in found(path)} == {row["bytes"] for row in data["audio"].to_pylist()}


def test_a_column_is_told_by_what_datasets_declares(tmp_path: Path) -> None:
    features = {"picture": {"_type": "Image"}, "clip": {"_type": "Audio", "sampling_rate": 16_000}}
    both = table(2, "picture").append_column("clip", table(2)["audio"])
    both = both.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(both, tmp_path / "a.parquet")
    assert {entry.place.column for entry in found(tmp_path / "a.parquet")} == {"clip"}


def test_rows_that_only_name_a_file(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(b"sound")
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [{"bytes": None, "path": "x.wav"}, {"bytes": None, "path": None}, {"bytes": b"", "path": "gone.wav"}]
    pq.write_table(pa.table({"audio": pa.array([*rows, None], kind)}), tmp_path / "a.parquet")
    entries = {entry.uri: entry for entry in found(tmp_path / "a.parquet")}
    assert entries[f"{tmp_path}/x.wav"].id == digest_bytes(b"sound")[:32]
    assert entries[f"{tmp_path}/a.parquet#1"].problem == entries[f"{tmp_path}/a.parquet#3"].problem == "empty file"
    assert f"{tmp_path}/gone.wav" in entries


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda path: path.write_bytes(b"PAR1 no table"), "table not readable"),
        (lambda path: path.write_bytes(b""), "table not readable"),
        (lambda path: path.write_bytes(bytes(900)), "table not readable"),
        (lambda path: pq.write_table(pa.table({"text": ["x"]}), path), "no audio column"),
    ],
)
def test_what_is_no_table_of_sound(tmp_path: Path, make: Any, problem: str) -> None:
    make(tmp_path / "a.parquet")
    (entry,) = found(tmp_path / "a.parquet")
    assert (entry.uri, entry.problem) == (f"{tmp_path}/a.parquet", problem)


def test_a_table_that_changed_since_it_was_listed(tmp_path: Path) -> None:
    pq.write_table(table(3), tmp_path / "a.parquet")
    entry = max(found(tmp_path / "a.parquet"), key=lambda entry: entry.place.offset)
    for changed in (table(1), table(3).set_column(0, "audio", table(4)["audio"].slice(1)), table(3, "other")):
        pq.write_table(changed, tmp_path / "a.parquet")
        with pytest.raises(Quarantined, match="changed since it was listed"):
            read(entry)


def test_a_saved_dataset_does_not_lead_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "dataset_info.json").write_text("{}")
    (tmp_path / "d" / "state.json").write_text(json.dumps({"_data_files": [{"filename": "../secret.arrow"}]}))
    with pytest.raises(UserError, match="leads out of the dataset"):
        found(tmp_path / "d")
    (tmp_path / "d" / "state.json").write_text("{")
    with pytest.raises(UserError, match=r"state\.json"):
        found(tmp_path / "d")


def test_what_datasets_itself_saves_is_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = {
        "audio": [{"bytes": bytes([row]) * 100, "path": f"{row}.wav"} for row in range(5)],
        "text": [str(row) for row in range(5)],
    }
    made = datasets.Dataset(pa.table(rows)).cast_column("audio", datasets.Audio(decode=False))
    made.info.license = "CC-BY-4.0"
    made.save_to_disk(tmp_path / "one", num_shards=2)
    datasets.DatasetDict({"train": made.select(range(3)), "test": made.select(range(3, 5))}).save_to_disk(
        tmp_path / "two"
    )
    made.to_parquet(tmp_path / "p.parquet")
    for place in ("one", "two", "p.parquet"):
        entries = found(tmp_path / place)
        assert {read(entry) for entry in entries} == {row["bytes"] for row in rows["audio"]}, place
        assert {told(entry)["text"] for entry in entries} == set("01234")
    assert {entry.licence for entry in found(tmp_path / "one")} == {"CC-BY-4.0"}
