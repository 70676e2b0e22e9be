"""Cutting a turn's words into pieces, and joining pieces: the arithmetic under every view.

turn S0 ────────────────  S0 ───────  S1 ─────────        turns
fine     |A1     |A2   |   |A3     |   |A4       |        cut at sentence ends, within a turn
coarse   |A1                       |   |A2       |        merged while one speaker talks on (gap <= max_gap_s)
words    |A|B|C|D|E|F|G|   |H|I|J|K|   |L|M|N|O|P|        cut after every so many words
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from spelangy.core.records import Word
from spelangy.core.sentences import sentences
from spelangy.core.spans import Span


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A stretch of one speaker's words, before it becomes a chunk.

    Attributes:
        dissent: An entry for each word without a full vote, in order.
    """

    span: Span
    speaker: str
    words: tuple[Word, ...]
    dissent: tuple[str, ...]

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


def cut_sentences(piece: Piece) -> list[Piece]:
    """Cuts a turn after each sentence, in the middle of the silence between the words on either side."""
    counts = [len(sentence.split()) for sentence in sentences(piece.text)]
    if sum(counts) != len(piece.text.split()):
        return [piece]  # a sentence border inside a word: the text is too odd to cut by its sentences
    ends = [word_end for word_end in _word_counts(piece.words, counts) if word_end < len(piece.words)]
    return _cut_at(piece, ends)


def cut_words(piece: Piece, num_words: int) -> list[Piece]:
    """Cuts a turn after every `num_words` words, in the middle of the silence between the words on either side."""
    return _cut_at(piece, range(num_words, len(piece.words), num_words))


def _word_counts(words: Sequence[Word], token_counts: Sequence[int]) -> Iterator[int]:
    """Sentence ends counted in words; a word's surface form may hold several tokens."""
    token_ends = {sum(token_counts[: end + 1]) for end in range(len(token_counts))}
    tokens = 0
    for index, word in enumerate(words):
        tokens += len(word.text.split())
        if tokens in token_ends:
            yield index + 1


def _cut_at(piece: Piece, word_ends: Sequence[int]) -> list[Piece]:
    words = piece.words
    borders = [_border(piece.span, words[end - 1], words[end]) for end in word_ends]
    times = [piece.span.start, *borders, piece.span.end]
    counts = [0, *word_ends, len(words)]
    dissent = iter(piece.dissent)
    parts = []
    for (start, end), (first, last) in zip(pairwise(times), pairwise(counts), strict=True):
        own = words[first:last]
        own_dissent = tuple(entry for word in own if word.vote_ratio < 1 for entry in [next(dissent, "")] if entry)
        parts.append(Piece(span=Span(start, max(start, end)), speaker=piece.speaker, words=own, dissent=own_dissent))
    return parts


def _border(outer: Span, before: Word, after: Word) -> int:
    return min(max((before.end + after.start) // 2, outer.start), outer.end)


def merge_speaker(pieces: Sequence[Piece], max_gap: int, max_length: int) -> list[Piece]:
    """Joins neighbours of one speaker while the silence between them and the whole stay within bounds."""
    merged: list[Piece] = []
    for piece in pieces:
        last = merged[-1] if merged else None
        fits = (
            last is not None
            and last.speaker == piece.speaker
            and piece.span.start - last.span.end <= max_gap
            and piece.span.end - last.span.start <= max_length
        )
        if last is not None and fits:
            merged[-1] = Piece(
                span=Span(last.span.start, max(last.span.end, piece.span.end)),
                speaker=piece.speaker,
                words=last.words + piece.words,
                dissent=last.dissent + piece.dissent,
            )
        else:
            merged.append(piece)
    return merged


def split_long(piece: Piece, max_length: int) -> list[Piece]:
    """Cuts what is longer than `max_length` at its widest silences between words, as few times as needed."""
    if piece.span.num_samples <= max_length or len(piece.words) < 2:
        return [piece]
    gaps = [after.start - before.end for before, after in pairwise(piece.words)]
    middle = (len(gaps) - 1) / 2
    widest = max(range(len(gaps)), key=lambda index: (gaps[index], -abs(index - middle)))
    return [part for half in _cut_at(piece, [widest + 1]) for part in split_long(half, max_length)]
