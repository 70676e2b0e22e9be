import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_speech import wheel_audio

from spelangy.backends import diarizer_ge2e
from spelangy.backends.diarizer_ge2e import Ge2eDiarizer
from spelangy.backends.vad_silero import SileroVad
from spelangy.core.errors import UserError
from spelangy.core.spans import Span, samples
from spelangy.testing import check_diarizer


@pytest.fixture(scope="module")
def endgame():
    return wheel_audio("endgame_nagg_nell.wav")


@pytest.fixture(scope="module")
def vad():
    return SileroVad()


@pytest.fixture(scope="module")
def diarizer():
    return Ge2eDiarizer()


class TestGe2eDiarizer:
    def test_a_dialogue_has_two_speakers(self, diarizer, vad, endgame):
        turns = diarizer.diarize(endgame, vad.speech(endgame))
        assert {turn.speaker for turn in turns} == {"S0", "S1"}

    def test_speakers_change_inside_one_span_too(self, diarizer, vad, endgame):
        spans = vad.speech(endgame)[3:7]
        without_pauses = np.concatenate([endgame[span.start : span.end] for span in spans])
        turns = diarizer.diarize(without_pauses, [Span(0, without_pauses.size)])
        assert [turn.speaker for turn in turns] == ["S0", "S1", "S0", "S1"]
        borders = np.cumsum([span.num_samples for span in spans])
        assert all(abs(turn.span.end - border) < samples(0.5) for turn, border in zip(turns, borders, strict=True))

    @pytest.mark.parametrize("name", ["beckett.wav", "two_cities.wav"])
    def test_a_reading_has_one_speaker(self, diarizer, vad, name):
        audio = wheel_audio(name)
        turns = diarizer.diarize(audio, vad.speech(audio))
        assert {turn.speaker for turn in turns} == {"S0"}
        assert all(turn.span.duration_s <= 28.0 for turn in turns)

    def test_keeps_the_contract_and_the_thread_setting(self, diarizer, vad, endgame):
        import torch

        before = torch.get_num_threads()
        check_diarizer(diarizer, endgame, vad.speech(endgame))
        check_diarizer(diarizer)
        assert torch.get_num_threads() == before

    def test_no_sound_still_has_a_unit_embedding(self, diarizer):
        (turn,) = diarizer.diarize(np.zeros(8000, np.float32), [Span(0, 8000)])
        assert np.linalg.norm(turn.embedding) == pytest.approx(1.0, abs=1e-5)

    def test_the_number_of_speakers_has_a_limit(self, vad, endgame):
        turns = Ge2eDiarizer(threshold=0.05, max_speakers=2).diarize(endgame, vad.speech(endgame))
        assert len({turn.speaker for turn in turns}) <= 2

    def test_a_checkpoint_that_holds_code_is_refused(self, tmp_path):
        import torch

        torch.save({"model_state": print}, tmp_path / "code.pt")
        with pytest.raises(UserError, match="holds no GE2E encoder"):
            Ge2eDiarizer(path=tmp_path / "code.pt")

    @given(st.integers(0, 2**32 - 1))
    def test_the_best_path_is_the_best_of_all_paths(self, seed):
        similarity = np.random.default_rng(seed).random((6, 3)).astype(np.float32)

        def score(path):
            changes = sum(a != b for a, b in pairwise(path))
            return similarity[np.arange(6), path].sum() - diarizer_ge2e.SWITCH_COST * changes

        every_path = np.stack(np.meshgrid(*[range(3)] * 6), -1).reshape(-1, 6)
        best = max(score(path) for path in every_path)
        assert score(diarizer_ge2e._best_path(similarity)) == pytest.approx(best, abs=1e-5)

    def test_neither_librosa_nor_its_package_is_imported(self):
        script = (
            "import sys, numpy; from spelangy.backends.diarizer_ge2e import Ge2eDiarizer\n"
            "from spelangy.core.spans import Span\n"
            "Ge2eDiarizer().diarize(numpy.ones(32000, numpy.float32), [Span(0, 32000)])\n"
            "assert not {'librosa', 'resemblyzer'} & set(sys.modules)"
        )
        subprocess.run([sys.executable, "-c", script], check=True)
