"""Tar archives: members are read where they lie, and a hostile archive costs its own bad members, within bounds."""

import gzip
import io
import json
import tarfile
import time
import tracemalloc
from pathlib import Path

import archives
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spelangy.core.errors import Quarantined
from spelangy.core.hashing import digest_bytes
from spelangy.curate.config import AudioSource
from spelangy.curate.fetch import FetchLimits
from spelangy.curate.found import FoundSource
from spelangy.curate.opening import SourceOpener
from spelangy.curate.sources import AUDIO_SUFFIXES, find_sources
from spelangy.curate.sources_archives import MAX_UNPACKED_RATIO, list_members, read_archive

LIMITS = FetchLimits(max_bytes=10_000_000, max_s=10.0)


def found(*uris: object, **fields: str) -> list[FoundSource]:
    return find_sources([AudioSource.model_validate({"uris": [str(uri) for uri in uris], **fields})])


def read(entry: FoundSource, opener: SourceOpener | None = None) -> bytes:
    with (opener or SourceOpener(LIMITS)).open(entry) as (file, content):
        data = file.read()
        assert content == entry.id == digest_bytes(data)[:32]
        return data


def sounds_of(num: int, num_bytes: int = 512) -> dict[str, bytes]:
    """Members of whole tar blocks: where `tarfile` steps back over the end of the last one."""
    return {f"{index:03d}.wav": np.random.default_rng(index).bytes(num_bytes) for index in range(num)}


@pytest.mark.parametrize("name", ["shard.tar", "shard.tar.gz", "shard.tgz"])
@pytest.mark.parametrize("num_bytes", [1, 511, 512, 100_000])
def test_members_are_read_where_they_lie(tmp_path: Path, name: str, num_bytes: int) -> None:
    data = sounds_of(5, num_bytes)
    path = archives.write(tmp_path / name, [archives.member(key, value) for key, value in data.items()])
    before = sorted(tmp_path.rglob("*"))
    by_uri = {entry.uri: entry for entry in found(path)}
    assert by_uri.keys() == {f"tar://{key}::{path}" for key in data}
    opener = SourceOpener(LIMITS)
    assert {key: read(by_uri[f"tar://{key}::{path}"], opener) for key in reversed(data)} == data
    assert sorted(tmp_path.rglob("*")) == before, "nothing is unpacked beside it"


def test_the_same_bytes_alone_and_in_an_archive_are_one_recording(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"sound")
    path = archives.write(tmp_path / "s.tar", [archives.member("b.wav"), archives.member("c.txt")])
    (entry,) = found(tmp_path / "a.wav", path)
    assert (entry.uri, entry.copies) == (str(tmp_path / "a.wav"), (f"tar://b.wav::{path}",))


def test_a_folder_is_searched_for_archives_too(tmp_path: Path) -> None:
    archives.write(tmp_path / "s.tar", [archives.member("b.wav")])
    (tmp_path / "a.wav").write_bytes(b"other")
    assert len(found(tmp_path)) == 2
    assert len(found(tmp_path, kind="audio")) == 1
    assert len(found(tmp_path, kind="tar")) == 1


def test_sidecars_of_a_webdataset_are_metadata(tmp_path: Path) -> None:
    told = json.dumps({"title": "One", "speaker": 7}).encode()
    path = archives.write(
        tmp_path / "s.tar",
        [
            archives.member("d/one.txt", b" said \n"),
            archives.member("d/one.flac", b"1"),
            archives.member("d/one.json", told),
            archives.member("d/two.flac", b"2"),
            archives.member("d/two.json", b"[1"),
            archives.member("d/three.seg.wav", b"3"),
            archives.member("d/three.json", b'{"title": "Three"}'),
        ],
    )
    by_name = {entry.uri[6:].partition("::")[0]: json.loads(entry.metadata) for entry in found(path)}
    assert by_name == {
        "d/one.flac": {"member": "d/one.flac", "speaker": 7, "text": "said", "title": "One"},
        "d/two.flac": {"member": "d/two.flac"},
        "d/three.seg.wav": {"member": "d/three.seg.wav", "title": "Three"},
    }
    assert {json.loads(entry.metadata).get("title") for entry in found(path, kind="tar")} == {None}


