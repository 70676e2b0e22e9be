import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_language import VOCABULARY, heldout_rows, random_row, rows_from, tiny_config
from transformers import AutoModelForCausalLM

from spelangy.core.errors import UserError
from spelangy.tokens.packing import PackedRow
from spelangy.tokens.vocabulary import Vocabulary
from spelangy.train import loop
from spelangy.train.config import TrainConfig, learning_rate
from spelangy.train.loop import StepMetrics, TrainResult, train
from spelangy.train.loss import target_nats
from spelangy.train.metrics import read_metrics
from spelangy.train.model import build_model


def run(directory: Path, config: TrainConfig | None = None, **changes: Any) -> TrainResult:
    settings: dict[str, Any] = {
        "rows_from": rows_from, "heldout": heldout_rows(), "vocabulary": VOCABULARY, "fingerprint": "toy",
        "directory": directory,
    }  # fmt: skip
    return train(config or tiny_config(), **(settings | changes))


def terminate_at(step: int) -> Callable[[StepMetrics], None]:
    def on_step(metrics: StepMetrics) -> None:
        if metrics.step == step:
            os.kill(os.getpid(), signal.SIGTERM)

    return on_step


def weights(result: TrainResult) -> dict[str, torch.Tensor]:
    assert result.model_directory is not None
    tensors: dict[str, torch.Tensor] = load_file(result.model_directory / "model.safetensors")
    return tensors


def assert_same_weights(one: TrainResult, other: TrainResult) -> None:
    left, right = weights(one), weights(other)
    assert left.keys() == right.keys()
    for name in left:
        assert torch.equal(left[name], right[name]), name


def by_step_in(metrics: Path, field: str) -> list[float]:
    return [row[field] for row in read_metrics(metrics) if row["event"] == "step"]


def by_step(result: TrainResult, field: str) -> list[float]:
    return by_step_in(result.metrics, field)


def losses(result: TrainResult) -> list[float]:
    return by_step(result, "loss")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_ten_steps_are_five_a_stop_and_five_more_bit_for_bit(tmp_path: Path, precision: str) -> None:
    config = tiny_config(precision=precision, checkpoint_every=100)
    straight = run(tmp_path / "straight", config)
    stopped = run(tmp_path / "twice", config, on_step=terminate_at(5))
    assert (stopped.status, stopped.step, stopped.model_directory) == ("stopped", 5, None)
    resumed = run(tmp_path / "twice", config)
    assert (resumed.status, resumed.step, resumed.resumed_from) == ("done", 10, 5)
    assert_same_weights(straight, resumed)
    assert losses(straight) == losses(resumed)
    assert straight.tokens_seen == resumed.tokens_seen
    assert straight.heldout == resumed.heldout


def test_rows_go_on_where_the_checkpoint_left_them(tmp_path: Path) -> None:
    asked: list[int] = []

    def counted(index: int) -> Iterator[PackedRow]:
        asked.append(index)
        return rows_from(index)

    run(tmp_path, rows_from=counted, on_step=terminate_at(3))
    run(tmp_path, rows_from=counted)
    assert asked == [0, 3 * 4]


