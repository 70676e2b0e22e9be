"""The aligner places every word that is said, digits and abbreviations too, and says so where it cannot."""
# ruff: noqa: SIM905 (words read more easily as a text than as a list)

import json
import time
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from spelangy.backends import aligner_pocketsphinx
from spelangy.backends.aligner_pocketsphinx import PocketSphinxAligner, _transitions, _words_by_token
from spelangy.backends.protocols import Audio
from spelangy.backends.tts_hibari import HibariSynthesizer
from spelangy.core.spans import SAMPLE_RATE_HZ, Span, samples, seconds
from spelangy.testing import FakeAligner, FakeSynthesizer, check_aligner, voiced_sound

BECKETT = "Ever tried? Ever failed? No matter. Try again. Fail again. Fail better.".split()
CITIES = """It was the best of times, it was the worst of times, it was the age of wisdom,
it was the age of foolishness, it was the epoch of belief, it was the epoch of incredulity,
it was the season of Light, it was the season of Darkness,
it was the spring of hope, it was the winter of despair""".split()
OTHER = "The weather in northern Europe stays unsettled with heavy showers along all western coasts".split()


def wheel_audio(name: str) -> Audio:
    spec = find_spec("moonshine_voice")
    assert spec and spec.submodule_search_locations
    audio, rate_hz = soundfile.read(Path(spec.submodule_search_locations[0]) / "assets" / name, dtype="float32")
    return np.asarray(soxr.resample(audio, rate_hz, SAMPLE_RATE_HZ), np.float32)


@pytest.fixture(scope="module")
def aligner() -> PocketSphinxAligner:
    return PocketSphinxAligner()


@pytest.fixture(scope="module")
def beckett() -> Audio:
    return wheel_audio("beckett.wav")


def assert_in_order(spans: list[Span | None], num_samples: int) -> None:
    placed = [span for span in spans if span]
    assert all(0 <= span.start < span.end <= num_samples for span in placed)
    assert all(left.end <= right.start for left, right in pairwise(placed))


def test_it_keeps_the_contract(aligner: PocketSphinxAligner, beckett: Audio) -> None:
    check_aligner(aligner)
    check_aligner(aligner, beckett, BECKETT)
    check_aligner(FakeAligner())
    check_aligner(FakeAligner(), FakeSynthesizer().synthesize("good morning", "bass"), ["good", "morning"])
    assert PocketSphinxAligner.describe() == aligner.info


def test_every_word_of_a_reading_is_placed_where_there_is_sound(aligner: PocketSphinxAligner, beckett: Audio) -> None:
    spans = aligner.align(beckett, BECKETT)
    assert_in_order(spans, beckett.size)
    loudness = np.abs(beckett)
    for word, span in zip(BECKETT, spans, strict=True):
        assert span, word
        assert 0.05 < span.duration_s < 1.2, word
        assert loudness[span.start : span.end].max() > 0.05 * loudness.max(), word


def test_half_a_minute_in_a_fraction_of_its_time(aligner: PocketSphinxAligner) -> None:
    audio_S = wheel_audio("two_cities.wav")[: samples(30.0)]
    started = time.process_time()
    spans = aligner.align(audio_S, CITIES)
    took_s = time.process_time() - started
    assert sum(span is not None for span in spans) > 0.95 * len(CITIES)
    assert_in_order(spans, audio_S.size)
    assert took_s < 0.2 * seconds(audio_S.size)


def test_digits_and_abbreviations_are_placed(aligner: PocketSphinxAligner) -> None:
    text = (
        "Dr. Smith paid $5.20 on May 3rd, 1984, to Mr. Kowalczyk of NASA and C-3PO at 7:30 A.M. for 50% of 1,250 GPUs."
    )
    audio_S = HibariSynthesizer().synthesize(text, "heart")
    words = text.split()
    spans = aligner.align(audio_S, words)
    assert all(spans), [word for word, span in zip(words, spans, strict=True) if not span]
    assert_in_order(spans, audio_S.size)
    lengths_s = {word: span.duration_s for word, span in zip(words, spans, strict=True) if span}
    assert lengths_s["$5.20"] > 1.0 and lengths_s["1984,"] > 0.7 and lengths_s["1,250"] > 1.0
    assert lengths_s["on"] < 0.4 and lengths_s["to"] < 0.4
    mixed = [part for word in words for part in (word, "—", "\U0001f600")]
    placed = aligner.align(audio_S, mixed)
    assert placed[::3] == spans
    assert set(placed[1::3] + placed[2::3]) == {None}


