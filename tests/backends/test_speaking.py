import hashlib
import os
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spelangy.backends import tts_kokoro, tts_programs
from spelangy.backends.protocols import SpeechSynthesizer
from spelangy.backends.speaking import (
    EDGE_SILENCE_S,
    MAX_TEXT_CHARACTERS,
    MAX_WORD_CHARACTERS,
    finished,
    phoneme_pieces,
    split_phonemes,
    spoken_text,
)
from spelangy.backends.tts_hibari import HibariSynthesizer
from spelangy.backends.tts_kokoro import KokoroSynthesizer
from spelangy.backends.tts_programs import EspeakSynthesizer, FliteSynthesizer, ascii_spelling
from spelangy.core.errors import Dropped, UserError
from spelangy.core.spans import SAMPLE_RATE_HZ, samples
from spelangy.testing import check_synthesizer

SENTENCE = "The cat sat on the mat, and the dog ran away from it. "


@pytest.fixture(scope="module")
def hibari():
    return HibariSynthesizer()


@pytest.fixture(scope="module")
def kokoro():
    return KokoroSynthesizer()


def program(make):
    try:
        return make()
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(params=[FliteSynthesizer, EspeakSynthesizer], ids=["flite", "espeak-ng"])
def spoken_by_program(request):
    return program(request.param)


def dropped(call, *arguments):
    with pytest.raises(Dropped) as caught:
        call(*arguments)
    return caught.value


# ------------------------------------------------------------------------------------------------------------- text


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Café, naïve: “yes” — 5°C & £3.", "Café, naïve: “yes” — 5°C & £3."),
        ('<break time="1s"/>Hello <b>there</b> <!-- or not -->', "Hello there"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("a\x00b\x07\n\tc\x01", "a b c"),
        ("co\u00adop\u200berate \ufeffnow", "cooperate now"),
        ("Well done 👍🏽 team 👩‍🚀!", "Well done team !"),
        ("hello 你好 мир", "hello"),
        ("the α particle", "the α particle"),
        ("[[h@l@U]] and [word](/wɜɹd/) donʼt", "((h@l@U)) and (word)(/wɜɹd/) don’t"),
        ("𝐇ello ﬁne Ｗide ٣", "Hello fine Wide 3"),
        ("cafe\u0301 \ud800", "café"),
        ("10 km² of x³", "10 km² of x³"),
    ],
)
def test_what_is_read_aloud(text, spoken):
    assert spoken_text(text) == spoken


@pytest.mark.parametrize(
    ("text", "reason", "value"),
    [
        ("", "nothing to say", None),
        ("... — ?!", "nothing to say", None),
        ("<speak></speak> 😀 你好", "nothing to say", None),
        ("It takes 10⁹ steps.", "superscript", None),
        ("a " * 2_501, "text too long", MAX_TEXT_CHARACTERS + 1),
        ("see " + "x" * 61, "word too long", MAX_WORD_CHARACTERS + 1),
    ],
)
def test_what_cannot_be_read_aloud_is_dropped_with_its_reason(text, reason, value):
    drop = dropped(spoken_text, text)
    assert (drop.reason, drop.value) == (reason, value)


@given(st.text(max_size=200))
def test_spoken_text_is_one_printable_line_and_a_fixed_point(text):
    try:
        spoken = spoken_text(text)
    except Dropped:
        return
    assert not any(unicodedata.category(character).startswith("C") for character in spoken)
    assert spoken == " ".join(spoken.split())
    assert spoken_text(spoken) == spoken


@given(st.text(max_size=200))
def test_ascii_spelling_is_ascii(text):
    assert ascii_spelling(text).isascii()


def test_ascii_spelling_keeps_what_is_meant():
    assert ascii_spelling("It’s £5.50, α – café…") == "It's 5.50 pounds,  alpha  - cafe..."


# ----------------------------------------------------------------------------------------------------------- pieces


