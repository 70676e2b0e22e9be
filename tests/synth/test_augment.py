"""Rooms and noises: lengths, places and levels stay; what is drawn belongs to the chunk; bad files are refused."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from spelangy.core.errors import UserError
from spelangy.core.records import Script, ScriptSegment
from spelangy.core.settings import BackendChoice
from spelangy.core.spans import SAMPLE_RATE_HZ
from spelangy.engine.step import Inputs, Produced, TableStep
from spelangy.store.audio import AudioStore
from spelangy.store.objects import Store
from spelangy.synth import round_trip, voices
from spelangy.synth.augment import (
    PEAK_LIMIT,
    Augmentation,
    active_samples,
    augmented,
    check_augmentation,
    direct_db,
    find_augmentation,
    in_room,
    read_noise,
    read_room,
    with_noise,
)
from spelangy.synth.config import AugmentSettings, RoundTripSettings, SynthSettings, VoiceSettings
from spelangy.synth.speak import Speak, speech_step, to_whole_frames
from spelangy.testing import voiced_sound
from spelangy.testing_fakes import FakeRecognizer, FakeSynthesizer

NUM_SENTENCES = 30


def sentence() -> np.ndarray:
    """A buzz of 2 s and a pause of 0.3 s at -23 dB."""
    return to_whole_frames((voiced_sound(2.0) * 0.5).astype(np.float32), 4_800)


def response(delay: int = 400, num_samples: int = 4_000) -> np.ndarray:
    """Nothing, the direct path, a tail that falls by 60 dB in 0.25 s."""
    tail = np.random.default_rng(0).standard_normal(num_samples) * 10 ** (-3 * np.arange(num_samples) / 4_000)
    return np.concatenate([np.zeros(delay), [1.0], 0.01 * tail])


def written(path: Path, sound: np.ndarray, rate_hz: int = SAMPLE_RATE_HZ) -> Path:
    soundfile.write(path, sound, rate_hz, subtype="FLOAT")
    return path


def noise(num_samples: int, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(num_samples)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two rooms and two noises."""
    (tmp_path / "rooms").mkdir()
    (tmp_path / "noises").mkdir()
    written(tmp_path / "rooms" / "hall.wav", response())
    written(tmp_path / "rooms" / "cellar.wav", response(delay=10, num_samples=9_000))
    written(tmp_path / "noises" / "hiss.wav", noise(200_000))
    written(tmp_path / "noises" / "short.wav", noise(3_000, seed=1))
    return tmp_path


def found(folder: Path, **changes: object) -> Augmentation:
    given = {"rooms": (str(folder / "rooms"),), "noises": (str(folder / "noises"),), "snr_db": (10.0, 20.0)}
    return find_augmentation(AugmentSettings.model_validate({**given, **changes}))


# ------------------------------------------------------------------------------------------------------------- sound


@pytest.mark.parametrize("delay", [0, 1, 400])
def test_a_room_without_echo_changes_nothing(delay: int) -> None:
    audio_S = sentence()
    same_S = in_room(audio_S, np.concatenate([np.zeros(delay), [0.3]]), active_samples(audio_S))
    assert np.allclose(same_S, audio_S, atol=1e-6)


def test_in_a_room_speech_keeps_its_length_place_and_level_and_rings_into_the_pause() -> None:
    audio_S = sentence()
    is_active_S = active_samples(audio_S)
    wet_S = in_room(audio_S, response(), is_active_S)
    assert wet_S.size == audio_S.size and wet_S.dtype == np.float32
    assert np.mean(wet_S[is_active_S] ** 2) == pytest.approx(np.mean(audio_S[is_active_S] ** 2), rel=1e-4)
    lags = np.correlate(np.pad(wet_S, 50).astype(np.float64), audio_S.astype(np.float64), mode="valid")
    assert int(lags.argmax()) - 50 == 0
    pause_S = slice(int(2.0 * SAMPLE_RATE_HZ), int(2.1 * SAMPLE_RATE_HZ))
    assert not audio_S[pause_S].any() and np.sqrt(np.mean(wet_S[pause_S] ** 2)) > 1e-4


