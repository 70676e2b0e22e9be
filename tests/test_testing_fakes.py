import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spelangy.backends.protocols import ModelInfo
from spelangy.core.errors import Dropped, UserError
from spelangy.core.spans import FRAME_SAMPLES, samples
from spelangy.testing import (
    FakeLanguageModel,
    FakeRecognizer,
    FakeSynthesizer,
    check_language_model,
    check_recognizer,
    check_speech_tokenizer,
    check_synthesizer,
)
from spelangy.testing_fakes import GAP_SAMPLES, LETTER_SAMPLES, LETTERS

WORDS = st.lists(st.text(alphabet=LETTERS, min_size=1, max_size=8), min_size=1, max_size=6)


def heard(clip, **options):
    return FakeRecognizer(**options).transcribe([clip])[0].words


def test_fakes_keep_the_contracts():
    check_synthesizer(FakeSynthesizer())
    check_language_model(FakeLanguageModel())
    check_recognizer(FakeRecognizer())
    check_recognizer(FakeRecognizer(), FakeSynthesizer().synthesize("Good morning.", "bass"))


@given(WORDS, st.sampled_from(FakeSynthesizer.voices), st.floats(0.05, 3.0), st.integers(0, 3_000))
def test_what_is_spoken_is_heard_at_any_loudness_and_place(words, voice, gain, offset):
    speech = FakeSynthesizer().synthesize(" ".join(words), voice)
    result = heard(np.concatenate([np.zeros(offset, np.float32), gain * speech]))
    assert [word.text for word in result] == words
    starts = np.cumsum([0, *(len(word) * LETTER_SAMPLES + GAP_SAMPLES for word in words)])[:-1] + offset
    assert [abs(word.start - start) <= 40 for word, start in zip(result, starts, strict=True)] == [True] * len(words)


def test_recognition_survives_16_bits_and_noise():
    speech = FakeSynthesizer().synthesize("It's 42 foxes, THEN", "alto")
    noisy = speech + np.random.default_rng(0).normal(0, 0.004, speech.size).astype(np.float32)
    assert [word.text for word in heard(np.round(noisy * 32_767).astype(np.float32) / 32_767)] == [
        *("it's", "42", "foxes", "then")
    ]


def test_voices_differ_and_a_fake_can_mishear():
    tts = FakeSynthesizer()
    alto, bass = (tts.synthesize("one two three", voice) for voice in ("alto", "bass"))
    assert alto.size == bass.size and not np.array_equal(alto, bass)
    words = heard(alto, mishears={"two": "too", "three": ""}, name="deaf")
    assert [word.text for word in words] == ["one", "too"]


def test_the_fake_writer_answers_from_its_list():
    llm = FakeLanguageModel(answers={"What is it?": "A very small fox."})
    assert llm.complete("Answer.", "What is it?", 2) == "A very"
    assert llm.complete("Answer.", "Something else entirely.", 9) == "Something else entirely."
    with pytest.raises(UserError):
        llm.complete("Answer.", "What is it?", 0)


# ----------------------------------------------------------------------------------- the checks can tell good from bad


class Loud(FakeSynthesizer):
    def synthesize(self, text, voice, rate=1.0):
        return super().synthesize(text, voice, rate) * 9


class Wandering(FakeSynthesizer):
    def synthesize(self, text, voice, rate=1.0):
        speech = super().synthesize(text, voice, rate)
        return speech * np.float32(np.random.default_rng().uniform(0.5, 1.0))


class Obliging(FakeSynthesizer):
    def synthesize(self, text, voice, rate=1.0):
        return super().synthesize(text, "alto", rate)


class Wide(FakeSynthesizer):
    def synthesize(self, text, voice, rate=1.0):
        return super().synthesize(text, voice, rate).astype(np.float64)


class Babbling(FakeSynthesizer):
    def synthesize(self, text, voice, rate=1.0):
        try:
            return super().synthesize(text, voice, rate)
        except Dropped:
            return np.ones(1, np.float32)


class Unhurried(FakeSynthesizer):
    def synthesize(self, text, voice, rate=1.0):
        return super().synthesize(text, voice)


class OldFashioned(FakeSynthesizer):
    def synthesize(self, text, voice):
        return super().synthesize(text, voice)


class OnePace(FakeSynthesizer):
    def synthesize(self, text, voice, rate=1.0):
        if rate != 1.0:
            raise UserError(f"rate is {rate}", hint="1.0")
        return super().synthesize(text, voice)


def test_a_voice_of_one_pace_keeps_the_contract():
    check_synthesizer(OnePace())


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (Unhurried, "takes 1.00 as long"),
        (OldFashioned, "takes a `rate`"),
        (Loud, "loudest sample"),
        (Wandering, "sounds otherwise"),
        (Obliging, "unknown voice"),
        (Wide, "float32"),
        (Babbling, "must raise Dropped"),
    ],
)
def test_check_synthesizer_refuses(broken, says):
    with pytest.raises(AssertionError, match=says):
        check_synthesizer(broken())


class Forgetful(FakeLanguageModel):
    asked = 0

    def complete(self, instruction, text, max_tokens):
        self.asked += 1
        return f"{self.asked}"


class Verbose(FakeLanguageModel):
    def complete(self, instruction, text, max_tokens):
        return text


class Silent(FakeLanguageModel):
    def answers(self, requests):
        return iter(())


@pytest.mark.parametrize(
    ("broken", "says"), [(Forgetful, "another answer"), (Verbose, "max_tokens=1"), (Silent, "gave answers to")]
)
def test_check_language_model_refuses(broken, says):
    with pytest.raises(AssertionError, match=says):
        check_language_model(broken())


class LoudnessUnits:
    """Units by loudness; a subclass breaks one promise each."""

    info = ModelInfo(role="speech-tokenizer", name="loudness", revision="1", licence="Apache-2.0")
    codebook_size = 8
    gain = 8.0

    def encode(self, audio_S):
        frames = np.pad(audio_S, (0, -audio_S.size % FRAME_SAMPLES)).reshape(-1, FRAME_SAMPLES)
        return np.minimum(7, np.abs(frames).max(axis=1, initial=0.0) * self.gain).astype(np.uint16)

    def save(self, directory):
        (directory / "gain.txt").write_text(str(self.gain))

    @classmethod
    def load(cls, directory):
        tokenizer = cls()
        tokenizer.gain = float((directory / "gain.txt").read_text())
        return tokenizer


class Truncating(LoudnessUnits):
    def encode(self, audio_S):
        return super().encode(audio_S[: audio_S.size // FRAME_SAMPLES * FRAME_SAMPLES])


class Signed(LoudnessUnits):
    def encode(self, audio_S):
        return super().encode(audio_S).astype(np.int64)


class Overflowing(LoudnessUnits):
    def encode(self, audio_S):
        return super().encode(audio_S) + np.uint16(8)


class Amnesic(LoudnessUnits):
    @classmethod
    def load(cls, directory):
        tokenizer = cls()
        tokenizer.gain = 0.0
        return tokenizer


def test_check_speech_tokenizer_accepts_a_sound_one():
    check_speech_tokenizer(LoudnessUnits())
    check_speech_tokenizer(LoudnessUnits(), FakeSynthesizer().synthesize("hello", "alto")[: samples(0.5)])


@pytest.mark.parametrize(
    ("broken", "says"),
    [(Truncating, "expected"), (Signed, "uint16"), (Overflowing, "codebook_size"), (Amnesic, "saved and loaded")],
)
def test_check_speech_tokenizer_refuses(broken, says):
    with pytest.raises(AssertionError, match=says):
        check_speech_tokenizer(broken())
