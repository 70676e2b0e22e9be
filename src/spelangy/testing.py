"""Conformance checks for plugin authors: one `check_*` per model role.

Call the one for your role in your own tests, with your adapter built as users would build it::

    from spelangy.testing import check_recognizer


    def test_my_recognizer_keeps_the_contract():
        check_recognizer(MyRecognizer())

Each check raises AssertionError that says which sentence of the Protocol (`spelangy.backends.protocols`) does not
hold; it returns None when all of them do. The checks judge form, not quality: a recogniser may mishear.
For tests of what is built on models there are fakes (`spelangy.testing_fakes`), importable from here.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from spelangy.backends.protocols import (
    Audio,
    Diarizer,
    LanguageModel,
    ModelInfo,
    RecognizedClip,
    SpeechRecognizer,
    SpeechSynthesizer,
    SpeechTokenizer,
    VoiceActivityDetector,
)
from spelangy.core.errors import Dropped, UserError
from spelangy.core.spans import FRAME_SAMPLES, SAMPLE_RATE_HZ, Span, samples
from spelangy.testing_fakes import FakeLanguageModel as FakeLanguageModel
from spelangy.testing_fakes import FakeRecognizer as FakeRecognizer
from spelangy.testing_fakes import FakeSynthesizer as FakeSynthesizer

# ---------------------------------------------------------------------------------------------------- all roles


def check_info(info: ModelInfo, role: str) -> None:
    """The model says what it is: a role it was made for, and a name, revision and licence that are not empty."""
    assert isinstance(info, ModelInfo), f"info must be a ModelInfo, not {type(info).__name__}"
    assert info.role == role, f"info.role is {info.role!r}, expected {role!r}"
    for field in ("name", "revision", "licence"):
        assert getattr(info, field), f"info.{field} is empty: the lineage of every table needs it"


def voiced_sound(duration_s: float, *, pitch_hz: float = 120.0, seed: int = 0) -> Audio:
    """A buzz in syllables with a little noise: a stand-in for speech where a check needs some sound, shape [S]."""
    time_s = np.arange(samples(duration_s)) / SAMPLE_RATE_HZ
    buzz = sum(np.sin(2 * np.pi * pitch_hz * harmonic * time_s) / harmonic for harmonic in range(1, 20))
    syllables = np.clip(np.sin(2 * np.pi * 4.0 * time_s), 0.0, 1.0)
    noise = np.random.default_rng(seed).standard_normal(time_s.size) * 0.003
    return np.asarray(0.2 * buzz * syllables + noise, np.float32)


# ------------------------------------------------------------------------------------------------------ hearing


def check_vad(vad: VoiceActivityDetector, audio_S: Audio | None = None) -> None:
    """Checks a voice activity detector: ordered, disjoint spans inside the audio, the same ones each time.

    Args:
        vad: The adapter to check.
        audio_S: A recording with speech, 16 kHz; a synthetic buzz without it.

    Raises:
        AssertionError: Which promise of `VoiceActivityDetector` is broken.
    """
    assert isinstance(vad, VoiceActivityDetector), "a VAD has `info` and `speech(audio_S)`"
    check_info(vad.info, "vad")
    audio_S = voiced_sound(3.0) if audio_S is None else audio_S
    spans = vad.speech(audio_S.copy())
    _check_ordered_spans(spans, Span(0, audio_S.size))
    assert vad.speech(audio_S.copy()) == spans, "the same audio gave other spans the second time"
    assert vad.speech(np.zeros(0, np.float32)) == [], "no audio must give no spans"
    assert vad.speech(np.zeros(SAMPLE_RATE_HZ, np.float32)) == [], "digital silence must give no spans"


def check_diarizer(diarizer: Diarizer, audio_S: Audio | None = None, speech: Sequence[Span] | None = None) -> None:
    """Checks a diarizer: spans in time order and within `speech`, labels S0, S1 … by first appearance, unit embeddings.

    Args:
        diarizer: The adapter to check.
        audio_S: A recording, 16 kHz; two synthetic buzzes without it.
        speech: Where in it somebody speaks; all of it without it.

    Raises:
        AssertionError: Which promise of `Diarizer` is broken.
    """
    assert isinstance(diarizer, Diarizer), "a diarizer has `info` and `diarize(audio_S, speech)`"
    check_info(diarizer.info, "diarizer")
    if audio_S is None:
        audio_S = np.concatenate([voiced_sound(2.0, pitch_hz=100.0), voiced_sound(2.0, pitch_hz=220.0)])
    speech = [Span(0, audio_S.size)] if speech is None else speech
    turns = diarizer.diarize(audio_S.copy(), speech)
    assert diarizer.diarize(audio_S, []) == [], "no speech must give no turns"
    starts = [turn.span.start for turn in turns]
    assert starts == sorted(starts), "turns must be in time order"
    labels = list(dict.fromkeys(turn.speaker for turn in turns))
    assert labels == [f"S{i}" for i in range(len(labels))], (
        f"speakers must be S0, S1 … by first appearance, not {labels}"
    )
    for turn in turns:
        covered = sum(turn.span.overlap(span) for span in speech)
        assert turn.span.num_samples > 0, f"empty turn at {turn.span}"
        assert covered > 0, f"{turn.span} lies outside the speech spans"
        assert any(span.start <= turn.span.start < span.end for span in speech), f"{turn.span} starts outside speech"
        assert any(span.start < turn.span.end <= span.end for span in speech), f"{turn.span} ends outside speech"
        norm = float(np.linalg.norm(turn.embedding))
        assert abs(norm - 1.0) < 1e-3, f"embedding of {turn.span} has length {norm:.3f}, not 1"
    again = diarizer.diarize(audio_S.copy(), speech)
    assert [(t.span, t.speaker) for t in again] == [(t.span, t.speaker) for t in turns], "the second run differs"


def check_recognizer(asr: SpeechRecognizer, clip: Audio | None = None) -> None:
    """Checks a recogniser: one result per clip in order, words in time order inside their clip, the same each time.

    Args:
        asr: The adapter to check.
        clip: Speech, 16 kHz; a synthetic buzz without it.

    Raises:
        AssertionError: Which promise of `SpeechRecognizer` is broken.
    """
    assert isinstance(asr, SpeechRecognizer), "a recogniser has `info` and `transcribe(clips)`"
    check_info(asr.info, "asr")
    clip = voiced_sound(2.0) if clip is None else clip
    clips = [clip, np.zeros(0, np.float32), np.zeros(SAMPLE_RATE_HZ // 100, np.float32), clip]
    heard = asr.transcribe([one.copy() for one in clips])
    assert len(heard) == len(clips), f"{len(clips)} clips gave {len(heard)} results; a clip without words gives ()"
    for result, one in zip(heard, clips, strict=True):
        _check_recognized(result, Span(0, one.size))
    assert not heard[1].words, "an empty clip must give no words"
    assert asr.transcribe(clips) == heard, "the same list of clips gave other answers the second time"
    assert asr.transcribe([]) == [], "no clips must give no results"


def _check_ordered_spans(spans: Sequence[Span], outer: Span) -> None:
    for span in spans:
        assert span.num_samples > 0, f"empty span {span}"
        assert span.clip(outer) == span, f"{span} reaches outside the audio {outer}"
    for left, right in pairwise(spans):
        assert left.end <= right.start, f"{left} and {right} overlap or are out of order"


def _check_recognized(result: RecognizedClip, outer: Span) -> None:
    assert result.language, "language is empty"
    assert result.mean_logprob <= 0.0, f"mean_logprob is {result.mean_logprob}: a log-probability is never positive"
    last_start = 0
    for word in result.words:
        assert word.text.strip() == word.text != "", f"{word.text!r}: words are not empty and carry no outer spaces"
        assert 0 <= word.start <= word.end <= outer.end, f"{word} reaches outside its clip {outer}"
        assert word.start >= last_start, f"{word} starts before the word in front of it"
        assert 0.0 <= word.confidence <= 1.0, f"confidence of {word} is outside [0, 1]"
        last_start = word.start


# ---------------------------------------------------------------------------------- speaking, writing and speech units


def check_synthesizer(tts: SpeechSynthesizer, text: str = "Good morning, everyone.") -> None:
    """Checks a synthesizer, voice by voice: sound in the right form, the same each time; bad requests refused.

    Args:
        tts: The adapter to check.
        text: A short sentence it can speak.

    Raises:
        AssertionError: Which promise of `SpeechSynthesizer` is broken.
    """
    assert isinstance(tts, SpeechSynthesizer), "a synthesizer has `info`, `voices` and `synthesize(text, voice)`"
    check_info(tts.info, "tts")
    assert tts.voices, "voices is empty"
    assert len(set(tts.voices)) == len(tts.voices), f"voices are not unique: {tts.voices}"
    for voice in tts.voices:
        audio_S = tts.synthesize(text, voice)
        _check_audio(audio_S, voice)
        assert np.array_equal(tts.synthesize(text, voice), audio_S), f"{voice}: the same text sounds otherwise again"
    assert _raised(UserError, tts.synthesize, text, "no such voice"), "an unknown voice must raise UserError"
    for nothing in ("", " \n", "... !"):
        assert _raised(Dropped, tts.synthesize, nothing, tts.voices[0]), f"{nothing!r} must raise Dropped"


def check_language_model(llm: LanguageModel) -> None:
    """Checks a language model: text in, text out, the same each time whatever was asked between, no longer than asked.

    Args:
        llm: The adapter to check.

    Raises:
        AssertionError: Which promise of `LanguageModel` is broken.
    """
    assert isinstance(llm, LanguageModel), "a language model has `info` and `complete(instruction, text, max_tokens)`"
    check_info(llm.info, "llm")
    request = ("Repeat the text.", "The sky is blue and the grass is green.")
    answer = llm.complete(*request, 12)
    assert isinstance(answer, str), f"an answer is a str, not {type(answer).__name__}"
    assert answer == answer.strip(), f"an answer carries no outer spaces: {answer!r}"
    short = llm.complete(*request, 1)
    assert len(short.split()) <= 1, f"max_tokens=1 gave {short!r}"
    assert llm.complete(*request, 12) == answer, "the same request gave another answer the second time"


def check_speech_tokenizer(tokenizer: SpeechTokenizer, audio_S: Audio | None = None) -> None:
    """Checks a speech tokenizer: one unit for each begun 80 ms, in range, the same each time and after save and load.

    Args:
        tokenizer: A trained tokenizer; its class must have `load(directory)`.
        audio_S: Speech, 16 kHz; a synthetic buzz without it.

    Raises:
        AssertionError: Which promise of `SpeechTokenizer` is broken.
    """
    assert isinstance(tokenizer, SpeechTokenizer), "a tokenizer has `info`, `codebook_size`, `encode` and `save`"
    check_info(tokenizer.info, "speech-tokenizer")
    audio_S = voiced_sound(1.01) if audio_S is None else audio_S
    for num_samples in (0, 1, FRAME_SAMPLES - 1, FRAME_SAMPLES, FRAME_SAMPLES + 1, audio_S.size):
        _check_units(tokenizer, audio_S[:num_samples])
    units = tokenizer.encode(audio_S.copy())
    assert np.array_equal(tokenizer.encode(audio_S.copy()), units), "the same audio gave other units the second time"
    with TemporaryDirectory() as directory:
        tokenizer.save(Path(directory))
        load = getattr(type(tokenizer), "load", None)
        assert callable(load), f"{type(tokenizer).__name__} has no `load(directory)`"
        loaded = load(Path(directory))
    assert np.array_equal(loaded.encode(audio_S), units), "saved and loaded again it gives other units"
    assert loaded.codebook_size == tokenizer.codebook_size, "saved and loaded again it has another codebook_size"


def _check_audio(audio_S: Audio, voice: str) -> None:
    assert isinstance(audio_S, np.ndarray) and audio_S.dtype == np.float32, f"{voice}: audio must be a float32 array"
    assert audio_S.ndim == 1 and audio_S.size, f"{voice}: audio must have shape [S], S > 0, not {audio_S.shape}"
    assert np.isfinite(audio_S).all(), f"{voice}: audio is not finite"
    peak = float(np.abs(audio_S).max())
    assert 0.0 < peak <= 1.0, f"{voice}: the loudest sample is {peak}, outside (0, 1]"


def _check_units(tokenizer: SpeechTokenizer, audio_S: Audio) -> None:
    units = tokenizer.encode(audio_S)
    num_frames = -(-audio_S.size // FRAME_SAMPLES)
    assert units.shape == (num_frames,), f"{audio_S.size} samples gave units {units.shape}, expected {(num_frames,)}"
    assert units.dtype == np.uint16, f"units must be uint16, not {units.dtype}"
    assert (units < tokenizer.codebook_size).all(), f"a unit is not below codebook_size {tokenizer.codebook_size}"


def _raised(kind: type[Exception], call: Callable[..., object], *arguments: object) -> bool:
    try:
        call(*arguments)
    except kind:
        return True
    return False
