"""Scripts to sound: chunks tile their recording on the frame grid, one loudness, voices drawn by id."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from spelangy.backends.protocols import SpeechSynthesizer
from spelangy.core.contamination import normalised_words
from spelangy.core.errors import Dropped
from spelangy.core.records import Chunk, Recording, Script, ScriptSegment, Turn
from spelangy.core.settings import BackendChoice
from spelangy.core.spans import FRAME_SAMPLES, Span
from spelangy.engine.step import Produced
from spelangy.store.audio import AudioStore
from spelangy.synth import speak
from spelangy.synth.config import SynthSettings, VoiceSettings
from spelangy.synth.speak import PEAK_LIMIT, Speak, at_loudness, draw_voice, to_whole_frames
from spelangy.testing_fakes import FakeRecognizer, FakeSynthesizer
from tiny_run import TinyRun

VOICES = tuple(
    VoiceSettings(tts=BackendChoice(name="fake"), voice=voice, weight=weight)
    for voice, weight in (("alto", 3.0), ("bass", 1.0))
)
SETTINGS = SynthSettings(voices=VOICES, pause_s=0.2, loudness_db=-23.0)


@pytest.fixture
def audio(tmp_path: Path) -> AudioStore:
    return AudioStore(str(tmp_path))


@pytest.fixture(autouse=True)
def made(monkeypatch: pytest.MonkeyPatch) -> list[BackendChoice]:
    """Fakes stand in for every backend; the choices they were made for are noted."""
    noted: list[BackendChoice] = []

    def create(role: str, choice: BackendChoice) -> SpeechSynthesizer:
        noted.append(choice)
        return FakeSynthesizer()

    monkeypatch.setattr(speak, "create", create)
    return noted


def a_script(*texts: str, kind: str = "krist") -> Script:
    roles = ("question", "reasoning", "answer") if kind == "quest" else ("speech",) * len(texts)
    segments = tuple(ScriptSegment(role=role, text=text) for role, text in zip(roles, texts, strict=False))
    return Script(
        id=f"{kind}1", page_id="page1", kind=kind, method="template", note="", licence="CC0", segments=segments
    )


def spoken(script: Script, audio: AudioStore, settings: SynthSettings = SETTINGS) -> Produced:
    return Speak(audio, settings, seed=0)(asdict(script))


def test_each_chunk_sounds_as_its_text_says(audio: AudioStore) -> None:
    texts = ("The lamp was lit at dusk.", "It's seen for 20 miles!", "Why?")
    chunks: list[Chunk] = list(spoken(a_script(*texts), audio).records["chunks"])
    assert [chunk.text for chunk in chunks] == list(texts)
    heard = FakeRecognizer().transcribe([audio.read(chunk.audio, chunk.span) for chunk in chunks])
    for text, clip in zip(texts, heard, strict=True):
        assert normalised_words(" ".join(word.text for word in clip.words)) == normalised_words(text)


def test_chunks_and_turns_tile_the_recording_in_whole_frames(audio: AudioStore) -> None:
    produced = spoken(a_script("One.", "Two and three.", "Four."), audio)
    (recording,) = produced.records["recordings"]
    for table in ("chunks", "turns"):
        rows = list(produced.records[table])
        assert [row.start for row in rows] == [0, *(row.end for row in rows[:-1])]
        assert rows[-1].end == recording.num_samples == audio.read(recording.audio).size
        assert all(row.start % FRAME_SAMPLES == 0 for row in rows)
    assert recording.num_samples % FRAME_SAMPLES == 0


def test_real_speech_tiles_its_recordings_too(tiny: TinyRun) -> None:
    chunks: dict[str, list[Chunk]] = {}
    for chunk in tiny.records("speech", "chunks", Chunk):
        chunks.setdefault(chunk.recording_id, []).append(chunk)
    recordings = tiny.records("speech", "recordings", Recording)
    assert {row.source for row in recordings} == {"krist", "quest"}
    for recording in recordings:
        rows = sorted(chunks.pop(recording.id), key=lambda chunk: chunk.index)
        assert [row.start for row in rows] == [0, *(row.end for row in rows[:-1])]
        assert rows[-1].end == recording.num_samples and recording.num_samples % FRAME_SAMPLES == 0
    assert not chunks


def test_real_speech_has_one_loudness(tiny: TinyRun) -> None:
    chunks = tiny.records("speech", "chunks", Chunk)[::10]
    pause = int(tiny.recipe.synth.pause_s * 16_000)
    for chunk in chunks:
        clip = tiny.store.audio.read(chunk.audio, chunk.span)
        said = clip[: np.flatnonzero(clip)[-1] + 1]
        level_db = 20 * np.log10(np.sqrt(np.mean(said.astype(np.float64) ** 2)))
        assert level_db == pytest.approx(tiny.recipe.synth.loudness_db, abs=0.5)
        assert clip.size - said.size >= pause


def test_a_document_belongs_to_its_page(audio: AudioStore) -> None:
    """Held-out pages are found by the document id up to its first hyphen."""
    (chunk,) = spoken(a_script("One."), audio).records["chunks"]
    assert chunk.document_id == "page1-krist1"
    assert (chunk.source, chunk.licence, chunk.speaker[:5]) == ("krist", "CC0", "fake:")


def test_krist_loses_only_the_sentence_that_cannot_be_spoken(audio: AudioStore) -> None:
    produced = spoken(a_script("One.", "…", "Three."), audio)
    chunks: list[Chunk] = list(produced.records["chunks"])
    assert [chunk.text for chunk in chunks] == ["One.", "Three."]
    assert [chunk.index for chunk in chunks] == [0, 1]
    ((item, why, _),) = produced.drops
    assert (item, why.reason) == ("krist1-spoken-00001", "nothing to say")


@pytest.mark.parametrize("place", range(3))
def test_quest_is_left_out_whole_when_one_part_cannot_be_spoken(audio: AudioStore, place: int) -> None:
    texts = ["Why so?", "Because of this.", "So the answer is that."]
    assert len(spoken(a_script(*texts, kind="quest"), audio).records["chunks"]) == 3
    texts[place] = "…"
    with pytest.raises(Dropped):
        spoken(a_script(*texts, kind="quest"), audio)


def test_a_script_without_a_word_is_left_out(audio: AudioStore) -> None:
    with pytest.raises(Dropped, match="nothing to say"):
        spoken(a_script("…", "!"), audio)


def test_two_choices_of_one_backend_are_two_synthesizers(audio: AudioStore, made: list[BackendChoice]) -> None:
    choices = [BackendChoice(name="fake", options={"threads": threads}) for threads in (1, 2)]
    settings = SynthSettings(voices=tuple(VoiceSettings(tts=choice, voice="alto") for choice in choices))
    spoken(a_script(*(f"Sentence {number}." for number in range(20))), audio, settings)
    assert sorted(choice.options["threads"] for choice in made) == [1, 2]


def test_a_voice_is_drawn_by_id_alone_and_by_weight() -> None:
    ids = [f"chunk-{number}" for number in range(4000)]
    drawn = [draw_voice(VOICES, 0, name).voice for name in ids]
    assert drawn[::-1] == [draw_voice(VOICES, 0, name).voice for name in reversed(ids)]
    assert drawn != [draw_voice(VOICES, 1, name).voice for name in ids]
    observed = [drawn.count(voice.voice) for voice in VOICES]
    assert stats.chisquare(observed, [3000, 1000]).pvalue > 1e-4


def test_the_draw_of_a_chunk_never_changes() -> None:
    assert [draw_voice(VOICES, 0, f"chunk-{number}").voice for number in range(8)] == [
        "bass",
        "alto",
        "alto",
        "alto",
        "alto",
        "alto",
        "alto",
        "alto",
    ]


sounds = st.integers(1, 3000).flatmap(
    lambda size: st.builds(
        lambda seed, level: (level * np.random.default_rng(seed).uniform(-1, 1, size)).astype(np.float32),
        st.integers(0, 2**32 - 1),
        st.floats(0.01, 1.0),
    )
)


@given(sounds, st.floats(-40, 0))
def test_loudness_is_met_or_the_peak_limit_is(audio_S: np.ndarray, loudness_db: float) -> None:
    try:
        levelled = at_loudness(audio_S, loudness_db)
    except Dropped as dropped:
        assert dropped.value is not None and dropped.threshold is not None and dropped.value < dropped.threshold
        return
    level = np.sqrt(np.mean(levelled.astype(np.float64) ** 2))
    peak = float(np.abs(levelled).max())
    assert levelled.dtype == np.float32 and peak <= PEAK_LIMIT + 1e-6
    assert level == pytest.approx(10 ** (loudness_db / 20), rel=1e-3) or peak == pytest.approx(PEAK_LIMIT, rel=1e-5)


@pytest.mark.parametrize("size", [0, 500])
def test_silence_is_no_speech(size: int) -> None:
    with pytest.raises(Dropped, match="silent"):
        at_loudness(np.zeros(size, np.float32), -23.0)


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_padding_is_the_least_that_fills_frames_and_holds_the_pause(size: int, pause: int) -> None:
    said = np.ones(size, np.float32)
    padded = to_whole_frames(said, pause)
    assert padded.size % FRAME_SAMPLES == 0
    assert size + pause <= padded.size < size + pause + FRAME_SAMPLES
    assert np.array_equal(padded[:size], said) and not padded[size:].any()


def test_equal_scripts_give_equal_bytes(audio: AudioStore) -> None:
    first, again = (spoken(a_script("One.", "Two."), audio) for _ in range(2))
    assert first.records == again.records
    turns: list[Turn] = list(first.records["turns"])
    assert turns[0].span == Span(0, turns[0].end)