@given(st.floats(-10, 40), st.integers(0, 5))
def test_the_ratio_is_met_where_somebody_speaks(snr_db: float, seed: int) -> None:
    audio_S, noise_S = sentence(), noise(sentence().size, seed).astype(np.float32)
    is_active_S = active_samples(audio_S)
    added_S = with_noise(audio_S, noise_S, snr_db, is_active_S).astype(np.float64) - audio_S
    measured = 10 * np.log10(np.mean(audio_S[is_active_S] ** 2) / np.mean(added_S**2))
    assert measured == pytest.approx(snr_db, abs=0.05)
    assert added_S[-1_000:].std() > 0


def test_activity_is_speech_and_not_its_pauses() -> None:
    speech = FakeSynthesizer().synthesize("one two", "alto")
    audio_S = np.concatenate([np.zeros(3_200), speech, 1e-4 * noise(3_200)]).astype(np.float32)
    is_active_S = active_samples(audio_S)
    assert not is_active_S[:3_000].any() and not is_active_S[-3_000:].any()
    assert is_active_S[3_200:].sum() == pytest.approx(np.count_nonzero(np.abs(speech) > 1e-3), rel=0.15)
    assert not active_samples(np.zeros(1_000, np.float32)).any()


def test_how_direct_a_room_is() -> None:
    assert direct_db(np.array([0.0, 1.0, 0.0])) == 60.0
    echo = np.zeros(2_000)
    echo[[100, 1_500]] = 1.0, 0.5
    assert direct_db(echo) == pytest.approx(10 * np.log10(4.0))


# ------------------------------------------------------------------------------------------------------------- draws


def test_equal_ids_give_equal_sound_and_others_other(folder: Path) -> None:
    augmentation = found(folder)
    audio_S = sentence()
    drawn = [augmented(audio_S, augmentation, 0, f"c{number}") for number in range(NUM_SENTENCES)]
    again = [augmented(audio_S, augmentation, 0, f"c{number}") for number in reversed(range(NUM_SENTENCES))][::-1]
    for one, other in zip(drawn, again, strict=True):
        assert np.array_equal(one.audio_S, other.audio_S) and one.scores == other.scores
        assert one.audio_S.size == audio_S.size and np.abs(one.audio_S).max() <= PEAK_LIMIT + 1e-6
    assert {one.room for one in drawn} == {"hall.wav", "cellar.wav"}
    assert {one.noise for one in drawn} == {"hiss.wav", "short.wav"}
    assert {one.scores["snr_added_db"] for one in drawn} == {10.0, 20.0}
    assert len({one.audio_S.tobytes() for one in drawn}) == NUM_SENTENCES
    assert not np.array_equal(augmented(audio_S, augmentation, 1, "c0").audio_S, drawn[0].audio_S)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_share_of_the_sentences_is_changed(folder: Path, share: float) -> None:
    augmentation = found(folder, share=share, noises=())
    audio_S = sentence()[:2_560]
    drawn = [augmented(audio_S, augmentation, 0, f"c{number}") for number in range(200)]
    changed = [one for one in drawn if one.room]
    assert len(changed) == pytest.approx(200 * share, abs=25 if 0 < share < 1 else 0)
    assert all(one.audio_S is audio_S and not one.scores for one in drawn if not one.room)


def test_rooms_alone_and_noises_alone(folder: Path) -> None:
    rooms_only = augmented(sentence(), found(folder, noises=()), 0, "c")
    assert (rooms_only.noise, set(rooms_only.scores)) == ("", {"room_direct_db"})
    noises_only = augmented(sentence(), found(folder, rooms=()), 0, "c")
    assert (noises_only.room, set(noises_only.scores)) == ("", {"snr_added_db"})


def test_loud_noise_does_not_clip(folder: Path) -> None:
    loud = augmented(sentence(), found(folder, snr_db=(-30.0,)), 0, "c")
    assert np.abs(loud.audio_S).max() == pytest.approx(PEAK_LIMIT)


def test_a_stretch_of_silence_is_no_noise(folder: Path) -> None:
    burst = np.concatenate([np.zeros(400_000), noise(40_000)])
    written(folder / "noises" / "burst.wav", burst)
    augmentation = found(folder, noises=(str(folder / "noises" / "burst.wav"),), rooms=())
    drawn = [augmented(sentence(), augmentation, 0, f"c{number}") for number in range(NUM_SENTENCES)]
    assert {bool(one.noise) for one in drawn} == {True, False}
    for one in drawn:
        assert np.isfinite(one.audio_S).all() and bool(one.scores) == bool(one.noise)


