"""What a report shows: plain records that a run's stored artefacts are read into, before any of it becomes HTML.

    ReportData ──< FunnelStage ──< DropCount        what was kept, what was not, and why
               ──< ScoreRange                       how each measurement is spread
               ──< ViewStatistics                   speakers and switches per view
               ──< ViewLengths                      chunk lengths per view and source
               ──< ListenChunk ──< ListenWord       chunks to hear, word by word
               ──< TopicRow                         pages by topic, read and taken
               ──< WriterRow, RefusedAnswer         what a language model wrote, and what was not taken of it
               ──< LossCurve                        cross-entropy over steps
               ──< ScoreRow                         accuracies with their intervals
               ──< ModelRow, StepRow                which models, which tables

Every string may hold anything a web page or a recogniser said: the page escapes all of it.
"""

import math
import re
from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal

from spelangy.core.chunk_statistics import ViewStatistics

NATS_PER_BIT = math.log(2)

_AUDIO_MEDIA_TYPE = re.compile(r"audio/[a-z0-9.+-]+")


@dataclass(frozen=True, kw_only=True)
class DropCount:
    """How many records one reason left out at one stage.

    Attributes:
        count: Records, in the stage's unit.
        hours: Their sound, in hours; None where it was not measured.
        threshold: What the measured values were compared with; None where nothing was compared.
        example: One record's detail: its uri or text, and its value.
    """

    reason: str
    kind: Literal["dropped", "quarantined", "failed"]
    count: int
    hours: float | None
    threshold: float | None
    example: str


@dataclass(frozen=True, kw_only=True)
class FunnelStage:
    """One stage of the funnel; `num_in` and `num_kept` count the same unit.

    Attributes:
        unit: Plural noun: ``recordings``, ``turns``, ``chunks``, ``pages``, ``scripts``.
        hours_in: Sound that went in, in hours; None where it was not measured.
        hours_kept: Sound that was kept, in hours; None where it was not measured.
    """

    name: str
    unit: str
    num_in: int
    num_kept: int
    hours_in: float | None
    hours_kept: float | None
    drops: tuple[DropCount, ...]

    def __post_init__(self) -> None:
        assert 0 <= self.num_kept <= self.num_in, f"stage {self.name!r} keeps {self.num_kept} of {self.num_in}"

    @property
    def kept_ratio(self) -> float | None:
        """Share of the records kept; None when none went in."""
        return self.num_kept / self.num_in if self.num_in else None

    @property
    def num_unaccounted(self) -> int:
        """Records that neither stayed nor have a drop; negative when more drops than losses were counted."""
        return self.num_in - self.num_kept - sum(drop.count for drop in self.drops)


@dataclass(frozen=True, kw_only=True)
class ViewLengths:
    """Lengths of all chunks of one view (``fine``, ``coarse``) of one source (``crawl``, ``krist``, ``quest``)."""

    view: str
    source: str
    seconds: tuple[float, ...]

    @property
    def mean_s(self) -> float | None:
        return fmean(self.seconds) if self.seconds else None

    @property
    def median_s(self) -> float | None:
        return median(self.seconds) if self.seconds else None

    @property
    def longest_s(self) -> float | None:
        return max(self.seconds, default=None)

    @property
    def total_s(self) -> float:
        return math.fsum(self.seconds)


@dataclass(frozen=True, kw_only=True)
class ScoreRange:
    """How one measurement is spread over the turns that have it; what a threshold on it would cost can be read off.

    Attributes:
        name: The score's name, which thresholds carry too: ``max_<name>``.
        num_turns: Turns that were measured.
    """

    name: str
    num_turns: int
    p10: float
    median: float
    p90: float


@dataclass(frozen=True, kw_only=True)
class ListenWord:
    """One consensus word; seconds are from the start of the chunk's own audio.

    Attributes:
        vote_ratio: Share of the systems that said it, in [0, 1].
        confidence: Their mean confidence, in [0, 1].
    """

    text: str
    start_s: float
    end_s: float
    vote_ratio: float
    confidence: float


@dataclass(frozen=True, kw_only=True)
class ListenChunk:
    """One chunk to hear and read.

    Attributes:
        audio: Encoded bytes of the chunk alone; empty when no audio is stored.
        media_type: Of `audio`: ``audio/flac`` …
        words: The consensus with times; empty where the text was written before it was spoken.
        hypotheses: (system, text), one per ASR system.
        dissent: What was heard otherwise, one entry per word without a full vote.
        document: Where it comes from: a uri or a title.
    """

    audio: bytes
    media_type: str
    text: str
    words: tuple[ListenWord, ...]
    hypotheses: tuple[tuple[str, str], ...]
    dissent: tuple[str, ...]
    speaker: str
    source: str
    view: str
    document: str
    duration_s: float

    def __post_init__(self) -> None:
        assert _AUDIO_MEDIA_TYPE.fullmatch(self.media_type), f"not an audio media type: {self.media_type!r}"

    @property
    def words_spell_text(self) -> bool:
        """Whether the words, joined by spaces, are the text: then showing them shows it."""
        return " ".join(word.text for word in self.words) == self.text


