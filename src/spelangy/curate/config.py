"""What a recipe's ``[curate]`` table can say. Defaults carry their source."""

import re
from typing import Literal

from pydantic import Field, field_validator

from spelangy.core.settings import BackendChoice, Settings

_VIEW_NAME = re.compile("[a-z0-9][a-z0-9-]*")


class AudioSource(Settings):
    """Where recordings come from.

    Attributes:
        uris: Files, folders (searched for audio of any kind), globs, or ``package:NAME/FILE`` inside an installed one.
        licence: Carried to every chunk.
        source: Name of the source in tables and reports.
    """

    uris: tuple[str, ...]
    licence: str = "unknown"
    source: str = "crawl"


class RoverSettings(Settings):
    """How the systems' votes are weighed; see `curate.rover.VoteRule`.

    Attributes:
        method: ``frequency``: votes alone. ``avgconf``: and the word's share of the slot's summed confidence.
            ``maxconf``: and its highest confidence.
        alpha: Weight of the votes against the confidences.
        null_confidence: Confidence of a system that says nothing where others say a word.
    """

    method: Literal["frequency", "avgconf", "maxconf"] = "avgconf"
    alpha: float = Field(0.5, ge=0, le=1)
    null_confidence: float = Field(0.7, ge=0, le=1)


class Thresholds(Settings):
    """What a turn or chunk must keep to enter a view. Changing one re-renders views; no model runs.

    Source: inter-ASR band from practice in large crawls (WenetSpeech-Pipe, Kimi-Audio); compression ratio from Whisper
    (Radford et al. 2022, 4.5), chosen over a share of distinct words, which drops prose that repeats by design;
    characters a second from Granary; durations ours.

    Attributes:
        min_chunk_s: Shorter chunks are dropped.
        max_chunk_s: Longer chunks are cut at their widest silences between words; what cannot be cut is dropped.
    """

    max_disagreement_ratio: float = Field(0.5, description="Mean pairwise word error between systems.")
    max_compression_ratio: float = Field(
        2.4, description="Bytes / zlib bytes of the text: a recogniser's loop shrinks."
    )
    max_characters_per_s: float = Field(40.0, description="Faster than anyone speaks: text that was not said.")
    min_chunk_s: float = Field(0.3, ge=0)
    max_chunk_s: float = Field(30.0, gt=0)


class ViewSettings(Settings):
    """One way to cut the store into chunks: ``fine`` at sentence ends, ``coarse`` merging a speaker's turns.

    Attributes:
        granularity: ``fine`` or ``coarse``.
        max_gap_s: Longest silence that ``coarse`` merges over (2 s: Emilia, WhisperX).
        thresholds: What a turn or chunk must keep to enter this view.
    """

    granularity: Literal["fine", "coarse"]
    max_gap_s: float = Field(2.0, ge=0)
    thresholds: Thresholds = Thresholds()


class CurateSettings(Settings):
    """``[curate]``: recordings → turns → hypotheses → consensus words → chunk views.

    Attributes:
        sources: Where recordings come from; none: no curation.
        min_recording_s: Shorter recordings are quarantined.
        max_recording_s: Longer recordings are quarantined; bounds the memory that decoding one can take.
        vad: Finds speech.
        diarizer: Finds who speaks.
        asr: The systems that hear every turn, each once, in the order in which ROVER breaks ties.
        rover: How their votes are weighed.
        views: Ways to cut the store into chunks, by name (lower-case letters, digits, hyphens); ``fine``, which
            training reads, must be among them.
    """

    sources: tuple[AudioSource, ...] = ()
    min_recording_s: float = Field(0.5, ge=0)
    max_recording_s: float = Field(24 * 3600.0, gt=0)
    max_quarantined_ratio: float = Field(0.5, ge=0, le=1, description="More unreadable inputs than this: exit code 3.")
    vad: BackendChoice = BackendChoice(name="silero")
    diarizer: BackendChoice = BackendChoice(name="ge2e")
    asr: tuple[BackendChoice, ...] = (
        BackendChoice(name="moonshine-tiny-en"),
        BackendChoice(name="whisper-tiny-en"),
        BackendChoice(name="whisper-base"),
    )
    asr_block_s: float = Field(
        600.0, gt=0, description="Turns of this much of a recording go to a recogniser together."
    )
    rover: RoverSettings = RoverSettings()
    views: dict[str, ViewSettings] = Field(
        default_factory=lambda: {
            "fine": ViewSettings(granularity="fine"),
            "coarse": ViewSettings(granularity="coarse"),
        }
    )

    @field_validator("asr")
    @classmethod
    def _distinct_systems(cls, asr: tuple[BackendChoice, ...]) -> tuple[BackendChoice, ...]:
        names = [choice.name for choice in asr]
        if not names or len(set(names)) < len(names):
            raise ValueError("name one system or more, each once")
        return asr

    @field_validator("views")
    @classmethod
    def _has_fine_view(cls, views: dict[str, ViewSettings]) -> dict[str, ViewSettings]:
        if "fine" not in views or not all(_VIEW_NAME.fullmatch(name) for name in views):
            raise ValueError(
                "name views in lower-case letters, digits and hyphens; 'fine', which training reads, is one"
            )
        return views
