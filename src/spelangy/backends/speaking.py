"""What all synthesizers share: which text is spoken, in pieces of which length, and where the sound begins and ends.

    "Café <b>5°C</b> [1] 😀" ──spoken_text──> "Café 5°C (1)" ──adapter──> raw sound ──finished──> 16 kHz, trimmed

Every voice is given the same words of the same text, and no text is ever obeyed as markup.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from math import ceil

import numpy as np
import soxr
from hibari import Hibari

from spelangy.backends.protocols import Audio
from spelangy.core.errors import Dropped, UserError, did_you_mean
from spelangy.core.spans import SAMPLE_RATE_HZ, samples

MAX_TEXT_CHARACTERS = 5_000
"""Longer texts are no sentence: they are dropped as ``text too long``."""

MAX_WORD_CHARACTERS = 60
"""Longer runs without a space are data, not words: flite needs 45 s for 5,000 digits, and speaks 1,600 s of them."""

EDGE_SILENCE_S = 0.1
"""Silence kept before and after the speech: enough for a weak consonant below `SILENCE_DB`."""

SILENCE_DB = -40.0
"""Quiet, against the loudest 10 ms. Source: ours; from -50 dB on, some voices' own hiss counts as speech."""

MIN_RATE, MAX_RATE = 0.5, 2.0
"""Slowest and fastest speech, against a voice's own. Source: the range of kokoro and hibari; all others go further."""

_TAG = re.compile(r"<[/!?]?[A-Za-z-][^<>]{0,500}>")
_SUPERSCRIPT = re.compile("[⁰¹⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿ]|[²³]{2}")
_PLAIN_MARKS = str.maketrans("[]ʼ", "()’")
_CLAUSE_END = re.compile(r"[.!?…;:,—]+[”\")]*\s*")
_WORD_END = re.compile(r"\s+")
_FIRST_PICTOGRAPH = 0x2190


def spoken_text(text: str) -> str:
    """The part of `text` that a voice reads aloud, on one line.

    Left out: tags (``<break time="1s"/>``), control and format characters, emoji and other pictographs, letters of
    scripts other than Latin and Greek. Square brackets become round ones: ``[[...]]`` and ``[word](/.../)`` are
    phoneme input for some voices. A caller who needs sound and text to agree to the letter compares the two.

    Raises:
        Dropped: ``superscript`` (other than a lone ² or ³: voices read 10⁹ as "109"), ``nothing to say`` (no letter or
            digit is left), ``text too long`` and ``word too long`` (value: characters).
    """
    if _SUPERSCRIPT.search(text):
        raise Dropped("superscript")
    plain = unicodedata.normalize("NFC", _TAG.sub(" ", text)).translate(_PLAIN_MARKS)
    spoken = " ".join("".join(map(_readable, plain)).split())
    if not any(character.isalnum() for character in spoken):
        raise Dropped("nothing to say")
    if len(spoken) > MAX_TEXT_CHARACTERS:
        raise Dropped("text too long", value=len(spoken), threshold=MAX_TEXT_CHARACTERS)
    longest = max(map(len, spoken.split()))
    if longest > MAX_WORD_CHARACTERS:
        raise Dropped("word too long", value=longest, threshold=MAX_WORD_CHARACTERS)
    return spoken


@lru_cache(maxsize=4_096)
def _readable(character: str) -> str:
    kind = unicodedata.category(character)
    if kind.startswith("L"):
        return _letters(character)
    if kind == "Nd":
        return str(unicodedata.digit(character))
    if kind == "Cc" or kind.startswith("Z"):
        return " "
    if kind[0] in "CM" or (kind in ("So", "Sk") and ord(character) >= _FIRST_PICTOGRAPH):
        return ""
    return character


def _letters(character: str) -> str:
    if ord(character) < 0x250:
        return character
    plain = unicodedata.normalize("NFKC", character)
    readable = all(unicodedata.name(letter, "").startswith(("LATIN", "GREEK")) for letter in plain)
    return plain if readable else ""


