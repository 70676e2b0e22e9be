from pathlib import Path

import pytest
import torch
from tiny_language import VOCABULARY, tiny_config

from spelangy.core.errors import UserError
from spelangy.tokens.vocabulary import Vocabulary
from spelangy.train.model import build_model, export_model, load_model, num_parameters


def test_the_same_seed_gives_the_same_weights_and_touches_no_rng() -> None:
    before = torch.get_rng_state()
    one, two = build_model(tiny_config(), VOCABULARY), build_model(tiny_config(), VOCABULARY)
    other = build_model(tiny_config(seed=1), VOCABULARY)
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(left, right) for left, right in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one.model.embed_tokens.weight, other.model.embed_tokens.weight)


def test_speech_rows_are_xavier_and_text_rows_are_not() -> None:
    vocabulary = Vocabulary(text_size=500, codebook_size=500)
    weight = build_model(tiny_config(width=64), vocabulary).get_input_embeddings().weight.detach()
    speech = weight[vocabulary.first_speech_id : vocabulary.first_speech_id + 500]
    assert speech.std().item() == pytest.approx((2 / (500 + 64)) ** 0.5, rel=0.03)
    assert weight[:500].std().item() == pytest.approx(0.02, rel=0.03)
    assert not weight[vocabulary.pad].any()


def test_size_is_counted_once_for_tied_rows() -> None:
    width, feed_forward = 64, 192
    model = build_model(tiny_config(width=width, layers=1), VOCABULARY)
    block = 4 * width * width + 3 * width * feed_forward + 2 * width
    assert num_parameters(model) == VOCABULARY.size * width + block + width


def test_an_export_comes_back_and_replaces_the_old_one(tmp_path: Path) -> None:
    export_model(build_model(tiny_config(seed=1), VOCABULARY), tmp_path / "model")
    model = build_model(tiny_config(), VOCABULARY)
    loaded = load_model(export_model(model, tmp_path / "model"))
    assert not loaded.training
    assert all(torch.equal(left, right) for left, right in zip(model.parameters(), loaded.parameters(), strict=True))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no config\.json"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="cannot be read as a model"):
        load_model(tmp_path)
