import numpy as np
import pytest
import torch
from tiny_language import VOCABULARY, tiny_config
from transformers import LlamaForCausalLM

from spelangy.core.errors import UserError
from spelangy.train.generate import Modality, allowed_ids, generate
from spelangy.train.model import build_model


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    return build_model(tiny_config(width=64), VOCABULARY).eval()


def prompt(modality: Modality) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    switch = VOCABULARY.to_text if modality == "text" else VOCABULARY.to_speech
    return np.array([1, 2, VOCABULARY.first_speech_id, switch], np.int32)


def by_hand(model: LlamaForCausalLM, ids: list[int], allowed: set[int], stops: set[int], max_tokens: int) -> list[int]:
    """Greedy, the whole prefix anew each time, without a cache."""
    start = len(ids)
    for _ in range(max_tokens):
        with torch.no_grad():
            logits_V = model(input_ids=torch.tensor([ids])).logits[0, -1]
        best = max(allowed, key=lambda row: float(logits_V[row]))
        if best in stops:
            break
        ids = [*ids, best]
    return ids[start:]


@pytest.mark.parametrize("modality", ["text", "speech"])
def test_is_greedy_within_the_modality(model: LlamaForCausalLM, modality: Modality) -> None:
    first = VOCABULARY.first_speech_id
    own = set(range(20)) if modality == "text" else set(range(first, first + 12))
    stops = {VOCABULARY.end, VOCABULARY.to_speech if modality == "text" else VOCABULARY.to_text}
    continuation = generate(model, VOCABULARY, prompt(modality), modality=modality, max_tokens=8)
    assert continuation.ids.dtype == np.int32 and set(continuation.ids.tolist()) <= own
    assert continuation.ids.tolist() == by_hand(model, prompt(modality).tolist(), own | stops, stops, 8)


@pytest.mark.parametrize("modality", ["text", "speech"])
def test_allows_its_own_rows_the_switch_and_the_end(modality: Modality) -> None:
    allowed = set(np.flatnonzero(allowed_ids(VOCABULARY, modality)).tolist())
    own, switch = (range(20), VOCABULARY.to_speech) if modality == "text" else (range(24, 36), VOCABULARY.to_text)
    assert allowed == {*own, switch, VOCABULARY.end}


@pytest.mark.parametrize(
    ("wanted", "stopped_by"), [(VOCABULARY.end, "end"), (VOCABULARY.to_speech, "switch"), (3, "max_tokens")]
)
def test_says_why_it_stopped(wanted: int, stopped_by: str) -> None:
    model = build_model(tiny_config(width=64), VOCABULARY).eval()
    head = torch.nn.Linear(64, VOCABULARY.size)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(torch.nn.functional.one_hot(torch.tensor(wanted), VOCABULARY.size))
    model.set_output_embeddings(head)
    continuation = generate(model, VOCABULARY, prompt("text"), modality="text", max_tokens=3)
    assert continuation.stopped_by == stopped_by
    assert continuation.ids.tolist() == ([3, 3, 3] if stopped_by == "max_tokens" else [])


@pytest.mark.parametrize(("ids", "max_tokens"), [([], 3), ([1], 0), ([64], 3), ([-1], 3)])
def test_a_prompt_that_cannot_be_continued_is_refused(model: LlamaForCausalLM, ids: list[int], max_tokens: int) -> None:
    with pytest.raises(UserError, match="cannot continue"):
        generate(model, VOCABULARY, np.array(ids, np.int32), modality="text", max_tokens=max_tokens)
