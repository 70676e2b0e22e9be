"""Sources to recordings: what cannot be read is set aside with a reason and the run goes on."""

import json
import subprocess
import sys
from pathlib import Path

import archives
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import serving
import soundfile
from tone_backends import Curate

import sound_files as sounds
from spelangy.core.hashing import digest_bytes
from spelangy.core.records import Drop, Recording
from spelangy.core.schema import from_table
from spelangy.core.spans import SAMPLE_RATE_HZ
from spelangy.curate.decode import decode
from spelangy.engine.pipeline import FinishedStep
from spelangy.store.inputs import missing_id
from spelangy.store.objects import Store


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    return sounds.write_wav(tmp_path / "tone.wav", sounds.sine(1.0, SAMPLE_RATE_HZ))


def recordings(store: Store, finished: dict[str, FinishedStep]) -> dict[str, Recording]:
    table = store.table(finished["ingest"].stored.key, "recordings")
    return {Path(recording.uri).name: recording for recording in from_table(table, Recording)}


def drops(store: Store, finished: dict[str, FinishedStep], step: str = "ingest") -> list[Drop]:
    return from_table(store.table(finished[step].stored.key, "drops"), Drop)


def test_bad_files_are_set_aside_with_their_reason_and_the_rest_is_kept(
    tmp_path: Path, tone: Path, store: Store, curate: Curate
) -> None:
    reasons = sounds.write_bad_files(tmp_path / "bad")
    missing = tmp_path / "nowhere.wav"
    finished = curate([tmp_path / "bad" / "*", missing, tone], upto="ingest", min_recording_s=0.5)

    found = recordings(store, finished)
    assert {name: entry.reason for name, entry in found.items()} == {
        **reasons,
        "nowhere.wav": "not found",
        tone.name: "",
    }
    assert {name for name, entry in found.items() if entry.status == "ok"} == {tone.name}
    counted = drops(store, finished)
    assert sorted(drop.reason for drop in counted) == sorted([*reasons.values(), "not found"])
    assert {drop.kind for drop in counted} == {"quarantined"}
    assert all(drop.detail for drop in counted if drop.reason == "not decodable")
    (short,) = [drop for drop in counted if drop.reason == "too short"]
    assert short.value == pytest.approx(0.1)
    assert short.threshold == 0.5


def test_a_run_in_which_nothing_can_be_read_ends_in_empty_tables(tmp_path: Path, store: Store, curate: Curate) -> None:
    reasons = sounds.write_bad_files(tmp_path / "bad")
    finished = curate([tmp_path / "bad" / "*"], min_recording_s=0.5)
    assert len(drops(store, finished)) == len(reasons)
    assert store.table(finished["chunks-fine"].stored.key, "chunks").num_rows == 0


def test_a_recording_carries_what_was_decoded_and_what_the_source_says(
    tmp_path: Path, store: Store, curate: Curate
) -> None:
    path = sounds.write_m4a(tmp_path / "talk.m4a")
    (found,) = recordings(store, curate([path], upto="ingest")).values()
    pcm_S = decode(path, max_duration_s=60.0).pcm_S
    assert (found.num_samples, found.source_codec, found.source_sample_rate_hz) == (pcm_S.size, "aac", 44_100)
    assert (found.licence, found.source, found.uri) == ("CC0", "test", str(path))
    assert np.array_equal(np.rint(store.audio.read(found.audio) * 32_768).astype(np.int16), pcm_S)


def test_damage_is_kept_beside_the_sound(tmp_path: Path, store: Store, curate: Curate) -> None:
    path = sounds.write_m4a(tmp_path / "hole.m4a")
    path.write_bytes(sounds.with_hole(path.read_bytes()))
    (found,) = recordings(store, curate([path], upto="ingest")).values()
    assert (found.status, "packets not decodable" in found.reason) == ("ok", True)


def test_the_same_sound_in_two_containers_is_stored_once(
    tmp_path: Path, tone: Path, store: Store, curate: Curate
) -> None:
    pcm_S, _ = soundfile.read(tone, dtype="int16")
    soundfile.write(tmp_path / "tone.flac", pcm_S, SAMPLE_RATE_HZ)
    found = recordings(store, curate([tone, tmp_path / "tone.flac"], upto="ingest"))
    assert len({entry.id for entry in found.values()}) == 2
    assert len({entry.audio for entry in found.values()}) == 1


