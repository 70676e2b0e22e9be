"""The faithfulness gate: what a language model rewrote is taken only when it still says what its source says.

source, rewritten ──> length ──> mark-up, leakage, boilerplate ──> English ──> numbers ──> entities
                                                                     ──> negations ──> content words ──> taken
"""

import re
from collections.abc import Set
from dataclasses import dataclass
from functools import cache

from whisper_normalizer.english import EnglishNumberNormalizer

from spelangy.core.errors import Dropped
from spelangy.synth.language import english_probability
from spelangy.synth.speakable import speakable


@dataclass(frozen=True, kw_only=True)
class GateLimits:
    """What a rewritten text must keep of its source, and what it may add; all ratios in [0, 1] but the length band.

    Source: ours; set for a 135 M model that "drops facts": a false rejection costs style, a false acceptance a fact.

    Attributes:
        min_length_ratio: Fewest words of the rewritten text per word of the source.
        max_length_ratio: Most of them.
        min_number_recall: Share of the source's numbers that are still there.
        min_number_precision: Share of the rewritten numbers that the source has.
        min_entity_recall: The same for capitalised words within sentences.
        min_entity_precision: The same.
        min_word_recall: The same for content words (four letters or more).
        min_word_precision: The same.
        min_english_probability: See `synth.language`.
    """

    min_length_ratio: float = 0.6
    max_length_ratio: float = 1.6
    min_number_recall: float = 1.0
    min_number_precision: float = 1.0
    min_entity_recall: float = 0.9
    min_entity_precision: float = 1.0
    min_word_recall: float = 0.5
    min_word_precision: float = 0.5
    min_english_probability: float = 0.5


DEFAULT_LIMITS = GateLimits()

_BOILERPLATE = re.compile(
    r"\bcookies?\s(?:policy|settings|preferences|consent)\b|\b(?:use|uses|using|accept)\s(?:all\s)?cookies\b|"
    r"\bsubscribe\b|\bnewsletter\b|\ball rights reserved\b|\bprivacy policy\b|\bterms of (?:use|service)\b|"
    r"\bclick here\b|\bsign (?:up|in)\b|\blog ?in\b|\bread more\b|\bshare (?:this|on)\b|\bunsubscribe\b|\bcopyright ©|"
    r"\bjavascript\b.{0,40}\b(?:enabled?|disabled|browser)\b",
    re.IGNORECASE,
)
_LEAKAGE = re.compile(
    r"\bas an? (?:ai|artificial intelligence|language model)\b|\bi(?:'m| am) (?:an ai|sorry|unable)\b|"
    r"\bi can(?:'t|not) (?:help|assist)\b|\bhere(?:'s| is| are) (?:the|a|your|my) (?:rewrit|revis|text|paragraph)|"
    r"\b(?:rewritten|revised|original) (?:text|paragraph|version|passage)\b|\bthe (?:given|provided|following) "
    r"(?:text|paragraph|passage)\b|^\s*(?:sure|certainly|of course)[,!]|\b(?:system|user|assistant)\s?:|<\|?\w+\|?>|"
    r"\bread aloud\b|\blet me know if\b",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"\*\*|__|`|^\s*#{1,6}\s|^\s*[-*•]\s|\]\(|</?\w+>|\\n|^\s*\|.*\|\s*$", re.MULTILINE)
