"""What the samples tell: known signals give known numbers, and hours take the memory of minutes."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyloudnorm
import pytest
import soundfile
import soxr
from hypothesis import given
from hypothesis import strategies as st

from spelangy.core.records import Event, Recording, Turn, turn_id
from spelangy.core.schema import to_table
from spelangy.core.spans import SAMPLE_RATE_HZ, Span, samples
from spelangy.curate import sound, sound_frames
from spelangy.curate.config import CurateSettings
from spelangy.curate.sound import Spans, loudness_lufs, overlap_ratio, sound_step
from spelangy.curate.sound_frames import BLOCK_SAMPLES, SoundFrames, clipped_per_cell, frame_sound
from spelangy.store.audio import AudioStore
from spelangy.store.inputs import package_file


def read(uri: str) -> np.ndarray:
    audio, rate_hz = soundfile.read(package_file(uri), dtype="float32")
    assert rate_hz == SAMPLE_RATE_HZ
    return audio


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """Ten seconds of a man reading, quiet around him, at most half of full scale."""
    audio = read("package:moonshine_voice/assets/beckett.wav")
    return (audio / np.abs(audio).max() * 0.5).astype(np.float32)


def frames_of(audio: np.ndarray) -> SoundFrames:
    return frame_sound([audio.astype(np.float32)])


def turn(start: int, end: int, index: int = 0, speaker: str = "S0", is_overlap: bool = False) -> Turn:
    return Turn(
        id=turn_id("r", index), recording_id="r", audio="", start=start, end=end, speaker=speaker, is_overlap=is_overlap
    )


def measured(audio: np.ndarray, *turns: Turn) -> dict[str, float]:
    """The scores of the first turn."""
    frames = frames_of(audio)
    return sound.turn_sound(frames, turns[0].span, sound.gap_cells(frames, turns, ()))


def white(num_samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(num_samples)


# ------------------------------------------------------------------------------------------------------------ frames


@given(st.integers(1, 3_000), st.integers(0, 2_000))
def test_every_span_has_frames_inside_the_recording(num_samples: int, start: int) -> None:
    frames = frames_of(0.1 * white(num_samples))
    span = Span(min(start, num_samples - 1), num_samples)
    for found, hop, count in (
        (frames.cells(span), 320, frames.energy_C.size),
        (frames.spectra(span), 640, len(frames.power_FB)),
    ):
        assert 0 <= found.start < found.stop <= count == -(-num_samples // hop)


def test_blocks_give_the_frames_of_the_whole(monkeypatch: pytest.MonkeyPatch, speech: np.ndarray) -> None:
    monkeypatch.setattr(sound_frames, "CLIPPING_WINDOW_SAMPLES", 6_400)
    clipped = np.clip(speech, -0.1, 0.1)
    whole = frames_of(clipped)
    parts = frame_sound(clipped[start : start + 12_800] for start in range(0, clipped.size, 12_800))
    for name in ("energy_C", "weighted_C", "clipped_C", "power_FB"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-5, atol=1e-12)
    assert parts.num_samples == whole.num_samples == speech.size
    assert whole.clipped_C.any()


def test_energy_has_no_offset_in_it() -> None:
    frames = frames_of(np.full(64_000, 0.3))
    assert frames.energy_C[100:].max() < 1e-9


# --------------------------------------------------------------------------------------------------------------- SNR


@pytest.mark.parametrize("snr_db", [0, 5, 10, 20, 30])
@pytest.mark.parametrize("has_gap", [True, False])
def test_snr_is_what_was_mixed(speech: np.ndarray, snr_db: float, has_gap: bool) -> None:
    pad = samples(2.0)
    clean = np.pad(speech, pad)
    noise = white(clean.size)
    noise *= np.sqrt(np.mean(speech**2) / np.mean(noise**2)) * 10 ** (-snr_db / 20)
    spoken = turn(pad, pad + speech.size)
    turns = [spoken] if has_gap else [spoken, turn(0, pad, 1), turn(pad + speech.size, clean.size, 2)]
    found = measured(0.3 * (clean + noise), *turns)["snr_db"]
    assert found == pytest.approx(snr_db, abs=1.5 if has_gap else 3.0)


def test_gaps_that_were_cut_to_silence_tell_nothing(speech: np.ndarray) -> None:
    pad = samples(2.0)
    noisy = speech + white(speech.size) * np.sqrt(np.mean(speech**2)) / 10 ** (10 / 20)
    assert measured(np.pad(0.3 * noisy, pad), turn(pad, pad + speech.size))["snr_db"] == pytest.approx(10, abs=3)


def test_music_between_turns_is_not_taken_for_noise(speech: np.ndarray) -> None:
    pad = samples(3.0)
    room = 0.0005 * white(speech.size + 2 * pad)
    jingle = room.copy()
    jingle[: samples(2.0)] += 0.2 * np.sin(np.arange(samples(2.0)) * 0.2)
    clean = np.pad(speech, pad)
    spoken = turn(pad, pad + speech.size)
    music = Event(id="e", recording_id="r", kind="music", start=0, end=samples(2.1), confidence=1.0)
    levels = []
    for mixed, events in ((room, ()), (jingle, (music,)), (jingle, ())):
        frames = frames_of(clean + mixed)
        is_gap_C = sound.gap_cells(frames, [spoken], events)
        levels.append(sound.snr_db(frames.energy_C, frames.cells(spoken.span), is_gap_C))
    assert levels[1] == pytest.approx(levels[0], abs=0.5)
    assert levels[2] < levels[0] - 20


def test_digital_silence_has_numbers_too() -> None:
    found = measured(np.zeros(32_000), turn(0, 32_000))
    assert found == {"snr_db": sound.MIN_SNR_DB, "bandwidth_hz": 0.0, "loudness_lufs": -70.0, "clipping_ratio": 0.0}


@pytest.mark.slow
def test_snr_on_real_noises(data_folder: Path) -> None:
    """Steady real noise under read speech of ten voices, the turn's borders known: within 3 dB for nine of ten."""
    clips = [
        soundfile.read(path, dtype="float32")[0] for path in sorted((data_folder / "an4_test").rglob("*.wav"))[:30]
    ]
    noise, _ = soundfile.read(data_folder / "noise_rir" / "noise" / "noise5.wav", dtype="float32")
    pad = samples(1.5)
    for snr_db in (0, 10, 20, 30):
        errors = []
        for index, clip in enumerate(clips):
            under = np.resize(np.roll(noise, 7_919 * index), clip.size + 2 * pad)
            spoken = under[pad : pad + clip.size]
            gain = np.sqrt(np.mean(clip**2) / np.mean(spoken**2)) * 10 ** (-snr_db / 20)
            mixed = np.pad(clip, pad) + gain * under
            errors.append(measured(0.5 * mixed, turn(pad, pad + clip.size))["snr_db"] - snr_db)
        assert np.quantile(np.abs(errors), 0.9) <= 3.0, (snr_db, errors)
        assert abs(np.median(errors)) <= 1.5


