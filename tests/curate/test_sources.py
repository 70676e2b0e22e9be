"""Finding recordings: nothing that a recipe names vanishes, and no content is taken twice."""

import os
from pathlib import Path

import pytest

import sound_files as sounds
from spelangy.core.errors import UserError
from spelangy.core.hashing import digest_bytes
from spelangy.curate.config import AudioSource
from spelangy.curate.found import FoundSource
from spelangy.curate.sources import AUDIO_SUFFIXES, find_sources, sources_table


def found(*uris: object, **fields: str) -> list[FoundSource]:
    return find_sources([AudioSource(uris=tuple(map(str, uris)), **fields)])


def names(sources: list[FoundSource]) -> list[str]:
    return sorted(Path(entry.place.path).name for entry in sources)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    for index, name in enumerate(["a.wav", "b.FLAC", "deep/c.m4a", "notes.txt", "deep/d.json"]):
        (tmp_path / name).write_bytes(bytes([index]) * 10)
    return tmp_path


def test_a_folder_is_searched_for_audio_of_any_depth_and_case(folder: Path) -> None:
    assert names(found(folder)) == ["a.wav", "b.FLAC", "c.m4a"]


def test_a_file_named_outright_or_by_a_glob_is_taken_whatever_its_name(folder: Path) -> None:
    assert names(found(folder / "notes.txt")) == ["notes.txt"]
    assert names(found(folder / "*.txt", folder / "**" / "*.json")) == ["d.json", "notes.txt"]


def test_a_name_that_looks_like_a_glob_but_exists_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "talk [1].wav").write_bytes(b"x")
    assert names(found(tmp_path / "talk [1].wav")) == ["talk [1].wav"]


def test_the_id_is_the_content_and_neither_name_nor_place(folder: Path) -> None:
    (entry,) = found(folder / "a.wav")
    assert entry.id == digest_bytes((folder / "a.wav").read_bytes())[:32]
    (folder / "a.wav").rename(folder / "deep" / "z.wav")
    assert found(folder / "deep" / "z.wav")[0].id == entry.id


def test_equal_content_is_one_source_that_names_its_copies(folder: Path) -> None:
    (folder / "again.wav").write_bytes((folder / "a.wav").read_bytes())
    (entry,) = found(folder / "again.wav", folder / "a.wav", folder / "again.wav")
    assert (entry.uri, entry.copies) == (str(folder / "again.wav"), (str(folder / "a.wav"),))


def test_the_first_source_that_has_a_content_gives_its_fields(folder: Path) -> None:
    first = AudioSource(uris=(str(folder / "a.wav"),), licence="CC0", source="radio")
    second = AudioSource(uris=(str(folder),), licence="unknown")
    by_name = {Path(entry.place.path).name: entry for entry in find_sources([first, second])}
    assert (by_name["a.wav"].licence, by_name["a.wav"].source) == ("CC0", "radio")
    assert (by_name["b.FLAC"].licence, by_name["b.FLAC"].source) == ("unknown", "crawl")


@pytest.mark.parametrize("uri", ["nowhere.wav", "nothing-*.wav", "empty"])
def test_what_names_nothing_is_an_input_of_its_own(tmp_path: Path, uri: str) -> None:
    (tmp_path / "empty").mkdir()
    (entry,) = found(tmp_path / uri)
    assert entry.uri == str(tmp_path / uri)
    assert entry.id != found(tmp_path / f"other-{uri}")[0].id


@pytest.mark.timeout(10)
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    assert names(found(tmp_path / "*.wav")) == ["pipe.wav"]


def test_a_file_inside_an_installed_package() -> None:
    (entry,) = found(sounds.SHORT_SPEECH)
    assert entry.uri == sounds.SHORT_SPEECH
    assert Path(entry.place.path).is_file()


@pytest.mark.parametrize("uri", ["package:no_such_package_here/a.wav", "package:../a.wav", "package:numpy/../../x"])
def test_a_package_that_is_not_there_or_is_left(uri: str) -> None:
    with pytest.raises(UserError) as caught:
        found(uri)
    assert caught.value.hint


def test_order_and_table_depend_on_content_alone(folder: Path) -> None:
    forwards = found(folder / "a.wav", folder / "b.FLAC", folder / "deep")
    backwards = found(folder / "deep", folder / "b.FLAC", folder / "a.wav")
    assert sources_table(forwards).equals(sources_table(backwards))
    table = sources_table(forwards)
    assert table["path"].to_pylist() == sorted(table["path"].to_pylist()), "archives are read in one pass"
    assert table["copies"].to_pylist() == [[], [], []]
    assert sources_table([]).num_rows == 0


def test_suffixes_are_lower_case_with_a_dot() -> None:
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in AUDIO_SUFFIXES)
    assert {".wav", ".mp3", ".m4a", ".flac", ".opus", ".webm"} <= set(AUDIO_SUFFIXES)
