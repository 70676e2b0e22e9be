"""The base of everything a recipe can say: unknown keys are refused, values never change after reading."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Settings(BaseModel):
    """One table of a recipe."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class BackendChoice(Settings):
    """A model role's backend: its name, or a table with its name and options.

    In a recipe: ``vad = "silero"`` or ``vad = { name = "silero", options = { threshold = 0.4 } }``.
    """

    name: str
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value
