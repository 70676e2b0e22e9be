import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_speech import wheel_audio

from spelangy.backends import vad_silero
from spelangy.backends.vad_silero import VAD_FRAME_SAMPLES, SileroVad
from spelangy.core.errors import UserError
from spelangy.core.spans import Span, samples
from spelangy.testing import check_vad


@pytest.fixture(scope="module")
def beckett():
    return wheel_audio("beckett.wav")


@pytest.fixture(scope="module")
def vad():
    return SileroVad()


class TestSileroVad:
    def test_finds_the_six_phrases(self, vad, beckett):
        spans = vad.speech(beckett)
        assert len(spans) == 6
        assert 0.4 < sum(span.num_samples for span in spans) / beckett.size < 0.8

    def test_keeps_the_contract(self, vad, beckett):
        check_vad(vad, beckett)

    def test_needs_neither_torch_nor_the_package(self):
        script = (
            "import sys, numpy; from spelangy.backends.vad_silero import SileroVad\n"
            "SileroVad().speech(numpy.zeros(16000, numpy.float32))\n"
            "assert not {'torch', 'silero_vad'} & set(sys.modules)"
        )
        subprocess.run([sys.executable, "-c", script], check=True)

    def test_the_size_of_a_block_changes_nothing(self, vad, beckett, monkeypatch):
        whole = vad.probabilities(beckett)
        monkeypatch.setattr(vad_silero, "BLOCK_FRAMES", 7)
        np.testing.assert_allclose(vad.probabilities(beckett), whole, atol=1e-4)
        assert whole.size == -(-beckett.size // VAD_FRAME_SAMPLES)

    def test_long_speech_is_cut_in_its_pauses(self, beckett):
        vad = SileroVad(max_speech_s=3.0, min_silence_s=5.0, pad_s=0.0)
        spans = vad.speech(beckett)
        assert len(spans) > 2
        assert all(span.duration_s <= 3.0 for span in spans)
        assert all(left.end == right.start for left, right in pairwise(spans))
        probabilities = vad.probabilities(beckett)
        assert all(probabilities[span.end // VAD_FRAME_SAMPLES] < 0.5 for span in spans[:-1])

    @pytest.mark.parametrize("options", [{"threshold": 0.0}, {"threshold": 1.5}, {"max_speech_s": 0.2}])
    def test_options_that_cannot_work_are_refused(self, options):
        with pytest.raises(UserError):
            SileroVad(**options)

    @given(st.lists(st.floats(0, 1, width=32), max_size=60), st.floats(0.2, 0.9))
    def test_hysteresis_is_the_frame_by_frame_rule(self, probabilities, threshold):
        expected, state = [], False
        for probability in probabilities:
            if probability >= threshold:
                state = True
            elif probability < max(threshold - vad_silero.HYSTERESIS, 0.01):
                state = False
            expected.append(state)
        assert vad_silero._is_speech(np.array(probabilities), threshold).tolist() == expected

    @given(st.integers(0, 400), st.integers(16, 3000), st.integers(0, 2**32 - 1))
    def test_a_split_tiles_the_span(self, start_frame, num_frames, seed):
        span = Span(start_frame * VAD_FRAME_SAMPLES, (start_frame + num_frames) * VAD_FRAME_SAMPLES)
        smooth = np.random.default_rng(seed).random(start_frame + num_frames).astype(np.float32)
        pieces = list(vad_silero._split(span, smooth, samples(5.0)))
        assert (pieces[0].start, pieces[-1].end) == (span.start, span.end)
        assert all(left.end == right.start for left, right in pairwise(pieces))
        assert all(samples(0.5) < piece.num_samples <= samples(5.0) for piece in pieces) or len(pieces) == 1

    @given(st.lists(st.booleans(), max_size=40), st.integers(0, 10_000))
    def test_only_short_gaps_close(self, is_speech, min_gap):
        runs = vad_silero._runs(np.array(is_speech, bool))
        closed = vad_silero._without_short_gaps(runs, min_gap)
        assert all(right.start - left.end >= max(min_gap, 1) for left, right in pairwise(closed))
        assert {span.start for span in closed} <= {run.start for run in runs}
        assert all(sum(run.overlap(span) for span in closed) == run.num_samples for run in runs)
