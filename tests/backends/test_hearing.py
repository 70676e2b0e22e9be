from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_speech import wheel_audio

from spelangy.backends import asr_whisper
from spelangy.backends.asr_clips import assign, fit, is_silence, loud_span, pack, render, spread
from spelangy.backends.asr_moonshine import MoonshineRecognizer
from spelangy.backends.asr_whisper import FasterWhisper, WhisperBase, WhisperTinyEnglish
from spelangy.backends.protocols import RecognizedClip
from spelangy.backends.vad_silero import SileroVad
from spelangy.core.errors import UserError
from spelangy.core.records import HypothesisWord
from spelangy.core.spans import Span, samples
from spelangy.testing import check_diarizer, check_recognizer, check_vad, voiced_sound

BECKETT = "ever tried ever failed no matter try again fail again fail better"


@pytest.fixture(scope="module", autouse=True)
def cache_directory(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPELANGY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def beckett():
    return wheel_audio("beckett.wav")


@pytest.fixture(scope="module")
def vad():
    return SileroVad()


@pytest.fixture(scope="module")
def tiny():
    return WhisperTinyEnglish()


@pytest.fixture(scope="module")
def moonshine():
    return MoonshineRecognizer()


def plain(results):
    text = " ".join(word.text for result in results for word in result.words)
    return "".join(letter for letter in text.lower() if letter.isalpha() or letter == " ")


def word(text, start, end, **changes):
    return replace(HypothesisWord(text=text, start=start, end=end, confidence=0.5, is_timed=True), **changes)


def num_windows_in_order(lengths, window_samples, gap_samples):
    """Next fit: a clip that does not fit begins the next window."""
    count, end = 0, window_samples
    for length in lengths:
        end += gap_samples + length
        if end > window_samples:
            count, end = count + 1, length
    return count


class TestPacking:
    @given(st.lists(st.integers(0, 500), max_size=30), st.integers(0, 600), st.integers(0, 50))
    def test_every_clip_with_sound_lies_in_one_window(self, lengths, window_samples, gap_samples):
        windows = pack(lengths, window_samples=window_samples, gap_samples=gap_samples)
        placed = [clip for window in windows for clip in window]
        assert sorted(clip.index for clip in placed) == [i for i, length in enumerate(lengths) if length]
        assert all(clip.span.num_samples == lengths[clip.index] for clip in placed)
        assert all(window[0].span.start == 0 for window in windows)
        assert all(window[-1].span.end <= window_samples or len(window) == 1 for window in windows)
        gaps = [right.span.start - left.span.end for window in windows for left, right in pairwise(window)]
        assert set(gaps) <= {gap_samples}

    @given(st.lists(st.integers(1, 500), max_size=30), st.integers(0, 50))
    def test_windows_keep_the_clips_order_and_are_no_more_than_in_order_packing_needs(self, lengths, gap_samples):
        windows = pack(lengths, window_samples=500, gap_samples=gap_samples)
        assert all([clip.index for clip in window] == sorted(clip.index for clip in window) for window in windows)
        firsts = [window[0].index for window in windows]
        assert firsts == sorted(firsts)
        assert len(windows) <= num_windows_in_order(lengths, 500, gap_samples)

    def test_short_clips_fill_the_windows_that_long_ones_leave_open(self):
        windows = pack([20, 5, 20, 5], window_samples=26, gap_samples=1)
        assert [[clip.index for clip in window] for window in windows] == [[0, 1], [2, 3]]
        windows = pack([10, 18, 9, 8], window_samples=28, gap_samples=1)
        assert [[clip.index for clip in window] for window in windows] == [[0, 3], [1, 2]]

    @given(st.lists(st.integers(2, 500), min_size=1, max_size=10), st.integers(0, 50))
    def test_words_come_home_to_their_clip(self, lengths, gap_samples):
        (window,) = pack(lengths, window_samples=10**9, gap_samples=gap_samples)
        said = [word(str(clip.index), clip.span.start, clip.span.end) for clip in window]
        heard = assign(said, window)
        assert {index: [w.text for w in words] for index, words in heard.items()} == {
            index: [str(index)] for index in range(len(lengths))
        }
        assert all((words[0].start, words[0].end) == (0, lengths[index]) for index, words in heard.items())

    def test_a_window_sounds_like_its_clips_with_silence_between(self):
        clips = [np.full(3, 0.5, np.float32), np.full(2, 0.25, np.float32)]
        (window,) = pack([3, 2], window_samples=10, gap_samples=1)
        assert render(window, clips).tolist() == [0.5, 0.5, 0.5, 0.0, 0.25, 0.25]

    def test_words_are_fitted_into_the_clip(self):
        said = [word(" a ", -5, 40), word("b", 20, 30), word(" ", 30, 31), word("c", 10, 500, confidence=1.2)]
        fitted = fit(said, 100)
        assert [(w.text, w.start, w.end) for w in fitted] == [("a", 0, 40), ("b", 20, 30), ("c", 20, 100)]
        assert fitted[-1].confidence == 1.0

    @given(st.lists(st.text("abc", min_size=1, max_size=8), max_size=20), st.integers(0, 1000), st.integers(0, 10**6))
    def test_spread_words_tile_the_span(self, texts, start, length):
        span = Span(start, start + length)
        words = spread(texts, span)
        assert [w.text for w in words] == texts
        assert all(left.end == right.start for left, right in pairwise(words))
        assert not words or (words[0].start, words[-1].end) == (span.start, span.end)

    def test_the_loud_span_leaves_out_room_tone(self):
        rng = np.random.default_rng(0)
        audio = (rng.standard_normal(16_000) * 1e-4).astype(np.float32)
        audio[4000:8000] += (
            voiced_sound(0.25, pitch_hz=200.0)[:4000] + rng.standard_normal(4000).astype(np.float32) * 0.1
        )
        span = loud_span(audio + np.float32(0.01))
        assert abs(span.start - 4000) <= 320 and abs(span.end - 8000) <= 320
        assert is_silence(np.zeros(10, np.float32)) and is_silence(np.zeros(0, np.float32)) and not is_silence(audio)


class TestMoonshine:
    def test_hears_the_words(self, moonshine, beckett):
        (heard,) = moonshine.transcribe([beckett])
        assert jiwer.wer(BECKETT, plain([heard])) < 0.1
        assert all(not w.is_timed and 0.0 < w.confidence < 1.0 for w in heard.words)
        assert heard.mean_logprob < 0.0

    def test_keeps_the_contract(self, moonshine, beckett):
        check_recognizer(moonshine, beckett[: samples(1.5)])
        check_recognizer(moonshine)

    def test_words_are_spread_over_the_speech_alone(self, moonshine, beckett):
        phrase = beckett[samples(0.2) : samples(3.0)]
        (heard,) = moonshine.transcribe([np.pad(phrase, samples(0.5))])
        assert heard.words[0].start >= samples(0.48)
        assert heard.words[-1].end <= samples(0.52) + phrase.size

    def test_silence_has_no_words(self, moonshine):
        assert moonshine.transcribe([np.zeros(16_000, np.float32)]) == [RecognizedClip(words=())]


class TestWhisper:
    def test_packed_clips_each_get_their_words(self, tiny, vad, beckett):
        clips = [beckett[span.start : span.end] for span in vad.speech(beckett)]
        heard = tiny.transcribe(clips)
        expected = ["ever tried", "ever failed", "no matter", "try again", "fail again", "fail better"]
        assert [plain([result]) for result in heard] == expected
        assert all(result.mean_logprob < 0 and all(w.is_timed for w in result.words) for result in heard)

    def test_word_times_follow_the_speech(self, tiny, vad, beckett):
        (heard,) = tiny.transcribe([beckett])
        spans = vad.speech(beckett)
        inside = [any(span.start <= (w.start + w.end) // 2 < span.end for span in spans) for w in heard.words]
        assert sum(inside) / len(inside) > 0.75

    def test_keeps_the_contract(self, tiny, beckett):
        check_recognizer(tiny, beckett[: samples(1.5)])

    def test_a_looping_window_is_heard_clip_by_clip(self, tiny, monkeypatch):
        asked = []

        def hear(audio_S):
            asked.append(audio_S.size)
            words = (word("again", 0, 100),) * 9
            return asr_whisper._Heard(words=words, language="en", is_loop=True)

        monkeypatch.setattr(tiny, "_hear", hear)
        clips = [voiced_sound(1.0), voiced_sound(2.0)]
        assert [len(result.words) for result in tiny.transcribe(clips)] == [9, 9]
        assert asked == [48_000 + asr_whisper.GAP_SAMPLES, 16_000, 32_000]

    def test_pieces_of_a_word_are_joined(self):
        pieces = [(" well", 0.9), ("-known", 0.4), (" 10", 0.8), ("%", 0.9)]
        timed = [
            SimpleNamespace(word=text, start=i, end=i + 1, probability=probability)
            for i, (text, probability) in enumerate(pieces)
        ]
        words = asr_whisper._words(timed)
        assert [(w.text, w.start, w.end, w.confidence) for w in words] == [
            ("well-known", 0, 32_000, 0.4),
            ("10%", 32_000, 64_000, 0.8),
        ]

    def test_base_knows_the_language(self, beckett):
        (heard,) = WhisperBase(language=None).transcribe([beckett])
        assert heard.language == "en"
        assert jiwer.wer(BECKETT, plain([heard])) < 0.2

    def test_a_directory_serves_as_model(self, tiny, beckett, tmp_path):
        directory = tmp_path / "mine"
        directory.symlink_to(asr_whisper.resolve("whisper-tiny-en").directory)
        mine = FasterWhisper(model=str(directory))
        assert mine.info.revision.startswith("sha256:")
        assert mine.transcribe([beckett]) == tiny.transcribe([beckett])

    @pytest.mark.parametrize(
        "options",
        [{"model": "whisper-bse"}, {"model": "whisper-tiny-en", "language": "fr"}, {"model": "x", "window_s": 40.0}],
    )
    def test_what_cannot_be_done_is_refused(self, options):
        with pytest.raises(UserError, match="hint:"):
            FasterWhisper(**options)


class TestChecksThemselves:
    """A conformance check that cannot fail promises nothing."""

    @pytest.fixture
    def info(self, vad):
        return vad.info

    def test_overlapping_speech_is_found(self, info):
        bad = SimpleNamespace(info=info, speech=lambda audio: [Span(0, 9), Span(5, 12)])
        with pytest.raises(AssertionError, match="overlap"):
            check_vad(bad)

    def test_a_missing_name_is_found(self, info):
        bad = SimpleNamespace(info=replace(info, licence=""), speech=lambda audio: [])
        with pytest.raises(AssertionError, match="licence is empty"):
            check_vad(bad)

    def test_speaker_labels_out_of_order_are_found(self, info):
        turn = SimpleNamespace(span=Span(0, 9), speaker="S1", embedding=np.ones(1))
        bad = SimpleNamespace(
            info=replace(info, role="diarizer"), diarize=lambda audio, speech: [turn] if speech else []
        )
        with pytest.raises(AssertionError, match="by first appearance"):
            check_diarizer(bad)

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ((word("late", 5, 10**9),), "outside its clip"),
            ((word(" a", 0, 1),), "outer spaces"),
            (None, "4 clips gave 1"),
        ],
    )
    def test_wrong_words_are_found(self, info, words, message):
        def transcribe(clips):
            return [RecognizedClip(words=words or ())] * (len(clips) if words else 1)

        bad = SimpleNamespace(info=replace(info, role="asr"), transcribe=transcribe)
        with pytest.raises(AssertionError, match=message):
            check_recognizer(bad)
