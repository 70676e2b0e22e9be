"""Scripts to sound: chunks tile their recording on the frame grid, one loudness, voices drawn by id, heard again."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from spelangy.backends.load import create as create_real
from spelangy.backends.protocols import Audio, RecognizedClip, SpeechSynthesizer
from spelangy.core.contamination import normalised_words
from spelangy.core.errors import Dropped
from spelangy.core.records import Chunk, Recording, Score, Script, ScriptSegment, Turn
from spelangy.core.settings import BackendChoice
from spelangy.core.spans import FRAME_SAMPLES, Span
from spelangy.engine.step import Produced
from spelangy.store.audio import AudioStore
from spelangy.synth import round_trip, voices
from spelangy.synth.config import AugmentSettings, RoundTripSettings, SynthSettings, VoiceSettings
from spelangy.synth.round_trip import word_error_rate
from spelangy.synth.speak import Speak, speech_step, to_whole_frames
from spelangy.synth.voices import PEAK_LIMIT, at_loudness, draw_voice
from spelangy.testing_fakes import FakeLanguageIdentifier, FakeRecognizer, FakeSynthesizer
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

    monkeypatch.setattr(voices, "create", create)
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


# ---------------------------------------------------------------------------------------------------- rates, accents


def test_a_speaker_s_name_tells_accent_and_rate_apart() -> None:
    plain = VoiceSettings(tts=BackendChoice(name="fake"), voice="alto")
    names = [plain.model_copy(update=update).speaker for update in ({}, {"rate": 1.2}, {"accent": "en-GB"})]
    assert names == ["fake:alto", "fake:alto@1.2", "fake:alto:en-GB"]
    assert plain.model_copy(update={"rate": 0.8, "accent": "en-GB"}).speaker == "fake:alto:en-GB@0.8"


def test_a_voice_speaks_at_its_rate(audio: AudioStore) -> None:
    def one_voice(rate: float) -> SynthSettings:
        return SynthSettings(voices=(VoiceSettings(tts=BackendChoice(name="fake"), voice="alto", rate=rate),))

    slow, quick = (spoken(a_script("Extraordinarily"), audio, one_voice(rate)) for rate in (1.0, 2.0))
    assert quick.records["recordings"][0].num_samples < 0.8 * slow.records["recordings"][0].num_samples
    assert quick.records["chunks"][0].speaker == "fake:alto@2"


def test_who_the_voices_are_is_told_with_the_recording(audio: AudioStore) -> None:
    british = VOICES[0].model_copy(update={"accent": "en-GB", "sex": "female"})
    produced = spoken(a_script("One."), audio, SETTINGS.model_copy(update={"voices": (british,)}))
    told = {"voices": {"fake:alto:en-GB": {"accent": "en-GB", "sex": "female"}}}
    assert json.loads(produced.records["recordings"][0].metadata) == told
    assert produced.records["chunks"][0].metadata == produced.records["recordings"][0].metadata
    assert spoken(a_script("One."), audio).records["recordings"][0].metadata == "{}"


# ------------------------------------------------------------------------------------------------------- round trip


class ListensToOne(FakeRecognizer):
    """Hears nothing of what the voice `deaf_to` says, nor of what the other one says of `never`; notes its calls."""

    def __init__(self, deaf_to: str = "", never: str = "", fails_on: str = "") -> None:
        super().__init__()
        self.deaf_to, self.never, self.fails_on = deaf_to, never, fails_on
        self.calls: list[int] = []

    def transcribe(self, clips: Sequence[Audio]) -> list[RecognizedClip]:
        self.calls.append(len(clips))
        languages = FakeLanguageIdentifier().identify(clips)
        return [self._hears(*pair) for pair in zip(super().transcribe(clips), languages, strict=True)]

    def _hears(self, clip: RecognizedClip, language: dict[str, float]) -> RecognizedClip:
        words = [word.text for word in clip.words]
        voice = "alto" if language["en"] > language["de"] else "bass"
        if self.fails_on in words:
            return RecognizedClip(words=(), failure="server: no")
        return RecognizedClip(words=()) if voice == self.deaf_to or self.never in words else clip


def listened(
    monkeypatch: pytest.MonkeyPatch, ear: FakeRecognizer, max_voices: int = 2, max_wer: float = 0.4
) -> SynthSettings:
    monkeypatch.setattr(round_trip, "create", lambda role, choice: ear)
    heard = RoundTripSettings(asr=BackendChoice(name="fake"), max_voices=max_voices, max_wer=max_wer)
    return SETTINGS.model_copy(update={"round_trip": heard})


def scores(produced: Produced, name: str) -> list[float]:
    found: list[Score] = list(produced.records["scores"])
    assert {score.turn_id for score in found} == {turn.id for turn in produced.records["turns"]}
    assert {score.recording_id for score in found} == {row.id for row in produced.records["recordings"]}
    return [score.value for score in found if score.name == name]


def test_what_is_heard_of_each_chunk_is_a_score_of_its_turn(audio: AudioStore, monkeypatch: pytest.MonkeyPatch) -> None:
    ear = ListensToOne()
    produced = spoken(a_script("One.", "Two and three.", "Four."), audio, listened(monkeypatch, ear))
    assert scores(produced, "round_trip_wer") == [0.0] * 3
    assert scores(produced, "voices_tried") == [1.0] * 3
    assert ear.calls == [3]
    assert not spoken(a_script("One."), audio).records["scores"]


def test_hearing_changes_nothing_where_all_is_heard(audio: AudioStore, monkeypatch: pytest.MonkeyPatch) -> None:
    script = a_script("One.", "Two and three.", "Four.")
    unheard = spoken(script, audio)
    heard = spoken(script, audio, listened(monkeypatch, ListensToOne()))
    assert {**heard.records, "scores": []} == unheard.records


def test_another_voice_says_what_was_not_heard(audio: AudioStore, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"Sentence {number}." for number in range(12)]
    first = [chunk.speaker for chunk in spoken(a_script(*texts), audio).records["chunks"]]
    assert set(first) == {"fake:alto", "fake:bass"}
    ear = ListensToOne(deaf_to="alto")
    produced = spoken(a_script(*texts), audio, listened(monkeypatch, ear))
    assert {chunk.speaker for chunk in produced.records["chunks"]} == {"fake:bass"}
    assert scores(produced, "voices_tried") == [2.0 if speaker == "fake:alto" else 1.0 for speaker in first]
    assert ear.calls == [12, first.count("fake:alto")]
    assert not produced.drops


def test_what_no_voice_says_well_is_left_out(audio: AudioStore, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = listened(monkeypatch, ListensToOne(never="ghoti"), max_voices=5)
    produced = spoken(a_script("One.", "A ghoti.", "Three."), audio, settings)
    assert [chunk.text for chunk in produced.records["chunks"]] == ["One.", "Three."]
    ((item, why, _),) = produced.drops
    assert (item, why.reason, why.value, why.threshold) == ("krist1-spoken-00001", "round trip", 1.0, 0.4)
    assert "voices tried: 2" in why.detail
    with pytest.raises(Dropped, match="round trip"):
        spoken(a_script("Why so?", "A ghoti.", "So it is.", kind="quest"), audio, settings)


def test_no_more_voices_try_than_allowed(audio: AudioStore, monkeypatch: pytest.MonkeyPatch) -> None:
    ear = ListensToOne(deaf_to="alto")
    produced = spoken(a_script("One.", "Two.", "Three.", "Four."), audio, listened(monkeypatch, ear, max_voices=1))
    assert len(produced.drops) + len(produced.records["chunks"]) == 4
    assert len(ear.calls) == 1 and produced.drops


@given(st.lists(st.floats(0.1, 9.0), min_size=1, max_size=6), st.text(max_size=5))
def test_voices_are_drawn_one_after_another_until_none_is_left(weights: list[float], chunk_id: str) -> None:
    voices = [
        VoiceSettings(tts=BackendChoice(name="fake"), voice=str(index), weight=weight)
        for index, weight in enumerate(weights)
    ]
    tried: list[VoiceSettings] = []
    for _ in voices:
        tried.append(draw_voice(voices, 0, chunk_id, tried))
    assert sorted(voice.voice for voice in tried) == sorted(voice.voice for voice in voices)


def test_a_sentence_that_the_recogniser_fails_on_says_so(audio: AudioStore, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = listened(monkeypatch, ListensToOne(fails_on="two"))
    ((_, why, _),) = spoken(a_script("One.", "Two."), audio, settings).drops
    assert (why.reason, why.detail) == ("not heard", "server: no")


@pytest.mark.parametrize(
    ("text", "heard", "rate"),
    [
        ("It's seen for twenty-one miles!", "it is seen for 21 miles", 0.0),
        ("The colour of the theatre.", "The color of the theater", 0.0),
        ("The cat sat down.", "the hat sat", 0.5),
        ("Stop.", "stop the car", 2.0),
        ("Anything at all.", "", 1.0),
        ("Hmm.", "Mhm.", 0.0),
        ("Hmm.", "Humbug!", 1.0),
    ],
)
def test_word_error_rates_count_words_and_not_their_spelling(text: str, heard: str, rate: float) -> None:
    assert word_error_rate(text, heard) == pytest.approx(rate)


def test_real_speech_is_heard_as_it_was_written(audio: AudioStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices, "create", create_real)
    settings = SynthSettings(round_trip=RoundTripSettings())
    produced = spoken(a_script("The lamp was lit at dusk.", "It is seen for twenty miles."), audio, settings)
    assert scores(produced, "round_trip_wer") == pytest.approx([0.0, 0.0], abs=0.2)


# ---------------------------------------------------------------------------------------------------------- lineage


def step_config(audio: AudioStore, settings: SynthSettings, *, plain: bool = False) -> str:
    return json.dumps(speech_step("speech", ["krist/scripts"], settings, audio, 0, plain=plain).config)


def test_all_that_decides_the_sound_is_in_the_lineage(audio: AudioStore) -> None:
    (voice,) = SynthSettings().voices
    variants = [
        SynthSettings(),
        SynthSettings(round_trip=RoundTripSettings()),
        SynthSettings(round_trip=RoundTripSettings(max_wer=0.3)),
        SynthSettings(round_trip=RoundTripSettings(max_voices=3)),
        SynthSettings(round_trip=RoundTripSettings(asr=BackendChoice(name="whisper-base"))),
        *(
            SynthSettings(voices=(voice.model_copy(update=update),))
            for update in ({"rate": 1.1}, {"accent": "en-US"}, {"sex": "female"})
        ),
    ]
    assert len({step_config(audio, settings) for settings in variants}) == len(variants)
    assert "moonshine-voice" in step_config(audio, variants[1])


def test_questions_of_an_evaluation_stay_plain(audio: AudioStore, tmp_path: Path) -> None:
    absent = AugmentSettings(rooms=(str(tmp_path / "absent"),))
    settings = SynthSettings(round_trip=RoundTripSettings(), augment=absent)
    assert step_config(audio, settings, plain=True) == step_config(audio, SynthSettings())
