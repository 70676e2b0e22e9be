"""What a recipe's ``[curate]`` table can say. Defaults carry their source."""

from typing import Literal

from pydantic import Field

from spelangy.core.settings import BackendChoice, Settings


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
    """How the systems' votes are weighed; see `curate.rover.VoteRule`."""

    method: Literal["frequency", "avgconf", "maxconf"] = "avgconf"
    alpha: float = Field(0.5, ge=0, le=1)
    null_confidence: float = Field(0.5, ge=0, le=1)


class Thresholds(Settings):
    """What a turn or chunk must keep to enter a view. Changing one re-renders views; no model runs.

    Source: inter-ASR band from practice in large crawls (WenetSpeech-Pipe, Kimi-Audio); compression ratio from Whisper
    (Radford et al. 2022, 4.5), chosen over a share of distinct words, which drops prose that repeats by design;
    characters a second from Granary; durations ours.
    """

    max_disagreement_ratio: float = Field(0.5, description="Mean pairwise word error between systems.")
    max_compression_ratio: float = Field(
        2.4, description="Bytes / zlib bytes of the text: a recogniser's loop shrinks."
    )
    max_characters_per_s: float = Field(40.0, description="Faster than anyone speaks: text that was not said.")
    min_chunk_s: float = 0.3
    max_chunk_s: float = 30.0


class ViewSettings(Settings):
    """One way to cut the store into chunks: ``fine`` at sentence ends, ``coarse`` merging a speaker's turns.

    Attributes:
        max_gap_s: Longest silence that ``coarse`` merges over (2 s: Emilia, WhisperX).
    """

    granularity: Literal["fine", "coarse"]
    max_gap_s: float = 2.0
    thresholds: Thresholds = Thresholds()


class CurateSettings(Settings):
    """``[curate]``: recordings → turns → hypotheses → consensus words → chunk views."""

    sources: tuple[AudioSource, ...] = ()
    min_recording_s: float = 0.5
    max_recording_s: float = 24 * 3600.0
    max_quarantined_ratio: float = Field(0.5, ge=0, le=1, description="More unreadable inputs than this: exit code 3.")
    vad: BackendChoice = BackendChoice(name="silero")
    diarizer: BackendChoice = BackendChoice(name="ge2e")
    asr: tuple[BackendChoice, ...] = (
        BackendChoice(name="moonshine-tiny-en"),
        BackendChoice(name="whisper-tiny-en"),
        BackendChoice(name="whisper-base"),
    )
    asr_block_s: float = Field(600.0, description="Turns of this much of a recording go to a recogniser together.")
    rover: RoverSettings = RoverSettings()
    views: dict[str, ViewSettings] = Field(
        default_factory=lambda: {
            "fine": ViewSettings(granularity="fine"),
            "coarse": ViewSettings(granularity="coarse"),
        }
    )