def test_a_copy_is_counted_and_not_taken_twice(tmp_path: Path, tone: Path, store: Store, curate: Curate) -> None:
    (tmp_path / "copy.wav").write_bytes(tone.read_bytes())
    finished = curate([tone, tmp_path / "copy.wav"], upto="ingest")
    assert list(recordings(store, finished)) == [tone.name]
    (drop,) = drops(store, finished)
    assert (drop.reason, drop.kind) == ("exact duplicate", "dropped")
    assert "copy.wav" in drop.detail


def test_the_longest_recording_is_a_setting(tone: Path, store: Store, curate: Curate) -> None:
    (drop,) = drops(store, curate([tone], upto="ingest", max_recording_s=0.7))
    assert (drop.reason, drop.threshold) == ("too long", 0.7)


def test_one_more_recording_is_the_only_one_decoded(tmp_path: Path, tone: Path, curate: Curate) -> None:
    first = curate([tone], upto="ingest")["ingest"].stored
    more = sounds.write_wav(tmp_path / "more.wav", sounds.sine(1.0, SAMPLE_RATE_HZ, 500.0))
    second = curate([tone, more], upto="ingest")["ingest"].stored
    assert (first.circumstances["num_items"], first.circumstances["num_items_from_earlier_runs"]) == (1, 0)
    assert (second.circumstances["num_items"], second.circumstances["num_items_from_earlier_runs"]) == (2, 1)
    assert second.key != first.key


def test_a_recording_that_moved_is_reused_and_another_licence_is_not(
    tmp_path: Path, tone: Path, curate: Curate
) -> None:
    curate([tone], upto="ingest")
    moved = tone.rename(tmp_path / "moved.wav")
    assert curate([moved], upto="ingest")["ingest"].status == "reused"
    sources = [{"uris": [str(moved)], "licence": "CC-BY-4.0"}]
    assert curate([], upto="ingest", sources=sources)["ingest"].status == "built"


# ------------------------------------------------------------------------------------------------ sources of all kinds


def sources(*uris: object, **fields: str) -> list[dict[str, object]]:
    return [{"uris": [str(uri) for uri in uris], "licence": "CC0", "source": "test", **fields}]


def test_what_is_fetched_is_named_by_its_bytes(tmp_path: Path, tone: Path, store: Store, curate: Curate) -> None:
    data = tone.read_bytes()
    answers = {"/a.wav": serving.body(data), "/text": serving.body(b"no sound" * 99), "/feed": serving.body(FEED)}
    with serving.serving(answers) as served:
        uris = [f"{served.url}/{name}" for name in ("a.wav", "text", "gone", "feed")]
        finished = curate([], upto="ingest", sources=sources(*uris))
        found = recordings(store, finished)
        assert {name: (entry.status, entry.reason) for name, entry in found.items()} == {
            "a.wav": ("ok", ""),
            "text": ("quarantined", "not decodable"),
            "gone": ("quarantined", "not found"),
            "feed": ("quarantined", "a feed, not audio"),
        }
        assert found["a.wav"].id == digest_bytes(data)[:32]
        assert found["gone"].id == missing_id(uris[2])
        asked = len(served.asked)
        curate([], upto="ingest", sources=sources(*uris))
        assert len(served.asked) == asked, "what is finished is not fetched again"


FEED = b"""<?xml version="1.0"?><rss version="2.0"><channel><title>Show</title>
<copyright>CC BY</copyright><item><title>One</title><enclosure url="URL/a.wav" type="audio/wav" length="1"/></item>
</channel></rss>"""


def test_a_feed_becomes_recordings_with_what_it_says(tmp_path: Path, tone: Path, store: Store, curate: Curate) -> None:
    with serving.serving({"/a.wav": serving.body(tone.read_bytes())}) as served:
        (tmp_path / "feed.xml").write_bytes(FEED.replace(b"URL", served.url.encode()))
        (found,) = recordings(store, curate([tmp_path / "feed.xml"], upto="ingest")).values()
    assert (found.status, found.licence, found.metadata) == ("ok", "CC BY", '{"feed":"Show","title":"One"}')


def test_the_same_bytes_at_two_urls_and_here_are_one_recording(
    tmp_path: Path, tone: Path, store: Store, curate: Curate
) -> None:
    answers = {f"/{name}.wav": serving.body(tone.read_bytes()) for name in "ab"}
    with serving.serving(answers) as served:
        uris = [f"{served.url}/b.wav", f"{served.url}/a.wav", tone]
        finished = curate([], upto="ingest", sources=sources(*uris))
    (found,) = recordings(store, finished).values()
    assert found.uri == str(tone), "the first by name"
    assert [(drop.reason, drop.item_id) for drop in drops(store, finished)] == [("exact duplicate", found.id)] * 2


