"""Greedy continuation in one modality."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import GenerationConfig, LlamaForCausalLM

from spelangy.core.errors import UserError
from spelangy.tokens.vocabulary import Vocabulary

Modality = Literal["text", "speech"]


@dataclass(frozen=True, kw_only=True)
class Continuation:
    """What the model went on to say.

    Attributes:
        ids: Token ids after the prompt, of the forced modality only, int32.
        stopped_by: ``end``, ``switch`` (it turned to the other modality) or ``max_tokens``.
    """

    ids: NDArray[np.int32]
    stopped_by: Literal["end", "switch", "max_tokens"]


def allowed_ids(vocabulary: Vocabulary, modality: Modality) -> NDArray[np.bool_]:
    """Which ids may follow in a stretch of one modality: its own, its switch to the other one, and the end.

    Returns:
        Shape [vocabulary.size]; unused rows are never allowed.
    """
    allowed = np.zeros(vocabulary.size, bool)
    if modality == "text":
        allowed[: vocabulary.text_size] = True
    else:
        allowed[vocabulary.first_speech_id : vocabulary.first_speech_id + vocabulary.codebook_size] = True
    allowed[[_switch_id(vocabulary, modality), vocabulary.end]] = True
    return allowed


def _switch_id(vocabulary: Vocabulary, modality: Modality) -> int:
    return vocabulary.to_speech if modality == "text" else vocabulary.to_text


def generate(
    model: LlamaForCausalLM,
    vocabulary: Vocabulary,
    prompt_ids: NDArray[np.int32],
    *,
    modality: Modality,
    max_tokens: int,
) -> Continuation:
    """Goes on after `prompt_ids` with the likeliest allowed token each time, with a key-value cache.

    Args:
        prompt_ids: The context, its switch token to `modality` included, shape [T].
        max_tokens: Longest continuation.

    Raises:
        UserError: When the prompt is empty, holds ids the vocabulary does not have, or `max_tokens` is not positive.
    """
    if not prompt_ids.size or max_tokens < 1 or prompt_ids.min() < 0 or prompt_ids.max() >= vocabulary.size:
        raise UserError(
            f"cannot continue {prompt_ids.size} ids by {max_tokens} tokens: a prompt needs at least one id in "
            f"[0, {vocabulary.size}) and max_tokens at least 1"
        )
    stops = {vocabulary.end: "end", _switch_id(vocabulary, modality): "switch"}
    settings = GenerationConfig(
        do_sample=False,
        max_new_tokens=max_tokens,
        suppress_tokens=np.flatnonzero(~allowed_ids(vocabulary, modality)).tolist(),
        eos_token_id=list(stops),
        pad_token_id=vocabulary.pad,
    )
    prompt_BT = torch.from_numpy(prompt_ids.astype(np.int64))[None]
    with torch.inference_mode():
        output_BT = model.generate(prompt_BT, attention_mask=torch.ones_like(prompt_BT), generation_config=settings)
    ids = output_BT[0, prompt_ids.size :].numpy().astype(np.int32)
    stopped_by = stops.get(int(ids[-1]), "max_tokens")
    return Continuation(ids=ids if stopped_by == "max_tokens" else ids[:-1], stopped_by=stopped_by)  # type: ignore[arg-type]  # dict values are str to mypy
