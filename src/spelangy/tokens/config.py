"""What a recipe's ``[tokens]`` table can say."""

from typing import Literal

from pydantic import Field, field_validator

from spelangy.core.settings import BackendChoice, Settings
from spelangy.tokens.interleave import Policy


class InterleaveSettings(Settings):
    """How chunks become sequences; see `tokens.interleave.Policy`.

    Attributes:
        granularity: ``fine``: a chunk of the store each. ``coarse``: neighbours of one speaker merged.
        coarse_target_s: A coarse chunk takes the next span while it stays within this.
        plan: ``deterministic``: speech and text alternate strictly. ``stochastic``: each chunk is drawn by itself.
            Or one modality only.
        speech_probability: Chance of speech per chunk; used by ``stochastic`` and by `first` = ``random``.
        first: Modality of a document's first chunk, in the two mixed plans.
    """

    granularity: Literal["fine", "coarse"] = "fine"
    coarse_target_s: float = Field(30.0, gt=0)
    plan: Literal["deterministic", "stochastic", "speech-only", "text-only"] = "deterministic"
    speech_probability: float = Field(0.5, ge=0, le=1)
    first: Literal["speech", "text", "random"] = "speech"

    def policy(self) -> Policy:
        return Policy(**self.model_dump())


class TokensSettings(Settings):
    """``[tokens]``: chunks and text → units and text tokens → one span store → packed rows.

    Attributes:
        speech_tokenizer: A backend of that role, trained on this recipe's own speech.
        codebook_size: Number of speech units.
        max_tokenizer_hours: Speech it is trained on; turns are drawn by id until there is this much.
        text_vocabulary_size: Tokens of the byte-level BPE trained on this recipe's own text.
        heldout_share: Share of pages and recordings kept out of the training of the LM and of the text tokenizer, with
            everything made of them. The speech tokenizer, which sees no text, hears all turns.
        interleave: How chunks become sequences.
        mixture: Share of training tokens by source: ``text``, ``krist``, ``quest`` and the ``source`` of recordings.
            Any positive scale; 0 leaves a source out.
    """

    speech_tokenizer: BackendChoice = BackendChoice(name="kmeans-logmel")
    codebook_size: int = Field(512, ge=2, le=65_536)
    max_tokenizer_hours: float = Field(2.0, gt=0)
    text_vocabulary_size: int = Field(2048, ge=256)
    heldout_share: float = Field(0.1, ge=0, lt=1)
    interleave: InterleaveSettings = InterleaveSettings()
    mixture: dict[str, float] = Field(
        default_factory=lambda: {"text": 0.6, "krist": 0.25, "quest": 0.13, "crawl": 0.02}
    )

    @field_validator("speech_tokenizer")
    @classmethod
    def _is_trained_here(cls, choice: BackendChoice) -> BackendChoice:
        if choice.options:
            raise ValueError("it is trained by the recipe and takes no options; its settings are keys of [tokens]")
        return choice