# ---------------------------------------------------------------------------------------- bandwidth, loudness, clipping


@pytest.mark.parametrize("limit_hz", [2_000, 3_000, 4_000, 5_500, 7_000, 8_000])
def test_bandwidth_is_where_the_channel_ended(speech: np.ndarray, limit_hz: int) -> None:
    narrow = soxr.resample(soxr.resample(speech.astype(float), 16_000, 2 * limit_hz), 2 * limit_hz, 16_000)
    stored = np.rint(narrow * 32_767) / 32_768
    assert measured(stored, turn(0, stored.size))["bandwidth_hz"] == pytest.approx(limit_hz, rel=0.1)


def test_steady_hiss_is_no_bandwidth(speech: np.ndarray) -> None:
    narrow = soxr.resample(soxr.resample(speech.astype(float), 16_000, 8_000), 8_000, 16_000)
    hiss = white(narrow.size) * np.sqrt(np.mean(speech**2)) / 10 ** (20 / 20)
    assert measured(narrow + hiss, turn(0, narrow.size))["bandwidth_hz"] == pytest.approx(4_000, rel=0.1)


@pytest.mark.parametrize("gain", [1.0, 0.1])
@pytest.mark.parametrize("duration_s", [0.4, 1.0, 9.9])
def test_loudness_is_pyloudnorm_s(speech: np.ndarray, gain: float, duration_s: float) -> None:
    clip = gain * speech[: samples(duration_s)].astype(float)
    expected = pyloudnorm.Meter(SAMPLE_RATE_HZ).integrated_loudness(clip)
    assert loudness_lufs(frames_of(clip).weighted_C) == pytest.approx(expected, abs=0.1)


