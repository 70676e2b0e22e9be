"""What a training run is asked to do. Everything here but the circumstances decides the weights that come out."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from spelangy.core.errors import UserError

INITS = ("scratch",)

CIRCUMSTANCES = frozenset({"eval_every", "checkpoint_every", "keep_last", "threads"})
"""Settings that may change between a run and its continuation; all others belong to the run's identity."""


class TrainConfig(BaseModel):
    """One training run of a Llama-shaped decoder.

    Attributes:
        width: Size of the residual stream, an even multiple of `heads`; a multiple of 64 runs fastest.
        layers: Decoder layers.
        heads: Attention heads.
        row_tokens: Length of a packed row.
        batch_rows: Rows per optimiser step, all micro-batches together.
        accumulation: Micro-batches per step; divides `batch_rows`. Changes memory, not the result (beyond rounding).
        steps: Optimiser steps; at least `warmup_steps` and the decay together.
        learning_rate: Its highest value.
        warmup_steps: Steps of linear rise at the start.
        decay: Share of `steps` in the final decay of the learning rate.
        weight_decay: AdamW's, of matrices only.
        clip_norm: Longest gradient, L2 over all parameters.
        loss: ``both`` modalities are taught, or text alone (``understanding_only``); see `spelangy.train.loss`.
        seed: Of the fresh weights and of the order of rows.
        eval_every: Steps between two looks at the held-out losses.
        checkpoint_every: Steps between two checkpoints.
        keep_last: Checkpoints kept; two or more leave something to fall back on when the newest is damaged.
        threads: PyTorch's threads; another number may change the last bits of the weights.
        precision: ``bf16`` (autocast of matrix products) or ``fp32``.
        init: Where the weights come from; only ``scratch``.

    Raises:
        UserError: When `init` is anything else than what this version can start from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int = Field(128, ge=8)
    layers: int = Field(4, ge=1)
    heads: int = Field(2, ge=1)
    row_tokens: int = Field(512, ge=8)
    batch_rows: int = Field(8, ge=1)
    accumulation: int = Field(1, ge=1)
    steps: int = Field(1_000, ge=1)
    learning_rate: float = Field(3e-3, gt=0)
    warmup_steps: int = Field(50, ge=0)
    decay: float = Field(0.2, ge=0, le=1)
    weight_decay: float = Field(0.1, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    loss: Literal["both", "understanding_only"] = "both"
    seed: int = 0
    eval_every: int = Field(100, ge=1)
    checkpoint_every: int = Field(100, ge=1)
    keep_last: int = Field(2, ge=1)
    threads: int = Field(1, ge=1)
    precision: Literal["bf16", "fp32"] = "bf16"
    init: str = "scratch"

    @field_validator("init")
    @classmethod
    def _known_init(cls, init: str) -> str:
        if init not in INITS:
            raise UserError(
                f"train.init: {init!r} is not a start this version can make; allowed: {', '.join(INITS)}",
                hint='set init = "scratch"',
            )
        return init

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} must be an even multiple of heads {self.heads} (rotary positions)")
        if self.batch_rows % self.accumulation:
            raise ValueError(f"accumulation {self.accumulation} must divide batch_rows {self.batch_rows}")
        if self.warmup_steps + self.decay_steps > self.steps:
            raise ValueError(
                f"warmup_steps {self.warmup_steps} and the decay ({self.decay_steps} steps) exceed steps {self.steps}"
            )
        return self

    @property
    def decay_steps(self) -> int:
        return round(self.decay * self.steps)

    def identity(self) -> dict[str, Any]:
        """The settings that decide the weights; a checkpoint of another identity is never continued."""
        return self.model_dump(exclude=set(CIRCUMSTANCES))


def learning_rate(config: TrainConfig, step: int) -> float:
    """Warm-up, stable, decay: the learning rate of step 0 … steps - 1, never zero.

    Source: 1 - sqrt decay, Hägele et al. 2024, "Scaling Laws and Compute-Optimal Training Beyond Fixed Training
    Durations".
    """
    if step < config.warmup_steps:
        return config.learning_rate * ((step + 1) / config.warmup_steps)
    into_decay = step - (config.steps - config.decay_steps)
    if into_decay <= 0:
        return config.learning_rate
    return float(config.learning_rate * (1 - (into_decay / config.decay_steps) ** 0.5))
