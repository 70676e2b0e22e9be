from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from transformers import LlamaForCausalLM

from spelangy.core.errors import UserError
from spelangy.evals.scoring import OptionScores, num_correct, pick, score_options, score_unconditional
from spelangy.tokens.vocabulary import Vocabulary
from spelangy.train.config import TrainConfig
from spelangy.train.model import build_model

Ids = NDArray[np.int32]
VOCABULARY = Vocabulary(text_size=50, codebook_size=10)
MODEL = build_model(TrainConfig(width=64, layers=2, heads=2, row_tokens=64), VOCABULARY).eval()

ids = st.lists(st.integers(0, 63), min_size=1, max_size=12).map(lambda values: np.array(values, np.int32))
items = st.lists(st.tuples(ids, st.lists(ids, min_size=1, max_size=4)), min_size=1, max_size=5)


def sharpen(model: LlamaForCausalLM) -> None:
    """Makes the fresh model's predictions differ by context, so that a wrong mask shows."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "proj" in name:
                weight.mul_(8)


sharpen(MODEL)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def naive(context: Ids, option: Ids) -> float:
    """One option alone behind its context, token by token."""
    with torch.no_grad():
        logits_TV = MODEL(input_ids=torch.from_numpy(np.concatenate([context, option]).astype(np.int64))[None]).logits[
            0
        ]
    log_probability_TV = torch.log_softmax(logits_TV.double(), dim=-1)
    return sum(float(log_probability_TV[context.size - 1 + i, token]) for i, token in enumerate(option))


def sizes(options: list[list[Ids]]) -> list[list[int]]:
    return [[3 + option.size for option in choices] for choices in options]


@settings(max_examples=12, deadline=None)
@given(items, st.sampled_from([1, 60, 8192]))
def test_equals_the_naive_computation_at_any_batch_size(drawn: list[tuple[Ids, list[Ids]]], batch_tokens: int) -> None:
    contexts, options = [context for context, _ in drawn], [choices for _, choices in drawn]
    scores = score_options(MODEL, contexts, options, option_bytes=sizes(options), batch_tokens=batch_tokens)
    for context, choices, values in zip(contexts, options, scores.log_likelihood, strict=True):
        assert values == pytest.approx([naive(context, option) for option in choices], abs=1e-4)


def test_the_context_matters_here() -> None:
    option = np.array([3, 4], np.int32)
    assert abs(naive(np.array([1, 2], np.int32), option) - naive(np.array([9, 2], np.int32), option)) > 1e-2


def test_norms_and_pmi() -> None:
    contexts = [np.array([1, 2, 3], np.int32)]
    options = [[np.array([4], np.int32), np.array([5, 6], np.int32)]]
    prefix = np.array([VOCABULARY.to_text], np.int32)
    scores = score_options(MODEL, contexts, options, option_bytes=[[2, 10]])
    prior = score_unconditional(MODEL, prefix, options, option_bytes=[[2, 10]])
    (total,) = scores.log_likelihood
    assert scores.per_token[0] == pytest.approx(total / [1, 2])
    assert scores.per_byte[0] == pytest.approx(total / [2, 10])
    expected = [naive(contexts[0], option) - naive(prefix, option) for option in options[0]]
    assert scores.pmi(prior)[0] == pytest.approx(expected, abs=1e-4)


def test_leaves_the_model_training_if_it_was() -> None:
    model = build_model(TrainConfig(width=64, row_tokens=64), VOCABULARY).train()
    score_options(model, [np.ones(1, np.int32)], [[np.ones(1, np.int32)]], option_bytes=[[1]])
    assert model.training


@pytest.mark.parametrize(
    ("contexts", "options", "option_bytes"),
    [
        ([[1]], [[[2]], [[2]]], [[1], [1]]),
        ([[]], [[[2]]], [[1]]),
        ([[1]], [[[2], []]], [[1, 1]]),
        ([[1]], [[]], [[]]),
        ([[1]], [[[2]]], [[0]]),
        ([[1]], [[[2]]], [[1, 1]]),
    ],
)
def test_what_cannot_be_scored_is_refused(
    contexts: list[list[int]], options: list[list[list[int]]], option_bytes: list[list[int]]
) -> None:
    arrays = [np.array(context, np.int32) for context in contexts]
    choices = [[np.array(option, np.int32) for option in item] for item in options]
    with pytest.raises(UserError):
        score_options(MODEL, arrays, choices, option_bytes=option_bytes)


def test_ties_earn_their_share() -> None:
    scores = [np.array([-3.0, -1.0, -2.0]), np.array([-1.0, -1.00001, -2.0]), np.array([-1.0, -1.0, -1.0])]
    assert [choice.best for choice in pick(scores)] == [(1,), (0, 1), (0, 1, 2)]
    assert num_correct(scores, [1, 1, 0]) == pytest.approx(1 + 1 / 2 + 1 / 3)
    assert num_correct(scores, [0, 2, 2]) == pytest.approx(1 / 3)


def test_the_same_option_twice_is_a_tie() -> None:
    option = np.array([7, 8, 9], np.int32)
    scores: OptionScores = score_options(
        MODEL, [np.arange(9, dtype=np.int32)], [[option, np.array([1], np.int32), option]], option_bytes=[[3, 1, 3]]
    )
    assert scores.log_likelihood[0][0] == pytest.approx(scores.log_likelihood[0][2], abs=1e-5)
    assert pick(scores.log_likelihood)[0].best != (0,)
