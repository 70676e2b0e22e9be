"""Word-level ROVER: the hypotheses of several ASR systems, aligned and voted into one transcript.

    system 0    the      cat   sat        slot = one column: what each system said there, None for "nothing said"
    system 1    the  uh  cat   sat        slots: (the, the, the) (–, uh, –) (cat, cat, hat) (sat, sat, sat)
    system 2    the      hat   sat        vote:  the             –          cat             sat

Words meet by comparison keys (`normalise`), so casing, punctuation, hyphens and digits do not make two words differ.
A word with several keys ("21" is "twenty", "one") takes several slots.

Source: Fiscus 1997, "A post-processing system to yield reduced word error rates (ROVER)", and the behaviour of NIST's
`rover` in SCTK 2.4, whose outputs the tests compare with.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate, combinations
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from num2words import num2words
from rapidfuzz.distance import Levenshtein

from spelangy.core.errors import UserError, did_you_mean
from spelangy.core.records import HypothesisWord, Word
from spelangy.core.spans import samples
from spelangy.curate.rover_alignment import IntArray, cuts_at_silence, network

VoteMethod: TypeAlias = Literal["frequency", "avgconf", "maxconf"]
Comparison: TypeAlias = Callable[[str], tuple[str, ...]]
"""Turns a surface token into the keys it is compared by, at least one."""

_SEPARATORS = re.compile(r"[-\u2010-\u2015/_]+|\.{2,}|(?<=\d):(?=\d)")
_NUMBER = re.compile(r"([$€£]?)(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(st|nd|rd|th|%)?")
_CURRENCIES = {"$": "dollars", "€": "euros", "£": "pounds"}
_SYMBOLS = {"%": "percent", "&": "and"}
_YEARS = (range(1100, 2000), range(2010, 2100))
_MAX_NUMBER_LENGTH = 15
_END_OF_TIME = 1 << 60
_NOTHING_SAID = "–"


@dataclass(frozen=True, kw_only=True)
class VoteRule:
    """How a slot is decided: score(w) = alpha * N(w) / N + (1 - alpha) * C(w); a tie goes to the earlier system.

    Defaults: ours. On Earnings-21 excerpts (ten triples of five systems, two of them with real confidences) any alpha
    from 0.5 with any null confidence from 0.3 gave 12.7 to 12.8 % word errors under ``avgconf``, frequency alone
    13.1 %; 0.5 and 0.7 lie on that plateau for ``maxconf`` too. Majorities win there, and confidence decides between
    single voices.

    Attributes:
        method: What C is. ``frequency``: nothing, alpha is 1. ``avgconf``: the word's share of the slot's summed
            confidence. ``maxconf``: its highest confidence.
        alpha: Weight of the votes against the confidences, in [0, 1].
        null_confidence: Confidence of a system that says nothing, in [0, 1].

    Raises:
        UserError: When a value is not one of these.
    """

    method: VoteMethod = "avgconf"
    alpha: float = 0.5
    null_confidence: float = 0.7

    def __post_init__(self) -> None:
        if self.method not in get_args(VoteMethod):
            hint = did_you_mean(self.method, get_args(VoteMethod))
            raise UserError(f"no ROVER vote method {self.method!r}", hint=hint)
        for name, value in (("alpha", self.alpha), ("null_confidence", self.null_confidence)):
            if not 0.0 <= value <= 1.0:
                raise UserError(f"ROVER {name} is {value}, allowed is 0 to 1")


class HeardWord(NamedTuple):
    """What one system said in one slot: a word, or one key's share of it.

    Attributes:
        start: Sample; a word of several keys gives each an equal share of its span.
        part: Which of the word's `num_parts` keys this is.
    """

    key: str
    start: int
    end: int
    part: int
    num_parts: int
    word: HypothesisWord


Slot: TypeAlias = tuple[HeardWord | None, ...]
"""One column of the network: one entry a system, in their order."""


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


def verbatim(text: str) -> tuple[str, ...]:
    """One key, the lower-cased token: the comparison of NIST's rover."""
    return (text.lower(),)


@lru_cache(maxsize=1 << 17)
def normalise(text: str, *, expand_numbers: bool = True) -> tuple[str, ...]:
    """The keys of a surface token: NFKC, casefolded, without punctuation; apostrophes inside words stay.

    Hyphens, dashes and slashes part words ("well-known" is "well", "known"), for systems differ in where they write
    them. A token of punctuation alone is its own key, so that nothing said is lost.

    Args:
        text: One token, with casing and punctuation.
        expand_numbers: Read digits as English words without "and": cardinals, ordinals, decimals, percent, currency,
            and years where four bare digits look like one ("1984" is "nineteen", "eighty", "four").
    """
    plain = unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'")
    keys: list[str] = []
    for piece in _SEPARATORS.split(plain):
        spoken = _number_words(piece.strip(".,;:!?\"'()[]")) if expand_numbers else ()
        keys.extend(spoken or _bare_word(piece))
    return tuple(keys) or (plain,)


