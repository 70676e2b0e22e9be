"""What a reader of any format hands over: stretches of sound and what is said in them; and the check of their times."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

from spelangy.core.errors import Dropped
from spelangy.core.records import Recording, Word
from spelangy.core.spans import SAMPLE_RATE_HZ, Span
from spelangy.store.exchange.carried import Carried, carried_of
from spelangy.store.exchange.reading import Fault
from spelangy.store.exchange.sounds import AudioRoots, Sound

DEFAULT_SPEAKER = "S0"
MAX_CLIPPED_SAMPLES = 8_000
"""Half a second: what a word may reach over a border and be clipped. Further out its times are wrong. Ours."""


@dataclass(frozen=True, kw_only=True)
class RawWord:
    """A word as a file has it; nothing about it is checked.

    Attributes:
        start: In samples at 16 kHz from the sound's start; None where the file gives no time.
    """

    text: str
    start: float | None
    end: float | None
    vote_ratio: float = 1.0
    confidence: float = 1.0
    is_timed: bool = True


@dataclass(frozen=True, kw_only=True)
class Passage:
    """One stretch of a sound: becomes a turn; with words a transcript, with text a chunk.

    Attributes:
        name: Where it stands: file, and line or member.
        start: In samples at 16 kHz from the sound's start; unchecked, as `end` is.
        end: None: the sound's end.
        text: None where the format knows turns or words alone.
        systems: Who heard the words.
        carried: What our own export carried.
        metadata: What a stranger's file says beside.
    """

    name: str
    sound: Sound
    start: float = 0.0
    end: float | None = None
    text: str | None = None
    words: Sequence[RawWord] = ()
    speaker: str = DEFAULT_SPEAKER
    systems: tuple[str, ...] = ()
    carried: Carried | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


Read = Iterator[Passage | Fault]


@dataclass(frozen=True, kw_only=True)
class Incoming:
    """What readers may use beside the file they read.

    Attributes:
        known: Recordings that labels without sound can be about, by id.
    """

    roots: AudioRoots = field(default_factory=AudioRoots)
    known: Mapping[str, Recording] = field(default_factory=dict)

    def labelled(self, name: str, beside: Path) -> Sound:
        """The sound of the labels called `name`.

        Raises:
            Dropped: When it is neither known nor found.
        """
        known = self.known.get(name)
        return Sound(name=name, known=known) if known is not None else self.roots.beside(name, beside)


def in_samples(value: Any, what: str) -> float:
    """Seconds of a file as samples, to be rounded when they are found to be in range.

    Raises:
        Dropped: When `value` is no number. Infinities and NaN pass: they are no place in any sound.
    """
    if isinstance(value, str):
        try:
            return float(value) * SAMPLE_RATE_HZ
        except ValueError:
            pass
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Dropped(f"{what} is no number", detail=str(value)[:80])
    try:
        return float(value) * SAMPLE_RATE_HZ
    except OverflowError:
        return math.inf


def own_fields(fields: Mapping[str, Any]) -> Carried | None:
    """What our own export carried, or None in a stranger's file.

    Raises:
        Dropped: When it says what no chunk can say.
    """
    try:
        return carried_of(fields)
    except ValueError as error:
        raise Dropped("fields of a chunk are damaged", detail=str(error)[:200]) from error


def own_words(words: Any, offset: float) -> tuple[RawWord, ...]:
    """Words as `chunk_words` wrote them, `offset` samples later.

    Raises:
        Dropped: When they are none.
    """
    try:
        return tuple(
            RawWord(
                text=str(word["text"]),
                start=float(word["start"]) + offset,
                end=float(word["end"]) + offset,
                vote_ratio=float(word["vote_ratio"]),
                confidence=float(word["confidence"]),
                is_timed=bool(word.get("is_timed", True)),
            )
            for word in words
        )
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise Dropped("words are damaged", detail=f"{type(error).__name__}: {error}"[:200]) from error


def checked_span(passage: Passage, length: int, clipped: Counter[str]) -> Span:
    """The passage's place in a sound of `length` samples.

    Raises:
        Dropped: Not a number, negative, past the end, reversed or empty.
    """
    end = float(length) if passage.end is None else passage.end
    if not math.isfinite(passage.start) or not math.isfinite(end):
        raise Dropped("time is no number", detail=f"{passage.start}, {end}")
    first, last = round(passage.start), round(end)
    if first < 0:
        raise Dropped("time is negative", value=first, threshold=0)
    if last <= first:
        raise Dropped("time is reversed or empty", value=last, threshold=first)
    if first >= length:
        raise Dropped("time is past the recording's end", value=first, threshold=length)
    if last > length:
        clipped["end past the recording's end"] += 1
    return Span(first, min(last, length))


def checked_words(
    words: Sequence[RawWord], bounds: Span, *, may_overlap: bool, clipped: Counter[str]
) -> tuple[list[Word], list[tuple[RawWord, Dropped]]]:
    """Words that have a place within `bounds`, and those that have none.

    What reaches over a border, or into the next word, is clipped and counted. A word without times (WhisperX leaves
    digits without) is placed between its neighbours. Only our own words may overlap: so they were heard.
    """
    kept: list[Word] = []
    dropped: list[tuple[RawWord, Dropped]] = []
    for word, start, end in _timed(words, bounds, clipped):
        try:
            found = _word(word, _clipped(start, end, bounds, clipped))
            if kept and not may_overlap:
                kept[-1] = _before(kept[-1], found, clipped)
            kept.append(found)
        except Dropped as why:
            dropped.append((word, why))
    return kept, dropped


def _before(word: Word, after: Word, clipped: Counter[str]) -> Word:
    """`word` ended where the next begins: starts are what aligners get right."""
    if after.start < word.start:
        raise Dropped("word time is out of order", value=after.start, threshold=word.start)
    if word.end <= after.start:
        return word
    clipped["word reached into the next"] += 1
    return replace(word, end=after.start)


def _word(word: RawWord, span: Span) -> Word:
    if not word.text.strip():
        raise Dropped("word is empty")
    confidence = word.confidence if math.isfinite(word.confidence) else 0.0
    return Word(
        text=word.text,
        start=span.start,
        end=span.end,
        vote_ratio=min(max(word.vote_ratio, 0.0), 1.0) if math.isfinite(word.vote_ratio) else 0.0,
        confidence=min(max(confidence, 0.0), 1.0),
        is_timed=word.is_timed and not _is_untimed(word),
    )


def _timed(words: Sequence[RawWord], bounds: Span, clipped: Counter[str]) -> Iterator[tuple[RawWord, float, float]]:
    """Every word with times; those without share the time between their neighbours evenly."""
    at, low = 0, float(bounds.start)
    while at < len(words):
        run = list(takewhile(_is_untimed, islice(words, at, None)))
        if run:
            after = words[at + len(run)].start if at + len(run) < len(words) else bounds.end
            share = max((after or 0.0) - low, 0.0) / len(run)
            clipped["word without times: placed between its neighbours"] += len(run)
            yield from ((word, low + share * order, low + share * (order + 1)) for order, word in enumerate(run))
            at += len(run)
            continue
        word = words[at]
        assert word.start is not None and word.end is not None, "or it would be in a run"
        yield word, word.start, word.end
        low = word.end if math.isfinite(word.end) else low
        at += 1


def untimed_words(text: str) -> tuple[RawWord, ...]:
    """The words of a text that comes without their times."""
    return tuple(RawWord(text=word, start=None, end=None) for word in text.split())


def _is_untimed(word: RawWord) -> bool:
    return word.start is None or word.end is None


def _clipped(start: float, end: float, bounds: Span, clipped: Counter[str]) -> Span:
    if not math.isfinite(start) or not math.isfinite(end):
        raise Dropped("word time is no number", detail=f"{start}, {end}")
    first, last = round(start), round(end)
    if last < first:
        raise Dropped("word time is reversed", value=last, threshold=first)
    over = max(bounds.start - first, last - bounds.end)
    if over > MAX_CLIPPED_SAMPLES or last < bounds.start or first > bounds.end:
        raise Dropped("word time is out of range", value=over, threshold=MAX_CLIPPED_SAMPLES)
    if over > 0:
        clipped["word reached over a border"] += 1
    return Span(max(first, bounds.start), min(last, bounds.end))


MAX_GAP_SAMPLES = 32_000
"""Longest silence within a stretch of words that come without turns. Source: the coarse view's 2 s."""


def stretches(words: Sequence[RawWord]) -> Iterator[tuple[float, float, Sequence[RawWord]]]:
    """(start, end, words) of words in order, parted where it is silent for more than `MAX_GAP_SAMPLES`."""
    run: list[RawWord] = []
    for word in words:
        if run and (word.start or 0.0) - (run[-1].end or 0.0) > MAX_GAP_SAMPLES:
            yield _stretch(run)
            run = []
        run.append(word)
    if run:
        yield _stretch(run)


def _stretch(run: Sequence[RawWord]) -> tuple[float, float, Sequence[RawWord]]:
    starts = [word.start for word in run if word.start is not None and math.isfinite(word.start) and word.start >= 0]
    ends = [word.end for word in run if word.end is not None and math.isfinite(word.end)]
    return min(starts, default=0.0), max(ends, default=0.0), run
