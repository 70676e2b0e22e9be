"""Log-mel on the frame grid."""

import librosa
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from spelangy.tokens.features import BLOCK_FRAMES, MARGIN_SAMPLES, log_mel, log_mel_blocks, num_frames

FRAME = 1280


def noise(num_samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, num_samples).astype(np.float32)


def test_it_is_the_log_mel_spectrogram_of_librosa() -> None:
    audio = noise(10 * FRAME)
    padded = np.pad(audio.astype(np.float64), MARGIN_SAMPLES)
    theirs = librosa.feature.melspectrogram(y=padded, sr=16_000, n_fft=400, hop_length=160, n_mels=80, center=False)
    np.testing.assert_allclose(log_mel(audio), np.log(theirs.T), rtol=1e-4, atol=1e-4)


@given(st.integers(0, 5 * FRAME))
def test_frames_cover_the_signal(num_samples: int) -> None:
    expected = (num_samples + FRAME - 1) // FRAME
    assert num_frames(num_samples) == expected
    assert log_mel(noise(num_samples)).shape == (8 * expected, 80)


def test_blocks_are_bounded_and_join_without_a_seam() -> None:
    audio = noise((2 * BLOCK_FRAMES + 3) * FRAME)
    blocks = list(log_mel_blocks(audio))
    assert [(first, len(block)) for first, block in blocks] == [(0, 2048), (256, 2048), (512, 24)]
    around = audio[(BLOCK_FRAMES - 2) * FRAME : (BLOCK_FRAMES + 2) * FRAME]
    whole = np.concatenate([block for _, block in blocks])
    seam = 8 * BLOCK_FRAMES
    np.testing.assert_array_equal(whole[seam - 8 : seam + 8], log_mel(around)[8:24])


@settings(max_examples=30)
@given(st.integers(0, 6 * FRAME - 1))
def test_a_frame_hears_its_samples_and_120_more_on_either_side(position: int) -> None:
    click = np.zeros(6 * FRAME, dtype=np.float32)
    click[position] = 1.0
    changed = np.flatnonzero((log_mel(click) != log_mel(np.zeros_like(click))).any(axis=1)) // 8
    # The outermost sample of a Hann window weighs nothing, so the far edge is one sample short.
    hears = [f for f in range(6) if f * FRAME - 120 < position < (f + 1) * FRAME + 120]
    assert set(changed.tolist()) == set(hears)


def test_silence_stays_finite() -> None:
    assert np.isfinite(log_mel(np.zeros(FRAME, dtype=np.float32))).all()
