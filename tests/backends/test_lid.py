"""Language by ear and by text."""

import numpy as np
import pytest
from real_speech import wheel_audio

from spelangy.backends.lid_whisper import WhisperLanguageIdentifier
from spelangy.backends.load import create, describe
from spelangy.backends.protocols import ModelInfo
from spelangy.backends.text_language import language_probabilities
from spelangy.core.errors import UserError
from spelangy.core.settings import BackendChoice
from spelangy.core.spans import samples
from spelangy.testing import FakeLanguageIdentifier, FakeSynthesizer, check_language_identifier


@pytest.fixture(scope="module")
def lid():
    return create("lid", BackendChoice(name="whisper-base"))


@pytest.fixture(scope="module")
def cities():
    return wheel_audio("two_cities.wav")


def test_keeps_the_contract(lid, cities):
    check_language_identifier(lid, cities[: samples(4.0)])
    assert describe("lid", BackendChoice(name="whisper-base")) == lid.info


def test_english_is_english(lid, cities):
    windows = [cities[samples(start) : samples(start + 5.0)] for start in (0.0, 10.0, 20.0)]
    assert [max(guess, key=guess.get) for guess in lid.identify(windows)] == ["en"] * 3


def test_ninety_nine_languages_share_one(lid, cities):
    (guess,) = lid.identify([cities[: samples(3.0)]])
    assert len(guess) == 99 and sum(guess.values()) == pytest.approx(1.0, abs=1e-4)
    assert "jv" in guess and "jw" not in guess


def test_what_is_shorter_than_a_frame_and_longer_than_a_window_has_an_answer(lid, cities):
    long = np.tile(cities, 2)[: samples(31.0)]
    loudest = int(np.abs(cities).argmax())
    short, whole, cut = lid.identify([cities[loudest : loudest + 1], long, long[: samples(30.0)]])
    assert len(short) == 99 and whole == cut


def test_a_model_of_one_language_is_refused():
    from spelangy.backends.asr_whisper import resolve

    with pytest.raises(UserError, match="English only"):
        WhisperLanguageIdentifier(path=resolve("whisper-tiny-en").directory)


def test_the_fake_keeps_the_contract_and_tells_the_voices_apart():
    fake = FakeLanguageIdentifier()
    check_language_identifier(fake)
    guesses = fake.identify([FakeSynthesizer().synthesize("good morning", voice) for voice in ("alto", "bass")])
    assert [max(guess, key=guess.get) for guess in guesses] == ["en", "de"]


class TestTheCheckItself:
    """A conformance check that cannot fail promises nothing."""

    @pytest.mark.parametrize(
        ("identify", "message"),
        [
            (lambda clips: [{"en": 1.0} for _ in clips], "silence must get no guess"),
            (lambda clips: [{"English": 1.0} if np.any(clip) else {} for clip in clips], "not language codes"),
            (lambda clips: [{"en": 0.9, "de": 0.9} if np.any(clip) else {} for clip in clips], "sum to"),
            (lambda clips: [{"en": 1 / len(clips)} if np.any(clip) else {} for clip in clips], "by 8.0e-01"),
            (lambda clips: [{}], "5 clips gave 1"),
        ],
    )
    def test_broken_promises_are_found(self, identify, message):
        class Bad:
            info = ModelInfo(role="lid", name="bad", revision="1", licence="MIT")

        Bad.identify = staticmethod(identify)
        with pytest.raises(AssertionError, match=message):
            check_language_identifier(Bad())


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("It was the best of times, it was the worst of times.", "en"),
        ("Es war einmal ein König, der hatte drei Töchter.", "de"),
        ("Bonjour tout le monde, comment allez-vous ?", "fr"),
        ("昔々あるところにおじいさんとおばあさんがいました。", "ja"),
    ],
)
def test_text_tells_its_language(text, language):
    guesses = language_probabilities(text)
    assert next(iter(guesses)) == language
    assert list(guesses.values()) == sorted(guesses.values(), reverse=True)
    assert all(0 <= value <= 1 for value in guesses.values())


def test_no_text_has_no_language():
    assert language_probabilities(" \n") == {}
