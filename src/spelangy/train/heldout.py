"""How well the model predicts rows it never trains on, by modality."""

from collections.abc import Sequence

import torch
from transformers import LlamaForCausalLM

from spelangy.tokens.packing import PackedRow
from spelangy.train.batches import collate
from spelangy.train.loss import NatSums, select_targets, target_nats


def heldout_nats(model: LlamaForCausalLM, rows: Sequence[PackedRow], *, batch_rows: int = 8) -> NatSums:
    """Cross-entropy of every target of `rows` in float32: speech too where the training preset leaves it out, so that
    runs of different presets and precisions can be compared.
    """
    sums = NatSums.zero()
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for first in range(0, len(rows), batch_rows):
                batch = collate(rows[first : first + batch_rows])
                targets = select_targets(batch, "both")
                if targets.ids_N.numel():
                    sums += NatSums.of(targets, target_nats(model, batch, targets))
    finally:
        model.train(was_training)
    return sums


def loss_fields(sums: NatSums) -> dict[str, object]:
    """The fields of a metrics row: mean nats by modality, and by distance after a switch."""
    return {
        "text_loss": sums.mean("text"),
        "speech_loss": sums.mean("speech"),
        "special_loss": sums.mean("special"),
        "text_after_switch": sums.after_switch("text"),
        "speech_after_switch": sums.after_switch("speech"),
    }
