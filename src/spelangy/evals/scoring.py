"""Log-likelihoods of answer options after a context, and who wins.

All options of an item share one pass over its context. They lie behind it in one row and do not see each other:

    row        context ........ | option 1 | option 2 | option 3 |
    position   0 1 2 ...... n-1 | n n+1    | n n+1 .. | n        |
    may see    context            context    context    context, and the earlier tokens of the same option

Shape legend: B rows, T tokens of a row, N option tokens, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from transformers import LlamaForCausalLM

from spelangy.core.errors import UserError
from spelangy.train.model import head_weight, hidden_states

Ids = NDArray[np.int32]
Values = NDArray[np.float64]

PADDING, CONTEXT = -2, -1
"""Segments of a row that are not an option; options are 0, 1 …"""

TIE = 1e-4
"""Scores nearer than this are equal: padding and batch mates move a float32 sum of log-probabilities by less."""


@dataclass(frozen=True, kw_only=True)
class OptionScores:
    """Log-likelihoods in nats, one array per item with one value per option.

    Attributes:
        log_likelihood: Sum over the option's tokens.
        num_tokens: Tokens of each option.
        num_bytes: UTF-8 bytes of each option's text.
    """

    log_likelihood: tuple[Values, ...]
    num_tokens: tuple[NDArray[np.int64], ...]
    num_bytes: tuple[NDArray[np.int64], ...]

    @property
    def per_token(self) -> tuple[Values, ...]:
        """Mean nats per token."""
        return tuple(value / count for value, count in zip(self.log_likelihood, self.num_tokens, strict=True))

    @property
    def per_byte(self) -> tuple[Values, ...]:
        """Mean nats per byte: comparable between tokenizers."""
        return tuple(value / count for value, count in zip(self.log_likelihood, self.num_bytes, strict=True))

    def pmi(self, unconditional: "OptionScores") -> tuple[Values, ...]:
        """Pointwise mutual information with the context, in nats: what the context adds to each option.

        Args:
            unconditional: From `score_unconditional` with the same options.
        """
        pairs = zip(self.log_likelihood, unconditional.log_likelihood, strict=True)
        return tuple(value - prior for value, prior in pairs)


def score_options(
    model: LlamaForCausalLM,
    contexts: Sequence[Ids],
    options: Sequence[Sequence[Ids]],
    *,
    option_bytes: Sequence[Sequence[int]],
    batch_tokens: int = 8_192,
) -> OptionScores:
    """Log-likelihood of each option's tokens after its item's context; float32 log-softmax over the whole vocabulary.

    Args:
        contexts: Token ids before the options, switch tokens included, one array [T] per item.
        options: Token ids of each item's options, each tokenised alone with its leading space.
        option_bytes: UTF-8 length of each option's text.
        batch_tokens: Most tokens (padding too) in one pass; a longer item goes alone. Does not move the scores.

    Raises:
        UserError: When a context or an option has no token, an option no byte, or the lists do not match.
    """
    _require_scorable(contexts, options, option_bytes)
    rows = [_row(context, choices) for context, choices in zip(contexts, options, strict=True)]
    scores: list[Values] = [np.zeros(0)] * len(rows)
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for indices in _batches([row.ids.size for row in rows], batch_tokens):
                for index, score in zip(indices, _score([rows[index] for index in indices], model), strict=True):
                    scores[index] = score
    finally:
        model.train(was_training)
    return OptionScores(
        log_likelihood=tuple(scores),
        num_tokens=tuple(np.array([option.size for option in choices], np.int64) for choices in options),
        num_bytes=tuple(np.array(sizes, np.int64) for sizes in option_bytes),
    )


def score_unconditional(
    model: LlamaForCausalLM,
    prefix: Ids,
    options: Sequence[Sequence[Ids]],
    *,
    option_bytes: Sequence[Sequence[int]],
    batch_tokens: int = 8_192,
) -> OptionScores:
    """The same options after nothing but `prefix` (the switch token, or "Answer:"): the prior that PMI takes off."""
    return score_options(model, [prefix] * len(options), options, option_bytes=option_bytes, batch_tokens=batch_tokens)


def _require_scorable(
    contexts: Sequence[Ids], options: Sequence[Sequence[Ids]], option_bytes: Sequence[Sequence[int]]
) -> None:
    if not len(contexts) == len(options) == len(option_bytes):
        raise UserError(
            f"{len(contexts)} contexts, {len(options)} lists of options, {len(option_bytes)} of byte counts: "
            "there must be one of each per item"
        )
    for index, (context, choices, sizes) in enumerate(zip(contexts, options, option_bytes, strict=True)):
        if not context.size or not choices or not all(option.size for option in choices):
            raise UserError(
                f"item {index}: context and options need at least one token each",
                hint="put the switch token or a space before what is scored",
            )
        if len(sizes) != len(choices) or min(sizes) < 1:
            raise UserError(f"item {index}: {len(choices)} options with byte counts {list(sizes)}")


@dataclass(frozen=True, kw_only=True)
class _Row:
    """An item laid out as in the module's drawing; `source` is the index that predicts each option token."""

    ids: NDArray[np.int64]
    position: NDArray[np.int64]
    segment: NDArray[np.int64]
    source: NDArray[np.int64]

    @property
    def num_context(self) -> int:
        return int((self.segment == CONTEXT).sum())


