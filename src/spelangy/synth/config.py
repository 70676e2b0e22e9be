"""What a recipe's ``[synth]`` table can say."""

from typing import Literal

from pydantic import Field

from spelangy.core.settings import BackendChoice, Settings


class VoiceSettings(Settings):
    """One voice of the mix.

    Attributes:
        tts: The backend.
        voice: One of the backend's voices.
        weight: Share of chunks it speaks, relative to the other voices.
    """

    tts: BackendChoice
    voice: str
    weight: float = Field(1.0, gt=0)

    @property
    def speaker(self) -> str:
        return f"{self.tts.name}:{self.voice}"


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
    """

    max_per_page: int = Field(8, ge=0)


class SynthSettings(Settings):
    """``[synth]``: web pages → Krist and Quest scripts → spoken chunks.

    Attributes:
        warc: WARC files, folders of them or globs, plain or gzip; none: no synthesis and no evaluation.
        contamination: What of an evaluation question bars a text from training: the ``whole`` question, or any
            ``partial`` run of six words (the paper's n-gram definition).
        krist: How prose is written.
        quest: Which questions are taken.
        voices: Who speaks; drawn sentence by sentence.
        pause_s: Silence after each sentence.
        loudness_db: Root mean square level that every sentence is brought to, dB below full scale.
    """

    warc: tuple[str, ...] = ()
    contamination: Literal["whole", "partial"] = "partial"
    krist: KristSettings = KristSettings()
    quest: QuestSettings = QuestSettings()
    voices: tuple[VoiceSettings, ...] = Field(
        (VoiceSettings(tts=BackendChoice(name="hibari"), voice="heart"),), min_length=1
    )
    pause_s: float = Field(0.24, ge=0)
    loudness_db: float = Field(-23.0, le=0)
