"""What the model is taught, and in which units that is reported.

Each target (a token that its predecessors in the same document should predict) has a weight by its loss class. The
loss of a step is sum(weight * nats) / sum(weight) over the whole global batch, all micro-batches together: dividing
each micro-batch by its own weights would let short ones count more (transformers#34191).

Shape legend: B rows, T tokens of a row, N targets, D width, V vocabulary.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers import LlamaForCausalLM

from spelangy.tokens.interleave import LossClass, Modality
from spelangy.train.batches import PAD_DOCUMENT, Batch
from spelangy.train.model import head_weight, hidden_states

Preset = Literal["both", "understanding_only"]

UNTAUGHT: Mapping[Preset, frozenset[LossClass]] = {
    "both": frozenset({LossClass.NONE}),
    "understanding_only": frozenset({LossClass.NONE, LossClass.SPEECH, LossClass.FIRST_SPEECH}),
}
"""Loss classes of weight 0; all others weigh 1."""

DISTANCES = {"1": 1, "2": 2, "4": 4, "8+": 8}
"""Reported distances after a switch, each up to the next: 1, 2-3, 4-7, 8 and more."""

MODALITIES = {modality.name.lower(): modality for modality in Modality}

HEAD_CHUNK_TOKENS = 1_024
"""Targets whose logits exist at one time: 12 MB of float32 at a vocabulary of 3,000, 200 MB at 50,000."""


def target_weights(batch: Batch, preset: Preset) -> Tensor:
    """The weight of each token as a target, weight_BT, float32; 0 for a document's first token, which nothing precedes.

    Under ``understanding_only`` what follows a speech unit has no weight either. Only "switch to text" and "end" would
    be left to teach there, and the model would learn that every unit is the last one.
    """
    by_class = torch.ones(max(LossClass) + 1)
    by_class[[int(loss_class) for loss_class in UNTAUGHT[preset]]] = 0.0
    document_BT = batch.document_BT
    has_source = (document_BT[:, 1:] == document_BT[:, :-1]) & (document_BT[:, 1:] != PAD_DOCUMENT)
    if preset == "understanding_only":
        has_source = has_source & (batch.modality_BT[:, :-1] != Modality.SPEECH)
    weight_BT = by_class[batch.loss_class_BT]
    weight_BT[:, 1:] *= has_source
    weight_BT[:, 0] = 0.0
    return weight_BT


@dataclass(frozen=True, kw_only=True)
class Targets:
    """The tokens of a batch that carry loss.

    Attributes:
        source_N: Flat index in [0, B T) of the token that predicts, int64.
        ids_N: Token to be predicted, int64.
        weight_N: Its weight, > 0, float32.
        modality_N: Its modality.
        distance_N: See `Batch.distance_BT`.
    """

    source_N: Tensor
    ids_N: Tensor
    weight_N: Tensor
    modality_N: Tensor
    distance_N: Tensor

    @property
    def total_weight(self) -> float:
        return float(self.weight_N.sum(dtype=torch.float64))


def select_targets(batch: Batch, preset: Preset) -> Targets:
    """The targets with a weight above 0."""
    weight_BT = target_weights(batch, preset)
    row_N, column_N = torch.nonzero(weight_BT > 0, as_tuple=True)
    return Targets(
        source_N=row_N * weight_BT.shape[1] + column_N - 1,
        ids_N=batch.ids_BT[row_N, column_N],
        weight_N=weight_BT[row_N, column_N],
        modality_N=batch.modality_BT[row_N, column_N],
        distance_N=batch.distance_BT[row_N, column_N],
    )


def target_nats(model: LlamaForCausalLM, batch: Batch, targets: Targets) -> Tensor:
    """Cross-entropy of each target in nats, nats_N, float32. Only targets reach the vocabulary head."""
    hidden_BTD = hidden_states(model, batch.ids_BT, batch.position_BT, batch.attention_B1TT)
    hidden_ND = hidden_BTD.flatten(0, 1).index_select(0, targets.source_N)
    return linear_cross_entropy(hidden_ND, head_weight(model), targets.ids_N)


def linear_cross_entropy(hidden_ND: Tensor, head_VD: Tensor, ids_N: Tensor) -> Tensor:
    """Cross-entropy by chunks; backward makes each chunk's logits again instead of keeping all of them.

    Source: ours. `torch.nn.functional.linear_cross_entropy` with chunking returns bf16 nats under bf16 and took 1.8
    times as long on CPU (torch 2.13, 4,096 targets, D 192, V 3,072); in float32 both take the same time.
    """
    chunks = zip(torch.split(hidden_ND, HEAD_CHUNK_TOKENS), torch.split(ids_N, HEAD_CHUNK_TOKENS), strict=True)
    nats: list[Tensor] = [
        checkpoint(_chunk_nats, hidden, head_VD, ids, use_reentrant=False, preserve_rng_state=False)
        for hidden, ids in chunks
    ]
    return torch.cat(nats)


def _chunk_nats(hidden_ND: Tensor, head_VD: Tensor, ids_N: Tensor) -> Tensor:
    logits_NV = functional.linear(hidden_ND, head_VD).float()
    return functional.cross_entropy(logits_NV, ids_N, reduction="none")


@dataclass(frozen=True, kw_only=True)
class NatSums:
    """Sums of nats and their counts, by modality and by distance after a switch; they add up over batches.

    Attributes:
        nats: Shape [modality, distance], float64; column 0 holds what follows no switch.
        counts: The same shape, int64.
    """

    nats: NDArray[np.float64]
    counts: NDArray[np.int64]

    @classmethod
    def zero(cls) -> "NatSums":
        """Nothing seen yet."""
        shape = (len(MODALITIES), len(DISTANCES) + 1)
        return cls(nats=np.zeros(shape), counts=np.zeros(shape, np.int64))

    @classmethod
    def of(cls, targets: Targets, nats_N: Tensor) -> "NatSums":
        """The sums over one batch; weights play no part in what is reported."""
        zero = cls.zero()
        column_N = np.searchsorted(list(DISTANCES.values()), targets.distance_N.numpy(), side="right")
        cell_N = targets.modality_N.numpy() * zero.nats.shape[1] + column_N
        nats = np.bincount(cell_N, nats_N.detach().double().numpy(), zero.nats.size).astype(np.float64)
        counts = np.bincount(cell_N, minlength=zero.nats.size)
        return cls(nats=nats.reshape(zero.nats.shape), counts=counts.reshape(zero.nats.shape))

    def __add__(self, other: "NatSums") -> "NatSums":
        return NatSums(nats=self.nats + other.nats, counts=self.counts + other.counts)

    def mean(self, modality: str) -> float | None:
        """Mean nats of the targets of one modality (a key of `MODALITIES`); None where there were none."""
        row = MODALITIES[modality]
        return _ratio(self.nats[row].sum(), self.counts[row].sum())

    def num_targets(self, modality: str) -> int:
        return int(self.counts[MODALITIES[modality]].sum())

    def after_switch(self, modality: str) -> dict[str, float | None]:
        """Mean nats by distance after the switch to `modality`; keys as in `DISTANCES`."""
        row = MODALITIES[modality]
        return {
            name: _ratio(self.nats[row, column], self.counts[row, column])
            for column, name in enumerate(DISTANCES, start=1)
        }


def _ratio(nats: float, count: int) -> float | None:
    return float(nats / count) if count else None
