"""Step ``train``: what it leaves behind, as other tools see it."""

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from spelangy.tokens.text_tokenizer import TextTokenizer
from spelangy.train.config import TrainConfig
from spelangy.train.model import build_model, load_model
from spelangy.train.step import train_step
from tiny_run import TinyRun


def summary_of(tiny: TinyRun) -> dict[str, Any]:
    return dict(tiny.finished["train"].stored.circumstances["summary"])


def metrics_of(tiny: TinyRun) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tiny.directory("train") / "losses.jsonl").read_text().splitlines()]


def test_held_out_loss_is_told_for_text_and_for_speech(tiny: TinyRun) -> None:
    found = summary_of(tiny)["heldout_nats"]
    told = [found["text"]["text"], found["speech"]["speech"], *(found["interleaved"][m] for m in ("text", "speech"))]
    assert all(math.isfinite(loss) and 0 < loss < 20 for loss in told)
    assert found["text"]["speech"] is None and found["speech"]["text"] is None


@pytest.mark.parametrize(("held", "modality"), [("text", "text"), ("speech", "speech"), ("interleaved", "speech")])
def test_held_out_loss_falls(tiny: TinyRun, held: str, modality: str) -> None:
    rows = [row for row in metrics_of(tiny) if row["event"] == "heldout" and row["set"] == held]
    assert [row["step"] for row in rows] == [0, 5, 10, 15, 20]
    losses = [row[f"{modality}_loss"] for row in rows]
    assert losses[-1] < losses[0] - 0.1
    assert losses[-1] == summary_of(tiny)["heldout_nats"][held][modality]


def test_tokens_are_counted_by_source_and_by_modality(tiny: TinyRun) -> None:
    summary, config = summary_of(tiny), tiny.recipe.train
    rows = config.steps * config.batch_rows
    by_source, by_modality = summary["tokens_by_source"], summary["tokens_by_modality"]
    assert sum(by_source.values()) == sum(by_modality.values()) <= rows * config.row_tokens
    assert sum(by_source.values()) > 0.8 * rows * config.row_tokens
    for source, share in tiny.recipe.tokens.mixture.items():
        assert abs(by_source[source] - share * sum(by_source.values())) <= config.row_tokens
    assert min(by_modality["text"], by_modality["speech"]) > 1000


def test_spans_that_no_row_can_hold_are_counted(tiny: TinyRun) -> None:
    left_out = summary_of(tiny)["spans_longer_than_a_row"]
    assert set(left_out) == set(tiny.recipe.tokens.mixture)
    assert all(count >= 0 for count in left_out.values())


def test_the_folder_holds_a_model_and_no_checkpoint(tiny: TinyRun) -> None:
    found = sorted(path.name for path in tiny.directory("train").iterdir())
    assert found == ["circumstances", "lineage.json", "losses.jsonl", "model"]
    names = {path.name for path in tiny.model.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "spelangy.json", "speech_tokenizer"} <= names


def test_what_differs_from_run_to_run_stands_apart_from_what_was_found(tiny: TinyRun) -> None:
    text = (tiny.directory("train") / "circumstances" / "metrics.jsonl").read_text()
    assert "tokens_per_s" in text and '"event":"checkpoint"' in text
    assert {row["event"] for row in metrics_of(tiny)} == {"step", "heldout"}
    assert not any("tokens_per_s" in row for row in metrics_of(tiny))


def test_other_tools_load_the_model_and_its_tokenizer(tiny: TinyRun) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny.model, local_files_only=True, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(tiny.model, local_files_only=True)
    vocabulary = tiny.spans.vocabulary
    assert tokenizer.convert_tokens_to_ids("<|speech|>") == vocabulary.to_speech
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (vocabulary.end, vocabulary.pad)
    assert model.config.vocab_size == vocabulary.size
    text = " The lamp of the lighthouse was lit at dusk."
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert ids == TextTokenizer.load(tiny.directory("text-tokenizer")).encode(text).tolist()
    assert tokenizer.decode(ids) == text
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([ids])).logits
        ours = load_model(tiny.model)(input_ids=torch.tensor([ids])).logits
    assert logits.shape == (1, len(ids), vocabulary.size) and torch.equal(logits, ours)


def test_training_moved_the_weights_from_where_the_seed_put_them(tiny: TinyRun) -> None:
    before, after = build_model(tiny.recipe.train, tiny.spans.vocabulary), load_model(tiny.model)
    moved = [
        float((new - old).detach().abs().max())
        for old, new in zip(before.parameters(), after.parameters(), strict=True)
    ]
    assert np.median(moved) > 1e-3


def test_the_key_holds_what_decides_the_weights_and_no_circumstance(tiny: TinyRun) -> None:
    def config_of(**changes: Any) -> Any:
        return train_step(TrainConfig(**changes), tiny.recipe.tokens, split_seed=9).config

    assert config_of() == config_of(threads=4, eval_every=7, checkpoint_every=3, keep_last=5)
    assert all(
        config_of() != config_of(**change) for change in ({"steps": 999}, {"seed": 1}, {"loss": "understanding_only"})
    )
    other_split = train_step(TrainConfig(), tiny.recipe.tokens, split_seed=10)
    assert other_split.config != config_of()