def _row(context: Ids, options: Sequence[Ids]) -> _Row:
    sizes = np.array([option.size for option in options])
    starts = context.size + np.concatenate([[0], np.cumsum(sizes)[:-1]])
    within = np.concatenate([np.arange(size) for size in sizes])
    before = np.repeat(starts, sizes) + within - 1
    return _Row(
        ids=np.concatenate([context, *options]).astype(np.int64),
        position=np.concatenate([np.arange(context.size), context.size + within]),
        segment=np.concatenate([np.full(context.size, CONTEXT), np.repeat(np.arange(sizes.size), sizes)]),
        source=np.where(within == 0, context.size - 1, before),
    )


def _batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Indices of rows of similar length, so that little is padding."""
    batch: list[int] = []
    for index in np.argsort(lengths, kind="stable").tolist():
        if batch and (len(batch) + 1) * lengths[index] > batch_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _score(rows: Sequence[_Row], model: LlamaForCausalLM) -> list[Values]:
    longest = max(row.ids.size for row in rows)
    ids_BT = torch.from_numpy(np.stack([_pad(row.ids, longest, 0) for row in rows]))
    position_BT = torch.from_numpy(np.stack([_pad(row.position, longest, 0) for row in rows]))
    segment_BT = torch.from_numpy(np.stack([_pad(row.segment, longest, PADDING) for row in rows]))
    hidden_BTD = hidden_states(model, ids_BT, position_BT, _may_see(segment_BT))
    return [_sum_by_option(row, hidden_TD, head_weight(model)) for row, hidden_TD in zip(rows, hidden_BTD, strict=True)]


def _pad(values_T: NDArray[np.int64], length: int, value: int) -> NDArray[np.int64]:
    return np.pad(values_T, (0, length - values_T.size), constant_values=value)


def _may_see(segment_BT: torch.Tensor) -> torch.Tensor:
    """True where the query (row) may look at the key (column): earlier, and in the context or the same segment."""
    same_BTT = segment_BT[:, :, None] == segment_BT[:, None, :]
    is_context_B1T = (segment_BT == CONTEXT)[:, None, :]
    return (same_BTT | is_context_B1T).tril().unsqueeze(1)


def _sum_by_option(row: _Row, hidden_TD: torch.Tensor, head_VD: torch.Tensor) -> Values:
    logits_NV = functional.linear(hidden_TD[torch.from_numpy(row.source)], head_VD).float()
    targets_N = torch.from_numpy(row.ids[row.num_context :])
    log_likelihood_N = -functional.cross_entropy(logits_NV, targets_N, reduction="none").double().numpy()
    return np.bincount(row.segment[row.num_context :], log_likelihood_N).astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class Pick:
    """The options that scored highest.

    Attributes:
        best: Indices within `TIE` of the highest score, ascending.
    """

    best: tuple[int, ...]

    def credit(self, gold: int) -> float:
        """1 for the gold option alone, 1/k where k options tie and the gold is one of them, else 0."""
        return 1 / len(self.best) if gold in self.best else 0.0


def pick(scores: Sequence[Values], *, tie: float = TIE) -> list[Pick]:
    """The winner or winners of each item.

    Args:
        scores: One array per item, higher is better: any of the norms of `OptionScores`.
        tie: Scores at most this far below the highest are equal to it.
    """
    return [Pick(best=tuple(np.flatnonzero(values >= values.max() - tie).tolist())) for values in scores]


def num_correct(scores: Sequence[Values], gold: Sequence[int], *, tie: float = TIE) -> float:
    """Items answered rightly, ties counted by their share."""
    return sum(choice.credit(index) for choice, index in zip(pick(scores, tie=tie), gold, strict=True))
