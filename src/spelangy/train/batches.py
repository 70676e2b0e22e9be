"""Packed rows as tensors, with what attention and loss need to know about each token.

Shape legend: B rows, T tokens of a row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spelangy.tokens.interleave import Modality
from spelangy.tokens.packing import PackedRow

PAD_DOCUMENT = -1


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Rows side by side.

    Attributes:
        ids_BT: Token ids, int64.
        position_BT: Position within the document, from 0, int64.
        document_BT: Index of the document in its row, int64; -1 on padding.
        modality_BT: As in `PackedRow`, int64.
        loss_class_BT: As in `PackedRow`, int64.
        distance_BT: Tokens since the modality last changed within the document: 1 for the first one after it, 0 before
            any change and on special tokens; int64.
    """

    ids_BT: Tensor
    position_BT: Tensor
    document_BT: Tensor
    modality_BT: Tensor
    loss_class_BT: Tensor
    distance_BT: Tensor

    @property
    def attention_B1TT(self) -> Tensor:
        """Who may look at whom (bool): the same document, no later token. Padding looks at padding, so no row of the
        softmax is empty.
        """
        same_BTT = self.document_BT[:, :, None] == self.document_BT[:, None, :]
        return same_BTT.tril().unsqueeze(1)


def collate(rows: Sequence[PackedRow]) -> Batch:
    """Rows of equal length as one batch."""
    assert rows, "a batch has at least one row"
    return Batch(
        ids_BT=_stack([row.ids for row in rows]),
        position_BT=_stack([_since_start(row.document) for row in rows]),
        document_BT=_stack([row.document for row in rows]),
        modality_BT=_stack([row.modality for row in rows]),
        loss_class_BT=_stack([row.loss_class for row in rows]),
        distance_BT=_stack([distance_after_switch(row) for row in rows]),
    )


def _stack(rows: Sequence[NDArray[np.generic]]) -> Tensor:
    return torch.from_numpy(np.stack(rows).astype(np.int64))


def distance_after_switch(row: PackedRow) -> NDArray[np.int64]:
    """Tokens since the modality changed, shape [T]; see `Batch.distance_BT`. Special tokens do not count."""
    distance_T = np.zeros(row.ids.size, np.int64)
    (content,) = np.nonzero((row.document != PAD_DOCUMENT) & (row.modality != Modality.SPECIAL))
    document, modality = row.document[content].astype(np.int64), row.modality[content].astype(np.int64)
    since_run = _since_start(document * len(Modality) + modality)
    is_first_run = _since_start(document) == since_run
    distance_T[content] = np.where(is_first_run, 0, since_run + 1)
    return distance_T


def _since_start(label_T: NDArray[np.generic]) -> NDArray[np.int64]:
    """How many tokens back the run of equal labels began, shape [T]."""
    index_T = np.arange(label_T.size)
    begins_T = np.concatenate([np.ones(min(1, label_T.size), bool), label_T[1:] != label_T[:-1]])
    start_T: NDArray[np.int64] = np.maximum.accumulate(np.where(begins_T, index_T, 0)) if label_T.size else index_T
    return index_T - start_T
