"""NeMo and lhotse manifests: an audio file is one recording, whatever the manifest cuts it into."""

import gzip
import json
from pathlib import Path
from typing import Any

import archives
import pytest
import serving
from hypothesis import given
from hypothesis import strategies as st

import sound_files as sounds
from spelangy.curate.config import AudioSource
from spelangy.curate.found import FoundSource
from spelangy.curate.sources import find_sources
from spelangy.curate.sources_manifests import expand_shards, manifest_kind, read_lhotse, read_nemo


def found(*uris: object, **fields: str) -> list[FoundSource]:
    return find_sources([AudioSource.model_validate({"uris": [str(uri) for uri in uris], **fields})])


def by_name(entries: list[FoundSource]) -> dict[str, FoundSource]:
    return {Path(entry.uri).name: entry for entry in entries}


def told(entry: FoundSource) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(entry.metadata)
    return fields


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    for index, name in enumerate(["a.wav", "b.wav", "c.wav"]):
        sounds.write_wav(tmp_path / name, sounds.sine(0.5, 16_000, 300.0 + 100 * index))
    return tmp_path


def write_lines(path: Path, rows: list[Any]) -> Path:
    text = "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.name.endswith("gz") else text.encode())
    return path


# --------------------------------------------------------------------------------------------------------------- NeMo


@pytest.mark.parametrize("name", ["m.json", "m.jsonl", "m.jsonl.gz"])
def test_a_nemo_manifest_names_files_beside_it(corpus: Path, name: str) -> None:
    path = write_lines(
        corpus / name,
        [
            {"audio_filepath": "a.wav", "duration": 0.5, "text": "hello", "lang": "en"},
            {"audio_filepath": str(corpus / "b.wav"), "duration": 0.25, "offset": 0.0, "text": "one"},
            {"audio_filepath": "b.wav", "duration": 0.25, "offset": 0.25, "text": "two"},
            {"audio_filepath": "gone.wav", "duration": 1.0},
        ],
    )
    entries = by_name(found(path))
    assert entries.keys() == {"a.wav", "b.wav", "gone.wav"}
    assert told(entries["a.wav"]) == {"text": "hello", "lang": "en"}
    assert told(entries["b.wav"]) == {
        "num_segments": 2,
        "segments": [
            {"start_s": 0.0, "duration_s": 0.25, "text": "one"},
            {"start_s": 0.25, "duration_s": 0.25, "text": "two"},
        ],
    }
    assert entries["a.wav"].id == found(corpus / "a.wav")[0].id


def test_many_segments_are_counted_and_not_carried(corpus: Path) -> None:
    rows = [{"audio_filepath": "a.wav", "offset": float(n), "duration": 1.0, "text": "words " * 9} for n in range(99)]
    (entry,) = found(write_lines(corpus / "m.json", rows))
    assert told(entry) == {"num_segments": 99, "left_out": ["segments"]}


def test_lines_that_are_none_are_set_aside_by_number(corpus: Path) -> None:
    rows = [
        {"audio_filepath": "a.wav"},
        "{",
        {"audio_filepath": 7},
        {"audio_filepath": "x\0y"},
        "",
        {"text": "no file"},
    ]
    path = write_lines(corpus / "m.json", rows)
    problems = {entry.uri: entry.problem for entry in found(path) if entry.problem}
    assert problems == {f"{path}:{number}": "manifest line not readable" for number in (2, 3, 4, 6)}


def test_a_tarred_manifest_with_its_tars(corpus: Path) -> None:
    for shard in (0, 1):
        members = [archives.member("utt.wav", bytes([shard]) * 9), archives.member("unnamed.wav", b"unnamed")]
        archives.write(corpus / f"audio_{shard}.tar", members)
    rows = [{"audio_filepath": "utt.wav", "shard_id": shard, "text": f"t{shard}"} for shard in (1, 0)]
    path = write_lines(corpus / "tarred.json", [*rows, {"audio_filepath": "lost.wav", "shard_id": 0}])
    entries = {entry.uri: entry for entry in found(path, corpus / "audio__OP_0..1_CL_.tar", kind="nemo")}
    names = {f"tar://utt.wav::{corpus}/audio_{shard}.tar": f"t{shard}" for shard in (0, 1)}
    assert {uri: told(entry)["text"] for uri, entry in entries.items() if not entry.problem} == names
    assert entries[f"{path}#lost.wav"].problem == "not found"


def test_shards_are_expanded_as_nemo_names_them() -> None:
    names = ["d/audio_2.tar", "d/audio_3.tar", "d/audio_4.tar"]
    assert expand_shards("d/audio__OP_2..4_CL_.tar") == expand_shards("d/audio_{2..4}.tar") == names
    assert expand_shards("a.tar") == ["a.tar"]
    assert expand_shards("a_OP_0..999999999999_CL_.tar") == ["a_OP_0..999999999999_CL_.tar"]


