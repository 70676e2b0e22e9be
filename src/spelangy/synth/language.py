"""How English a text is."""

from spelangy.backends.text_language import language_probabilities


def english_probability(text: str) -> float:
    """Probability in [0, 1] that `text` is English; see `backends.text_language`."""
    return language_probabilities(text).get("en", 0.0)
