"""What a recipe's ``[evals]`` table can say."""

from typing import Literal

from pydantic import Field

from spelangy.core.settings import BackendChoice, Settings

Condition = Literal["spoken", "gold text", "asr text", "choices only", "wrong audio", "untrained"]


class EvalSettings(Settings):
    """``[evals]``: a spoken multiple-choice set from the pages' own facts, scored by log-likelihood, with controls.

    Attributes:
        question_share: Share of the pages' question-answer pairs that are asked here and never trained on.
        asr: Hears the questions for the cascade (ASR text → LM).
        norm: How an option's log-likelihood is normalised for the headline; the other norms are stored beside it.
    """

    question_share: float = Field(0.4, gt=0, le=1)
    asr: BackendChoice = BackendChoice(name="moonshine-tiny-en")
    norm: Literal["sum", "per_token", "per_byte", "pmi"] = "per_token"
