"""A short answer read off a sentence, of the type its question asks for. Rules only; silent where they do not reach."""

import re
from collections.abc import Sequence

_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_YEAR = (
    rf"(?:(?:{_MONTHS})\s\d{{1,2}},?\s|\d{{1,2}}\s(?:{_MONTHS})\s|(?:{_MONTHS})\s)?\b(?:1\d|20)\d\d\b(?!\s[a-z]+s\b)"
)
_COUNT = (
    r"(?:\d[\d,]*(?:\.\d+)?|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|"
    r"sixty|seventy|eighty|ninety)\b)(?:\s(?:hundred|thousand|million|billion|trillion))?"
)
_UNIT = (
    r"(?:\s?(?:percent|%|km|kilometers|kilometres|miles|meters|metres|m|kg|kilograms|tons|tonnes|years|months|weeks|"
    r"days|hours|minutes|degrees|°C|°F)\b)?"
)
_NAME = r"[A-Z][\w'’-]+(?:\s(?:of\s|de\s|van\s|von\s)?[A-Z][\w'’-]+)*"

_TYPES = (
    (re.compile(r"^(?:when|(?:in\s)?(?:what|which) year)\b", re.IGNORECASE), re.compile(rf"({_YEAR})")),
    (re.compile(r"^how (?:many|much|long|tall|high|deep|far|old|fast|large|big)\b", re.IGNORECASE),
     re.compile(rf"(?<![\w.])({_COUNT}{_UNIT})")),
    (re.compile(r"^who\b", re.IGNORECASE), re.compile(rf"\b({_NAME})")),
    (re.compile(r"^(?:where|(?:in|on|at|from|into|to)?\s?(?:what|which)\s"
                r"(?:city|country|state|place|continent|ocean|sea))\b", re.IGNORECASE),
     re.compile(rf"\b(?:in|at|near|from|into|to|on)\s(?:the\s)?({_NAME})")),
)  # fmt: skip
_DEFINITION = re.compile(r"^what (?:is|are|was|were)\s(.+?)\?*$", re.IGNORECASE)
_DEFINED = re.compile(r"\b(?:is|are|was|were)\s((?:an?|the)\s[^,.;:()]{3,100})")
_OPENERS = {
    "the", "a", "an", "it", "they", "he", "she", "in", "on", "at", "this", "that", "these", "those", "its", "their",
    "his", "her", "there", "when", "while", "after",
}  # fmt: skip


def short_answer(question: str, support: Sequence[str]) -> str:
    """The first span of `support` that has the type `question` asks for and is not stated in it; empty when none.

    Types: year or date, count with unit, name of a person, name of a place, definition ("X is a …").
    """
    for asks, span in _TYPES:
        if asks.search(question):
            found = [match[1] for text in support for match in span.finditer(text) if not _is_opener(match)]
            return next((answer for answer in map(_trimmed, found) if _is_new(answer, question)), "")
    definition = _DEFINITION.search(question)
    return _definition(definition[1], support) if definition else ""


def _definition(term: str, support: Sequence[str]) -> str:
    """The noun phrase after ``is``, provided that the sentence speaks of the term before it."""
    head = re.sub(r"^(?:an?|the)\s", "", term.lower())
    for text in support:
        match = _DEFINED.search(text)
        if match and head in text[: match.start()].lower():
            return match[1].strip()
    return ""


def _is_opener(match: re.Match[str]) -> bool:
    """One capitalised word that opens a sentence: its capital says nothing."""
    return match.start(1) == 0 and match[1].isalpha()


def _trimmed(answer: str) -> str:
    """A capital that only opens the sentence is no part of a name."""
    first, _, rest = answer.partition(" ")
    return rest if first.lower() in _OPENERS else answer


def _is_new(answer: str, question: str) -> bool:
    asked = set(re.findall(r"\w+", question.lower()))
    return bool(answer) and not set(re.findall(r"\w+", answer.lower())) <= asked
