"""Word-level ROVER: the hypotheses of several ASR systems, aligned and voted into one transcript.

    system 0    the      cat   sat        slot = one column: what each system said there, – for "nothing said"
    system 1    the  uh  cat   sat        slots: (the, the, the) (–, uh, –) (cat, cat, hat) (sat, sat, sat)
    system 2    the      hat   sat        vote:  the             –          cat             sat

Words meet by comparison keys (`rover_keys`), so casing, punctuation, hyphens and digits do not make two words differ.
A word with several keys ("21" is "twenty", "one") takes several slots.

Source: Fiscus 1997, "A post-processing system to yield reduced word error rates (ROVER)", and the behaviour of NIST's
`rover` in SCTK 2.4, whose outputs the tests compare with (`rover_ctm`). Readings that follow the other systems, weights
by agreement, vote shares, surface forms and times are ours.
"""

import threading
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations, pairwise
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from rapidfuzz.distance import Levenshtein

from spelangy.core.errors import UserError, did_you_mean
from spelangy.core.records import HypothesisWord, Word
from spelangy.curate.rover_alignment import check_size
from spelangy.curate.rover_keys import Comparison, spellings
from spelangy.curate.rover_spelling import Heard, Spoken, compare_spellings, spell_out
from spelangy.curate.rover_vocabulary import Vocabulary
from spelangy.curate.rover_voting import Assembled, Rule, consensus

VoteMethod: TypeAlias = Literal["frequency", "avgconf", "maxconf"]
MAX_AGREEMENT_POWER = 10.0
METHODS: tuple[VoteMethod, ...] = get_args(VoteMethod)

_NOTHING_SAID = "–"
_LEAST_AGREEMENT = 0.05  # of systems that share nothing: in a turn of one word nobody's vote is void
_FIRST_CHARACTER = 0x10000  # past the surrogates, which cannot stand alone
_THREAD = threading.local()


@dataclass(frozen=True, kw_only=True)
class VoteRule:
    """How a slot is decided: score(w) = alpha * N(w) / N + (1 - alpha) * C(w); a tie goes to the earlier system.

    Defaults: ours, chosen on every other speaker of LibriSpeech test-other, AN4 and AN4 in babble. Any alpha from 0.2
    to 0.4 with null confidences from 0.9 on and powers from 0.1 to 0.3 were as good there; Fiscus 1997 found 0.2 and
    0.8. Higher powers let two that hear nothing silence one that hears; 0 leaves ties to the order of systems.

    Attributes:
        method: What C is. ``frequency``: nothing, alpha is 1. ``avgconf``: the word's share of the slot's summed
            confidence. ``maxconf``: its highest confidence.
        alpha: Weight of the votes against the confidences, in [0, 1].
        null_confidence: Confidence of a system that says nothing, in [0, 1].
        agreement_power: A system's votes and confidences weigh (its mean agreement with the others in this turn) to
            this power; 0: all weigh the same, as in NIST's rover.

    Raises:
        UserError: When a value is not one of these.
    """

    method: VoteMethod = "avgconf"
    alpha: float = 0.3
    null_confidence: float = 0.9
    agreement_power: float = 0.1

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UserError(f"no ROVER vote method {self.method!r}", hint=did_you_mean(self.method, METHODS))
        for name, value in (("alpha", self.alpha), ("null_confidence", self.null_confidence)):
            if not 0.0 <= value <= 1.0:
                raise UserError(f"ROVER {name} is {value}, allowed is 0 to 1")
        if not 0.0 <= self.agreement_power <= MAX_AGREEMENT_POWER:
            raise UserError(f"ROVER agreement_power is {self.agreement_power}, allowed is 0 to {MAX_AGREEMENT_POWER:g}")

    def compiled(self, agreements: Sequence[float]) -> Rule:
        """The rule for the compiled code, for systems that agree so much with the others."""
        weights_N = (np.array(agreements, np.float64) + _LEAST_AGREEMENT) ** self.agreement_power
        return Rule(
            METHODS.index(self.method), float(self.alpha), float(self.null_confidence), weights_N / weights_N.mean()
        )


@dataclass(frozen=True, kw_only=True)
class Consensus:
    """What the systems agree on.

    Attributes:
        words: In time order, spans disjoint. Text is the surface form most of the winners wrote (then the most
            confident); start and end are medians over the winners with times of their own (over all, if none has).
        dissent: For each word with `vote_ratio` below 1, in order: ``word (2/3; other: wurd, –)``.
        disagreement: Mean over pairs of systems of edit distance / length of the longer, in keys; in [0, 1].
    """

    words: tuple[Word, ...]
    dissent: tuple[str, ...]
    disagreement: float


class _Columns(NamedTuple):
    """The words of all systems, one system after another, a list a field."""

    texts: list[str]
    starts: list[int]
    ends: list[int]
    confidences: list[float]
    is_timed: list[bool]


def combine(
    hypotheses: Sequence[Sequence[HypothesisWord]],
    rule: VoteRule | None = None,
    compare: Comparison = spellings,
) -> Consensus:
    """Aligns and votes the words of all systems, in the order given; a single system is returned as it is.

    System 0 is the first network; each next one is aligned with the network so far at least total cost (substitution 4,
    insertion and deletion 3; against "nothing said" 1 and 0.001) and merged into it. The order of systems matters
    (Fiscus 1997): state it, keep it.

    Args:
        hypotheses: One sequence of words a system, each in time order.
        rule: How a slot is decided.
        compare: What makes two words the same.

    Raises:
        Dropped: When all systems together have more than 300,000 words.
    """
    words = [word for system in hypotheses for word in system]
    columns = _Columns(
        [word.text for word in words],
        [word.start for word in words],
        [word.end for word in words],
        [word.confidence for word in words],
        [word.is_timed for word in words],
    )
    return _combine(columns, list(map(len, hypotheses)), rule, compare)


