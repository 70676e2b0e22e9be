"""What a recipe's ``[tokens]`` table can say."""

from typing import Literal

from pydantic import Field

from spelangy.core.settings import BackendChoice, Settings
from spelangy.tokens.interleave import Policy


class InterleaveSettings(Settings):
    """How chunks become sequences; see `tokens.interleave.Policy`."""

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
        max_tokenizer_hours: Speech it is trained on; turns are drawn by id until there is this much.
        text_vocabulary_size: Tokens of the byte-level BPE trained on this recipe's own text.
        heldout_share: Share of pages and recordings kept out of all training, with everything made of them.
        mixture: Share of training tokens by source.
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