# ------------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100])
@pytest.mark.parametrize("seconds", [0.1, 20.0])
@pytest.mark.parametrize("place", [0.0, 0.999])
def test_a_noise_of_any_rate_and_length_fills_the_sentence(
    tmp_path: Path, rate_hz: int, seconds: float, place: float
) -> None:
    path = written(tmp_path / "noise.wav", noise(int(rate_hz * seconds)), rate_hz)
    segment = read_noise(str(path), 30_000, place)
    assert segment.shape == (30_000,) and segment.dtype == np.float32
    windows = segment[: 30_000 // 800 * 800].reshape(-1, 800).std(axis=1)
    assert windows.min() > 0.02


def test_a_noise_s_channels_are_mixed_and_of_a_room_s_one_is_taken(tmp_path: Path) -> None:
    left, right = noise(20_000), noise(20_000, seed=1)
    path = written(tmp_path / "stereo.wav", np.stack([left, right], axis=1))
    assert np.allclose(read_noise(str(path), 5_000, 0.0), ((left + right) / 2)[:5_000], atol=1e-6)
    one, other = response(), np.roll(response(), 7)
    path = written(tmp_path / "room.wav", np.stack([one, other], axis=1))
    assert np.allclose(read_room(str(path)), one / np.abs(one).max(), atol=1e-6)


def test_a_room_is_brought_to_16_khz_by_its_direct_path(tmp_path: Path) -> None:
    tall = np.zeros(48_000)
    tall[4_800] = 1.0
    room_R = read_room(str(written(tmp_path / "room.wav", tall, 48_000)))
    assert room_R.size == 16_000 and int(np.abs(room_R).argmax()) == 1_600


def refused(folder: Path, **changes: object) -> str:
    with pytest.raises(UserError) as caught:
        check_augmentation(found(folder, **changes))
    assert caught.value.hint
    return str(caught.value)


def test_bad_files_are_refused_before_anything_is_spoken(folder: Path) -> None:
    assert "there is no noise" in refused(folder, noises=(str(folder / "absent"),))
    assert "there is no room" in refused(folder, rooms=(str(folder / "*.nothing"),))
    assert "8000 Hz" in refused(folder, rooms=(str(written(folder / "telephone.wav", response(), 8_000)),))
    for name, sound, says in (
        ("empty.wav", noise(0), "holds no sound"),
        ("silent.wav", np.zeros(1_000), "is silent"),
        ("nan.wav", np.full(1_000, np.nan), "no numbers"),
    ):
        path = str(written(folder / name, sound))
        assert says in refused(folder, noises=(path,))
        assert says in refused(folder, rooms=(path,))
    (folder / "text.wav").write_text("this is no sound")
    assert "no sound that can be read" in refused(folder, noises=(str(folder / "text.wav"),))
    (folder / "nothing.wav").write_bytes(b"")
    assert "no sound that can be read" in refused(folder, rooms=(str(folder / "nothing.wav"),))


def test_a_damaged_file_is_refused(folder: Path) -> None:
    path = folder / "noises" / "damaged.flac"
    soundfile.write(path, np.clip(noise(400_000), -1, 1), SAMPLE_RATE_HZ)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 2_000] = bytes(2_000)
    path.write_bytes(content)
    assert "damaged" in refused(folder, noises=(str(path),))


def test_neither_rooms_nor_noises_is_no_augmentation(folder: Path) -> None:
    assert "neither rooms nor noises" in refused(folder, rooms=(), noises=())


def test_the_lineage_follows_the_content_and_not_the_place(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    before = found(folder)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(folder / "rooms", elsewhere / "rooms")
    shutil.copytree(folder / "noises", elsewhere / "noises")
    moved = found(elsewhere)
    assert moved.config == before.config and moved == before
    assert str(folder) not in json.dumps(before.config)
    written(folder / "noises" / "hiss.wav", noise(200_000, seed=7))
    assert found(folder).config != before.config
    for changes in ({"share": 0.5}, {"snr_db": (5.0,)}, {"rooms": ()}):
        assert found(elsewhere, **changes).config != before.config


# -------------------------------------------------------------------------------------------------------- the whole


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices, "create", lambda role, choice: FakeSynthesizer())
    monkeypatch.setattr(round_trip, "create", lambda role, choice: FakeRecognizer())


