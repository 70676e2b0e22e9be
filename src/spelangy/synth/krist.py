"""Krist: a page's knowledge as prose that can be spoken, sentence by sentence.

page.text ──> paragraphs ──> (LLM ──> gate ──> taken | refused) ──> speakable ──> sentences ──> Script
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from spelangy.backends.protocols import LanguageModel
from spelangy.core.errors import Dropped
from spelangy.core.hashing import record_id
from spelangy.core.records import Page, Script, ScriptSegment
from spelangy.core.sentences import sentences
from spelangy.synth.gate import DEFAULT_LIMITS, GateLimits, check_faithful, is_boilerplate
from spelangy.synth.speakable import speakable

MIN_REWRITTEN_WORDS = 12
"""Shorter paragraphs (headings, table rows) have nothing to be rephrased."""

MAX_REWRITTEN_WORDS = 220
"""Longer ones exceed what a small model rewrites without losing the thread."""

TOKENS_PER_WORD = 1.6
MIN_SCRIPT_WORDS = 20

_PRONOUNCEABLE = re.compile(r"[A-Za-z]")


@dataclass
class _Tally:
    """How a page's paragraphs fared."""

    tried: int = 0
    taken: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    num_boilerplate: int = 0

    def note(self) -> str:
        """For example ``2/4 paragraphs by llm; rejected: entities 1, length 1; left out: boilerplate 1``."""
        parts = [f"{self.taken}/{self.tried} paragraphs by llm"] if self.tried else []
        if self.rejected:
            counts = ", ".join(f"{reason} {count}" for reason, count in sorted(self.rejected.items()))
            parts.append(f"rejected: {counts}")
        if self.num_boilerplate:
            parts.append(f"left out: boilerplate {self.num_boilerplate}")
        return "; ".join(parts)


@cache
def krist_prompt() -> str:
    """The instruction under which a language model rewrites a paragraph (``synth/prompts/krist.md``)."""
    return files("spelangy.synth").joinpath("prompts", "krist.md").read_text(encoding="utf-8").strip()


def krist_script(page: Page, llm: LanguageModel | None, *, limits: GateLimits = DEFAULT_LIMITS) -> Script:
    """The page's prose as sentences to be spoken, in the page's order, all of role ``speech``.

    Each paragraph is the LLM's version if there is an LLM and the faithfulness gate lets it pass, otherwise the page's
    own words; both made sayable. Boilerplate paragraphs are left out and counted in the note. Nothing is drawn
    at random: the same page and the same LLM give the same script.

    Raises:
        Dropped: ``"nothing sayable"`` when fewer than 20 words remain.

    Source: paper section "Krist": text is extracted and "lightly rewritten", then cut into sentence chunks for TTS.
    """
    tally = _Tally()
    spoken = [speakable(_reworded(paragraph, llm, limits, tally)) for paragraph in _paragraphs(page.text, tally)]
    texts = [sentence for text in spoken for sentence in sentences(text) if _PRONOUNCEABLE.search(sentence)]
    num_words = sum(len(text.split()) for text in texts)
    if num_words < MIN_SCRIPT_WORDS:
        raise Dropped("nothing sayable", value=num_words, threshold=MIN_SCRIPT_WORDS)
    return Script(
        id=record_id("krist", page.id),
        page_id=page.id,
        kind="krist",
        method="llm" if tally.taken else "template",
        note=tally.note(),
        licence=page.licence,
        segments=tuple(ScriptSegment(role="speech", text=text) for text in texts),
    )


def _paragraphs(text: str, tally: _Tally) -> list[str]:
    paragraphs = [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]
    kept = [paragraph for paragraph in paragraphs if not is_boilerplate(paragraph)]
    tally.num_boilerplate = len(paragraphs) - len(kept)
    return kept


def _reworded(paragraph: str, llm: LanguageModel | None, limits: GateLimits, tally: _Tally) -> str:
    num_words = len(paragraph.split())
    if llm is None or not MIN_REWRITTEN_WORDS <= num_words <= MAX_REWRITTEN_WORDS:
        return paragraph
    tally.tried += 1
    try:
        max_tokens = int(num_words * TOKENS_PER_WORD * limits.max_length_ratio)
        rewritten = llm.complete(krist_prompt(), paragraph, max_tokens).strip()
        check_faithful(paragraph, rewritten, limits=limits)
    except Dropped as drop:
        tally.rejected[drop.reason] += 1
        return paragraph
    tally.taken += 1
    return rewritten
