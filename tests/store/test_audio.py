import pickle
from pathlib import Path
from uuid import uuid4

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from spelangy.core.hashing import digest_bytes
from spelangy.core.spans import SAMPLE_RATE_HZ, Span
from spelangy.store.audio import AudioStore, flac_bytes, float_audio, to_pcm

PCM = arrays(np.int16, st.integers(1, 400), elements=st.integers(-32_768, 32_767))
ALL_VALUES = np.arange(-32_768, 32_768).astype(np.int16)


@pytest.fixture(params=["local", "memory"])
def audio(request: pytest.FixtureRequest, tmp_path: Path) -> AudioStore:
    return AudioStore(str(tmp_path) if request.param == "local" else f"memory://{uuid4().hex}")


def noise(num_samples: int, seed: int = 0) -> NDArray[np.int16]:
    return np.random.default_rng(seed).integers(-32_768, 32_768, num_samples).astype(np.int16)


def test_every_16_bit_value_survives(audio: AudioStore) -> None:
    read_S = audio.read(audio.put_pcm(ALL_VALUES))
    assert read_S.dtype == np.float32
    assert np.array_equal(read_S, float_audio(ALL_VALUES))
    assert np.array_equal(to_pcm(read_S), ALL_VALUES)


def test_what_was_read_is_the_same_sound_when_it_is_put_again(audio: AudioStore) -> None:
    key = audio.put_pcm(ALL_VALUES)
    assert audio.put(audio.read(key)) == key


@settings(max_examples=40)
@given(PCM)
def test_flac_keeps_every_sample(pcm_S: NDArray[np.int16]) -> None:
    store = AudioStore("memory://flac-round-trip")
    assert np.array_equal(to_pcm(store.read(store.put_pcm(pcm_S))), pcm_S)


def test_spans_are_slices(audio: AudioStore) -> None:
    pcm_S = noise(20_000)
    key = audio.put_pcm(pcm_S)
    whole_S = float_audio(pcm_S)
    # FLAC blocks end at multiples of 4,096 samples here: borders and both ends are where seeking goes wrong.
    rng = np.random.default_rng(1)
    places = [0, 1, 4_095, 4_096, 4_097, 8_192, 19_999, 20_000, *rng.integers(0, 20_000, 12).tolist()]
    for start in places:
        for end in (place for place in places if place >= start):
            assert np.array_equal(audio.read(key, Span(start, end)), whole_S[start:end]), (start, end)


def test_the_key_is_the_content(audio: AudioStore) -> None:
    pcm_S = noise(1_000)
    key = audio.put_pcm(pcm_S)
    assert key == digest_bytes(pcm_S.astype("<i2").tobytes())
    assert audio.put_pcm(pcm_S.copy()) == audio.put(float_audio(pcm_S)) == key
    assert audio.put_pcm(np.stack([pcm_S, noise(1_000, 1)], axis=1)[:, 0]) == key, "however it lies in memory"
    changed = pcm_S.copy()
    changed[500] ^= 1
    assert len({key, audio.put_pcm(changed), audio.put_pcm(pcm_S[:-1])}) == 3


def test_known_content_is_not_written_again(tmp_path: Path) -> None:
    audio = AudioStore(str(tmp_path))
    key = audio.put_pcm(noise(500))
    before = Path(audio.url(key)).stat()
    assert audio.put_pcm(noise(500)) == key
    after = Path(audio.url(key)).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_other_tools_can_open_the_file(tmp_path: Path) -> None:
    audio = AudioStore(str(tmp_path))
    pcm_S = noise(6_000)
    path = audio.url(audio.put_pcm(pcm_S))
    info = soundfile.info(path)
    assert (info.samplerate, info.channels, info.format, info.subtype) == (SAMPLE_RATE_HZ, 1, "FLAC", "PCM_16")
    with av.open(path) as container:
        decoded_S = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    assert np.array_equal(decoded_S, pcm_S)


def test_a_worker_gets_the_store_by_pickle(audio: AudioStore) -> None:
    key = audio.put_pcm(noise(100))
    assert np.array_equal(pickle.loads(pickle.dumps(audio)).read(key), float_audio(noise(100)))


def test_full_scale_is_clipped_and_the_rest_rounded() -> None:
    audio_S = np.array([-7.0, -1.0, -0.6 / 32_768, 0.0, 0.4 / 32_768, 1.5 / 32_768, 1.0, np.inf], np.float32)
    assert to_pcm(audio_S).tolist() == [-32_768, -32_768, -1, 0, 0, 2, 32_767, 32_767]


@pytest.mark.parametrize(
    "wrong", [np.zeros(4, np.float32), np.zeros((2, 4), np.int16), np.zeros(0, np.int16)], ids=["float", "2-d", "empty"]
)
def test_what_is_no_sound_is_our_mistake(wrong: NDArray[np.int16], tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        AudioStore(str(tmp_path)).put_pcm(wrong)
    assert list(tmp_path.iterdir()) == []


def test_equal_samples_give_equal_flac() -> None:
    assert flac_bytes(noise(5_000)) == flac_bytes(noise(5_000)) != flac_bytes(noise(5_000, 1))


def test_real_speech_survives_and_is_smaller_than_its_samples(data_folder: Path, tmp_path: Path) -> None:
    source = data_folder / "ami" / "trn05.wav"
    if not source.is_file():
        pytest.skip(f"no {source}")
    pcm_S = soundfile.read(source, dtype="int16", always_2d=True, frames=160_000)[0][:, 0]
    audio = AudioStore(str(tmp_path))
    key = audio.put_pcm(pcm_S)
    assert np.array_equal(to_pcm(audio.read(key)), pcm_S)
    assert Path(audio.url(key)).stat().st_size < 0.8 * pcm_S.nbytes