@given(st.text(alphabet="aˈb ,.;", max_size=300), st.integers(1, 50))
def test_pieces_fit_and_lose_only_spaces(phonemes, max_phonemes):
    pieces = split_phonemes(phonemes, max_phonemes)
    assert all(len(piece) <= max_phonemes for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(phonemes.split())


def test_pieces_end_at_punctuation_then_at_words():
    assert split_phonemes("aa bb, cc dd ee", 10) == ["aa bb,", "cc dd ee"]
    assert split_phonemes("aa bb cc dd ee", 10) == ["aa bb", "cc dd ee"]
    assert split_phonemes("aaaaaaaaaaaa", 10) == ["aaaaaa", "aaaaaa"]


def test_a_phonemizer_that_fails_drops_the_sentence():
    drop = dropped(phoneme_pieces, lambda text: str(int(text)), "Hello.", 10)
    assert drop.reason == "cannot be read aloud"
    assert "ValueError" in drop.detail


def test_sentences_are_pieces_of_their_own_and_soundless_ones_go():
    assert phoneme_pieces(str, "Dr. Who ran. It fell. — ?", 100) == ["Dr. Who ran.", "It fell."]


# ------------------------------------------------------------------------------------------------------------ sound


def test_edges_are_trimmed_loudness_stays_and_loud_sound_is_scaled():
    tone = 0.5 * np.sin(np.arange(24_000) / 10).astype(np.float32)
    silence = np.zeros(24_000, np.float32)
    audio = finished([np.concatenate([silence, tone, silence])], 24_000)
    assert abs(audio.size - samples(1.0 + 2 * EDGE_SILENCE_S)) <= samples(0.02)
    assert 0.49 < np.abs(audio).max() < 0.51
    assert np.abs(finished([tone * 4], 24_000)).max() == 1.0
    assert finished([tone, tone], 24_000).size > 1.9 * SAMPLE_RATE_HZ


@given(st.integers(0, 3_000), st.integers(0, 3_000), st.integers(1, 2_000))
def test_trimming_keeps_every_loud_sample(before, after, length):
    audio = finished([np.concatenate([np.zeros(before), np.ones(length), np.zeros(after)]).astype(np.float32)], 16_000)
    assert (audio == 1.0).sum() == length
    assert audio.size - length <= 2 * samples(EDGE_SILENCE_S + 0.01)


def test_silence_is_nothing_to_say():
    assert dropped(finished, [np.zeros(100, np.float32), np.zeros(0, np.float32)], 24_000).reason == "nothing to say"


# ----------------------------------------------------------------------------------------------------------- voices


def test_hibari_keeps_the_contract(hibari):
    check_synthesizer(hibari)
    assert hibari.info.revision == "hibari-tts 0.2.1 heart"


def test_kokoro_keeps_the_contract(kokoro, monkeypatch):
    monkeypatch.setattr(kokoro, "voices", kokoro.voices[-1:])
    check_synthesizer(kokoro, "Good day.")


def test_programs_keep_the_contract(spoken_by_program):
    check_synthesizer(spoken_by_program)
    assert spoken_by_program.info.revision.startswith(spoken_by_program.info.name)


def test_every_kokoro_voice_is_another(kokoro):
    styles = {kokoro._styles[voice].tobytes() for voice in kokoro.voices}
    assert len(styles) == len(kokoro.voices) == 5
    assert not np.array_equal(kokoro.synthesize("Hi.", "jf_nezumi"), kokoro.synthesize("Hi.", "jm_kumo"))


def test_an_unknown_voice_names_the_nearest(kokoro):
    with pytest.raises(UserError, match="did you mean 'jf_alpha'"):
        kokoro.synthesize("Hello.", "jf_alfa")


def test_hibari_sounds_the_same_in_another_process(hibari):
    code = (
        "import hashlib; from spelangy.backends.tts_hibari import HibariSynthesizer;"
        "print(hashlib.sha256(HibariSynthesizer().synthesize('Sixty six foxes.', 'heart').tobytes()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    here = hibari.synthesize("Sixty six foxes.", "heart")
    assert printed.stdout.strip() == hashlib.sha256(here.tobytes()).hexdigest()


def test_hibari_speaks_5000_characters(hibari):
    assert hibari.synthesize("word " * 1_000, "heart").size > 120 * SAMPLE_RATE_HZ


def test_programs_speak_5000_characters(spoken_by_program):
    voice = "kal16" if "kal16" in spoken_by_program.voices else "en-us"
    assert spoken_by_program.synthesize((SENTENCE * 100)[:5_000], voice).size > 120 * SAMPLE_RATE_HZ


def test_kokoro_joins_pieces_of_a_long_sentence(kokoro, monkeypatch):
    whole = kokoro.synthesize("We ran up, and sat down.", "jm_kumo")
    monkeypatch.setattr(tts_kokoro, "MAX_PHONEMES", 18)
    pieces = kokoro.synthesize("We ran up, and sat down.", "jm_kumo")
    assert 0.7 < pieces.size / whole.size < 1.5
    assert pieces.size != whole.size


@pytest.mark.parametrize("rate", [0.5, 0.8, 1.25, 2.0])
def test_hibari_and_programs_keep_to_the_rate(hibari, spoken_by_program, rate):
    text = SENTENCE * 3
    for tts, voices in ((hibari, hibari.voices), (spoken_by_program, spoken_by_program.voices[:4])):
        for voice in voices:
            plain, said = tts.synthesize(text, voice).size, tts.synthesize(text, voice, rate).size
            assert plain / said == pytest.approx(rate, rel=0.2), voice


def test_kokoro_speaks_faster_when_asked(kokoro):
    assert kokoro.synthesize("Hello.", "jm_kumo", 2.0).size < 0.8 * kokoro.synthesize("Hello.", "jm_kumo").size


def test_a_rate_that_nobody_speaks_at_is_refused(hibari, kokoro, spoken_by_program):
    for tts in (hibari, kokoro, spoken_by_program):
        for rate in (0.4, 2.1, float("nan")):
            with pytest.raises(UserError, match=r"rate of .* is .*(?s:.*)from 0.5 to 2.0"):
                tts.synthesize("Hello.", tts.voices[0], rate)


def test_markup_and_pictures_change_nothing(hibari, spoken_by_program):
    for tts in (hibari, spoken_by_program):
        plain = tts.synthesize("Hello there, friend.", tts.voices[0])
        marked = tts.synthesize("<prosody rate='slow'>Hello\x01 there,</prosody> 😀\n friend.", tts.voices[0])
        assert np.array_equal(plain, marked)


def test_phoneme_markup_is_not_obeyed():
    espeak = program(EspeakSynthesizer)
    as_text = espeak.synthesize("((h@l@U)) friend", "en-us")
    assert np.array_equal(espeak.synthesize("[[h@l@U]] friend", "en-us"), as_text)


def test_text_is_never_an_option_or_a_command(spoken_by_program):
    for text in ("--help", "-v 3; rm -rf /", "$(id) `id` | cat"):
        assert spoken_by_program.synthesize(text, spoken_by_program.voices[0]).size > samples(0.2)


# ---------------------------------------------------------------------------------------------------------- programs


@pytest.mark.parametrize("make", [FliteSynthesizer, EspeakSynthesizer])
def test_an_absent_program_says_how_to_get_it(make, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match=f"apt-get install {make.program.name}"):
        make()


def script(directory, body):
    """A stand-in for flite that answers as the real one does, and then does `body` when asked to speak."""
    path = directory / "flite"
    answers = '[ "$1" = --version ] && echo "version: flite-9.9 x" && exit; [ "$1" = -lv ] && echo awb rms slt'
    path.write_text(f"#!/bin/sh\n{answers} kal16 && exit\n{body}\n")
    path.chmod(0o755)
    return path


def test_a_program_that_fails_or_hangs_drops_the_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    script(tmp_path, "echo broken >&2; exit 3")
    flite = FliteSynthesizer()
    assert flite.info.revision == "flite 9.9"
    drop = dropped(flite.synthesize, "Hello.", "slt")
    assert (drop.reason, drop.detail) == ("speech program failed", "exit 3: broken")
    script(tmp_path, "exit 0")
    assert dropped(flite.synthesize, "Hello.", "slt").detail == "it wrote no sound"
    monkeypatch.setattr(tts_programs, "TIMEOUT_S", 0.2)
    script(tmp_path, "exec sleep 30")
    assert dropped(flite.synthesize, "Hello.", "slt").reason == "speech program timed out"


def test_a_program_without_its_voices_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    path = script(tmp_path, "")
    path.write_text(path.read_text().replace("awb", ""))
    with pytest.raises(UserError, match="lacks the voices awb"):
        FliteSynthesizer()


def test_all_satisfy_the_protocol(hibari, kokoro):
    assert isinstance(hibari, SpeechSynthesizer)
    assert isinstance(kokoro, SpeechSynthesizer)