_NEGATION = re.compile(r"\b(?:not|no|never|none|neither|nor|without|cannot|\w+n't)\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_ENTITY = re.compile(r"(?<![.?!:;\"“\n])(?<!^)[ \t(]+([A-Z][\w'’-]*)")
_UNCOUNTED = frozenset({"0", "1", "1st", "2nd"})
"""``one``, ``first`` and ``second`` are more often pronoun, adverb and time than numbers; ``0`` is often ``oh``."""


def check_faithful(source: str, rewritten: str, *, limits: GateLimits = DEFAULT_LIMITS) -> None:
    """Returns when `rewritten` may stand for `source`.

    Drops what is out of the length band, holds mark-up, echoes its prompt, carries boilerplate, is not English, loses
    or adds numbers or names, changes how often it negates, or speaks of something else. Numbers are compared by value:
    ``1969`` equals ``nineteen sixty-nine``. It cannot see a swapped subject and object; it costs about 2 ms.

    Raises:
        Dropped: ``"length"``, ``"markup"``, ``"leakage"``, ``"boilerplate"``, ``"not English"``, ``"numbers"``,
            ``"new numbers"``, ``"entities"``, ``"new entities"``, ``"negations"``, ``"words"`` or ``"new words"``.
    """
    _check_length(source, rewritten, limits)
    check_form(source, rewritten)
    english_enough(rewritten, limits.min_english_probability)
    before, after = numbers(source), numbers(rewritten)
    _check_overlap("numbers", before, after, limits.min_number_recall)
    _check_overlap("new numbers", after, before, limits.min_number_precision)
    _check_overlap("entities", entities(source), named_words(rewritten), limits.min_entity_recall)
    _check_overlap("new entities", entities(rewritten), named_words(source), limits.min_entity_precision)
    _check_negations(source, rewritten)
    _check_overlap("words", _content_words(source), _content_words(rewritten), limits.min_word_recall)
    _check_overlap("new words", _content_words(rewritten), _content_words(source), limits.min_word_precision)


def english_enough(text: str, threshold: float = DEFAULT_LIMITS.min_english_probability) -> None:
    """Raises `Dropped` (``"not English"``) when `text` is English with less than this probability."""
    probability = english_probability(text)
    if probability < threshold:
        raise Dropped("not English", value=probability, threshold=threshold)


def is_boilerplate(text: str) -> bool:
    """Whether `text` speaks of cookies, newsletters, rights and the like: the site, not its subject."""
    return bool(_BOILERPLATE.search(text))


def numbers(text: str) -> frozenset[str]:
    """The numbers of `text` by value (``"1969"``, ``"3.14"``, ``"21st"`` …), however they are written."""
    spoken = speakable(text)
    parts = re.split(r"[^\w\s'-]+", spoken.lower())
    found = {token for part in parts for token in _number_normalizer()(part.replace("-", " ")).split() if _digit(token)}
    return frozenset(found - _UNCOUNTED)


def entities(text: str) -> frozenset[str]:
    """Capitalised words of `text` that do not open a sentence, lower-cased, without a possessive."""
    return frozenset(_bare(match[1]) for match in _ENTITY.finditer(text)) - {"i", "i'm", "i've", "i'll", "i'd"}


@cache
def _number_normalizer() -> EnglishNumberNormalizer:
    return EnglishNumberNormalizer()


def _digit(token: str) -> bool:
    return any(char.isdigit() for char in token)


def _bare(word: str) -> str:
    return re.sub(r"['’]s?$", "", word).lower()


def named_words(text: str) -> frozenset[str]:
    """All words of `text` as `entities` writes them, and the parts of those with hyphens."""
    written = {_bare(word) for word in re.findall(r"\w[\w'’-]*", text)}
    return frozenset(written | {part for word in written for part in word.split("-")})


def _content_words(text: str) -> frozenset[str]:
    return frozenset(_bare(word) for word in _WORD.findall(text) if len(word) > 3)


def _check_length(source: str, rewritten: str, limits: GateLimits) -> None:
    ratio = len(rewritten.split()) / max(1, len(source.split()))
    if ratio < limits.min_length_ratio:
        raise Dropped("length", value=ratio, threshold=limits.min_length_ratio)
    if ratio > limits.max_length_ratio:
        raise Dropped("length", value=ratio, threshold=limits.max_length_ratio)


def check_form(source: str, rewritten: str) -> None:
    """Mark-up and leakage always count; boilerplate words only when the source, being about them, has them not."""
    for reason, pattern in (("markup", _MARKUP), ("leakage", _LEAKAGE), ("boilerplate", _BOILERPLATE)):
        match = pattern.search(rewritten)
        if match and (reason == "markup" or match[0].lower() not in source.lower()):
            raise Dropped(reason, value=1, threshold=0, detail=match[0].strip())


def _check_overlap(reason: str, needed: Set[str], present: Set[str], threshold: float) -> None:
    missing = needed - present
    ratio = 1 - len(missing) / max(1, len(needed))
    if ratio < threshold:
        raise Dropped(reason, value=ratio, threshold=threshold, detail=", ".join(sorted(missing)[:5]))


def _check_negations(source: str, rewritten: str) -> None:
    before, after = len(_NEGATION.findall(source)), len(_NEGATION.findall(rewritten))
    if before != after:
        raise Dropped("negations", value=after, threshold=before)