def check_voice(voice: str, voices: Sequence[str], synthesizer: str) -> None:
    """Refuses a voice that `synthesizer` does not have.

    Raises:
        UserError: With the nearest voice it has.
    """
    if voice not in voices:
        raise UserError(f"{synthesizer} has no voice {voice!r}", hint=did_you_mean(voice, voices))


def check_rate(rate: float, synthesizer: str) -> None:
    """Refuses a rate outside [`MIN_RATE`, `MAX_RATE`].

    Raises:
        UserError: With the rates that can be spoken.
    """
    if not MIN_RATE <= rate <= MAX_RATE:
        raise UserError(
            f"rate of {synthesizer} is {rate}", hint=f"from {MIN_RATE} to {MAX_RATE}; 1.0 is the voice's own pace"
        )


def phoneme_pieces(phonemize: Callable[[str], str], text: str, max_phonemes: int) -> list[str]:
    """Phonemes of `text`, one string for each sentence, longer sentences split by `split_phonemes`.

    Args:
        phonemize: hibari's English `G2P`: one sentence to phonemes in the misaki alphabet.
        text: What `spoken_text` gave.
        max_phonemes: The model's limit.

    Raises:
        Dropped: ``nothing to say`` when no piece holds a sound, ``cannot be read aloud`` when the phonemizer fails.
    """
    try:
        sentences = [phonemize(sentence) for sentence in Hibari.split_sentences(text)]
    except (ValueError, LookupError) as error:
        raise Dropped("cannot be read aloud", detail=f"{type(error).__name__}: {error}") from error
    pieces = [piece for phonemes in sentences for piece in split_phonemes(phonemes, max_phonemes)]
    sounding = [piece for piece in pieces if any(symbol.isalpha() for symbol in piece)]
    if not sounding:
        raise Dropped("nothing to say")
    return sounding


def split_phonemes(phonemes: str, max_phonemes: int) -> list[str]:
    """Pieces of at most `max_phonemes`, much alike in length: cut after punctuation, else between words, else anywhere.

    Joined again the pieces give `phonemes`, but for the spaces at the cuts.
    """
    pieces = []
    rest = phonemes.strip()
    while len(rest) > max_phonemes:
        cut = _cut(rest, max_phonemes)
        pieces.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return [*pieces, rest]


def _cut(phonemes: str, max_phonemes: int) -> int:
    head = phonemes[:max_phonemes]
    even = len(phonemes) // ceil(len(phonemes) / max_phonemes)
    for place in (_CLAUSE_END, _WORD_END):
        cuts = [match.end() for match in place.finditer(head) if match.end() > even // 2]
        if cuts:
            return min(cuts, key=lambda cut: abs(cut - even))
    return even


def finished(pieces: Sequence[Audio], sample_rate_hz: int) -> Audio:
    """A synthesizer's raw sound as the contract wants it: 16 kHz, at most `EDGE_SILENCE_S` of silence at either end of
    each piece, inside [-1, 1]. Loudness stays as it is, but for sound that would clip, which is scaled down.

    Args:
        pieces: Mono sound, float32, shape [samples at `sample_rate_hz`] each; joined in order.
        sample_rate_hz: Their sample rate.

    Raises:
        Dropped: ``nothing to say`` when there is no sound in any piece.
    """
    resampled = [np.asarray(soxr.resample(piece, sample_rate_hz, SAMPLE_RATE_HZ), np.float32) for piece in pieces]
    trimmed = [_trimmed(piece) for piece in resampled]
    audio_S = np.concatenate([np.zeros(0, np.float32), *trimmed])
    if not audio_S.size:
        raise Dropped("nothing to say", detail="the voice gave no sound")
    return np.asarray(audio_S / max(1.0, float(np.abs(audio_S).max())), np.float32)


def _trimmed(audio_S: Audio) -> Audio:
    window = samples(0.01)
    power = np.square(np.pad(audio_S, (0, -audio_S.size % window)).reshape(-1, window), dtype=np.float64).mean(axis=1)
    if not power.any():
        return audio_S[:0]
    loud = np.flatnonzero(power >= power.max() * 10 ** (SILENCE_DB / 10))
    margin = samples(EDGE_SILENCE_S)
    return audio_S[max(0, loud[0] * window - margin) : (loud[-1] + 1) * window + margin]
