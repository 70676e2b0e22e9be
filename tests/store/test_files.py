"""A file is complete or absent, on local paths and on any fsspec URL; a refused write leaves what was there."""

import errno
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from spelangy.core.errors import UserError
from spelangy.store.files import WRITING, Files


@pytest.fixture(params=["local", "memory"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    return Files(str(tmp_path / "store") if request.param == "local" else f"memory://{uuid4().hex}/store")


def left_behind(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(f"{WRITING}*")]


def test_bytes_come_back_and_names_are_listed_sorted(files: Files) -> None:
    for name in ("b.parquet", "a.parquet", "note.txt", ".hidden.parquet"):
        files.write(f"shards/x/{name}", name.encode())
    files.write("shards/x/deeper/c.parquet", b"")
    assert files.read("shards/x/a.parquet") == b"a.parquet"
    assert files.list("shards/x", ".parquet") == ["shards/x/a.parquet", "shards/x/b.parquet"]
    assert files.list("nowhere") == []
    assert files.exists("shards/x/note.txt") and not files.exists("shards/x/other.txt")


def test_a_second_write_replaces_the_first(files: Files) -> None:
    files.write("refs/r/step", b"a longer first one")
    files.write("refs/r/step", b"second")
    assert files.read("refs/r/step") == b"second"
    assert files.list("refs/r") == ["refs/r/step"]


def test_urls_lead_back_to_the_file(files: Files) -> None:
    files.write("audio/x.flac", b"sound")
    url = files.url("audio/x.flac")
    assert url.startswith("/" if files.is_local else "memory://")
    folder, name = url.rsplit("/", 1)
    assert Files(folder).read(name) == b"sound"


def test_a_file_url_is_a_local_path(tmp_path: Path) -> None:
    files = Files(f"file://{tmp_path}")
    files.write("x", b"1")
    assert files.is_local and (tmp_path / "x").read_bytes() == b"1"


def test_a_protocol_that_nobody_serves_is_refused() -> None:
    with pytest.raises(UserError, match="nosuch") as caught:
        Files("nosuch://bucket/x")
    assert "fsspec" in caught.value.hint


def raising(number: int) -> Any:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
@pytest.mark.parametrize("where", ["os.fsync", "pathlib.Path.replace", "tempfile.mkstemp"])
def test_a_refused_write_is_a_bad_request_and_keeps_the_old_file(
    where: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Files(str(tmp_path))
    files.write("refs/r/step", b"old")
    monkeypatch.setattr(where, raising(number))
    with pytest.raises(UserError) as caught:
        files.write("refs/r/step", b"new")
    assert str(tmp_path / "refs/r/step") in caught.value.message and os.strerror(number) in caught.value.message
    monkeypatch.undo()
    assert files.read("refs/r/step") == b"old"
    assert left_behind(tmp_path) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a limit on file sizes that the system enforces")
def test_a_file_that_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    """The system itself refuses here, in the middle of the data."""
    script = f"""
        import resource
        from spelangy.core.errors import UserError
        from spelangy.store.files import Files
        files = Files({str(tmp_path)!r})
        files.write("x", b"old")
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            files.write("x", bytes(1_000_000))
        except UserError as error:
            print(error)
    """
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)
    assert "File too large" in ran.stdout and "hint:" in ran.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_bytes() == b"old"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that not even root can write to")
def test_a_place_where_nobody_can_write_is_a_bad_request() -> None:
    with pytest.raises(UserError, match="cannot write /proc/store"):
        Files("/proc/store").write("x", b"1")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder_is_a_bad_request(tmp_path: Path) -> None:
    files = Files(str(tmp_path))
    files.write("x", b"old")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(UserError, match="Permission denied"):
            files.write("x", b"new")
        assert files.read("x") == b"old"
    finally:
        tmp_path.chmod(0o700)


def test_a_file_where_a_folder_should_be_is_a_bad_request(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    with pytest.raises(UserError, match="cannot write"):
        Files(str(tmp_path / "store")).write("refs/x", b"1")


def test_a_remote_that_refuses_is_a_bad_request(monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files(f"memory://{uuid4().hex}")
    monkeypatch.setattr(files.fs, "pipe_file", raising(errno.EACCES))
    with pytest.raises(UserError, match="Permission denied"):
        files.write("x", b"1")


def test_what_is_no_refusal_is_not_turned_into_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Files(str(tmp_path)).write("x", b"1")
    assert list(tmp_path.iterdir()) == []


def test_a_killed_write_is_not_listed_and_does_not_hinder_the_next(tmp_path: Path) -> None:
    script = f"""
        import os
        from spelangy.store.files import Files
        os.fsync = lambda handle: os.kill(os.getpid(), 9)
        Files({str(tmp_path)!r}).write("refs/step", b"half")
    """
    assert subprocess.run([sys.executable, "-c", textwrap.dedent(script)]).returncode == -9
    files = Files(str(tmp_path))
    assert left_behind(tmp_path), "the process was killed after it had begun to write"
    assert not files.exists("refs/step") and files.list("refs") == []
    files.write("refs/step", b"whole")
    assert files.list("refs") == ["refs/step"]


def test_folders_go_to_a_remote_root_and_back(tmp_path: Path) -> None:
    here = tmp_path / "model"
    (here / "deep").mkdir(parents=True)
    (here / "config.json").write_bytes(b"{}")
    (here / "deep" / "weights").write_bytes(b"\x00\xff")
    files = Files(f"memory://{uuid4().hex}")
    files.upload(here, "objects/k")
    files.download("objects/k", tmp_path / "cache" / "k")
    assert (tmp_path / "cache" / "k" / "config.json").read_bytes() == b"{}"
    assert (tmp_path / "cache" / "k" / "deep" / "weights").read_bytes() == b"\x00\xff"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["k"]


def test_of_two_downloads_at_once_the_first_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files(f"memory://{uuid4().hex}")
    files.write("objects/k/weights", b"w")
    fetch, target = files.fs.get, tmp_path / "cache" / "k"

    def beaten(*arguments: Any, **options: Any) -> None:
        fetch(*arguments, **options)
        shutil.copytree(arguments[1], target)

    monkeypatch.setattr(files.fs, "get", beaten)
    files.download("objects/k", target)
    assert [path.name for path in target.iterdir()] == ["weights"]


def test_a_download_that_breaks_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files(f"memory://{uuid4().hex}")
    files.write("objects/k/weights", b"w")
    monkeypatch.setattr(files.fs, "get", raising(errno.ECONNRESET))
    with pytest.raises(OSError, match="reset"):
        files.download("objects/k", tmp_path / "cache" / "k")
    assert list((tmp_path / "cache").iterdir()) == []