@dataclass(frozen=True, kw_only=True)
class TopicRow:
    """How many pages of one topic were read, and how many taken."""

    topic: str
    num_read: int
    num_taken: int


@dataclass(frozen=True, kw_only=True)
class WriterRow:
    """What a language model was asked for one purpose, and what became of its answers.

    Attributes:
        refused: (reason, count), most first.
        cost: In the currency of the recipe's prices; 0 where it states none.
    """

    purpose: str
    model: str
    num_asked: int
    num_taken: int
    refused: tuple[tuple[str, int], ...]
    prompt_tokens: int
    answer_tokens: int
    cost: float

    @property
    def taken_ratio(self) -> float | None:
        return self.num_taken / self.num_asked if self.num_asked else None


@dataclass(frozen=True, kw_only=True)
class RefusedAnswer:
    """One answer that was not taken, to be read."""

    purpose: str
    reason: str
    detail: str
    source: str
    text: str


@dataclass(frozen=True, kw_only=True)
class LossCurve:
    """Cross-entropy of one modality on one split.

    Attributes:
        name: ``train text``, ``held-out speech`` …
        modality: ``text`` or ``speech``; each modality gets its own panel.
        split: ``train`` or ``held-out``.
        points: (step, nats per token) in step order; not a number where the loss diverged.
    """

    name: str
    modality: str
    split: str
    points: tuple[tuple[int, float], ...]

    @property
    def start_nats(self) -> float | None:
        return self.points[0][1] if self.points else None

    @property
    def end_nats(self) -> float | None:
        return self.points[-1][1] if self.points else None

    @property
    def end_bits(self) -> float | None:
        return self.points[-1][1] / NATS_PER_BIT if self.points else None


@dataclass(frozen=True, kw_only=True)
class ScoreRow:
    """One condition's accuracy.

    Attributes:
        condition: ``spoken question``, ``gold text``, ``choices only`` …
        num_correct: A tie among k options earns 1/k, so this need not be whole.
        accuracy: In [0, 1], like `low`, `high` (Wilson 95 %) and `chance`.
        p_value: Exact binomial against chance, or what `note` says; None where no test was made.
    """

    condition: str
    num_items: int
    num_correct: float
    accuracy: float
    low: float
    high: float
    chance: float
    p_value: float | None
    note: str

    @property
    def verdict(self) -> str:
        """Where the interval lies relative to chance."""
        if self.num_items == 0:
            return "no items"
        if self.low > self.chance:
            return "above chance"
        return "below chance" if self.high < self.chance else "chance not excluded"


@dataclass(frozen=True, kw_only=True)
class ModelRow:
    """One model that had a part in the run."""

    role: str
    name: str
    revision: str
    licence: str
    origin: str


@dataclass(frozen=True, kw_only=True)
class StepRow:
    """One table of the lineage.

    Attributes:
        key: Content key of the table, 64 hex digits.
        why: What made it necessary to build, or allowed it to be reused.
    """

    name: str
    key: str
    status: Literal["built", "reused"]
    num_rows: int
    seconds: float
    why: str


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """Everything one page shows.

    Attributes:
        recipe: The recipe's TOML text.
        created: When, as it shall be read; the only part of the page that tells of time.
        findings: Plain sentences, shown on top.
        topic_distance: Jensen–Shannon distance (base 2) between the pages read and the pages taken, in [0, 1].
        score_notes: The chance level, the minimal detectable difference, what the scores cannot say.
        commands: The commands that reproduce the page, in order.
    """

    title: str
    subtitle: str
    recipe: str
    created: str
    findings: tuple[str, ...] = ()
    funnel: tuple[FunnelStage, ...] = ()
    measured: tuple[ScoreRange, ...] = ()
    views: tuple[ViewStatistics, ...] = ()
    chunk_seconds: tuple[ViewLengths, ...] = ()
    chunks: tuple[ListenChunk, ...] = ()
    topics: tuple[TopicRow, ...] = ()
    topic_distance: float | None = None
    writers: tuple[WriterRow, ...] = ()
    refused: tuple[RefusedAnswer, ...] = ()
    losses: tuple[LossCurve, ...] = ()
    scores: tuple[ScoreRow, ...] = ()
    score_notes: tuple[str, ...] = ()
    models: tuple[ModelRow, ...] = ()
    steps: tuple[StepRow, ...] = ()
    commands: tuple[str, ...] = ()
