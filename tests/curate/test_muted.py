"""Muting: private words are gone from the sound, everything else is the sound it was."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tone_backends import conversation

from spelangy.core.records import PrivateSpan, Recording, Turn
from spelangy.core.schema import to_table
from spelangy.core.spans import Span, samples
from spelangy.curate import muted
from spelangy.curate.config import CurateSettings
from spelangy.curate.muted import FADE_SAMPLES, Mute, muted_step, silence
from spelangy.store.audio import AudioStore, to_pcm
from spelangy.testing import FakeRecognizer

SPANS = st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 900)), max_size=4).map(
    lambda pairs: [Span(start, start + length) for start, length in pairs]
)


def noise(num_samples: int) -> np.ndarray:
    return np.random.default_rng(0).integers(-32_768, 32_768, num_samples).astype(np.int16)


def recording(audio: str, num_samples: int, name: str = "r", status: str = "ok") -> Recording:
    return Recording(
        id=name, uri=f"file:{name}", status=status, reason="", num_samples=num_samples, audio=audio, source="test",
        licence="CC0", source_codec="flac", source_sample_rate_hz=16_000, source_channels=1, metadata='{"title":"t"}',
    )  # fmt: skip


def turn(audio: str, start: int, end: int, name: str = "r") -> Turn:
    return Turn(
        id=f"{name}-{start:06d}", recording_id=name, audio=audio, start=start, end=end, speaker="S0", is_overlap=False,
        embedding=(1.0, 0.0),
    )  # fmt: skip


def private(kind: str, start: int, end: int, name: str = "r") -> PrivateSpan:
    return PrivateSpan(
        id=f"{name}-p{start:06d}", turn_id=f"{name}-000000", recording_id=name, kind=kind, first_word=0, num_words=1,
        start=start, end=end, confidence=0.9,
    )  # fmt: skip


@given(SPANS, st.integers(1, 7_000))
def test_spans_are_zero_and_all_outside_the_fades_is_untouched(spans: list[Span], num_samples: int) -> None:
    before = noise(num_samples)
    after = before.copy()
    silence(after, spans)
    is_near = np.zeros(num_samples, np.bool_)
    for span in spans:
        assert not after[span.start : span.end].any()
        is_near[max(0, span.start - FADE_SAMPLES) : span.end + FADE_SAMPLES] = True
    assert np.array_equal(after[~is_near], before[~is_near])
    assert (np.abs(after.astype(int)) <= np.abs(before.astype(int))).all()


@given(SPANS, st.integers(1, 2_000))
def test_blocks_are_silenced_as_the_whole_is(spans: list[Span], block: int) -> None:
    whole = noise(6_000)
    parts = [whole[start : start + block].copy() for start in range(0, whole.size, block)]
    silence(whole, spans)
    for index, part in enumerate(parts):
        silence(part, spans, offset=index * block)
    assert np.array_equal(np.concatenate(parts), whole)


def test_fades_fall_and_rise_evenly() -> None:
    pcm = np.full(1_000, 1_000, np.int16)
    silence(pcm, [Span(400, 600)])
    before, after = pcm[400 - FADE_SAMPLES : 400], pcm[600 : 600 + FADE_SAMPLES]
    assert (np.diff(before) < 0).all() and np.array_equal(before, after[::-1])
    assert before[0] > 990 and 0 < before[-1] < 10
    assert pcm[399 - FADE_SAMPLES] == pcm[600 + FADE_SAMPLES] == 1_000


@pytest.fixture
def audio(tmp_path: Path) -> AudioStore:
    return AudioStore(str(tmp_path))


def items(audio: AudioStore, settings: CurateSettings, *tables: list) -> tuple[list, Mute]:
    step = muted_step(settings, audio, "ingest/recordings", "speakers/turns")
    assert (step.name, step.inputs) == ("muted", ("ingest/recordings", "speakers/turns", "private"))
    names = zip(step.inputs, (Recording, Turn, PrivateSpan), tables, strict=True)
    found: dict[str, pa.Table] = {name: to_table(rows, kind) for name, kind, rows in names}
    inputs = SimpleNamespace(table=found.__getitem__)
    return step.items(inputs).to_pylist(), step.worker(inputs)()


@pytest.mark.parametrize("block_samples", [60 * 16_000, 7_000])
def test_a_muted_word_is_heard_no_more(audio: AudioStore, block_samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(muted, "_BLOCK_SAMPLES", block_samples)
    sound = conversation(("alto", "call kate now"))
    heard = FakeRecognizer().transcribe([sound])[0].words
    assert [word.text for word in heard] == ["call", "kate", "now"]
    key = audio.put(sound)
    rows, mute = items(
        audio, CurateSettings(mute=("person",), mute_margin_s=0.02),
        [recording(key, sound.size)], [turn(key, 100, 30_000)],
        [private("person", heard[1].start, heard[1].end), private("phone", heard[2].start, heard[2].end)],
    )  # fmt: skip
    (item,) = rows
    produced = mute(item).records
    (new,), (new_turn,) = produced["recordings"], produced["turns"]
    assert new.audio == new_turn.audio != key
    assert new == recording(new.audio, sound.size) and new_turn == turn(new.audio, 100, 30_000)
    after = audio.read(new.audio)
    assert after.size == sound.size
    assert [word.text for word in FakeRecognizer().transcribe([after])[0].words] == ["call", "now"]
    margin = samples(0.02)
    silent = Span(heard[1].start - margin, heard[1].end + margin)
    assert not after[silent.start : silent.end].any()
    assert np.array_equal(after[: silent.start - FADE_SAMPLES], audio.read(key)[: silent.start - FADE_SAMPLES])
    assert np.array_equal(after[silent.end + FADE_SAMPLES :], audio.read(key)[silent.end + FADE_SAMPLES :])
    assert mute(item).records["recordings"] == [new], "the same again"


def test_what_holds_nothing_private_keeps_its_key_and_is_not_read(audio: AudioStore) -> None:
    rows, mute = items(
        audio, CurateSettings(mute=("email",)),
        [recording("not stored", 9_000), recording("", 0, "s", "quarantined")],
        [turn("not stored", 0, 50)], [private("person", 0, 50)],
    )  # fmt: skip
    produced = [mute(item).records for item in rows]
    assert produced[0] == {"recordings": [recording("not stored", 9_000)], "turns": [turn("not stored", 0, 50)]}
    assert produced[1] == {"recordings": [recording("", 0, "s", "quarantined")], "turns": []}


def test_margins_end_at_the_recording_s_ends(audio: AudioStore) -> None:
    sound = (noise(4_000) // 4).astype(np.int16)
    key = audio.put_pcm(sound)
    spans = [private("card", 0, 200), private("card", 3_900, 4_000)]
    rows, mute = items(audio, CurateSettings(mute=("card",)), [recording(key, 4_000)], [], spans)
    (new,) = mute(rows[0]).records["recordings"]
    after = to_pcm(audio.read(new.audio))
    assert after.size == 4_000 and not after[:1_000].any() and not after[3_100:].any()
    assert np.array_equal(after[1_000 + FADE_SAMPLES : 3_100 - FADE_SAMPLES], sound[1_080:3_020])


def test_kinds_and_margin_are_the_step_s_identity(audio: AudioStore) -> None:
    def config(**settings: object) -> dict:
        return dict(muted_step(CurateSettings(**settings), audio, "ingest/recordings", "turns").config)

    assert config(mute=("phone", "card")) == config(mute=("card", "phone"))
    assert config(mute=("card",)) != config(mute=("phone",))
    assert config(mute=("card",)) != config(mute=("card",), mute_margin_s=0.2)


@pytest.mark.slow
def test_a_recogniser_hears_the_name_no_more(audio: AudioStore) -> None:
    from spelangy.backends.asr_moonshine import MoonshineRecognizer
    from spelangy.backends.asr_whisper import WhisperTinyEnglish
    from spelangy.backends.private_words import PrivateWordFinder
    from spelangy.backends.tts_hibari import HibariSynthesizer

    tts, asr, timed = HibariSynthesizer(), MoonshineRecognizer(), WhisperTinyEnglish()
    sound = tts.synthesize("Please tell Michael Johnson that the meeting is on Friday.", tts.voices[0])
    words = timed.transcribe([sound])[0].words
    key = audio.put(sound)
    found = PrivateWordFinder().find([word.text for word in words])
    assert [run.kind for run in found] == ["person"]
    name = words[found[0].first_word : found[0].first_word + found[0].num_words]
    rows, mute = items(
        audio, CurateSettings(mute=("person",)), [recording(key, sound.size)], [turn(key, 0, sound.size)],
        [private("person", name[0].start, name[-1].end)],
    )  # fmt: skip
    (new,) = mute(rows[0]).records["recordings"]

    def heard(audio_key: str) -> str:
        (clip,) = asr.transcribe([audio.read(audio_key)])
        return " ".join(word.text.lower() for word in clip.words)

    assert "michael johnson" in heard(key)
    assert "michael" not in heard(new.audio) and "johnson" not in heard(new.audio)
    assert "meeting is on friday" in heard(new.audio)