def test_the_sound_decides_how_a_number_was_read(aligner: PocketSphinxAligner) -> None:
    voice = HibariSynthesizer()
    for said in ("nineteen eighty four", "one thousand nine hundred eighty four"):
        audio_S = voice.synthesize(f"We counted {said} birds in the garden.", "heart")
        digits = aligner.align(audio_S, "We counted 1984 birds in the garden.".split())[2]
        words = aligner.align(audio_S, f"We counted {said} birds in the garden.".split())[2:-4]
        assert digits and words[0] and words[-1]
        assert (digits.start, digits.end) == (words[0].start, words[-1].end)


def test_another_text_is_refused(aligner: PocketSphinxAligner, beckett: Audio) -> None:
    assert aligner.align(beckett, OTHER) == [None] * len(OTHER)
    noise_S = np.random.default_rng(0).normal(0, 0.1, samples(4.0)).astype(np.float32)
    assert aligner.align(noise_S, OTHER) == [None] * len(OTHER)
    buzz_S = voiced_sound(5.0)
    assert_in_order(aligner.align(buzz_S, OTHER), buzz_S.size)


def test_invented_words_beside_real_ones_are_refused_and_the_real_ones_stay(aligner: PocketSphinxAligner) -> None:
    audio_S = wheel_audio("two_cities.wav")[: samples(12.0)]
    whole = aligner.align(audio_S, CITIES[:24])
    broken = aligner.align(audio_S, [*CITIES[:12], *OTHER[:6], *CITIES[18:24]])
    assert_in_order(broken, audio_S.size)
    assert broken[:8] == whole[:8]
    assert broken[12:18].count(None) >= 3


def test_in_loud_noise_what_is_placed_lies_where_it_lies_without(aligner: PocketSphinxAligner) -> None:
    speech_S = wheel_audio("two_cities.wav")[: samples(12.0)]
    noise_S = np.random.default_rng(0).normal(0, 1, speech_S.size)
    noisy_S = speech_S + np.float32(np.sqrt(np.mean(speech_S**2) / 10)) * noise_S.astype(np.float32)
    clean, noisy = aligner.align(speech_S, CITIES[:24]), aligner.align(noisy_S, CITIES[:24])
    apart_s = [seconds(abs(one.start - other.start)) for one, other in zip(clean, noisy, strict=True) if one and other]
    assert len(apart_s) > 6
    assert median(apart_s) < 0.03


def test_more_words_than_fit_cost_nothing(aligner: PocketSphinxAligner, beckett: Audio) -> None:
    started = time.process_time()
    assert set(aligner.align(beckett, ["extraordinarily"] * 5_000)) == {None}
    assert time.process_time() - started < 1.0


def test_clips_of_a_few_samples(aligner: PocketSphinxAligner) -> None:
    for num_samples in (1, 10, 200, 500, 3_000):
        audio_S = np.full(num_samples, 0.1, np.float32)
        assert_in_order(aligner.align(audio_S, ["a"]), num_samples)


def test_what_came_before_changes_nothing(beckett: Audio) -> None:
    fresh, used = PocketSphinxAligner(), PocketSphinxAligner()
    used.align(0.01 * voiced_sound(3.0), ["qwrtpsdfg", "hello"])
    used.align(wheel_audio("endgame_nagg_nell.wav")[: samples(5.0)], OTHER)
    assert used.align(beckett, BECKETT) == fresh.align(beckett, BECKETT)


def test_a_dictionary_that_grew_too_large_is_left_behind(beckett: Audio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aligner_pocketsphinx, "MAX_ADDED_WORDS", 1)
    aligner = PocketSphinxAligner()
    before = aligner.align(beckett, BECKETT)
    aligner.align(beckett, ["zaphod", "spelangy", "kowalczyk"])
    grown = aligner._search
    assert aligner.align(beckett, BECKETT) == before
    assert aligner._search is not grown