def test_what_the_webdataset_tool_writes_is_read(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    path = tmp_path / "w-000000.tar"
    with webdataset.TarWriter(str(path)) as sink:
        sink.write({"__key__": "utt/7", "wav": b"RIFFsound", "json": {"lang": "en"}, "txt": "hello"})
    (entry,) = found(path)
    assert read(entry) == b"RIFFsound"
    assert json.loads(entry.metadata) == {"lang": "en", "member": "utt/7.wav", "text": "hello"}


# ------------------------------------------------------------------------------------------------- hostile archives

HOSTILE = {
    "../../escape.wav": (archives.member("../../escape.wav"), "name leads out of the archive"),
    "/etc/passwd.wav": (archives.member("/etc/passwd.wav"), "name leads out of the archive"),
    "a\\..\\..\\b.wav": (archives.member("a\\..\\..\\b.wav"), "name leads out of the archive"),
    "soft.wav": (archives.link("soft.wav", "/etc/passwd"), "link in an archive"),
    "hard.wav": (archives.link("hard.wav", "good.wav", tarfile.LNKTYPE), "link in an archive"),
    "null.wav": (archives.device("null.wav"), "not a file"),
    "pipe.wav": (archives.member("pipe.wav", b"", type=tarfile.FIFOTYPE), "not a file"),
    "hole.wav": (archives.sparse("hole.wav"), "sparse member in an archive"),
    "nothing.wav": (archives.member("nothing.wav", b""), "empty file"),
}


@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
def test_each_hostile_member_gets_its_reason_and_the_good_ones_are_read(tmp_path: Path, suffix: str) -> None:
    members = [archives.member("good.wav", b"good"), *(hostile for hostile, _ in HOSTILE.values())]
    path = archives.write(tmp_path / f"h.{suffix}", [*members, archives.member("last.wav", b"last")])
    before = sorted(tmp_path.parent.rglob("*"))
    by_name = {entry.uri[6:].partition("::")[0]: entry for entry in found(path)}
    assert {name: entry.problem for name, entry in by_name.items()} == {
        **{name: reason for name, (_, reason) in HOSTILE.items()},
        "good.wav": "",
        "last.wav": "",
    }
    assert (read(by_name["good.wav"]), read(by_name["last.wav"])) == (b"good", b"last")
    with pytest.raises(Quarantined, match="link in an archive"):
        read(by_name["soft.wav"])
    assert sorted(tmp_path.parent.rglob("*")) == before


def bounded(path: Path, most_bytes: int = 40_000_000, most_s: float = 15.0) -> list[FoundSource]:
    tracemalloc.start()
    started = time.perf_counter()
    entries = read_archive(str(path), path, AUDIO_SUFFIXES)
    spent_s, (_, peak_bytes) = time.perf_counter() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (peak_bytes < most_bytes, spent_s < most_s) == (True, True), (peak_bytes, spent_s)
    return entries


def test_a_bomb_is_unpacked_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tar.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(archives.tar_bytes([archives.member("good.wav", b"good")])[:1024])
        info = tarfile.TarInfo("bomb.wav")
        info.size = 10**12
        file.write(info.tobuf())
        for _ in range(80):
            file.write(bytes(1 << 20))
    assert path.stat().st_size * MAX_UNPACKED_RATIO < 80 << 20
    good, broken = bounded(path)
    assert read(good) == b"good"
    assert (broken.problem, broken.uri) == ("archive broken", str(path))
    assert "unpacks to more than" in broken.detail


def test_a_header_that_claims_a_gigabyte_is_not_believed(tmp_path: Path) -> None:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 1 << 30
    for name, kind in (("a.tar", bytes), ("a.tar.gz", gzip.compress)):
        (tmp_path / name).write_bytes(kind(info.tobuf() + bytes(1 << 22)))
        (broken,) = bounded(tmp_path / name, most_bytes=10_000_000)
        assert broken.problem == "archive broken"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("size", [-512, -(1 << 62), 1 << 62])
def test_a_size_that_leads_backwards_or_nowhere_ends_the_archive(tmp_path: Path, size: int) -> None:
    info = tarfile.TarInfo("back.wav")
    info.size = size
    header = bytearray(info.tobuf(format=tarfile.GNU_FORMAT))
    (tmp_path / "a.tar").write_bytes(archives.tar_bytes([archives.member("good.wav", b"good")])[:1024] + header * 3)
    entries = bounded(tmp_path / "a.tar")
    assert [entry.problem for entry in entries if entry.problem] == ["archive broken"]


def test_half_an_archive_keeps_what_is_whole(tmp_path: Path) -> None:
    for name in ("a.tar", "a.tar.gz"):
        path = archives.write(
            tmp_path / name, [archives.member(key, value) for key, value in sounds_of(9, 5_000).items()]
        )
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        entries = read_archive(str(path), path, AUDIO_SUFFIXES)
        assert 2 <= len(entries) - 1 < 9
        assert [entry.problem for entry in entries if entry.problem] == ["archive broken"]
        assert all(len(read(entry)) == 5_000 for entry in entries if not entry.problem)


@pytest.mark.parametrize(
    "data", [b"", b"no archive", b"\x1f\x8b", b"\x1f\x8bnonsense", bytes(10_240), b"PK\x03\x04" * 99]
)
def test_what_is_no_archive(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(data)
    entries = found(tmp_path / "a.tar")
    assert [entry.problem for entry in entries] == ([] if not any(data) and data else ["archive broken"])


@settings(max_examples=150)
@given(data=st.data(), garbage=st.binary(max_size=40), packed=st.booleans())
def test_no_damage_escapes_as_another_error(
    data: st.DataObject, garbage: bytes, packed: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    members = [
        archives.member("a.wav", b"x" * 700),
        archives.link("b.wav", "a.wav"),
        archives.member("c" * 120 + ".wav"),
    ]
    whole = archives.tar_bytes([*members, archives.member("a.json", b"{}"), archives.sparse("s.wav")])
    if packed:
        whole = gzip.compress(whole, mtime=0)
    at = data.draw(st.integers(0, len(whole) - 1))
    path = tmp_path_factory.getbasetemp() / "damaged.tar"
    path.write_bytes(whole[:at] + garbage + whole[at + len(garbage) :])
    for member in list_members(path, AUDIO_SUFFIXES):
        assert member.problem or (member.id and 0 < member.num_bytes <= len(whole) * 100)
        json.dumps([member.name, member.detail]).encode()


# ------------------------------------------------------------------------------------------------------- at scale


def test_a_compressed_archive_is_read_in_one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rewinding for every member would be quadratic."""
    rewound = []
    rewind = gzip._GzipReader._rewind  # type: ignore[attr-defined]

    def counted(self: object) -> None:
        rewound.append(1)
        rewind(self)

    path = archives.write(tmp_path / "a.tar.gz", [archives.member(*pair) for pair in sounds_of(200, 4096).items()])
    monkeypatch.setattr(gzip._GzipReader, "_rewind", counted)  # type: ignore[attr-defined]
    entries = read_archive(str(path), path, AUDIO_SUFFIXES)
    opener = SourceOpener(LIMITS)
    assert all(len(read(entry, opener)) == 4096 for entry in entries)
    assert len(rewound) <= 2


def test_an_archive_is_listed_once_while_it_stays_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spelangy.curate import sources_archives
    from spelangy.store import stat_cache

    monkeypatch.setenv("SPELANGY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(stat_cache, "SETTLED_NS", -1_000_000_000)
    path = archives.write(tmp_path / "a.tar", [archives.member("a.wav"), archives.link("b.wav", "a.wav")])
    first = read_archive(str(path), path, AUDIO_SUFFIXES)
    monkeypatch.setattr(sources_archives, "list_members", lambda *_: pytest.fail("listed again"))
    assert read_archive(str(path), path, AUDIO_SUFFIXES) == first


def test_what_changed_since_it_was_listed_is_set_aside(tmp_path: Path) -> None:
    for name in ("a.tar", "a.tar.gz"):
        path = archives.write(tmp_path / name, [archives.member("a.wav", b"first")])
        (entry,) = found(path)
        archives.write(path, [archives.member("a.wav", b"other")])
        with pytest.raises(Quarantined, match="changed since it was listed"):
            read(entry)
        path.write_bytes(b"\x1f\x8b")
        with pytest.raises(Quarantined, match="changed since it was listed"):
            read(entry)


def test_a_member_above_the_limit_is_not_taken_out(tmp_path: Path) -> None:
    path = archives.write(tmp_path / "a.tar", [archives.member("a.wav", b"x" * 1000)])
    with pytest.raises(Quarantined, match="too large to unpack") as caught:
        read(found(path)[0], SourceOpener(FetchLimits(max_bytes=999, max_s=1.0)))
    assert (caught.value.value, caught.value.threshold) == (1000, 999)


def test_the_bytes_read_are_a_file_that_seeks(tmp_path: Path) -> None:
    path = archives.write(tmp_path / "a.tar", [archives.member("a.wav", b"0123456789")])
    with SourceOpener(LIMITS).open(found(path)[0]) as (file, _):
        assert (file.seek(-3, io.SEEK_END), file.read()) == (7, b"789")
