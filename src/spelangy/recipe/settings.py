"""All that a recipe can say, one table a room."""

from pydantic import Field

from spelangy.core.settings import Settings
from spelangy.curate.config import CurateSettings
from spelangy.evals.config import EvalSettings
from spelangy.synth.config import SynthSettings
from spelangy.tokens.config import TokensSettings
from spelangy.train.config import TrainConfig


class Recipe(Settings):
    """One experiment, readable top to bottom. Defaults live with the room that uses them.

    Attributes:
        name: Its refs in the store; the file's name unless stated.
        seed: Root of every random stream but the training's own.
        allow_network: Whether a model may be fetched from the hub when no wheel, path or cache holds it.
        curate: Recordings.
        synth: Web pages.
        tokens: Units, text tokens, sequences.
        train: The speech LM.
        evals: Spoken questions.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    seed: int = 0
    allow_network: bool = False
    curate: CurateSettings = CurateSettings()
    synth: SynthSettings = SynthSettings()
    tokens: TokensSettings = TokensSettings()
    train: TrainConfig = TrainConfig()
    evals: EvalSettings = EvalSettings()