def test_one_micro_batch_is_four(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", tiny_config(steps=4, learning_rate=1e-3))
    split = run(tmp_path / "split", tiny_config(steps=4, learning_rate=1e-3, accumulation=4))
    for field in ("loss", "text_loss", "speech_loss", "gradient_norm"):
        assert by_step(split, field) == pytest.approx(by_step(whole, field), rel=1e-5)
    split_weights = weights(split)
    for name, weight in weights(whole).items():
        torch.testing.assert_close(split_weights[name], weight, atol=1e-5, rtol=0)


def test_the_toy_language_is_learnt(tmp_path: Path) -> None:
    config = tiny_config(steps=120, batch_rows=8, eval_every=60, checkpoint_every=120)
    result = run(tmp_path, config)
    before, *_, after = [row for row in read_metrics(result.metrics) if row["event"] == "heldout"]
    assert before["step"] == 0 and after["step"] == 120
    assert before["text_loss"] > 2.5 and before["speech_loss"] > 2.5
    assert after["text_loss"] < 1.0 and after["speech_loss"] < 1.0
    assert result.heldout["toy"]["text"] == after["text_loss"]


def test_understanding_only_does_not_teach_speech(tmp_path: Path) -> None:
    result = run(tmp_path, tiny_config(steps=40, loss="understanding_only", eval_every=40))
    before, after = [row for row in read_metrics(result.metrics) if row["event"] == "heldout"]
    assert after["text_loss"] < before["text_loss"] - 0.5
    assert after["speech_loss"] > before["speech_loss"] - 0.1
    step = next(row for row in read_metrics(result.metrics) if row["event"] == "step")
    assert step["speech_loss"] is None and step["loss_tokens"]["speech"] == 0 and step["speech_tokens"] > 0


def test_the_export_loads_unchanged_into_transformers(tmp_path: Path) -> None:
    result = run(tmp_path, tiny_config(steps=2, decay=0))
    assert result.model_directory is not None
    model, report = AutoModelForCausalLM.from_pretrained(result.model_directory, output_loading_info=True)
    assert not any(report.values())
    assert model.config.vocab_size == VOCABULARY.size and model.generation_config.eos_token_id == VOCABULARY.end
    saved = load_file(result.checkpoint / "model.safetensors")
    assert all(torch.equal(weight, saved[name]) for name, weight in model.named_parameters())
    assert {path.name for path in result.model_directory.iterdir()} == {
        "config.json", "generation_config.json", "model.safetensors",
    }  # fmt: skip


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first = run(tmp_path)
    before = read_metrics(first.metrics)
    again = run(tmp_path, on_step=lambda metrics: pytest.fail("trained on"))
    assert_same_weights(first, again)
    assert again.heldout == first.heldout
    assert [row for row in read_metrics(again.metrics) if row["event"] != "resume"] == before


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"fingerprint": "other rows"}, "fingerprint was 'toy', now 'other rows'"),
        ({"config": tiny_config(learning_rate=1e-3)}, "learning_rate was 0.01, now 0.001"),
        ({"vocabulary": Vocabulary(text_size=20, codebook_size=13)}, "codebook_size was 12, now 13"),
    ],
)
def test_another_run_is_refused_by_name(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    run(tmp_path, on_step=terminate_at(1))
    with pytest.raises(UserError, match=named):
        run(tmp_path, **changes)


def test_circumstances_may_change_on_resume(tmp_path: Path) -> None:
    run(tmp_path, on_step=terminate_at(1))
    assert run(tmp_path, tiny_config(eval_every=2, checkpoint_every=3, keep_last=1)).resumed_from == 1


def damage(checkpoint: Path) -> None:
    path = checkpoint / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_damaged_checkpoint_is_passed_over_loudly(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    broken = run(tmp_path / "broken")
    damage(broken.checkpoint)
    result = run(tmp_path / "broken")
    assert result.resumed_from == 5
    assert [refused.path for refused in result.refused] == [broken.checkpoint]
    (row,) = [row for row in read_metrics(result.metrics) if row["event"] == "checkpoint_refused"]
    assert "model.safetensors was changed" in row["reason"]
    assert losses(result) == losses(whole)
    assert_same_weights(whole, result)


def test_no_whole_checkpoint_is_no_fresh_start(tmp_path: Path) -> None:
    result = run(tmp_path)
    for checkpoint in (tmp_path / "checkpoints").iterdir():
        damage(checkpoint)
    with pytest.raises(UserError, match="none of the 2 checkpoints"):
        run(tmp_path)
    assert result.metrics.exists()


def test_a_loss_that_is_not_finite_names_step_and_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = itertools.count(1)

    def poisoned(*arguments: Any) -> torch.Tensor:
        return target_nats(*arguments) * (float("nan") if next(calls) == 7 else 1.0)

    monkeypatch.setattr(loop, "target_nats", poisoned)
    with pytest.raises(UserError, match=r"step 7: .*not finite \(nan, .*last good checkpoint: .*step-00000005"):
        run(tmp_path)
    assert by_step_in(tmp_path / "metrics.jsonl", "step") == [1, 2, 3, 4, 5, 6]
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000005"]


def test_a_model_that_blew_up_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"step 1: the loss on toy is not finite .*none was written yet"):
        run(tmp_path, tiny_config(learning_rate=1e38, warmup_steps=0, eval_every=1, checkpoint_every=1))
    assert not (tmp_path / "checkpoints").exists()


def test_a_batch_without_targets_changes_nothing(tmp_path: Path) -> None:
    row = random_row(0)
    empty = replace(row, loss_class=np.zeros_like(row.loss_class))
    config = tiny_config(steps=2, checkpoint_every=1, decay=0)
    result = run(tmp_path, config, rows_from=lambda index: itertools.repeat(empty))
    one, two = (load_file(path / "model.safetensors") for path in sorted((tmp_path / "checkpoints").iterdir()))
    assert losses(result) == [None, None]
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_schedule_reaches_the_weights(tmp_path: Path) -> None:
    config = tiny_config(steps=8, warmup_steps=4, decay=0, weight_decay=0, checkpoint_every=1, keep_last=8)
    result = run(tmp_path, config)
    saved = load_file(tmp_path / "checkpoints" / "step-00000001" / "model.safetensors")
    fresh = dict(build_model(config, VOCABULARY).named_parameters())
    farthest = max(float((saved[name] - weight.detach()).abs().max()) for name, weight in fresh.items())
    assert farthest == pytest.approx(config.learning_rate / 4, rel=0.01), "Adam's first step moves by the rate itself"
    assert by_step(result, "learning_rate") == [learning_rate(config, step) for step in range(8)]


def test_rows_that_run_out_are_a_bad_request(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="ran out at step 2 of 10: row 10 does not exist"):
        run(tmp_path, rows_from=lambda index: itertools.islice(rows_from(0), index, 10))


def test_torch_and_signals_are_as_before(tmp_path: Path) -> None:
    torch.manual_seed(3)
    before = (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), signal.getsignal(signal.SIGTERM))
    rng = torch.get_rng_state()
    run(tmp_path, tiny_config(steps=2, decay=0, threads=before[0] + 1))
    after = (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), signal.getsignal(signal.SIGTERM))
    assert before == after
    assert torch.equal(rng, torch.get_rng_state())


def test_trains_off_the_main_thread_too(tmp_path: Path) -> None:
    results: list[TrainResult] = []
    worker = threading.Thread(target=lambda: results.append(run(tmp_path, tiny_config(steps=2, decay=0))))
    worker.start()
    worker.join()
    assert results[0].status == "done"


def test_metrics_count_tokens(tmp_path: Path) -> None:
    result = run(tmp_path)
    rows = [row for row in read_metrics(result.metrics) if row["event"] == "step"]
    expected = sum(int((random_row(index).document >= 0).sum()) for index in range(40))
    assert [row["step"] for row in rows] == list(range(1, 11))
    assert rows[-1]["tokens"] == expected == sum(result.tokens_seen.values())
    assert all(row["tokens_per_s"] > 0 for row in rows)
