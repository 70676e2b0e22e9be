"""Our mel spectra against the libraries whose they are."""

import warnings

import numpy as np
import pytest

from spelangy.backends.mel import kaldi_log_mel, mel_power


@pytest.fixture(scope="module")
def sound():
    rng = np.random.default_rng(0)
    time_s = np.arange(40_000) / 16_000
    return (0.1 * rng.standard_normal(40_000) + 0.2 * np.sin(2 * np.pi * 300 * time_s)).astype(np.float32)


def test_ge2e_hears_the_mel_that_its_package_computes(sound):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from resemblyzer.audio import wav_to_mel_spectrogram

    theirs = wav_to_mel_spectrogram(sound)
    ours = mel_power(sound)
    assert ours.shape == theirs.shape == (251, 40)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_campplus_hears_kaldis_filterbank(sound):
    from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

    filters = mel_filter_bank(257, 80, 20, 8000, 16_000, norm=None, mel_scale="kaldi", triangularize_in_mel_space=True)
    window = window_function(400, "povey", periodic=False)
    theirs = spectrogram(
        sound * 32_768.0, window, 400, 160, fft_length=512, power=2.0, center=False, preemphasis=0.97,
        mel_filters=filters, log_mel="log", mel_floor=1.1920929e-07, remove_dc_offset=True,
    ).T  # fmt: skip
    ours = kaldi_log_mel(sound)
    assert ours.shape == theirs.shape == (248, 80)
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


@pytest.mark.parametrize("num_samples", [400, 559, 560, 16_000])
def test_numbers_of_frames(num_samples):
    silence = np.zeros(num_samples, np.float32)
    assert len(kaldi_log_mel(silence)) == 1 + (num_samples - 400) // 160
    assert len(mel_power(silence)) == 1 + num_samples // 160
