"""From hibari's phonemes to the 39 phones of the CMU dictionary: how a word that no dictionary has is pronounced."""

import re
from functools import cached_property
from typing import Any

_PHONES = {
    "A": "EY", "I": "AY", "O": "OW", "Q": "OW", "W": "AW", "Y": "OY", "a": "AA", "i": "IY", "u": "UW", "æ": "AE",
    "ɑ": "AA", "ɒ": "AA", "ɔ": "AO", "ə": "AH", "ᵊ": "AH", "ɛ": "EH", "ɜ": "ER", "ɜɹ": "ER", "əɹ": "ER", "ɪ": "IH",
    "ʊ": "UH", "ʌ": "AH", "ᵻ": "IH", "b": "B", "d": "D", "f": "F", "h": "HH", "j": "Y", "k": "K", "l": "L", "m": "M",
    "n": "N", "p": "P", "s": "S", "t": "T", "T": "T", "ɾ": "D", "v": "V", "w": "W", "z": "Z", "ð": "DH", "ŋ": "NG",
    "ɡ": "G", "ɹ": "R", "ʃ": "SH", "ʒ": "ZH", "ʤ": "JH", "ʧ": "CH", "θ": "TH",
}  # fmt: skip
"""Source: the alphabet of misaki, which hibari speaks, and the CMU Pronouncing Dictionary's."""

_SYMBOLS = re.compile("|".join(sorted(map(re.escape, _PHONES), key=len, reverse=True)))


def to_phones(phonemes: str) -> tuple[str, ...]:
    """CMU phones of a string in misaki's alphabet; stress marks and what is no sound are left out."""
    return tuple(_PHONES[symbol] for symbol in _SYMBOLS.findall(phonemes))


class LetterToSound:
    """hibari's English grapheme-to-phoneme conversion; loaded when the first unknown word comes (half a second).

    Source: hibari-tts, whose net for unknown words learned espeak-ng's readings of 225,000 words.
    """

    def __call__(self, word: str) -> tuple[str, ...]:
        """Phones of one word; none where its letters have no sound to it (other scripts)."""
        try:
            return to_phones(self._g2p(word))
        except (ValueError, LookupError):
            return ()

    @cached_property
    def _g2p(self) -> Any:
        # Reads a lexicon of 200,000 words: only those pay who meet a word that the aligner's dictionary lacks.
        from hibari.g2p import G2P

        return G2P()
