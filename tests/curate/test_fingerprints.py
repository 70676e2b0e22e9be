"""Fingerprints: the same sound in another dress keeps its codes, other sound does not share them."""

import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import recoded
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

import sound_files as sounds
from spelangy.backends.protocols import Audio
from spelangy.core.spans import SAMPLE_RATE_HZ, samples
from spelangy.curate.config import CurateSettings
from spelangy.curate.fingerprints import (
    FRAME_SAMPLES,
    LAG_STEPS,
    NO_SOUND,
    STEP_SAMPLES,
    Codes,
    TakeFingerprint,
    band_energies,
    block_bounds,
    codes_of,
    fingerprint,
    fingerprints_step,
)
from spelangy.curate.overlap import likely_shifts, sound_overlap
from spelangy.store.audio import AudioStore, to_pcm

SHORTEST = FRAME_SAMPLES + LAG_STEPS * STEP_SAMPLES


@pytest.fixture(scope="module")
def speech_S() -> Audio:
    return recoded.reading()


@pytest.fixture(scope="module")
def whole(speech_S: Audio) -> Codes:
    return fingerprint(speech_S)


def noise(duration_s: float, seed: int = 0) -> Audio:
    return 0.1 * np.random.default_rng(seed).standard_normal(samples(duration_s)).astype(np.float32)


# ------------------------------------------------------------------------------------------------ the same sound


@pytest.mark.parametrize("gain_db", [-6.0, 6.0])
def test_gain_changes_no_code(speech_S: Audio, whole: Codes, gain_db: float) -> None:
    louder_S = np.clip(speech_S * np.float32(10 ** (gain_db / 20)), -1, 1)
    assert np.mean(fingerprint(louder_S) == whole) > 0.95


@pytest.mark.parametrize(("bit_rate", "rate_hz"), [(64_000, 16_000), (64_000, 44_100), (32_000, 24_000)])
def test_a_reencoded_copy_is_recognised(speech_S: Audio, whole: Codes, bit_rate: int, rate_hz: int) -> None:
    assert sound_overlap(whole, fingerprint(recoded.mp3(speech_S, bit_rate, rate_hz))) >= 0.9


def test_a_telephone_copy_in_noise_is_recognised(speech_S: Audio, whole: Codes) -> None:
    narrow_S = recoded.resampled(recoded.resampled(speech_S, 8_000), SAMPLE_RATE_HZ, 8_000)
    noisy_S = narrow_S + 0.1 * float(speech_S.std()) * noise(narrow_S.size / SAMPLE_RATE_HZ)[: narrow_S.size] * 10
    assert sound_overlap(whole, fingerprint(noisy_S)) >= 0.9