READING = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(tuple)
GRAMMAR = st.lists(st.lists(READING, min_size=1, max_size=3, unique=True), min_size=1, max_size=6)


@given(GRAMMAR, st.data())
def test_a_path_through_the_grammar_gives_every_token_one_of_its_readings(
    grammar: list[list[tuple[str, ...]]], data: st.DataObject
) -> None:
    chosen = [data.draw(st.sampled_from(said)) for said in grammar]
    names = [name for reading in chosen for name in reading]
    counts = _words_by_token(names, grammar)
    assert sum(counts) == len(names)
    assert len(counts) == len(grammar)
    place = 0
    for count, said in zip(counts, grammar, strict=True):
        assert tuple(names[place : place + count]) in said
        place += count


@given(GRAMMAR, st.data())
def test_a_path_cut_short_gives_the_tokens_it_leads_through_whole(
    grammar: list[list[tuple[str, ...]]], data: st.DataObject
) -> None:
    num_tokens = data.draw(st.integers(0, len(grammar)))
    names = [name for said in grammar[:num_tokens] for name in data.draw(st.sampled_from(said))]
    counts = _words_by_token([*names, "d"], grammar)
    assert num_tokens <= len(counts) <= len(grammar) and sum(counts) <= len(names)
    place = 0
    for count, said in zip(counts, grammar, strict=False):
        assert tuple(names[place : place + count]) in said
        place += count


@given(GRAMMAR)
@settings(max_examples=50)
def test_arcs_lead_through_all_readings_and_through_nothing_else(grammar: list[list[tuple[str, ...]]]) -> None:
    arcs, final = _transitions(grammar)
    expected: set[tuple[str, ...]] = {()}
    for said in grammar:
        expected = {path + reading for path in expected for reading in said}
    assert _all_paths(arcs, final) == expected


def _all_paths(arcs: list[tuple[int, int, float, str]], final: int) -> set[tuple[str, ...]]:
    found, waiting = set(), [(0, ())]
    while waiting:
        state, path = waiting.pop()
        if state == final:
            found.add(path)
        waiting += [(end, (*path, name)) for start, end, _, name in arcs if start == state]
    return found


def test_borders_lie_near_those_set_by_hand(aligner: PocketSphinxAligner, data_folder: Path) -> None:
    textgrid = pytest.importorskip("praatio.textgrid")
    folder = data_folder / "alignment" / "praatio"
    errors_s = []
    for name, grid, tier in (("mary", "mary", "word"), ("bobby", "bobby_words", "word")):
        entries = textgrid.openTextgrid(str(folder / f"{grid}.TextGrid"), includeEmptyIntervals=False).getTier(tier)
        audio, rate_hz = soundfile.read(folder / f"{name}.wav", dtype="float32")
        audio_S = soxr.resample(audio, rate_hz, SAMPLE_RATE_HZ)
        spans = aligner.align(audio_S, [entry.label for entry in entries.entries])
        for entry, span in zip(entries.entries, spans, strict=True):
            assert span, entry
            errors_s += [abs(seconds(span.start) - entry.start), abs(seconds(span.end) - entry.end)]
    assert median(errors_s) < 0.04


def test_borders_are_those_of_pocketsphinx_s_own_command(aligner: PocketSphinxAligner, data_folder: Path) -> None:
    folder = data_folder / "alignment" / "pocketsphinx_librivox"
    errors_s = []
    for path in sorted(folder.glob("*.wav")):
        told = [word for word in json.loads(path.with_suffix(".json").read_text())["w"] if word["t"][0] != "<"]
        audio_S, _ = soundfile.read(path, dtype="float32")
        spans = aligner.align(audio_S, [word["t"].partition("(")[0] for word in told])
        assert all(spans)
        errors_s += [abs(seconds(span.start) - word["b"]) for span, word in zip(spans, told, strict=True) if span]
    assert len(errors_s) == 71
    assert median(errors_s) < 0.012
