"""What a recipe's ``[synth]`` table can say."""

from typing import Annotated, Literal

from pydantic import Field

from spelangy.core.settings import BackendChoice, Settings


class UrlSettings(Settings):
    """Which addresses are worth reading, decided before a page is parsed.

    Attributes:
        allow: Domains (with their subdomains) or path prefixes (``en.wikipedia.org/wiki``) that are always read; an
            entry that is a file's path stands for its lines.
        deny: The same, never read; wins over everything else.
        deny_suffixes: Ends of host names that are never read (``.xxx``).
        sites: ``any`` page, or only those of ``knowledge``-rich sites: the seed list, its suffixes and `allow`.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    deny_suffixes: tuple[str, ...] = ()
    sites: Literal["any", "knowledge"] = "any"


class SelectSettings(Settings):
    """Which pages are taken, decided late over what was measured of them.

    Attributes:
        classifier: Names a page's topic (one of the 24 of WebOrganizer). None: topics are not measured.
        topics: Weight by topic (or an unambiguous part of its name); 1 where not named, 0: never.
        max_pages: Most pages taken, drawn by weight; None: as many as the weights let through.
        min_quality: Least share of the text-quality rules that a page keeps.
    """

    classifier: BackendChoice | None = BackendChoice(name="words")
    topics: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    max_pages: int | None = Field(None, ge=1)
    min_quality: float = Field(0.0, ge=0, le=1)


class VoiceSettings(Settings):
    """One voice of the mix.

    Attributes:
        tts: The backend.
        voice: One of the backend's voices.
        weight: Share of chunks it speaks, relative to the other voices.
        rate: Speed, 1 is the voice's own.
        accent: Of the voice, for the record (``en-GB`` …); part of the speaker's name, as a rate other than 1 is.
        sex: Of the voice, for the record.
    """

    tts: BackendChoice
    voice: str
    weight: float = Field(1.0, gt=0)
    rate: float = Field(1.0, ge=0.5, le=2.0)
    accent: str = ""
    sex: Literal["", "female", "male"] = ""

    @property
    def speaker(self) -> str:
        """Its name in turns and chunks: ``hibari:heart``, ``piper:joe:en-US@1.2``."""
        accent = f":{self.accent}" if self.accent else ""
        return f"{self.tts.name}:{self.voice}{accent}" + (f"@{self.rate:g}" if self.rate != 1.0 else "")


class RoundTripSettings(Settings):
    """Every spoken sentence is heard again by an ASR, clean, and compared with its text.

    Attributes:
        asr: The recogniser.
        max_wer: Word error rate above which a sentence is spoken again by another voice, and at last dropped.
        max_voices: How many voices may try.
    """

    asr: BackendChoice = BackendChoice(name="moonshine-tiny-en")
    max_wer: float = Field(0.5, ge=0)
    max_voices: int = Field(2, ge=1)


class AugmentSettings(Settings):
    """Rooms and noises laid over a share of the sentences, after they were heard; never over evaluation questions.

    Attributes:
        rooms: Folder, files or globs of impulse responses; none: no rooms.
        noises: Folder, files or globs of noises; none: no noise.
        share: Share of sentences that are changed, drawn by chunk id.
        snr_db: Signal-to-noise ratios to draw from, dB.
    """

    rooms: tuple[str, ...] = ()
    noises: tuple[str, ...] = ()
    share: float = Field(1.0, ge=0, le=1)
    snr_db: tuple[float, ...] = Field((20.0,), min_length=1)


class KristSettings(Settings):
    """Knowledge-rich prose from pages.

    Attributes:
        llm: Rewrites paragraphs; each rewrite must pass the faithfulness gate. None: templates only.
        llm_share: Share of pages offered to the LLM, drawn by page id; a small model is slow and often rejected.
    """

    llm: BackendChoice | None = None
    llm_share: float = Field(1.0, ge=0, le=1)


class QuestSettings(Settings):
    """Questions mined from pages, answered with reasoning that the page states.

    Attributes:
        max_per_page: Most questions taken from one page.
        llm: Judges whether a question is valid, reasons and answers; what fails its checks falls back to the page's own
            sentences. None: rules only.
        llm_share: Share of pages offered to the LLM, drawn by page id.
    """

    max_per_page: int = Field(8, ge=0)
    llm: BackendChoice | None = None
    llm_share: float = Field(1.0, ge=0, le=1)


class GateSettings(Settings):
    """What of an evaluation question bars a text from training, asked before an LLM or a synthesiser is paid.

    Attributes:
        questions: JSONL files of evaluation questions (``question``, ``answer``) kept out beside the recipe's own.
        grade: ``whole`` questions only, or any ``partial`` run of six words (the paper's n-gram definition).
        unit: What is left out where one is found: the ``page`` or the ``line``.
    """

    questions: tuple[str, ...] = ()
    grade: Literal["whole", "partial"] = "partial"
    unit: Literal["page", "line"] = "page"


class SynthSettings(Settings):
    """``[synth]``: web pages → Krist and Quest scripts → spoken chunks.

    Attributes:
        pages: Web pages: WARC, WET, HTML, Parquet or JSONL files, folders of them or globs, plain or gzip; none: no
            synthesis and no evaluation.
        extraction: ``best`` finds a page's main text with most care, ``fast`` several times as quickly.
        urls: Which addresses are read.
        select: Which pages are taken.
        gate: How evaluation questions are kept out.
        krist: How prose is written.
        quest: Which questions are taken.
        voices: Who speaks; drawn sentence by sentence.
        round_trip: Hears every sentence again; none: unheard.
        augment: Rooms and noises; none: clean.
        pause_s: Silence after each sentence.
        loudness_db: Root mean square level that every sentence is brought to, dB below full scale.
    """

    pages: tuple[str, ...] = ()
    extraction: Literal["best", "fast"] = "best"
    urls: UrlSettings = UrlSettings()
    select: SelectSettings = SelectSettings()
    gate: GateSettings = GateSettings()
    krist: KristSettings = KristSettings()
    quest: QuestSettings = QuestSettings()
    voices: tuple[VoiceSettings, ...] = Field(
        (VoiceSettings(tts=BackendChoice(name="hibari"), voice="heart"),), min_length=1
    )
    round_trip: RoundTripSettings | None = None
    augment: AugmentSettings | None = None
    pause_s: float = Field(0.24, ge=0)
    loudness_db: float = Field(-23.0, le=0)