@pytest.mark.parametrize("start", [samples(10.0), samples(10.0) + STEP_SAMPLES // 2, samples(3.3) + 777])
def test_a_cut_of_a_reencoded_copy_is_recognised_wherever_it_starts(speech_S: Audio, whole: Codes, start: int) -> None:
    cut = fingerprint(recoded.mp3(speech_S)[start : start + samples(20.0)])
    assert sound_overlap(whole, cut) == sound_overlap(cut, whole) >= 0.9
    (shift, *_) = likely_shifts(cut, whole)
    assert abs(shift - start / STEP_SAMPLES) < 2


def test_an_exchanged_advertisement_leaves_the_rest_recognised(speech_S: Audio, whole: Codes) -> None:
    half = speech_S.size // 2
    edited_S = np.concatenate([speech_S[:half], noise(10.0), speech_S[half:]])
    assert sound_overlap(whole, fingerprint(edited_S)) >= 0.9


def test_half_shared_is_half(speech_S: Audio, whole: Codes) -> None:
    half = speech_S.size // 2
    other_S = np.concatenate([speech_S[:half], noise((speech_S.size - half) / SAMPLE_RATE_HZ)])
    assert sound_overlap(whole, fingerprint(other_S)) == pytest.approx(0.5, abs=0.06)


# -------------------------------------------------------------------------------------------------------- other sound


def test_another_speaker_is_not_taken_for_a_copy(whole: Codes) -> None:
    assert sound_overlap(whole, fingerprint(recoded.reading(sounds.READING))) < 0.05


def test_noise_is_not_taken_for_a_copy_of_noise() -> None:
    assert sound_overlap(fingerprint(noise(120.0, 1)), fingerprint(noise(120.0, 2))) < 0.05


def test_read_speech_of_others_is_not_taken_for_a_copy(data_folder: Path) -> None:
    paths = sorted((data_folder / "librispeech_test_other").rglob("*.flac"))[:20]
    read_S = [soundfile.read(path, dtype="float32")[0] for path in paths]
    assert len(paths) == 20
    one, other = (fingerprint(np.concatenate(part)) for part in (read_S[::2], read_S[1::2]))
    assert sound_overlap(one, other) < 0.05


def test_silence_shares_nothing_with_silence() -> None:
    silence = fingerprint(np.zeros(samples(30.0), np.float32))
    assert set(silence.tolist()) == {NO_SOUND}
    assert sound_overlap(silence, silence) == 0.0


# ----------------------------------------------------------------------------------------------------------- by blocks


def test_too_short_for_a_code() -> None:
    assert fingerprint(noise(1.0)).size == fingerprint(np.zeros(0, np.float32)).size == 0
    assert fingerprint(noise(10.0)[: SHORTEST - 1]).size == 0
    assert fingerprint(noise(10.0)[:SHORTEST]).size == 1
    assert sound_overlap(fingerprint(noise(1.0)), fingerprint(noise(9.0))) == 0.0


@settings(max_examples=30)
@given(st.integers(0, 3_000_000))
def test_blocks_hold_every_whole_frame_once(num_samples: int) -> None:
    frames = [
        start // STEP_SAMPLES + index
        for start, end in block_bounds(num_samples)
        for index in range(max(0, (end - start - FRAME_SAMPLES) // STEP_SAMPLES + 1))
    ]
    assert frames == list(range(max(0, (num_samples - FRAME_SAMPLES) // STEP_SAMPLES + 1)))
    assert all(end - start <= 40 * SAMPLE_RATE_HZ for start, end in block_bounds(num_samples))


def test_blocks_change_no_code(speech_S: Audio) -> None:
    assert np.array_equal(fingerprint(speech_S), codes_of(band_energies(speech_S)))


def test_the_step_reads_what_the_store_holds(tmp_path: Path, speech_S: Audio) -> None:
    audio = AudioStore(str(tmp_path))
    pcm_S = to_pcm(speech_S)
    item = {"id": "r", "audio": audio.put_pcm(pcm_S), "num_samples": pcm_S.size}
    (found,) = TakeFingerprint(audio)(item).records["fingerprints"]
    assert (found.id, found.recording_id, found.step_samples) == ("r", "r", STEP_SAMPLES)
    assert np.array_equal(np.array(found.codes, np.uint32), fingerprint(audio.read(item["audio"])))
    assert fingerprints_step(CurateSettings(), audio).config["step_samples"] == STEP_SAMPLES


def test_long_sound_costs_bounded_memory_and_little_time(tmp_path: Path) -> None:
    audio = AudioStore(str(tmp_path))
    pcm_S = np.tile(to_pcm(noise(60.0)), 20)
    item = {"id": "r", "audio": audio.put_pcm(pcm_S), "num_samples": pcm_S.size}
    take = TakeFingerprint(audio)
    tracemalloc.start()
    started = time.process_time()
    take(item)
    spent_s, (_, most_bytes) = time.process_time() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most_bytes < 120_000_000, "grows with the recording"
    assert spent_s / (pcm_S.size / SAMPLE_RATE_HZ) < 0.01  # 0.0015 on a quiet machine
