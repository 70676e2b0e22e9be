"""Conformance checks for plugin authors: one `check_*` per model role.

Call the one for your role in your own tests, with your adapter built as users would build it::

    from spelangy.testing import check_recognizer


    def test_my_recognizer_keeps_the_contract():
        check_recognizer(MyRecognizer())

Each check raises AssertionError that says which sentence of the Protocol (`spelangy.backends.protocols`) does not
hold; it returns None when all of them do. The checks judge form, not quality: a recogniser may mishear.
For tests of what is built on models there are fakes (`spelangy.testing_fakes`), importable from here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from inspect import signature
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from spelangy.backends.protocols import (
    Audio,
    Diarizer,
    EventDetector,
    ForcedAligner,
    LanguageIdentifier,
    LanguageModel,
    LlmReply,
    LlmRequest,
    ModelInfo,
    QualityPredictor,
    RecognizedClip,
    SpeechRecognizer,
    SpeechSynthesizer,
    SpeechTokenizer,
    TopicClassifier,
    VoiceActivityDetector,
)
from spelangy.core.errors import Dropped, UserError
from spelangy.core.records import EVENT_KINDS
from spelangy.core.spans import FRAME_SAMPLES, SAMPLE_RATE_HZ, Span, samples
from spelangy.testing_fakes import FakeAligner as FakeAligner
from spelangy.testing_fakes import FakeLanguageIdentifier as FakeLanguageIdentifier
from spelangy.testing_fakes import FakeLanguageModel as FakeLanguageModel
from spelangy.testing_fakes import FakeQualityPredictor as FakeQualityPredictor
from spelangy.testing_fakes import FakeRecognizer as FakeRecognizer
from spelangy.testing_fakes import FakeSynthesizer as FakeSynthesizer
from spelangy.testing_fakes import FakeTopicClassifier as FakeTopicClassifier

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


def check_event_detector(detector: EventDetector, audio_S: Audio | None = None) -> None:
    """Checks an event detector: known kinds in order of their start, inside the audio, the same each time.

    Args:
        detector: The adapter to check.
        audio_S: A recording, 16 kHz; a synthetic buzz without it.

    Raises:
        AssertionError: Which promise of `EventDetector` is broken.
    """
    assert isinstance(detector, EventDetector), "an event detector has `info` and `detect(audio_S)`"
    check_info(detector.info, "events")
    audio_S = voiced_sound(3.0) if audio_S is None else audio_S
    events = detector.detect(audio_S.copy())
    for event in events:
        assert event.kind in EVENT_KINDS, f"{event.kind!r} is not one of {EVENT_KINDS}"
        assert 0.0 <= event.confidence <= 1.0, f"confidence of {event} is outside [0, 1]"
        assert event.span.num_samples > 0 and event.span.end <= audio_S.size, f"{event.span} is empty or outside"
    starts = [event.span.start for event in events]
    assert starts == sorted(starts), "events must be in order of their start"
    assert detector.detect(audio_S.copy()) == events, "the same audio gave other events the second time"
    assert detector.detect(np.zeros(0, np.float32)) == [], "no sound must give no events"


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


HOSTILE_WORDS = (
    "",
    "—",
    "\U0001f600",
    "…?!",
    "x" * 10_000,
    "7" * 400,
    "a\x00b",
    "漢字",
    "<sil>",
    "[NOISE]",
    "(NULL)",
    "word(2)",
)
"""Tokens that real transcripts hold, for which nothing is said or nobody can tell what."""


def check_aligner(aligner: ForcedAligner, audio_S: Audio | None = None, words: Sequence[str] | None = None) -> None:
    """Checks an aligner: an entry per word, spans disjoint and in time order inside the clip, the same each time.

    Args:
        aligner: The adapter to check.
        audio_S: Speech, 16 kHz; a synthetic buzz without it.
        words: What is said in it; words that are not without it.

    Raises:
        AssertionError: Which promise of `ForcedAligner` is broken.
    """
    assert isinstance(aligner, ForcedAligner), "an aligner has `info` and `align(audio_S, words)`"
    check_info(aligner.info, "aligner")
    audio_S = voiced_sound(2.0) if audio_S is None else audio_S
    words = ["good", "morning"] if words is None else words
    spans = aligner.align(audio_S.copy(), words)
    assert len(spans) == len(words), f"{len(words)} words gave {len(spans)} entries; a word without a place gives None"
    _check_ordered_spans([span for span in spans if span], Span(0, audio_S.size))
    mixed = aligner.align(audio_S.copy(), [*HOSTILE_WORDS, *words])
    assert len(mixed) == len(HOSTILE_WORDS) + len(words), "odd tokens must give an entry each"
    _check_ordered_spans([span for span in mixed if span], Span(0, audio_S.size))
    assert aligner.align(audio_S.copy(), words) == spans, "the same clip gave other spans after another request"
    assert aligner.align(audio_S, []) == [], "no words must give no entries"
    for silent in (np.zeros(0, np.float32), np.zeros(SAMPLE_RATE_HZ, np.float32)):
        assert aligner.align(silent, words) == [None] * len(words), "in digital silence no word has a place"


def check_quality_predictor(quality: QualityPredictor, clip: Audio | None = None) -> None:
    """Checks a quality predictor: finite ratings of each clip in order, under the same names, the same each time.

    Args:
        quality: The adapter to check.
        clip: Speech, 16 kHz; a synthetic buzz without it.

    Raises:
        AssertionError: Which promise of `QualityPredictor` is broken.
    """
    assert isinstance(quality, QualityPredictor), "a quality predictor has `info` and `rate(clips)`"
    check_info(quality.info, "quality")
    clip = voiced_sound(2.0) if clip is None else clip
    clips = [clip, np.zeros(0, np.float32), np.zeros(SAMPLE_RATE_HZ, np.float32), clip]
    ratings = quality.rate([one.copy() for one in clips])
    assert len(ratings) == len(clips), f"{len(clips)} clips gave {len(ratings)} ratings; what is too short gives {{}}"
    assert ratings[0], "two seconds of sound must be rated"
    assert not ratings[1], "an empty clip must not be rated"
    assert ratings[3] == ratings[0], "the same clip beside others, or the second time, was rated otherwise"
    for rated in ratings:
        assert not rated or set(rated) == set(ratings[0]), f"{sorted(rated)} are not the names {sorted(ratings[0])}"
        assert all(np.isfinite(value) for value in rated.values()), f"a rating is not finite: {rated}"
    assert quality.rate(clips[:1]) == ratings[:1], "a clip alone was rated otherwise than among others"
    assert quality.rate([]) == [], "no clips must give no ratings"


def check_language_identifier(lid: LanguageIdentifier, clip: Audio | None = None) -> None:
    """Checks a language identifier: probabilities by language code for each clip in order, the same in any company.

    Args:
        lid: The adapter to check.
        clip: Speech, 16 kHz; a synthetic buzz without it.

    Raises:
        AssertionError: Which promise of `LanguageIdentifier` is broken.
    """
    assert isinstance(lid, LanguageIdentifier), "a language identifier has `info` and `identify(clips)`"
    check_info(lid.info, "lid")
    clip = voiced_sound(2.0) if clip is None else clip
    clips = [clip, np.zeros(0, np.float32), np.zeros(SAMPLE_RATE_HZ, np.float32), clip[: clip.size // 2], clip]
    guesses = lid.identify([one.copy() for one in clips])
    assert len(guesses) == len(clips), f"{len(clips)} clips gave {len(guesses)} guesses; silence gives {{}}"
    assert guesses[0], "two seconds of sound must get a guess"
    assert not guesses[1] and not guesses[2], "a clip of silence must get no guess"
    for guess in guesses:
        assert all(2 <= len(code) <= 3 and code.islower() for code in guess), f"not language codes: {sorted(guess)}"
        assert all(0.0 <= value <= 1.0 for value in guess.values()), f"a probability is outside [0, 1]: {guess}"
        assert sum(guess.values()) <= 1.001, f"probabilities sum to {sum(guess.values()):.3f}"
    assert guesses[4] == guesses[0], "the same clip twice in a list got two answers"
    _check_same_guess(lid.identify([clip])[0], guesses[0])
    assert lid.identify([]) == [], "no clips must give no guesses"


def _check_same_guess(alone: Mapping[str, float], among_others: Mapping[str, float]) -> None:
    assert set(alone) == set(among_others), "a clip alone got other languages than among others"
    change = max(abs(alone[code] - among_others[code]) for code in alone)
    assert change < 1e-3, f"a clip alone got other probabilities than among others (by {change:.1e})"


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
    """Checks a synthesizer, voice by voice: sound in the right form, the same each time, faster when asked (or the
    rate is refused); bad requests refused.

    Args:
        tts: The adapter to check.
        text: A short sentence it can speak.

    Raises:
        AssertionError: Which promise of `SpeechSynthesizer` is broken.
    """
    assert isinstance(tts, SpeechSynthesizer), "a synthesizer has `info`, `voices` and `synthesize(text, voice, rate)`"
    assert "rate" in signature(tts.synthesize).parameters, "synthesize takes a `rate`"
    check_info(tts.info, "tts")
    assert tts.voices, "voices is empty"
    assert len(set(tts.voices)) == len(tts.voices), f"voices are not unique: {tts.voices}"
    for voice in tts.voices:
        audio_S = tts.synthesize(text, voice)
        _check_audio(audio_S, voice)
        assert np.array_equal(tts.synthesize(text, voice), audio_S), f"{voice}: the same text sounds otherwise again"
        _check_rate(tts, text, voice, audio_S)
    assert _raised(UserError, tts.synthesize, text, "no such voice"), "an unknown voice must raise UserError"
    for rate in (0.0, -1.0, 100.0):
        assert _raised(UserError, tts.synthesize, text, tts.voices[0], rate), f"rate {rate} must raise UserError"
    for nothing in ("", " \n", "... !"):
        assert _raised(Dropped, tts.synthesize, nothing, tts.voices[0]), f"{nothing!r} must raise Dropped"


def check_language_model(llm: LanguageModel) -> None:
    """Checks a language model: text in, text out, the same each time whatever was asked between, no longer than asked.

    Args:
        llm: The adapter to check.

    Raises:
        AssertionError: Which promise of `LanguageModel` is broken.
    """
    assert isinstance(llm, LanguageModel), "a language model has `info` and `answers(requests)`"
    check_info(llm.info, "llm")
    assert llm.info.concurrency >= 1, f"concurrency is {llm.info.concurrency}, at least 1"
    request = LlmRequest(instruction="Repeat the text.", text="The sky is blue and the grass is green.", max_tokens=12)
    briefly = replace(request, max_tokens=1)
    together = dict(llm.answers([request, briefly]))
    assert together.keys() == {0, 1}, f"two requests gave answers to {sorted(together)}"
    answer, short = together[0], together[1]
    assert isinstance(answer, LlmReply) and isinstance(short, LlmReply), f"a plain request gave {together}"
    assert answer.text == answer.text.strip(), f"an answer carries no outer spaces: {answer.text!r}"
    assert len(short.text.split()) <= 1, f"max_tokens=1 gave {short.text!r}"
    assert answer.prompt_tokens > 0 and answer.answer_tokens > 0, "an answer tells how many tokens it took"
    assert dict(llm.answers([request])) == {0: answer}, "the same request gave another answer the second time"


HOSTILE_TEXTS = ("", " \n\t", "…", "\U0001f600", "a\x00b", "漢字かな", "x" * 100_000, "word " * 30_000, "1234 " * 50)
"""Texts that pages hold, and that say little."""


def check_topic_classifier(classifier: TopicClassifier) -> None:
    """Checks a topic classifier: a distribution over its topics for any text, the same in any company.

    Args:
        classifier: The adapter to check.

    Raises:
        AssertionError: Which promise of `TopicClassifier` is broken.
    """
    assert isinstance(classifier, TopicClassifier), "a topic classifier has `info`, `topics` and `classify(texts)`"
    check_info(classifier.info, "topics")
    topics = classifier.topics
    assert type(classifier).topics == topics, "`topics` is an attribute of the class: it is read without loading"
    assert topics and len(set(topics)) == len(topics), f"topics are not unique: {topics}"
    texts = ["The court heard the case and the judge gave a long sentence.", *HOSTILE_TEXTS]
    probabilities_NT = classifier.classify(texts)
    shape = (len(texts), len(topics))
    assert probabilities_NT.shape == shape, f"{len(texts)} texts gave shape {probabilities_NT.shape}, expected {shape}"
    assert probabilities_NT.dtype == np.float32, f"probabilities must be float32, not {probabilities_NT.dtype}"
    assert (probabilities_NT >= 0).all(), "a probability is negative or not a number"
    assert np.allclose(probabilities_NT.sum(axis=1), 1.0, atol=1e-4), "the probabilities of a text do not sum to 1"
    assert np.array_equal(classifier.classify(texts[:1]), probabilities_NT[:1]), "a text alone got another answer"
    assert np.array_equal(classifier.classify(texts), probabilities_NT), "the same texts got other answers again"
    assert classifier.classify([]).shape == (0, len(topics)), "no texts must give shape (0, T)"


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


def _check_rate(tts: SpeechSynthesizer, text: str, voice: str, audio_S: Audio) -> None:
    assert np.array_equal(tts.synthesize(text, voice, 1.0), audio_S), f"{voice}: rate 1 is not the voice's own"
    try:
        quick_S = tts.synthesize(text, voice, 1.5)
    except UserError:
        return  # a voice may have one pace only
    _check_audio(quick_S, voice)
    assert quick_S.size < 0.9 * audio_S.size, f"{voice}: at rate 1.5 it takes {quick_S.size / audio_S.size:.2f} as long"


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
