import jiwer
import numpy as np
import pytest
from real_speech import wheel_audio

from spelangy.backends.load import create, describe
from spelangy.core.settings import BackendChoice
from spelangy.core.spans import samples
from spelangy.testing import check_recognizer

CHOICE = BackendChoice(name="pocketsphinx")


@pytest.fixture(scope="module")
def sphinx():
    return create("asr", CHOICE)


@pytest.fixture(scope="module")
def beckett():
    return wheel_audio("beckett.wav")


def test_keeps_the_contract(sphinx, beckett):
    check_recognizer(sphinx, beckett[: samples(1.0)])
    assert describe("asr", CHOICE) == sphinx.info


def test_hears_words_with_times_and_confidences(sphinx):
    (heard,) = sphinx.transcribe([wheel_audio("two_cities.wav")[: samples(6.0)]])
    said = "it was the best of times it was the worst of times it was the age of wisdom"
    assert jiwer.wer(said, " ".join(word.text for word in heard.words)) < 0.5
    assert all(word.is_timed and word.start < word.end for word in heard.words)
    assert len({word.confidence for word in heard.words}) > 1
    assert not any(mark in word.text for word in heard.words for mark in "<[(")


def test_a_clip_is_heard_alike_after_any_other(sphinx, beckett):
    clip = beckett[: samples(1.0)]
    loud = np.clip(8 * beckett[samples(2.0) : samples(3.0)], -1, 1)
    assert sphinx.transcribe([loud, clip])[1] == sphinx.transcribe([clip])[0]
