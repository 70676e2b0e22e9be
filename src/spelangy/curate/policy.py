"""What may enter a view: the thresholds of a recipe held against what was measured. Every refusal is a counted drop.

A threshold named ``max_<score>`` or ``min_<score>`` is about the score of that name; where a turn has no such score
(its step is not in the recipe, or measured a sample of turns) the threshold says nothing about it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from spelangy.core.errors import Dropped
from spelangy.core.masks import mask
from spelangy.core.records import LanguageGuess, PrivateSpan, Word
from spelangy.curate.chunks import Piece
from spelangy.curate.config import Thresholds, ViewSettings
from spelangy.curate.languages import UNKNOWN_LANGUAGE

REASONS = {
    "disagreement_ratio": "systems disagree",
    "characters_per_s": "text too fast",
    "compression_ratio": "repetition",
    "ngram_repeats": "repetition",
    "unique_word_ratio": "repetition",
    "phantom_ratio": "phantom words",
    "longest_word_characters": "word too long",
    "overlap_ratio": "voices overlap",
    "music_ratio": "music",
    "snr_db": "noisy",
    "mos_overall": "poor sound",
    "bandwidth_hz": "narrow band",
    "clipping_ratio": "clipped",
    "loudness_lufs": "too soft",
    "unaligned_ratio": "words not found in the sound",
    "edge_error_ms": "word times uncertain",
    "drift_ms": "word times drift",
    "private_words": "private words",
}
"""Why a turn is left out, by the score that decides; in this order the first fault counts."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """One threshold on one score."""

    score: str
    field: str
    is_maximum: bool

    def fault(self, value: float, threshold: float) -> Dropped | None:
        if (value > threshold) if self.is_maximum else (value < threshold):
            return Dropped(REASONS[self.score], value=value, threshold=threshold, detail=self.field)
        return None


@cache
def limits() -> tuple[Limit, ...]:
    """All thresholds on scores, in the order of `REASONS`."""
    named = [(field.partition("_")[2], field) for field in Thresholds.model_fields]
    order = list(REASONS)
    found = sorted((pair for pair in named if pair[0] in REASONS), key=lambda pair: order.index(pair[0]))
    return tuple(Limit(score=score, field=field, is_maximum=field.startswith("max_")) for score, field in found)


def scores_needed(thresholds: Thresholds) -> list[str]:
    """Names of the scores that these thresholds look at."""
    needed = (limit.score for limit in limits() if getattr(thresholds, limit.field) is not None)
    return list(dict.fromkeys(needed))


def score_fault(scores: Mapping[str, float], thresholds: Thresholds) -> Dropped | None:
    """Why a turn with these scores may not enter: its first fault."""
    for limit in limits():
        threshold = getattr(thresholds, limit.field)
        if threshold is not None and limit.score in scores:
            why = limit.fault(scores[limit.score], threshold)
            if why:
                return why
    return None


MIN_LANGUAGE_WORDS = 5
"""Of fewer words a text classifier makes Finnish or Welsh. Source: ours; "good night" is English with 0.18."""


def language_fault(guesses: Sequence[LanguageGuess], num_words: int, settings: ViewSettings) -> Dropped | None:
    """Whether sound and text together speak against the wanted languages.

    Each kind of evidence counts with the probability of its guess, for the turn where it guesses a wanted language and
    against it where not; their mean decides. So a short turn that sounds a little foreign stays when it reads like the
    wanted language, and English words that a recogniser made up of French speech do not save it.
    """
    guesses = [guess for guess in guesses if _tells(guess, num_words)]
    if not settings.languages or not guesses:
        return None
    counted = [guess.probability if guess.language in settings.languages else -guess.probability for guess in guesses]
    score, threshold = sum(counted) / len(counted), settings.thresholds.min_language_score
    if score >= threshold:
        return None
    heard = ", ".join(f"{guess.evidence} {guess.language} {guess.probability:.2f}" for guess in guesses)
    return Dropped("other language", value=score, threshold=threshold, detail=heard)


def _tells(guess: LanguageGuess, num_words: int) -> bool:
    return guess.language != UNKNOWN_LANGUAGE and (guess.evidence != "text" or num_words >= MIN_LANGUAGE_WORDS)


def piece_fault(piece: Piece, settings: ViewSettings) -> Dropped | None:
    """Why a piece may not become a chunk: its length, or nothing left to say."""
    duration_s, limits_ = piece.span.duration_s, settings.thresholds
    if duration_s < settings.min_chunk_s:
        return Dropped("chunk too short", value=duration_s, threshold=settings.min_chunk_s, detail=piece.text)
    if duration_s > limits_.max_chunk_s:
        return Dropped("chunk too long", value=duration_s, threshold=limits_.max_chunk_s, detail=piece.text)
    return None


def masked(piece: Piece, private: Sequence[PrivateSpan]) -> Piece:
    """`piece` with each private span written as its kind, ``[person]``; what else was heard there is left out too."""
    if not private:
        return piece
    kind_of = {index: span for span in private for index in range(span.first_word, span.first_word + span.num_words)}
    dissent = iter(piece.dissent)
    words: list[Word] = []
    kept: list[str] = []
    last: PrivateSpan | None = None
    for index, word in enumerate(piece.words):
        entry = next(dissent, "") if word.vote_ratio < 1 else ""
        span = kind_of.get(index)
        if span is None:
            words.append(word)
            kept += [entry] if entry else []
        elif span is not last:
            words.append(_placeholder(span, word))
        else:
            words[-1] = _placeholder(span, word, start=words[-1].start)
        last = span
    return Piece(span=piece.span, speaker=piece.speaker, words=tuple(words), dissent=tuple(kept))


def _placeholder(span: PrivateSpan, word: Word, start: int | None = None) -> Word:
    start = word.start if start is None else start
    return Word(text=mask(span.kind), start=start, end=word.end, vote_ratio=1.0, confidence=span.confidence)