def spoken(store: AudioStore, augmentation: Augmentation | None, *, heard: bool = False) -> Produced:
    settings = SynthSettings(
        voices=(VoiceSettings(tts=BackendChoice(name="fake"), voice="alto"),),
        round_trip=RoundTripSettings(asr=BackendChoice(name="fake"), max_wer=0.0) if heard else None,
    )
    segments = tuple(ScriptSegment(role="speech", text=f"Sentence number {number}.") for number in range(6))
    script = Script(id="s", page_id="p", kind="krist", method="template", note="", licence="CC0", segments=segments)
    return Speak(store, settings, 0, augmentation)(asdict(script))


def test_in_rooms_and_noise_chunks_keep_text_place_and_words(folder: Path, tmp_path: Path) -> None:
    store = AudioStore(str(tmp_path / "store"))
    clean, noisy = spoken(store, None), spoken(store, found(folder, snr_db=(40.0,)))
    assert clean.records["recordings"][0].audio != noisy.records["recordings"][0].audio
    for one, other in zip(clean.records["chunks"], noisy.records["chunks"], strict=True):
        assert (one.text, one.span, one.speaker) == (other.text, other.span, other.speaker)
        (said,), (got,) = (FakeRecognizer().transcribe([store.read(row.audio, row.span)]) for row in (one, other))
        assert [word.text for word in said.words] == [word.text for word in got.words]
        for word, heard in zip(said.words, got.words, strict=True):
            assert abs(word.start - heard.start) <= 80


def test_what_was_laid_over_is_told_by_scores_and_metadata(folder: Path, tmp_path: Path) -> None:
    produced = spoken(AudioStore(str(tmp_path / "store")), found(folder, share=0.5))
    told = json.loads(produced.records["recordings"][0].metadata)
    assert told["rooms"].keys() == told["noises"].keys()
    assert set(told["rooms"].values()) <= {"hall.wav", "cellar.wav"} and 0 < len(told["rooms"]) < 6
    scored = {score.turn_id for score in produced.records["scores"] if score.name == "snr_added_db"}
    assert scored == {produced.records["turns"][int(index)].id for index in told["noises"]}
    assert {score.name for score in produced.records["scores"]} == {"snr_added_db", "room_direct_db"}
    assert all(chunk.metadata == produced.records["recordings"][0].metadata for chunk in produced.records["chunks"])


def test_the_round_trip_hears_the_clean_sound(folder: Path, tmp_path: Path) -> None:
    produced = spoken(AudioStore(str(tmp_path / "store")), found(folder, snr_db=(-20.0,)), heard=True)
    assert {score.value for score in produced.records["scores"] if score.name == "round_trip_wer"} == {0.0}
    assert len(produced.records["chunks"]) == 6


def test_the_step_checks_its_files_and_hands_them_to_workers(folder: Path, tmp_path: Path) -> None:
    store = AudioStore(str(tmp_path / "store"))
    rooms, noises = (str(folder / "rooms"),), (str(folder / "noises"),)

    def a_step() -> TableStep:
        settings = SynthSettings(augment=AugmentSettings(rooms=rooms, noises=noises))
        return speech_step("speech", ["krist/scripts"], settings, store, 0)

    inputs = Inputs(Store(str(tmp_path / "store")), {})
    make_worker = cloudpickle.loads(cloudpickle.dumps(a_step().worker(inputs)))
    assert make_worker().augmentation == find_augmentation(AugmentSettings(rooms=rooms, noises=noises, snr_db=(20.0,)))
    written(folder / "noises" / "silent.wav", np.zeros(1_000))
    with pytest.raises(UserError, match="is silent"):
        a_step().worker(inputs)


def test_real_rooms_and_noises(data_folder: Path) -> None:
    rooms, noises = (str(data_folder / "noise_rir" / name) for name in ("RIRs", "noise"))
    augmentation = find_augmentation(AugmentSettings(rooms=(rooms,), noises=(noises,), snr_db=(10.0,)))
    check_augmentation(augmentation)
    assert len(augmentation.rooms) == 4 and len(augmentation.noises) == 5
    audio_S = sentence()
    for number in range(12):
        drawn = augmented(audio_S, augmentation, 0, f"c{number}")
        assert drawn.audio_S.size == audio_S.size and set(drawn.scores) == {"snr_added_db", "room_direct_db"}
        assert -20 < drawn.scores["room_direct_db"] < 40