def test_a_manifest_elsewhere_names_files_elsewhere() -> None:
    line = json.dumps({"audio_filepath": "clips/a.wav", "text": "hello"}).encode()
    with serving.serving({"/m.json": serving.body(line)}) as served:
        (entry,) = found(f"{served.url}/m.json", kind="nemo")
        assert (entry.uri, entry.place.container) == (f"{served.url}/clips/a.wav", "url")


# ------------------------------------------------------------------------------------------------------------- lhotse


def recording(name: str, **source: Any) -> dict[str, Any]:
    sources = [{"type": "file", "channels": [0], "source": name, **source}]
    return {"id": f"rec-{name}", "sources": sources, "sampling_rate": 16_000, "num_samples": 8_000, "duration": 0.5}


def test_recordings_and_cuts_of_any_kind(corpus: Path) -> None:
    said = {
        "id": "s",
        "recording_id": "r",
        "start": 0.05,
        "duration": 0.1,
        "text": "hi",
        "speaker": "x",
        "language": "en",
    }
    cut = {"id": "c", "type": "MonoCut", "start": 0.1, "duration": 0.2, "channel": 0, "recording": recording("b.wav")}
    mixed = {**cut, "recording": recording("c.wav")}
    rows = [
        {**cut, "supervisions": [said], "custom": {"show": "news"}},
        {**cut, "id": "c2", "supervisions": [{**said, "text": "ho"}]},
        {"id": "m", "type": "MixedCut", "tracks": [{"cut": mixed}, {"cut": {"type": "PaddingCut"}}]},
    ]  # fmt: skip
    cuts = by_name(found(write_lines(corpus / "cuts.jsonl.gz", rows)))
    assert cuts.keys() == {"b.wav", "c.wav"}
    assert told(cuts["b.wav"])["show"] == "news"
    assert [part["text"] for part in told(cuts["b.wav"])["segments"]] == ["hi", "ho"]
    assert told(cuts["b.wav"])["segments"][0]["start_s"] == 0.15
    (single,) = found(write_lines(corpus / "recordings.jsonl", [recording("a.wav")]))
    assert (Path(single.uri).name, told(single)) == ("a.wav", {"lhotse_id": "rec-a.wav"})


def test_no_command_of_a_manifest_is_run(corpus: Path) -> None:
    touch = f"touch {corpus}/ran; cat {corpus}/a.wav"
    rows = [
        recording(touch, type="command"),
        recording("x", type="shar"),
        {**recording("a.wav"), "sources": [{}, {}]},
        recording("https://a.example/x.wav", type="url"),
        {"id": "no-recording", "recording": {}},
    ]
    entries = found(write_lines(corpus / "r.jsonl", rows))
    assert [entry.uri for entry in entries if not entry.problem] == ["https://a.example/x.wav"]
    assert sorted(entry.problem for entry in entries if entry.problem) == [
        "manifest source not supported",
        "manifest source not supported",
        "manifest source not supported",
        "no recording in the manifest's line",
    ]
    assert not (corpus / "ran").exists()


def test_what_lhotse_itself_writes_is_read(corpus: Path) -> None:
    lhotse = pytest.importorskip("lhotse")
    recordings = [lhotse.Recording.from_file(corpus / name) for name in ("a.wav", "b.wav")]
    said = lhotse.SupervisionSegment(id="s", recording_id="b", start=0.1, duration=0.2, text="hello")
    cuts = [recordings[0].to_cut(), recordings[1].to_cut()]
    cuts[1].supervisions.append(said)
    lhotse.CutSet.from_cuts([cuts[0].append(cuts[1]).pad(3.0), *cuts]).to_file(corpus / "cuts.jsonl.gz")
    lhotse.RecordingSet.from_recordings(recordings).to_file(corpus / "recordings.jsonl")
    for name in ("cuts.jsonl.gz", "recordings.jsonl"):
        entries = by_name(found(corpus / name))
        assert {key: entry.id for key, entry in entries.items()} == {
            key: found(corpus / key)[0].id for key in ("a.wav", "b.wav")
        }


# ------------------------------------------------------------------------------------------------------------- hostile


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "audio_filepath",
                    "offset",
                    "duration",
                    "shard_id",
                    "sources",
                    "source",
                    "type",
                    "recording",
                    "tracks",
                    "cut",
                    "supervisions",
                    "start",
                    "custom",
                    "id",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(st.lists(JSON | st.text(max_size=20), max_size=5))
def test_no_line_breaks_a_reader(rows: list[Any]) -> None:
    import io

    data = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows).encode("utf-8", "surrogatepass")
    for entries in (read_nemo("/m", io.BytesIO(data), {}), read_lhotse("/m", io.BytesIO(data))):
        for entry in entries:
            assert entry.problem or entry.place.path
            json.loads(entry.metadata)
    assert manifest_kind(data) in ("", "nemo", "lhotse", "json")


def test_a_manifest_cut_short_keeps_its_whole_lines(corpus: Path) -> None:
    path = write_lines(corpus / "m.jsonl.gz", [{"audio_filepath": f"{index:05d}.wav"} for index in range(20_000)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    entries = found(path, kind="nemo")
    assert len(entries) > 1_000
    assert [entry.problem for entry in entries if entry.problem == "manifest line not readable"]