def test_the_standard_s_tone_is_as_loud_as_the_standard_says() -> None:
    tone = np.sin(2 * np.pi * 997 * np.arange(48_000) / SAMPLE_RATE_HZ)
    assert loudness_lufs(frames_of(tone).weighted_C) == pytest.approx(-3.01, abs=0.1)
    for duration_s in (0.01, 0.1, 0.3):
        short = measured(tone, turn(16_000, 16_000 + samples(duration_s)))["loudness_lufs"]
        assert short == pytest.approx(-3.01, abs=0.3)


def in_runs(is_cut: np.ndarray) -> float:
    """Share of samples that stand among three or more in a row."""
    runs = "".join("x" if cut else " " for cut in is_cut).split()
    return sum(len(run) for run in runs if len(run) >= 3) / is_cut.size


@pytest.mark.parametrize("limit", [0.4, 0.2, 0.1])
@pytest.mark.parametrize("gain", [1.0, 0.3])
def test_clipping_is_seen_whatever_gain_came_after(speech: np.ndarray, limit: float, gain: float) -> None:
    whole = speech / np.abs(speech).max()
    cut = np.clip(whole, -limit, limit)
    share = in_runs(whole >= limit) + in_runs(whole <= -limit)
    found = measured(gain * cut, turn(0, cut.size))["clipping_ratio"]
    assert found == pytest.approx(share, rel=0.15)


def test_clipping_is_seen_behind_a_change_of_rate(speech: np.ndarray) -> None:
    loud = soxr.resample((speech / np.abs(speech).max()).astype(float), 16_000, 48_000)
    cut = soxr.resample(np.clip(loud, -0.3, 0.3), 48_000, 16_000)
    share = float(np.mean(np.abs(loud) >= 0.3))
    assert share / 3 < measured(0.5 * cut, turn(0, cut.size))["clipping_ratio"] < 1.25 * share


def test_one_side_may_be_clipped_alone(speech: np.ndarray) -> None:
    cut = np.minimum(speech, 0.1 * speech.max())
    share = in_runs(speech >= 0.1 * speech.max())
    assert 0 < clipped_per_cell(cut).sum() / cut.size == pytest.approx(share, rel=0.15)


@pytest.mark.parametrize("hz", [60.0, 200.0, 440.0, 3_000.0])
def test_what_is_not_clipped_is_not_called_so(speech: np.ndarray, hz: float) -> None:
    tone = np.sin(2 * np.pi * hz * np.arange(64_000) / SAMPLE_RATE_HZ).astype(np.float32)
    assert not clipped_per_cell(tone).any()
    assert not clipped_per_cell(speech).any()
    assert not clipped_per_cell(np.zeros(1_000, np.float32)).any()


# ---------------------------------------------------------------------------------------------------- overlap, music


@given(
    st.tuples(st.integers(0, 50), st.integers(1, 60)),
    st.lists(st.tuples(st.integers(0, 90), st.integers(0, 40)), max_size=6),
)
def test_covered_is_the_share_of_samples_in_any(span: tuple[int, int], others: list[tuple[int, int]]) -> None:
    outer = Span(span[0], span[0] + span[1])
    spans = [Span(start, start + length) for start, length in others]
    expected = np.mean([any(s.start <= sample < s.end for s in spans) for sample in range(outer.start, outer.end)])
    assert Spans(spans).covered_ratio(outer) == pytest.approx(expected)


def test_overlap_is_with_others_or_by_the_diarizer_s_word() -> None:
    assert overlap_ratio(turn(0, 100), Spans([Span(50, 150)])) == 0.5
    assert overlap_ratio(turn(0, 100, is_overlap=True), Spans([Span(50, 150)])) == 0.5
    assert overlap_ratio(turn(0, 100, is_overlap=True), Spans([])) == 1.0
    assert overlap_ratio(turn(0, 100), Spans([])) == 0.0