def test_limits_of_a_fetch_are_settings(tone: Path, store: Store, curate: Curate) -> None:
    with serving.serving({"/a.wav": serving.body(tone.read_bytes())}) as served:
        finished = curate([], upto="ingest", sources=sources(f"{served.url}/a.wav"), max_source_bytes=1000)
    (drop,) = drops(store, finished)
    assert (drop.reason, drop.threshold, drop.kind) == ("too large to fetch", 1000, "quarantined")


@pytest.mark.parametrize("place", ["here", "elsewhere"])
def test_archives_and_tables_hold_recordings(
    tmp_path: Path, tone: Path, store: Store, curate: Curate, place: str
) -> None:
    other = sounds.write_wav(tmp_path / "other.wav", sounds.sine(1.0, SAMPLE_RATE_HZ, 700.0)).read_bytes()
    members = [archives.member("a.wav", tone.read_bytes()), archives.member("a.json", b'{"title": "Tone"}')]
    archives.write(tmp_path / "s.tar.gz", [*members, archives.link("l.wav", "a.wav"), archives.member("c.wav", b"?")])
    pq.write_table(pa.table({"audio": [{"bytes": other, "path": "o.wav"}]}), tmp_path / "t.parquet")
    names = ("s.tar.gz", "t.parquet")
    with serving.serving({f"/{name}": serving.body((tmp_path / name).read_bytes()) for name in names}) as served:
        uris = [tmp_path / name if place == "here" else f"{served.url}/{name}" for name in names]
        finished = curate([], upto="ingest", sources=sources(*uris))
    table = store.table(finished["ingest"].stored.key, "recordings")
    by_id = {entry.id: entry for entry in from_table(table, Recording)}
    told = {entry.reason: entry.metadata for entry in by_id.values() if entry.status != "ok"}
    assert sorted(told) == ["link in an archive", "not decodable"]
    first, second = by_id[digest_bytes(tone.read_bytes())[:32]], by_id[digest_bytes(other)[:32]]
    assert (first.status, first.metadata) == ("ok", '{"member":"a.wav","title":"Tone"}')
    assert (second.status, second.num_samples) == ("ok", SAMPLE_RATE_HZ)
    assert first.uri == f"tar://a.wav::{uris[0]}" and second.uri == f"{uris[1]}#0"
    assert {entry.licence for entry in by_id.values()} == {"CC0"}


def test_another_title_is_another_recording_row(tmp_path: Path, tone: Path, curate: Curate) -> None:
    for title, status in (("One", "built"), ("One", "reused"), ("Two", "built")):
        row = {"audio_filepath": str(tone), "title": title}
        (tmp_path / "m.json").write_text(json.dumps(row))
        assert curate([tmp_path / "m.json"], upto="ingest")["ingest"].status == status


# ----------------------------------------------------------------------------------------------------------- memory


def test_long_sound_is_decoded_and_stored_in_bounded_memory(tmp_path: Path) -> None:
    """In a process of its own, whose peak is known: 10 minutes would be 19 MB of samples, held three times before."""
    noise_S = np.random.default_rng(1).integers(-2000, 2000, 60 * 8_000).astype(np.int16)
    with soundfile.SoundFile(tmp_path / "long.wav", "w", 8_000, 1, "PCM_16") as file:
        for _ in range(10):
            file.write(noise_S)
    script = f"""
import resource
from spelangy.curate.ingest import Ingest, IngestLimits
from spelangy.curate.found import FoundSource, Place
from spelangy.store.audio import AudioStore
limits = IngestLimits(min_recording_s=1.0, max_recording_s=9e9, max_source_bytes=10**12, max_fetch_s=1.0)
ingest = Ingest(AudioStore({str(tmp_path)!r}), limits)
sound = lambda name: FoundSource(uri=name, id=name, place=Place(path={str(tmp_path)!r} + "/" + name))
ingest._recording(sound("short.wav"), [])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
(stored,) = ingest._recording(sound("long.wav"), [])
assert stored.num_samples == 10 * 60 * 16_000
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    sounds.write_wav(tmp_path / "short.wav", noise_S[: 8_000 * 20, None], 8_000)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) * 1024 < 25_000_000
