"""The nouns of the house. Every table holds one kind of these records, one row an item, sorted by `id`.

    Recording ──< Turn ──< Hypothesis (one per ASR system)
        │          │  ├──  Transcript (the ROVER consensus: Words)
        │          │  ├──< LanguageGuess (by ear, by text) · PrivateSpan · Score
        │          └──  Units (speech tokens on the recording's 80 ms grid)
        └──< Event (speech, music) · Score · Fingerprint ──< Duplicate
    Page ──  PageScores
      └───< Script ──  Recording (synthetic speech), Turns, Chunks
    Chunk: a view over turns and words; a Document is a recording's or a script's chunks in order
    Drop: whatever was left out, by which step, why, and by how much

All starts and ends are samples at 16 kHz (see `core.spans`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import pyarrow as pa

from spelangy.core.spans import Span

Float32 = Annotated[float, pa.float32()]
UInt16 = Annotated[int, pa.uint16()]
UInt32 = Annotated[int, pa.uint32()]

EVENT_KINDS = ("speech", "singing", "music", "noise")
PrivateKind = Literal["person", "phone", "email", "card", "account", "iban", "ssn", "passport", "ip", "url"]
PRIVATE_KINDS: tuple[PrivateKind, ...] = get_args(PrivateKind)
LLM_PURPOSES = ("rewrite", "question check", "question answer")

CHUNK_ROLES = ("speech", "question", "reasoning", "answer", "text")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """One source of sound.

    Attributes:
        id: Hash of the source bytes (of the uri where there are no bytes to read).
        status: ``ok``, or ``quarantined`` with the `reason`.
        num_samples: Decoded samples at 16 kHz; never what a header claims.
        audio: Content key in the audio store; empty when quarantined.
        source: Where it comes from: ``crawl``, ``krist``, ``quest`` …
        metadata: What the source says of it (title, feed, date …) as canonical JSON; carried to every chunk.
    """

    id: str
    uri: str
    status: str
    reason: str
    num_samples: int
    audio: str
    source: str
    licence: str
    source_codec: str
    source_sample_rate_hz: int
    source_channels: int
    metadata: str = "{}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """What kind of sound a stretch of a recording holds; events of different kinds may overlap.

    Attributes:
        kind: One of `EVENT_KINDS`.
        confidence: In [0, 1].
    """

    id: str
    recording_id: str
    kind: str
    start: int
    end: int
    confidence: Float32

    @property
    def span(self) -> Span:
        return Span(self.start, self.end)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fingerprint:
    """How a recording sounds, in a form that survives re-encoding and cutting.

    Attributes:
        codes: One 32-bit code per step, in time order.
        step_samples: Samples at 16 kHz from one code to the next.
    """

    id: str
    recording_id: str
    step_samples: int
    codes: tuple[UInt32, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Duplicate:
    """Two recordings that share sound or words; `recording_id` is the one that a policy would drop.

    That is the shorter one where it is under 80 % of the other's length, else the later one by id.

    Attributes:
        kind: ``audio`` or ``transcript``.
        similarity: Share of the shorter one that the other holds too, in [0, 1].
    """

    id: str
    recording_id: str
    other_id: str
    kind: str
    similarity: Float32


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """A diarised span: one speaker talks.

    Attributes:
        id: `turn_id(recording_id, index)`: sorts in time order within the recording.
        speaker: Label within the recording (``S0``, ``S1`` …) or the synthetic voice's name.
        embedding: Speaker embedding, unit length; empty for synthetic voices.
    """

    id: str
    recording_id: str
    audio: str
    start: int
    end: int
    speaker: str
    is_overlap: bool
    embedding: tuple[Float32, ...] = ()

    @property
    def span(self) -> Span:
        return Span(self.start, self.end)


@dataclass(frozen=True, kw_only=True, slots=True)
class HypothesisWord:
    """One word of one ASR system.

    Attributes:
        confidence: In [0, 1]; 1.0 where the system gives none.
        is_timed: False where the system gives no word times and start/end were spread over the turn by length.
    """

    text: str
    start: int
    end: int
    confidence: Float32
    is_timed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Hypothesis:
    """One ASR system's words for one turn."""

    id: str
    turn_id: str
    recording_id: str
    system: str
    language: str
    mean_logprob: Float32
    words: tuple[HypothesisWord, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """One word of the ROVER consensus.

    Attributes:
        text: Surface form with casing and punctuation.
        vote_ratio: Share of the systems that said this word here.
        confidence: Mean confidence of the systems that said it.
        is_timed: False where nothing that said it gives word times, and start/end were spread over the turn by length.
    """

    text: str
    start: int
    end: int
    vote_ratio: Float32
    confidence: Float32
    is_timed: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcript:
    """The consensus of all systems for one turn; `id` is the turn's.

    Attributes:
        dissent: One entry for each word without a full vote, in order: ``word (2/3; other: wurd, –)``.
    """

    id: str
    recording_id: str
    systems: tuple[str, ...]
    words: tuple[Word, ...]
    dissent: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class LanguageGuess:
    """Which language a turn is in, by one kind of evidence.

    Attributes:
        evidence: ``audio`` (what it sounds like) or ``text`` (what the consensus reads like).
        language: ISO 639-1 code.
        probability: Of `language`, the mean over the windows heard.
        num_windows: How many windows of the turn were heard; 1 for text.
    """

    id: str
    turn_id: str
    recording_id: str
    evidence: str
    language: str
    probability: Float32
    num_windows: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PrivateSpan:
    """Words that tell who somebody is or how to reach them. The words themselves are not repeated here.

    Attributes:
        kind: One of `PRIVATE_KINDS`.
        first_word: Index into the turn's consensus words.
        confidence: In [0, 1].
    """

    id: str
    turn_id: str
    recording_id: str
    kind: str
    first_word: int
    num_words: int
    start: int
    end: int
    confidence: Float32


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """A named measurement of a turn, or of the whole recording where `turn_id` is empty."""

    id: str
    turn_id: str
    recording_id: str
    name: str
    value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunk:
    """A span and its text, (A_i, T_i): the smallest thing an interleaved sequence is made of.

    Attributes:
        document_id: The recording's or page's document; chunks of one document in order of `index`.
        role: One of `CHUNK_ROLES`.
        min_vote_ratio: Lowest vote share among its words (1.0 for synthetic speech).
        confidence: Mean word confidence (1.0 for synthetic speech).
        dissent: What was heard otherwise, an entry per word without a full vote: ``word (2/3; other: wurd, –)``.
        metadata: The recording's, as canonical JSON.
    """

    id: str
    document_id: str
    recording_id: str
    audio: str
    index: int
    start: int
    end: int
    text: str
    speaker: str
    role: str
    source: str
    licence: str
    min_vote_ratio: Float32
    confidence: Float32
    dissent: tuple[str, ...]
    metadata: str = "{}"

    @property
    def span(self) -> Span:
        return Span(self.start, self.end)


@dataclass(frozen=True, kw_only=True, slots=True)
class QuestionAnswer:
    """A question with its short answer, as a page states it."""

    question: str
    answer: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """One web page: its main text and the questions it answers itself.

    Attributes:
        metadata: Where it was read (``archive`` as the recipe names it, ``offset`` or ``row`` there) and when it was
            fetched (``date``), where that is known, as canonical JSON.
    """

    id: str
    uri: str
    title: str
    text: str
    licence: str
    questions: tuple[QuestionAnswer, ...]
    metadata: str = "{}"


@dataclass(frozen=True, kw_only=True, slots=True)
class PageScores:
    """What was measured of one page's text; `id` is the page's. All ratios are in [0, 1].

    Attributes:
        topic: The likeliest topic; empty where topics are not measured.
        topic_probability: Of `topic`.
        quality: Share of the text-quality rules that the page keeps.
        text_id: Hash of the text without case, punctuation and spacing: equal for exact duplicates.
        mean_word_length: Characters.
        symbol_ratio: Number signs and ellipses for each word.
        alphabetic_ratio: Of the words, those with a letter.
        num_stop_words: How many of the eight commonest words of English occur.
        num_sentences: Stops, question and exclamation marks that end something.
        bullet_ratio: Of the lines, those that start with a bullet.
        ellipsis_ratio: Of the lines, those that end with an ellipsis.
        punctuated_ratio: Of the lines, those that end with a mark that ends a sentence.
        short_line_ratio: Of the lines, those of at most 30 characters.
        duplicate_line_ratio: Of the lines, those that stood before.
        duplicate_character_ratio: Of the characters, those in lines that stood before.
        top_bigram_ratio: Of the characters of words, those in the pair of words that takes up most.
        has_placeholder: Holds ``lorem ipsum`` or a curly bracket.
    """

    id: str
    topic: str
    topic_probability: Float32
    quality: Float32
    text_id: str
    num_words: int
    mean_word_length: Float32
    symbol_ratio: Float32
    alphabetic_ratio: Float32
    num_stop_words: int
    num_sentences: int
    bullet_ratio: Float32
    ellipsis_ratio: Float32
    punctuated_ratio: Float32
    short_line_ratio: Float32
    duplicate_line_ratio: Float32
    duplicate_character_ratio: Float32
    top_bigram_ratio: Float32
    has_placeholder: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ScriptSegment:
    """One sentence to be spoken, with its role (one of `CHUNK_ROLES`)."""

    role: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """What will be spoken of a page.

    Attributes:
        kind: ``krist`` (the page's knowledge as prose) or ``quest`` (question, reasoning, answer).
        method: ``llm`` or ``template``.
        note: Why the LLM's version was not taken, where it was tried.
        metadata: Of its page: ``uri``, ``title``, and where and when it was crawled, as canonical JSON.
    """

    id: str
    page_id: str
    kind: str
    method: str
    note: str
    licence: str
    segments: tuple[ScriptSegment, ...]
    metadata: str = "{}"


@dataclass(frozen=True, kw_only=True, slots=True)
class LlmAnswer:
    """One answer of a language model as a writer, taken or not, kept for reading and for adding up.

    Attributes:
        purpose: One of `LLM_PURPOSES`.
        model: Its name.
        source: What it was given.
        text: What it made of it.
        is_taken: Whether it passed its checks.
        reason: Why not; empty where taken.
        value: What was measured, where something was.
        threshold: What it was compared with.
        detail: For a human reader: the words that were missing, for example.
        cost: In the currency of the recipe's prices.
    """

    id: str
    page_id: str
    purpose: str
    model: str
    source: str
    text: str
    is_taken: bool
    reason: str
    value: float | None
    threshold: float | None
    detail: str
    prompt_tokens: int
    answer_tokens: int
    cost: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Units:
    """Speech units of one turn on the recording's frame grid: frame `first_frame + i` carries `units[i]`."""

    id: str
    recording_id: str
    first_frame: int
    units: tuple[UInt16, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Drop:
    """A record left out, with reason, measured value and threshold. Nothing vanishes uncounted."""

    id: str
    item_id: str
    step: str
    kind: Literal["dropped", "quarantined", "failed"]
    reason: str
    value: float | None
    threshold: float | None
    detail: str
    duration_s: float


def scores_of(measured: Mapping[str, float], recording_id: str, turn_id: str = "") -> list[Score]:
    """Measurements by name as scores of a turn, or of the whole recording."""
    of = turn_id or recording_id
    return [
        Score(id=f"{of}-{name}", turn_id=turn_id, recording_id=recording_id, name=name, value=value)
        for name, value in measured.items()
    ]


def turn_id(recording_id: str, index: int) -> str:
    """Turn ids sort by time within a recording and hold no character that a tar key or a file name refuses."""
    return f"{recording_id}-{index:06d}"
