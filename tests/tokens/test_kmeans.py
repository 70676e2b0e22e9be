"""The k-means speech tokenizer on real speech."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from spelangy.backends.protocols import SpeechTokenizer
from spelangy.core.errors import UserError
from spelangy.core.plugins import find_backend
from spelangy.tokens.features import log_mel
from spelangy.tokens.kmeans import CONFIG_FILE, WEIGHTS_FILE, KMeansTokenizer

FRAME = 1280


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """Ten seconds of one voice and twenty of two others."""
    spec = find_spec("moonshine_voice")
    assert spec is not None and spec.origin is not None
    parts = []
    for name in ("beckett.wav", "endgame_nagg_nell.wav"):
        audio, rate_hz = soundfile.read(Path(spec.origin).parent / "assets" / name, dtype="float32", frames=500_000)
        parts.append(soxr.resample(audio, rate_hz, 16_000))
    return np.concatenate(parts)


@pytest.fixture(scope="module")
def tokenizer(speech: np.ndarray) -> KMeansTokenizer:
    return KMeansTokenizer.train([speech], codebook_size=40, seed=3)


def test_it_is_a_speech_tokenizer(tokenizer: KMeansTokenizer) -> None:
    assert isinstance(tokenizer, SpeechTokenizer)
    assert find_backend("speech-tokenizer", "kmeans-logmel").load() is KMeansTokenizer
    assert tokenizer.codebook_size == 40


def test_two_trainings_give_the_same_bytes(speech: np.ndarray, tokenizer: KMeansTokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "one")
    KMeansTokenizer.train(iter([speech]), codebook_size=40, seed=3).save(tmp_path / "two")
    for name in (WEIGHTS_FILE, CONFIG_FILE):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    other = KMeansTokenizer.train([speech], codebook_size=40, seed=4)
    assert other.info.revision != tokenizer.info.revision


def test_units_are_the_nearest_centroids(speech: np.ndarray, tokenizer: KMeansTokenizer) -> None:
    book = tokenizer.codebook
    hops = log_mel(speech).astype(np.float64)
    frames = ((hops - book.mean_M) / book.deviation_M).reshape(-1, 640)
    projected = (frames - book.center_W) @ book.components_PW.T
    expected = cdist(projected, book.centroids_KP).argmin(axis=1)
    assert tokenizer.encode(speech).tolist() == expected.tolist()


def test_the_codebook_is_used(speech: np.ndarray, tokenizer: KMeansTokenizer) -> None:
    counts = np.bincount(tokenizer.encode(speech), minlength=40)
    share = counts[counts > 0] / counts.sum()
    assert np.exp(-(share * np.log(share)).sum()) > 20


@given(st.integers(0, 3 * FRAME))
def test_one_unit_a_frame(tokenizer: KMeansTokenizer, speech: np.ndarray, num_samples: int) -> None:
    units = tokenizer.encode(speech[:num_samples])
    assert units.dtype == np.uint16
    assert len(units) == -(-num_samples // FRAME)


@settings(max_examples=40)
@given(data=st.data())
def test_cut_on_the_grid_only_the_edge_units_can_differ(
    tokenizer: KMeansTokenizer, speech: np.ndarray, data: st.DataObject
) -> None:
    whole = tokenizer.encode(speech)
    first = data.draw(st.integers(0, len(whole) - 1))
    last = data.draw(st.integers(first + 1, len(whole)))
    piece = tokenizer.encode(speech[first * FRAME : last * FRAME])
    assert piece[1:-1].tolist() == whole[first + 1 : last - 1].tolist()
    if first == 0:
        assert piece[: last - 1].tolist() == whole[: last - 1].tolist()


def test_the_sample_is_drawn_from_all_of_the_audio() -> None:
    noise = np.random.default_rng(0).normal(0, 0.3, 1000 * FRAME).astype(np.float32)
    noise[200 * FRAME :] *= 0.01
    few = KMeansTokenizer.train([noise[: 200 * FRAME], noise[200 * FRAME :]], codebook_size=8, seed=0, max_frames=60)
    # Loud and quiet are 9.2 apart; 60 draws of a 0.2 share have a standard deviation of 0.05: 0.5 in the mean.
    assert few.codebook.mean_M.mean() == pytest.approx(log_mel(noise).mean(), abs=1.5)


def test_save_and_load(tokenizer: KMeansTokenizer, speech: np.ndarray, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    loaded = KMeansTokenizer.load(tmp_path)
    assert loaded.info.revision == tokenizer.info.revision
    assert loaded.encode(speech).tolist() == tokenizer.encode(speech).tolist()


def test_a_damaged_directory_is_refused(tokenizer: KMeansTokenizer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no k-means tokenizer"):
        KMeansTokenizer.load(tmp_path)
    tokenizer.save(tmp_path)
    weights = tmp_path / WEIGHTS_FILE
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(UserError, match="is not the codebook"):
        KMeansTokenizer.load(tmp_path)
    weights.write_bytes(data[:100])
    with pytest.raises(UserError, match="no k-means tokenizer"):
        KMeansTokenizer.load(tmp_path)


def test_bad_requests(speech: np.ndarray) -> None:
    with pytest.raises(UserError, match="directory"):
        KMeansTokenizer()
    with pytest.raises(UserError, match="out of range"):
        KMeansTokenizer.train([speech], codebook_size=70_000, seed=0)
    with pytest.raises(UserError, match="different frames"):
        KMeansTokenizer.train([speech[: 10 * FRAME]], codebook_size=11, seed=0)
    with pytest.raises(UserError, match="different frames"):
        KMeansTokenizer.train([np.zeros(100 * FRAME, dtype=np.float32)], codebook_size=5, seed=0)