def combine_rows(
    hypotheses: Sequence[Sequence[Mapping[str, Any]]],
    rule: VoteRule | None = None,
    compare: Comparison = spellings,
) -> Consensus:
    """As `combine`, of words as plain rows with the fields of `HypothesisWord`: saves making the records."""
    words = [word for system in hypotheses for word in system]
    columns = _Columns(
        [word["text"] for word in words],
        [word["start"] for word in words],
        [word["end"] for word in words],
        [word["confidence"] for word in words],
        [word["is_timed"] for word in words],
    )
    return _combine(columns, list(map(len, hypotheses)), rule, compare)


def _combine(columns: _Columns, num_words: Sequence[int], rule: VoteRule | None, compare: Comparison) -> Consensus:
    check_size(len(columns.texts))
    if not columns.texts:
        return Consensus(words=(), dissent=(), disagreement=0.0)
    vocabulary = _vocabulary(compare)
    heard = Heard(
        vocabulary.numbers(columns.texts),
        # Arrays of the standard library take lists in a third of the time that numpy needs.
        np.frombuffer(array("q", columns.starts), np.int64),
        np.frombuffer(array("q", columns.ends), np.int64),
        np.frombuffer(array("d", columns.confidences), np.float64),
        np.frombuffer(bytearray(map(bool, columns.is_timed)), np.bool_),
        np.array([0, *accumulate(num_words)], np.int32),
    )
    spoken = _spoken(heard, vocabulary)
    distances = _distances(spoken, len(num_words))
    agreements = [1.0 - sum(row) / max(1, len(num_words) - 1) for row in distances]
    assembled = consensus(heard, spoken, (rule or VoteRule()).compiled(agreements))
    disagreement = 1.0 - sum(agreements) / len(agreements)
    return _as_records(assembled, columns.texts, vocabulary, len(num_words), disagreement)


def _vocabulary(compare: Comparison) -> Vocabulary:
    """This thread's vocabulary; a fresh one where the old has grown full."""
    known: dict[Comparison, Vocabulary] = _THREAD.__dict__.setdefault("vocabularies", {})
    if compare not in known or known[compare].is_full:
        known[compare] = Vocabulary(compare)
    return known[compare]


def _spoken(heard: Heard, vocabulary: Vocabulary) -> Spoken:
    """The keys that are aligned: each word in the spelling that the other systems of this turn let choose."""
    entries, spoken, apart = compare_spellings(heard, vocabulary.table)
    for word, first, length in apart.tolist():
        parts = spoken.keys[first : first + length].tolist()
        (key,) = vocabulary.entry_keys(int(entries[word]))
        if "".join(vocabulary.keys_by_number[part] for part in parts) == key:
            entries[word] = vocabulary.split(parts)
    if len(apart):
        spoken = spell_out(entries, heard.begins, vocabulary.table)
    return Spoken(*spoken)


def _distances(spoken: Spoken, num_systems: int) -> list[list[float]]:
    """Edit distance / length of the longer for each two systems, 0 to itself."""
    # As text, a character a key: rapidfuzz compares strings several times faster than lists.
    text = (spoken.keys + _FIRST_CHARACTER).astype("<u4").tobytes().decode("utf-32-le")
    said = [text[begin:end] for begin, end in pairwise(spoken.begins.tolist())]
    distances = [[0.0] * num_systems for _ in said]
    for one, other in combinations(range(num_systems), 2):
        distance = Levenshtein.normalized_distance(said[one], said[other])
        distances[one][other] = distances[other][one] = distance
    return distances


def _as_records(
    assembled: Assembled, texts: Sequence[str], vocabulary: Vocabulary, num_systems: int, disagreement: float
) -> Consensus:
    vote_ratios = [votes / num_systems for votes in range(num_systems + 1)]
    surfaces = [
        texts[word] if word >= 0 else _written(vocabulary.keys_by_number[key])
        for word, key in zip(assembled.word.tolist(), assembled.key.tolist(), strict=True)
    ]
    votes = assembled.votes.tolist()
    columns = (
        assembled.starts.tolist(),
        assembled.ends.tolist(),
        assembled.confidences.tolist(),
        assembled.is_timed.tolist(),
    )
    words = [
        Word(text=text, start=start, end=end, vote_ratio=vote_ratios[count], confidence=confidence, is_timed=is_timed)
        for text, count, start, end, confidence, is_timed in zip(surfaces, votes, *columns, strict=True)
    ]
    doubted = [(text, count) for text, count in zip(surfaces, votes, strict=True) if count < num_systems]
    return Consensus(
        words=tuple(words),
        dissent=tuple(_dissent(doubted, assembled.others.tolist(), texts, num_systems)),
        disagreement=disagreement,
    )


def _written(key: str) -> str:
    """How a key is written whose word did not win whole: a letter of a name that was spelled is a capital."""
    return key.upper() if len(key) == 1 else key


def _dissent(
    doubted: Sequence[tuple[str, int]], others: Sequence[int], texts: Sequence[str], num_systems: int
) -> Iterator[str]:
    """What the systems outvoted at each word said, each form once, in the order of systems."""
    at = 0
    for text, votes in doubted:
        num_dissenting, at = others[at], at + 1
        forms: dict[str, None] = {}
        for _ in range(num_dissenting):
            end = at + 1 + others[at]
            forms[" ".join([texts[word] for word in others[at + 1 : end]]) or _NOTHING_SAID] = None
            at = end
        yield f"{text} ({votes}/{num_systems}; other: {', '.join(forms)})"