# -------------------------------------------------------------------------------------------------------------- step


@pytest.fixture
def audio(tmp_path: Path) -> AudioStore:
    return AudioStore(str(tmp_path))


def recording(key: str, num_samples: int, name: str = "r", status: str = "ok") -> Recording:
    return Recording(
        id=name, uri="", status=status, reason="", num_samples=num_samples, audio=key, source="", licence="",
        source_codec="", source_sample_rate_hz=0, source_channels=0,
    )  # fmt: skip


def scores(settings: CurateSettings, audio: AudioStore, recordings: list, turns: list, events: list) -> dict:
    step = sound_step(settings, audio)
    tables = {
        "ingest/recordings": to_table(recordings, Recording),
        "turns": to_table(turns, Turn),
        "events": to_table(events, Event),
    }
    assert set(step.inputs) == set(tables) - ({"events"} if settings.events is None else set())
    inputs = SimpleNamespace(table=tables.__getitem__)
    worker = step.worker(inputs)()
    found = [score for item in step.items(inputs).to_pylist() for score in worker(item).records["scores"]]
    assert len({score.id for score in found}) == len(found)
    return {(score.recording_id, score.turn_id, score.name): score.value for score in found}


TURN_SCORES = {"snr_db", "bandwidth_hz", "loudness_lufs", "clipping_ratio", "overlap_ratio"}
RECORDING_SCORES = {"bandwidth_hz", "loudness_lufs", "clipping_ratio"}


def test_every_turn_and_recording_gets_its_scores(audio: AudioStore, speech: np.ndarray) -> None:
    cut = np.concatenate([np.resize(speech, 160_000), np.clip(speech, -0.1, 0.1)])
    key = audio.put(cut)
    turns = [turn(0, 60_000, 0), turn(50_000, 80_000, 1, "S1"), turn(160_000, cut.size, 2)]
    music = Event(id="e", recording_id="r", kind="music", start=30_000, end=75_000, confidence=1.0)
    hum = Event(id="f", recording_id="r", kind="noise", start=0, end=cut.size, confidence=1.0)
    recordings = [recording(key, cut.size), recording("", 0, "bad", "quarantined"), recording(key, cut.size, "mute")]
    found = scores(CurateSettings(), audio, recordings, turns, [music, hum])
    for one in turns:
        assert {name for _, of, name in found if of == one.id} == TURN_SCORES | {"music_ratio"}
    assert {(of, name) for of, to, name in found if not to} == {
        (of, name) for of in ("r", "mute") for name in RECORDING_SCORES
    }
    of_turn = {(to[-1:], name): value for (_, to, name), value in found.items() if to}
    assert [of_turn[index, "music_ratio"] for index in "012"] == [0.5, pytest.approx(25 / 30), 0.0]
    assert [of_turn[index, "overlap_ratio"] for index in "012"] == [pytest.approx(1 / 6), pytest.approx(1 / 3), 0.0]
    assert of_turn["0", "clipping_ratio"] == 0.0 < found["r", "", "clipping_ratio"] < of_turn["2", "clipping_ratio"]
    assert found["r", "", "loudness_lufs"] == pytest.approx(
        pyloudnorm.Meter(SAMPLE_RATE_HZ).integrated_loudness(cut.astype(float)), abs=0.1
    )
    without = scores(CurateSettings(events=None), audio, recordings, turns, [])
    assert {name for _, to, name in without if to} == TURN_SCORES


def test_hours_take_the_memory_of_minutes() -> None:
    def blocks(count: int) -> Iterator[np.ndarray]:
        block = (0.1 * white(BLOCK_SAMPLES)).astype(np.float32)
        return (block for _ in range(count))

    def peak_bytes(count: int) -> int:
        tracemalloc.start()
        frames = frame_sound(blocks(count))
        assert frames.num_samples == count * BLOCK_SAMPLES
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    two, eight = peak_bytes(2), peak_bytes(8)
    # A minute more takes its frames twice (kept, then joined): 2 x 0.42 MB, where its samples would be 3.8 MB and more.
    assert (eight - two) / 6 < 0.9e6