def _bare_word(piece: str) -> tuple[str, ...]:
    if piece in _SYMBOLS:
        return (_SYMBOLS[piece],)
    bare = "".join(char for char in piece if char == "'" or unicodedata.category(char)[0] not in "PSZC").strip("'")
    return (bare,) if bare else ()


def _number_words(piece: str) -> tuple[str, ...]:
    match = _NUMBER.fullmatch(piece)
    if match is None or len(piece) > _MAX_NUMBER_LENGTH:
        return ()
    currency, whole, fraction, suffix = match.groups()
    number = int(whole.replace(",", ""))
    if suffix and suffix != "%":
        words = num2words(number, to="ordinal")
    elif fraction:
        words = num2words(f"{number}{fraction}")
    else:
        words = num2words(number, to="year" if _looks_like_year(whole, currency, suffix) else "cardinal")
    tail = [_CURRENCIES[currency]] if currency else []
    tail += ["percent"] if suffix == "%" else []
    return (*(word for word in re.findall(r"[a-z]+", words) if word != "and"), *tail)


def _looks_like_year(whole: str, currency: str, suffix: str | None) -> bool:
    return len(whole) == 4 and not currency and not suffix and any(int(whole) in years for years in _YEARS)


def align(
    hypotheses: Sequence[Sequence[HypothesisWord]],
    compare: Comparison = normalise,
    *,
    min_silence_s: float | None = None,
) -> list[Slot]:
    """The word transition network of all systems. Their order matters (Fiscus 1997): state it, keep it.

    System 0 is the first network; each next one is aligned with the network so far at least total cost
    (substitution 4, insertion and deletion 3; against "nothing said" 1 and 0.001) and merged into it.

    Args:
        hypotheses: One sequence of words a system, each in time order.
        compare: What makes two words the same.
        min_silence_s: Align the stretches between common silences apart, as NIST's rover does at 1.0: where system 0
            pauses for longer and every other system pauses within that time. None aligns the whole: words whose times
            are off never land on the wrong side of a cut.
    """
    heard = [_heard_words(words, compare) for words in hypotheses]
    if min_silence_s is None:
        return _stretch(heard, _key_ids(heard))
    spans = [[(word.start, word.end) for word in words] for words in heard]
    slots: list[Slot] = []
    begins = [0] * len(heard)
    for ends in cuts_at_silence(spans, samples(min_silence_s)):
        parts = [words[begin:end] for words, begin, end in zip(heard, begins, ends, strict=True)]
        slots += _stretch(parts, _key_ids(parts))
        begins = ends
    return slots


def _heard_words(words: Sequence[HypothesisWord], compare: Comparison) -> list[HeardWord]:
    heard: list[HeardWord] = []
    for word in words:
        keys = compare(word.text)
        if len(keys) == 1:
            heard.append(HeardWord(keys[0], word.start, word.end, 0, 1, word))
        else:
            heard += _parts(word, keys)
    return heard


