"""DNSMOS without its package: the package's own numbers, and what is promised around them."""

import importlib.util
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from spelangy.backends.load import create, identity
from spelangy.backends.quality_dnsmos import WINDOW_SAMPLES, DnsmosPredictor
from spelangy.core.errors import UserError
from spelangy.core.settings import BackendChoice
from spelangy.core.spans import samples
from spelangy.store.inputs import package_file
from spelangy.testing import FakeQualityPredictor, check_quality_predictor, voiced_sound


@pytest.fixture(scope="module")
def dnsmos() -> DnsmosPredictor:
    return DnsmosPredictor()


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    audio, rate_hz = soundfile.read(package_file("package:moonshine_voice/assets/beckett.wav"), dtype="float32")
    assert rate_hz == 16_000
    return audio


def published(clip: np.ndarray) -> dict[str, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from speechmos import dnsmos as package

        found = package.run(clip, 16_000)
    return {"mos_overall": found["ovrl_mos"], "mos_speech": found["sig_mos"], "mos_noise": found["bak_mos"]}


@pytest.mark.slow
@pytest.mark.parametrize("duration_s", [1.0, 9.01, 9.6, 14.3, 19.7, 25.2])
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_ratings_are_the_package_s(dnsmos, speech, duration_s, noise) -> None:
    rng = np.random.default_rng(0)
    clip = np.resize(speech, samples(duration_s)) + noise * rng.standard_normal(samples(duration_s))
    clip = np.clip(clip, -1, 1).astype(np.float32)
    (ratings,) = dnsmos.rate([clip])
    assert ratings == pytest.approx(published(clip), abs=1e-3)


def test_noise_is_rated_down(dnsmos, speech) -> None:
    clean = np.resize(speech, WINDOW_SAMPLES)
    noisy = clean + np.random.default_rng(0).standard_normal(WINDOW_SAMPLES).astype(np.float32) * 0.05
    before, after = dnsmos.rate([clean, noisy])
    assert set(before) == {"mos_speech", "mos_noise", "mos_overall"}
    assert all(1.0 < value < 5.0 for value in (*before.values(), *after.values()))
    assert before["mos_overall"] - after["mos_overall"] > 0.5
    assert before["mos_noise"] - after["mos_noise"] > 1.0
    # What speechmos.dnsmos.run gives for the first; the slow test above asks it itself.
    assert before == pytest.approx({"mos_overall": 3.3610, "mos_speech": 3.6405, "mos_noise": 4.1205}, abs=1e-3)


def test_it_keeps_the_contract(dnsmos) -> None:
    check_quality_predictor(dnsmos, np.resize(voiced_sound(1.0), WINDOW_SAMPLES))
    check_quality_predictor(FakeQualityPredictor())


def test_it_is_found_by_name_and_imports_nothing_to_be_described() -> None:
    assert identity("quality", BackendChoice(name="dnsmos"))["revision"] == "speechmos 0.0.1.1 sig_bak_ovr"
    assert isinstance(create("quality", BackendChoice(name="dnsmos")), DnsmosPredictor)
    assert importlib.util.find_spec("speechmos") is not None


def test_no_threads_are_refused() -> None:
    with pytest.raises(UserError, match="hint: give 1 or more"):
        DnsmosPredictor(threads=0)


class TestTheCheckItself:
    INFO = FakeQualityPredictor.info

    def test_a_rating_for_nothing_is_found(self) -> None:
        bad = SimpleNamespace(info=self.INFO, rate=lambda clips: [{"mos": 1.0} for _ in clips])
        with pytest.raises(AssertionError, match="an empty clip must not be rated"):
            check_quality_predictor(bad)

    def test_names_that_change_are_found(self) -> None:
        def rate(clips):
            return [{f"mos_{round(float(clip.std()))}": 1.0} if clip.any() else {} for clip in clips]

        check_quality_predictor(SimpleNamespace(info=self.INFO, rate=rate))
        bad = SimpleNamespace(
            info=self.INFO, rate=lambda clips: [{f"mos_{clip.any()}": 1.0} if clip.size else {} for clip in clips]
        )
        with pytest.raises(AssertionError, match="are not the names"):
            check_quality_predictor(bad)

    def test_ratings_that_depend_on_the_others_are_found(self) -> None:
        bad = SimpleNamespace(
            info=self.INFO, rate=lambda clips: [{"mos": float(len(clips))} if clip.size else {} for clip in clips]
        )
        with pytest.raises(AssertionError, match="alone was rated otherwise"):
            check_quality_predictor(bad)
