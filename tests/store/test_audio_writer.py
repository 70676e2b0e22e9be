"""Sound written block by block is the sound written at once, and is there whole or not at all."""

import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spelangy.core.errors import UserError
from spelangy.store.audio import AudioStore, to_pcm


def noise(num_samples: int) -> NDArray[np.int16]:
    return np.random.default_rng(0).integers(-32_768, 32_768, num_samples).astype(np.int16)


def files_of(audio: AudioStore) -> list[Path]:
    return [path for path in Path(audio.root).rglob("*") if path.is_file()]


@settings(max_examples=25)
@given(st.lists(st.integers(0, 9_000), max_size=6))
def test_blocks_of_any_size_make_the_same_key_and_bytes(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    pcm_S = noise(9_000)
    whole, piecewise = (AudioStore(str(tmp_path_factory.mktemp("store"))) for _ in range(2))
    key = whole.put_pcm(pcm_S)
    with piecewise.writing() as writer:
        for block_S in np.split(pcm_S, sorted(cuts)):
            writer.write(block_S)
        assert writer.commit() == key
    (one,), (other,) = files_of(whole), files_of(piecewise)
    assert one.read_bytes() == other.read_bytes()
    assert one.relative_to(whole.root) == other.relative_to(piecewise.root)
    assert one.stat().st_mode == other.stat().st_mode


def test_a_remote_store() -> None:
    audio = AudioStore(f"memory://{uuid4().hex}")
    with audio.writing() as writer:
        writer.write(noise(5_000))
        key = writer.commit()
    assert np.array_equal(to_pcm(audio.read(key)), noise(5_000))


def test_what_is_not_committed_leaves_nothing(tmp_path: Path) -> None:
    audio = AudioStore(str(tmp_path))
    with audio.writing() as writer:
        writer.write(noise(5_000))
    with pytest.raises(RuntimeError), audio.writing() as writer:
        writer.write(noise(5_000))
        raise RuntimeError("broken off")
    assert files_of(audio) == []


def test_known_sound_is_not_written_again(tmp_path: Path) -> None:
    audio = AudioStore(str(tmp_path))
    key = audio.put_pcm(noise(5_000))
    (path,) = files_of(audio)
    before = path.stat()
    with audio.writing() as writer:
        writer.write(noise(5_000))
        assert writer.commit() == key
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert files_of(audio) == [path]


def test_a_place_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "audio").write_text("in the way")
    with pytest.raises(UserError, match="cannot write"), AudioStore(str(tmp_path)).writing():
        pytest.fail("opened")


def test_a_full_disk_is_told_and_leaves_nothing_half(tmp_path: Path) -> None:
    """A limit on the size of files stands in for a full disk; it needs a process of its own."""
    script = f"""
import resource, signal
import numpy as np
from spelangy.core.errors import UserError
from spelangy.store.audio import AudioStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    with AudioStore({str(tmp_path)!r}).writing() as writer:
        for seed in range(40):
            writer.write(np.random.default_rng(seed).integers(-32_768, 32_768, 16_000).astype(np.int16))
        writer.commit()
except UserError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "cannot write" in done.stdout and "hint" in done.stdout
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