def _parts(word: HypothesisWord, keys: tuple[str, ...]) -> list[HeardWord]:
    num, length = len(keys), word.end - word.start
    borders = [word.start + length * part // num for part in range(num + 1)]
    return [HeardWord(key, borders[part], borders[part + 1], part, num, word) for part, key in enumerate(keys)]


def _key_ids(heard: list[list[HeardWord]]) -> list[IntArray]:
    vocabulary: dict[str, int] = {}
    return [
        np.array([vocabulary.setdefault(word.key, len(vocabulary)) for word in words], dtype=np.int32)
        for words in heard
    ]


def _stretch(heard: list[list[HeardWord]], ids: list[IntArray]) -> list[Slot]:
    said = network(ids)
    columns = [
        [words[index] if index >= 0 else None for index in said[:, system].tolist()]
        for system, words in enumerate(heard)
    ]
    return list(zip(*columns, strict=True))


def vote(slots: Sequence[Slot], rule: VoteRule) -> list[int]:
    """For each slot the first system that said the winner; its entry is None where "nothing said" wins."""
    return [_winner(slot, rule) for slot in slots]


def _winner(slot: Slot, rule: VoteRule) -> int:
    keys = [None if entry is None else entry.key for entry in slot]
    if len(set(keys)) == 1:
        return 0
    # The order in which the words entered the network: an inserted word comes before the nulls of earlier systems.
    first = next(system for system, key in enumerate(keys) if key is not None)
    order = [first, *(system for system in range(len(keys)) if system != first)]
    confidences = [rule.null_confidence if entry is None else entry.word.confidence for entry in slot]
    total = sum(confidences[system] for system in order)
    best, best_score = first, -1.0
    for candidate in dict.fromkeys(keys[system] for system in order):
        backers = [system for system in order if keys[system] == candidate]
        score = _score([confidences[system] for system in backers], total, len(slot), rule)
        if score > best_score:
            best, best_score = backers[0], score
    return best


def _score(confidences: list[float], total: float, num_systems: int, rule: VoteRule) -> float:
    frequency = len(confidences) / num_systems
    if rule.method == "frequency":
        return frequency
    if rule.method == "maxconf":
        return rule.alpha * frequency + (1.0 - rule.alpha) * max(0.0, *confidences)
    return rule.alpha * frequency + ((1.0 - rule.alpha) * sum(confidences) / total if total else 0.0)


def combine(
    hypotheses: Sequence[Sequence[HypothesisWord]], rule: VoteRule | None = None, compare: Comparison = normalise
) -> Consensus:
    """Aligns and votes the words of all systems, in the order given; a single system is returned as it is."""
    rule = rule or VoteRule()
    heard = [_heard_words(words, compare) for words in hypotheses]
    ids = _key_ids(heard)
    slots = _stretch(heard, ids)
    said = [(slot, winner) for slot, system in zip(slots, vote(slots, rule), strict=True) if (winner := slot[system])]
    words, dissent = _assemble(said, len(heard))
    return Consensus(words=_in_time_order(words), dissent=tuple(dissent), disagreement=_disagreement(ids))


def _assemble(said: Sequence[tuple[Slot, HeardWord]], num_systems: int) -> tuple[list[Word], list[str]]:
    words: list[Word] = []
    dissent: list[str] = []
    index = 0
    while index < len(said):
        text, num_slots = _surface(said, index)
        span = said[index : index + num_slots]
        backers = [[entry for entry in slot if entry and entry.key == winner.key] for slot, winner in span]
        votes = min(len(entries) for entries in backers)
        words.append(_word(text, backers, votes / num_systems))
        if votes < num_systems:
            dissent.append(f"{text} ({votes}/{num_systems}; other: {_others(span)})")
        index += num_slots
    return words, dissent


def _surface(said: Sequence[tuple[Slot, HeardWord]], index: int) -> tuple[str, int]:
    """The form to write from slot `index` on, and how many slots it takes: only tokens that won whole qualify."""
    slot, winner = said[index]
    whole = [entry for system, entry in enumerate(slot) if entry and _won_whole(said, index, system)]
    if not whole:
        return winner.key, 1
    texts = [entry.word.text for entry in whole]
    best = max(whole, key=lambda entry: (texts.count(entry.word.text), entry.word.confidence))
    return best.word.text, best.num_parts


def _won_whole(said: Sequence[tuple[Slot, HeardWord]], index: int, system: int) -> bool:
    slot, winner = said[index]
    first = slot[system]
    if first is None or first.part or first.key != winner.key or index + first.num_parts > len(said):
        return False
    if first.num_parts == 1:
        return True
    for part, (slot, winner) in enumerate(said[index : index + first.num_parts]):
        entry = slot[system]
        if entry is None or entry.word is not first.word or entry.part != part or entry.key != winner.key:
            return False
    return True


def _word(text: str, backers: list[list[HeardWord]], vote_ratio: float) -> Word:
    confidences = [entry.word.confidence for entries in backers for entry in entries]
    return Word(
        text=text,
        start=_median([entry.start for entry in _timed(backers[0])]),
        end=_median([entry.end for entry in _timed(backers[-1])]),
        vote_ratio=vote_ratio,
        confidence=sum(confidences) / len(confidences),
    )


def _timed(entries: list[HeardWord]) -> list[HeardWord]:
    return [entry for entry in entries if entry.word.is_timed] or entries


def _median(values: list[int]) -> int:
    values = sorted(values)
    return (values[(len(values) - 1) // 2] + values[len(values) // 2]) // 2


def _others(span: Sequence[tuple[Slot, HeardWord]]) -> str:
    """What the systems outvoted in this span said, each form once, in the order of systems."""
    forms: list[str] = []
    for system in range(len(span[0][0])):
        entries = [(slot[system], winner) for slot, winner in span]
        if all(entry and entry.key == winner.key for entry, winner in entries):
            continue
        texts = [entry.word.text for entry, _ in entries if entry and (entry.part == 0 or len(span) == 1)]
        forms.append(" ".join(texts) or _NOTHING_SAID)
    return ", ".join(dict.fromkeys(forms))


def _in_time_order(words: Sequence[Word]) -> tuple[Word, ...]:
    """The same words with starts and ends that never go back and spans that never meet; right times stay untouched."""
    starts = _rising([word.start for word in words])
    ends = _rising([word.end for word in words])
    borders = [*starts[1:], _END_OF_TIME][: len(words)]
    clipped = [max(start, min(end, border)) for start, end, border in zip(starts, ends, borders, strict=True)]
    return tuple(
        word if (start, end) == (word.start, word.end) else replace(word, start=start, end=end)
        for word, start, end in zip(words, starts, clipped, strict=True)
    )


def _rising(times: Sequence[int]) -> list[int]:
    """Halfway between the highest time so far and the lowest time to come: rises, and keeps what rises already."""
    highest = accumulate(times, max)
    lowest = [*accumulate(reversed(times), min)][::-1]
    return [(high + low) // 2 for high, low in zip(highest, lowest, strict=True)]


def _disagreement(ids: Sequence[IntArray]) -> float:
    lists = [row.tolist() for row in ids]
    distances = [Levenshtein.normalized_distance(one, other) for one, other in combinations(lists, 2)]
    return sum(distances) / len(distances) if distances else 0.0
