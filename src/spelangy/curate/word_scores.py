"""What the words of a turn tell about its quality by themselves. Measured once; views decide."""

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence

from spelangy.core.records import Word
from spelangy.core.spans import SAMPLE_RATE_HZ, Span
from spelangy.curate.rover import Consensus

NGRAM_WORDS = 10
"""A loop of a recogniser repeats phrases of this length; people rarely do. Source: Granary."""

PHANTOMS = frozenset(
    tuple(phrase.split())
    for phrase in (
        "thank you for watching",
        "thank you so much for watching",
        "thank you very much for watching",
        "thanks for watching",
        "please subscribe",
        "please like and subscribe",
        "don't forget to subscribe",
        "see you in the next video",
        "i'll see you next time",
        "subtitles by",
        "subtitles by the amara.org community",
        "captions by",
        "transcription by",
        "transcribed by",
    )
)
"""What Whisper says where nobody speaks: the ends of videos it learned from.

Source: openai/whisper discussion 679 (its users' reports), and reports of tools built on it (subgen 21, whisperIME 57).
"""

_LONGEST_PHANTOM = max(map(len, PHANTOMS))


def turn_scores(consensus: Consensus, span: Span) -> Mapping[str, float]:
    """Scores by name, of a turn that has words.

    ``disagreement_ratio``: mean pairwise word error between systems · ``mean_confidence``, ``mean_vote_ratio`` of its
    words · ``compression_ratio``: bytes / zlib bytes of the text · ``characters_per_s`` · ``ngram_repeats``: how often
    its commonest 10 words in a row come (0 for fewer than 10 words) · ``unique_word_ratio``: distinct words / words ·
    ``longest_word_characters`` · ``num_words`` · ``phantom_ratio``: share of words in a phrase of `PHANTOMS` that not
    all systems heard.
    """
    texts = [word.text.casefold() for word in consensus.words]
    bare = [text.strip(".,;:!?\"'()[]…") for text in texts]
    text = " ".join(texts).encode()
    num = len(texts)
    return {
        "disagreement_ratio": consensus.disagreement,
        "mean_confidence": sum(word.confidence for word in consensus.words) / num,
        "mean_vote_ratio": sum(word.vote_ratio for word in consensus.words) / num,
        "compression_ratio": len(text) / len(zlib.compress(text)),
        "characters_per_s": sum(map(len, texts)) / max(span.duration_s, 1 / SAMPLE_RATE_HZ),
        "ngram_repeats": float(ngram_repeats(bare)),
        "unique_word_ratio": len(set(bare)) / num,
        "longest_word_characters": float(max(map(len, bare))),
        "num_words": float(num),
        "phantom_ratio": sum(in_phantoms(bare, consensus.words)) / num,
    }


def ngram_repeats(words: Sequence[str], length: int = NGRAM_WORDS) -> int:
    """How often the commonest `length` words in a row come; 0 for fewer words."""
    counts = Counter(zip(*(words[start:] for start in range(length)), strict=False))
    return max(counts.values(), default=0)


def in_phantoms(bare: Sequence[str], words: Sequence[Word]) -> list[bool]:
    """Whether each word lies in a phrase of `PHANTOMS` of which some system heard less.

    Args:
        bare: The words, casefolded and without punctuation.
        words: The same with their votes.
    """
    inside = [False] * len(words)
    for begin in range(len(words)):
        for end in range(begin + 2, min(begin + _LONGEST_PHANTOM, len(words)) + 1):
            if tuple(bare[begin:end]) in PHANTOMS and any(word.vote_ratio < 1.0 for word in words[begin:end]):
                inside[begin:end] = [True] * (end - begin)
    return inside
