import os
from collections.abc import Callable
from pathlib import Path

import pytest

from spelangy.core.errors import UserError
from spelangy.core.hashing import digest_bytes, record_id
from spelangy.store.inputs import FoundInput, find_inputs, package_file, with_copy

SUFFIXES = (".wav", ".flac")
Writer = Callable[[str, bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    def make(name: str, data: bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    return make


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package that must not be imported, with a secret beside it."""
    folder = tmp_path / "site" / "their_corpus"
    (folder / "data").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "data" / "a.wav").write_bytes(b"in the package")
    (tmp_path / "site" / "secret.wav").write_bytes(b"beside the package")
    (tmp_path / "site" / "their_corpus_too").mkdir()
    (tmp_path / "site" / "their_corpus_too" / "b.wav").write_bytes(b"a neighbour")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return folder


def uris(found: list[FoundInput]) -> list[str]:
    return [entry.uri for entry in found]


def test_an_input_is_named_by_its_bytes(write: Writer) -> None:
    (first,) = find_inputs([str(write("a.wav", b"sound"))], SUFFIXES)
    (moved,) = find_inputs([str(write("elsewhere/b.wav", b"sound"))], SUFFIXES)
    (other,) = find_inputs([str(write("a.wav", b"Sound"))], SUFFIXES)
    assert first.id == digest_bytes(b"sound")[:32] == moved.id != other.id
    assert first.uri == first.path and first.copies == ()


def test_a_folder_is_searched_for_suffixes_in_any_case_and_depth(write: Writer, tmp_path: Path) -> None:
    for name in ("z.WAV", "deep/er/a.flac", "notes.txt", "b.wav.part"):
        write(f"corpus/{name}", name.encode())
    (tmp_path / "corpus" / "folder.wav").mkdir()
    corpus = tmp_path / "corpus"
    assert uris(find_inputs([str(corpus)], SUFFIXES)) == [str(corpus / "deep/er/a.flac"), str(corpus / "z.WAV")]


def test_a_file_named_outright_is_taken_whatever_its_name(write: Writer) -> None:
    path = write("speech.bin", b"x")
    assert uris(find_inputs([str(path)], SUFFIXES)) == [str(path)]


def test_globs(write: Writer, tmp_path: Path) -> None:
    for name in ("c/1.wav", "c/2.wav", "c/3.txt", "c/d/4.wav", "c/d/5.txt"):
        write(name, name.encode())

    def names(pattern: str) -> list[str]:
        return [Path(uri).name for uri in uris(find_inputs([f"{tmp_path}/{pattern}"], SUFFIXES))]

    assert names("c/?.wav") == ["1.wav", "2.wav"]
    assert names("c/[13].*") == ["1.wav", "3.txt"]
    assert names("**/*.wav") == ["1.wav", "2.wav", "4.wav"]
    assert names("c*") == ["1.wav", "2.wav", "4.wav"], "a folder that a glob finds is searched, as if it were named"
    assert sorted(names("**")) == ["1.wav", "2.wav", "3.txt", "4.wav", "5.txt"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(write: Writer) -> None:
    path = write("take [1].wav", b"x")
    write("take 1.wav", b"y")
    assert uris(find_inputs([str(path)], SUFFIXES)) == [str(path)]


def test_equal_content_is_one_input_with_its_copies(write: Writer, tmp_path: Path) -> None:
    for name in ("b.wav", "a.wav", "c.flac"):
        write(f"c/{name}", b"same")
    write("c/other.wav", b"other")
    found = find_inputs([str(tmp_path / "c")], SUFFIXES)
    assert [Path(uri).name for uri in uris(found)] == ["a.wav", "other.wav"]
    assert [Path(uri).name for uri in found[0].copies] == ["b.wav", "c.flac"]


def test_a_place_named_twice_is_no_copy(write: Writer, tmp_path: Path) -> None:
    path, twin = write("c/a.wav", b"same"), write("c/b.wav", b"same")
    (found,) = find_inputs([str(path), str(tmp_path / "c"), f"{tmp_path}/c/*", str(twin), str(path)], SUFFIXES)
    assert (found.uri, found.copies) == (str(path), (str(twin),))
    assert with_copy(found, str(twin)) == with_copy(found, str(path)) == found
    assert with_copy(found, "d.wav").copies == (str(twin), "d.wav")


@pytest.mark.parametrize("name", ["gone.wav", "gone/*.wav", "empty"])
def test_what_is_not_there_is_counted(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    uri = f"{tmp_path}/{name}"
    (found,) = find_inputs([uri], SUFFIXES)
    assert (found.uri, found.path, found.id) == (uri, uri, record_id("missing", uri))


def test_two_missing_inputs_are_two(tmp_path: Path) -> None:
    assert len(find_inputs([f"{tmp_path}/a.wav", f"{tmp_path}/b.wav", f"{tmp_path}/a.wav"], SUFFIXES)) == 2


def test_a_pipe_does_not_stop_the_search(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "endless.wav")
    (found,) = find_inputs([str(tmp_path / "endless.wav")], SUFFIXES)
    assert found.id == record_id("missing", found.uri)


def test_a_name_that_is_no_text_is_spelled_out(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    try:
        with open(raw, "wb") as file:  # noqa: PTH123
            file.write(b"sound")
    except OSError:
        pytest.skip("this file system takes only names that are text")
    (found,) = find_inputs([str(tmp_path)], SUFFIXES)
    assert found.uri == found.path == f"{tmp_path}/caf\\udce9.wav"
    found.uri.encode()


def test_a_package_is_found_without_being_imported(package: Path) -> None:
    (found,) = find_inputs(["package:their_corpus/data/a.wav"], SUFFIXES)
    assert found.uri == "package:their_corpus/data/a.wav", "the same on every machine"
    assert found.path == str(package / "data" / "a.wav")
    assert found.id == digest_bytes(b"in the package")[:32]


def test_a_file_that_the_package_lacks_is_counted(package: Path) -> None:
    (found,) = find_inputs(["package:their_corpus/data/none.wav"], SUFFIXES)
    assert found.id == record_id("missing", "package:their_corpus/data/none.wav")


@pytest.mark.parametrize(
    "name",
    ["../secret.wav", "data/../../secret.wav", "../their_corpus_too/b.wav", "/etc/passwd", "data/out/secret.wav"],
)
def test_a_name_that_leads_out_of_the_package_is_refused(package: Path, name: str) -> None:
    (package / "data" / "out").symlink_to(package.parent)
    with pytest.raises(UserError, match="leads out of the package"):
        package_file(f"package:their_corpus/{name}")


def test_a_detour_that_stays_inside_is_taken(package: Path) -> None:
    assert package_file("package:their_corpus/data/../data/a.wav") == package / "data" / "a.wav"


@pytest.mark.parametrize("name", ["no_such_package", "..", "", "a.b", "../their_corpus", "os", "sys"])
def test_what_is_no_installed_package_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="is not installed"):
        package_file(f"package:{name}/a.wav" if "/" not in name else f"package:{name}")


def test_the_hint_installs_the_package() -> None:
    with pytest.raises(UserError) as caught:
        find_inputs(["package:some_corpus/a.wav"], SUFFIXES)
    assert caught.value.hint == "pip install some-corpus"
