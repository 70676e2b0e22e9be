"""Krist: a page's knowledge as prose that can be spoken, sentence by sentence.

page.text ──> paragraphs ──> (LLM ──> gate ──> taken | refused) ──> speakable ──> sentences ──> Script
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from spelangy.backends.protocols import LlmReply, LlmRequest
from spelangy.core.errors import Dropped
from spelangy.core.hashing import record_id
from spelangy.core.records import LlmAnswer, Page, Script, ScriptSegment
from spelangy.core.sentences import sentences
from spelangy.synth.gate import DEFAULT_LIMITS, GateLimits, check_faithful, is_boilerplate
from spelangy.synth.page_metadata import about
from spelangy.synth.prompts import prompt
from spelangy.synth.speakable import speakable
from spelangy.synth.writer import Reply, Writer
from spelangy.synth.written import Asked, counted

MIN_REWRITTEN_WORDS = 12
"""Shorter paragraphs (headings, table rows) have nothing to be rephrased."""

MAX_REWRITTEN_WORDS = 220
"""Longer ones exceed what a small model rewrites without losing the thread."""

TOKENS_PER_WORD = 1.6
MIN_SCRIPT_WORDS = 20

_PRONOUNCEABLE = re.compile(r"[A-Za-z]")


@dataclass(frozen=True, kw_only=True)
class KristPage:
    """A page's script, and what a language model answered on the way."""

    script: Script
    answers: Sequence[LlmAnswer] = ()


def krist_script(page: Page, writer: Writer | None, *, limits: GateLimits = DEFAULT_LIMITS) -> KristPage:
    """The page's prose as sentences to be spoken, in the page's order, all of role ``speech``.

    Each paragraph is the writer's version if there is a writer and the faithfulness gate lets it pass, otherwise the
    page's own words; both made sayable. Boilerplate paragraphs are left out and counted in the note. Nothing is drawn
    at random: the same page and the same answers give the same script.

    Raises:
        Dropped: ``"nothing sayable"`` when fewer than 20 words remain.

    Source: paper section "Krist": text is extracted and "lightly rewritten", then cut into sentence chunks for TTS.
    """
    paragraphs = [part.strip() for part in re.split(r"\n\s*\n", page.text) if part.strip()]
    kept = [paragraph for paragraph in paragraphs if not is_boilerplate(paragraph)]
    asked = Asked(page.id, writer.name if writer else "")
    reworded = _reworded(kept, writer, limits, asked) if writer else kept
    texts = [
        sentence for text in reworded for sentence in sentences(speakable(text)) if _PRONOUNCEABLE.search(sentence)
    ]
    num_words = sum(len(text.split()) for text in texts)
    if num_words < MIN_SCRIPT_WORDS:
        raise Dropped("nothing sayable", value=num_words, threshold=MIN_SCRIPT_WORDS)
    script = Script(
        id=record_id("krist", page.id),
        page_id=page.id,
        kind="krist",
        method="llm" if any(answer.is_taken for answer in asked.answers) else "template",
        note=_note(asked, len(paragraphs) - len(kept)),
        licence=page.licence,
        segments=tuple(ScriptSegment(role="speech", text=text) for text in texts),
        metadata=about(page),
    )
    return KristPage(script=script, answers=asked.answers)


def _note(asked: Asked, num_boilerplate: int) -> str:
    """For example ``2/4 paragraphs by llm; rejected: entities 1, length 1; left out: boilerplate 1``."""
    taken = sum(answer.is_taken for answer in asked.answers)
    parts = [f"{taken}/{len(asked.answers)} paragraphs by llm"] if asked.answers else []
    if refused := asked.refused():
        parts.append(f"rejected: {counted(refused)}")
    if num_boilerplate:
        parts.append(f"left out: boilerplate {num_boilerplate}")
    return "; ".join(parts)


def _reworded(paragraphs: Sequence[str], writer: Writer, limits: GateLimits, asked: Asked) -> list[str]:
    """The paragraphs, those that the writer rewrote faithfully in its words; all are asked for at once."""
    places = [
        place
        for place, paragraph in enumerate(paragraphs)
        if MIN_REWRITTEN_WORDS <= len(paragraph.split()) <= MAX_REWRITTEN_WORDS
    ]
    requests = [rewrite_request(paragraphs[place], limits) for place in places]
    reworded = list(paragraphs)
    for place, request, reply in zip(places, requests, writer.replies(requests), strict=True):
        refused = _refusal(request.text, reply, limits)
        asked.keep("rewrite", request, reply, refused)
        if refused is None and isinstance(reply, LlmReply):
            reworded[place] = reply.text
    return reworded


def rewrite_request(paragraph: str, limits: GateLimits = DEFAULT_LIMITS) -> LlmRequest:
    """What a language model is asked of a paragraph: room for the longest rewrite that the gate lets pass."""
    max_tokens = int(len(paragraph.split()) * TOKENS_PER_WORD * limits.max_length_ratio)
    return LlmRequest(instruction=prompt("rewrite"), text=paragraph, max_tokens=max_tokens)


def _refusal(paragraph: str, reply: Reply, limits: GateLimits) -> Dropped | None:
    if isinstance(reply, Dropped):
        return reply
    try:
        check_faithful(paragraph, reply.text, limits=limits)
    except Dropped as dropped:
        return dropped
    return None
