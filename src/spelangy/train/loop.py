"""The training loop: rows in, a Hugging Face model out; stops and goes on anywhere without a trace in the weights.

directory/
    metrics.jsonl            see `spelangy.train.metrics`
    checkpoints/step-…/      see `spelangy.train.checkpoint`
    model/                   the result: config.json, model.safetensors, generation_config.json
"""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import torch
from transformers import LlamaForCausalLM

from spelangy.core.errors import UserError
from spelangy.tokens.packing import PackedRow
from spelangy.tokens.vocabulary import Vocabulary
from spelangy.train.batches import PAD_DOCUMENT, Batch, collate
from spelangy.train.checkpoint import (
    RefusedCheckpoint,
    TrainState,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)
from spelangy.train.config import TrainConfig, learning_rate
from spelangy.train.heldout import heldout_nats, loss_fields
from spelangy.train.loss import MODALITIES, NatSums, select_targets, target_nats
from spelangy.train.metrics import MetricsLog, read_metrics
from spelangy.train.model import build_model, export_model, num_parameters

RowsFrom = Callable[[int], Iterator[PackedRow]]
"""The training rows from an index on, always the same ones for the same fingerprint."""

ADAM_BETAS = (0.9, 0.95)


@dataclass(frozen=True, kw_only=True)
class StepMetrics:
    """One optimiser step.

    Attributes:
        step: Steps done, this one included.
        loss: The weighted mean that was minimised, nats; None where no target of the batch carried weight.
        text_loss: Mean nats of the text targets with weight; likewise `speech_loss` and `special_loss`.
        text_after_switch: Mean nats of text by distance after the switch to it; likewise `speech_after_switch`.
        gradient_norm: Before clipping.
        tokens: Tokens seen so far, padding left out; of them `text_tokens` and `speech_tokens`.
        loss_tokens: Targets with weight in this step, by modality.
        tokens_per_s: Of this step alone.
    """

    step: int
    loss: float | None
    text_loss: float | None
    speech_loss: float | None
    special_loss: float | None
    text_after_switch: Mapping[str, float | None]
    speech_after_switch: Mapping[str, float | None]
    learning_rate: float
    gradient_norm: float
    tokens: int
    text_tokens: int
    speech_tokens: int
    loss_tokens: Mapping[str, int]
    tokens_per_s: float


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """How a run ended.

    Attributes:
        status: ``stopped`` when SIGTERM asked for it before the last step; train again to go on.
        resumed_from: Step of the checkpoint it went on from; None for a fresh start.
        model_directory: The exported model; None when stopped.
        heldout: Last mean nats by held-out set and modality.
        refused: Checkpoints that were damaged and passed over.
    """

    status: Literal["done", "stopped"]
    step: int
    resumed_from: int | None
    num_parameters: int
    tokens_seen: Mapping[str, int]
    model_directory: Path | None
    checkpoint: Path
    metrics: Path
    heldout: Mapping[str, Mapping[str, float | None]]
    refused: tuple[RefusedCheckpoint, ...]


def train(
    config: TrainConfig,
    *,
    rows_from: RowsFrom,
    heldout: Mapping[str, Sequence[PackedRow]],
    vocabulary: Vocabulary,
    fingerprint: str,
    directory: Path,
    on_step: Callable[[StepMetrics], None] | None = None,
) -> TrainResult:
    """Trains to `config.steps`, from the newest whole checkpoint in `directory` if there is one.

    SIGTERM ends the run after the step in hand, with a checkpoint (only where this is called on the main thread).

    Args:
        rows_from: Called once, with the index of the first row not yet trained on.
        heldout: Rows to evaluate on, by the set's name.
        fingerprint: Identity of the rows; a checkpoint of another one is refused.
        on_step: Called after each step.

    Raises:
        UserError: When `directory` holds another run, its checkpoints are all damaged, the rows run out, the disk is
            full, or the loss is no longer finite.
    """
    with _torch_settings(config), _stop_request() as stop:
        run = _Run(config, vocabulary, fingerprint, directory, heldout)
        run.begin()
        rows = rows_from(run.next_row)
        while run.step < config.steps and not stop.is_set():
            metrics = run.advance(rows)
            if on_step:
                on_step(metrics)
            run.evaluate_if_due()
            run.checkpoint_if_due()
        return run.end()


@contextmanager
def _torch_settings(config: TrainConfig) -> Iterator[None]:
    """Threads, determinism and rng for this run; all as before afterwards."""
    threads, was_deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        torch.set_num_threads(config.threads)
        torch.use_deterministic_algorithms(True)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(was_deterministic)


@contextmanager
def _stop_request() -> Iterator[threading.Event]:
    """An event that SIGTERM sets; never set off the main thread, where Python takes no signals."""
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested
        return
    before = signal.signal(signal.SIGTERM, lambda *_: requested.set())
    try:
        yield requested
    finally:
        signal.signal(signal.SIGTERM, before)


def _optimizer(model: LlamaForCausalLM, config: TrainConfig) -> torch.optim.AdamW:
    """Fused AdamW. Norms and embeddings do not decay: rows that a batch does not use would shrink for nothing."""
    embedding = model.get_input_embeddings().weight
    named = list(model.named_parameters())
    decays = [(name, weight) for name, weight in named if weight.dim() > 1 and weight is not embedding]
    keeps = [(name, weight) for name, weight in named if weight.dim() <= 1 or weight is embedding]
    groups = [{"params": decays, "weight_decay": config.weight_decay}, {"params": keeps, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=ADAM_BETAS, fused=True)


class _Run:
    """A run in progress."""

    def __init__(
        self,
        config: TrainConfig,
        vocabulary: Vocabulary,
        fingerprint: str,
        directory: Path,
        heldout: Mapping[str, Sequence[PackedRow]],
    ) -> None:
        self.config = config
        self.vocabulary = vocabulary
        self.fingerprint = fingerprint
        self.directory = directory
        self.heldout = heldout
        self.model = build_model(config, vocabulary).train()
        self.optimizer = _optimizer(self.model, config)
        self.log = MetricsLog(directory / "metrics.jsonl")
        self.step = 0
        self.next_row = 0
        self.tokens_seen = dict.fromkeys(MODALITIES, 0)
        self.resumed_from: int | None = None
        self.refused: tuple[RefusedCheckpoint, ...] = ()
        self.checkpoint: Path | None = None
        self.losses: dict[str, dict[str, float | None]] = {}
        self.evaluated_step = -1
        self.saved_step = -1

    @property
    def state(self) -> TrainState:
        return TrainState(
            step=self.step,
            next_row=self.next_row,
            tokens_seen=self.tokens_seen,
            fingerprint=self.fingerprint,
            identity=self.config.identity(),
            vocabulary=self.vocabulary.to_manifest(),
        )

    def begin(self) -> None:
        """Goes on from the newest whole checkpoint, or starts and measures the untrained model."""
        found = newest_checkpoint(self.directory / "checkpoints")
        self.refused = found.refused
        if found.path is None or found.state is None:
            self.log.rewind(-1)
            self.log.append("start", 0, parameters=num_parameters(self.model), **self.config.identity())
            self._evaluate()
            return
        _require_same_run(found.state, self.state, found.path)
        state = load_checkpoint(found.path, self.model, self.optimizer)
        self.step, self.next_row, self.tokens_seen = state.step, state.next_row, dict(state.tokens_seen)
        self.resumed_from, self.saved_step, self.checkpoint = state.step, state.step, found.path
        self.log.rewind(state.step)
        self._recall_losses()
        for refused in found.refused:
            self.log.append("checkpoint_refused", state.step, path=str(refused.path), reason=refused.reason)
        self.log.append("resume", state.step, path=str(found.path))

    def _recall_losses(self) -> None:
        """The last held-out losses before the resume, for a run that ends before the next evaluation."""
        for row in read_metrics(self.log.path):
            if row["event"] == "heldout":
                self.losses[row["set"]] = {modality: row[f"{modality}_loss"] for modality in MODALITIES}
                self.evaluated_step = row["step"]

    def advance(self, rows: Iterator[PackedRow]) -> StepMetrics:
        """One optimiser step over the next `batch_rows` rows."""
        started_s = time.perf_counter()
        batch = self._take(rows)
        size = self.config.batch_rows // self.config.accumulation
        micro_batches = [collate(batch[first : first + size]) for first in range(0, len(batch), size)]
        rate = learning_rate(self.config, self.step)
        loss, sums = self._gradients(micro_batches)
        gradient_norm = self._update(rate, loss)
        tokens_before = sum(self.tokens_seen.values())
        self._count_tokens(micro_batches)
        self.step += 1
        self.next_row += len(batch)
        tokens = sum(self.tokens_seen.values())
        metrics = StepMetrics(
            step=self.step,
            loss=loss,
            text_loss=sums.mean("text"),
            speech_loss=sums.mean("speech"),
            special_loss=sums.mean("special"),
            text_after_switch=sums.after_switch("text"),
            speech_after_switch=sums.after_switch("speech"),
            learning_rate=rate,
            gradient_norm=gradient_norm,
            tokens=tokens,
            text_tokens=self.tokens_seen["text"],
            speech_tokens=self.tokens_seen["speech"],
            loss_tokens={name: sums.num_targets(name) for name in MODALITIES},
            tokens_per_s=(tokens - tokens_before) / (time.perf_counter() - started_s),
        )
        values = asdict(metrics)
        self.log.append("step", values.pop("step"), **values)
        return metrics

    def _take(self, rows: Iterator[PackedRow]) -> list[PackedRow]:
        batch = list(islice(rows, self.config.batch_rows))
        if len(batch) < self.config.batch_rows:
            raise UserError(
                f"the rows ran out at step {self.step} of {self.config.steps}: row {self.next_row + len(batch)} "
                "does not exist",
                hint="ask for fewer steps, or for more epochs of the data",
            )
        for row in batch:
            assert row.ids.size == self.config.row_tokens, f"a row of {row.ids.size}, not {self.config.row_tokens}"
        return batch

    def _gradients(self, micro_batches: Sequence[Batch]) -> tuple[float | None, NatSums]:
        """Leaves the gradient of the whole batch's weighted mean in the parameters."""
        self.optimizer.zero_grad(set_to_none=True)
        targets = [select_targets(batch, self.config.loss) for batch in micro_batches]
        total_weight = math.fsum(target.total_weight for target in targets)
        sums, loss = NatSums.zero(), 0.0
        for batch, target in zip(micro_batches, targets, strict=True):
            if not target.ids_N.numel():
                continue
            with torch.autocast("cpu", torch.bfloat16, enabled=self.config.precision == "bf16"):
                nats_N = target_nats(self.model, batch, target)
            share = (nats_N * target.weight_N).sum() / total_weight
            share.backward()  # type: ignore[no-untyped-call]
            loss += share.item()
            sums += NatSums.of(target, nats_N)
        return (loss if total_weight else None), sums

    def _update(self, rate: float, loss: float | None) -> float:
        """Clips and steps; returns the norm of the gradient before clipping, 0 where nothing was to be learnt."""
        if loss is None:
            return 0.0
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm))
        self._require_finite(self.step + 1, "the loss and its gradient", loss, norm)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        return norm

    def _require_finite(self, step: int, what: str, *values: float) -> None:
        if not all(map(math.isfinite, values)):
            good = self.checkpoint or "none was written yet"
            raise UserError(
                f"step {step}: {what} {'is' if len(values) == 1 else 'are'} not finite "
                f"({', '.join(map(str, values))}); last good checkpoint: {good}",
                hint="lower learning_rate or raise warmup_steps, and train into another directory",
            )

    def _count_tokens(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            modality = batch.modality_BT[batch.document_BT != PAD_DOCUMENT]
            for name, code in MODALITIES.items():
                self.tokens_seen[name] += int((modality == code).sum())

    def evaluate_if_due(self) -> None:
        if self.step % self.config.eval_every == 0:
            self._evaluate()

    def _evaluate(self) -> None:
        for name, rows in self.heldout.items():
            sums = heldout_nats(self.model, rows)
            self._require_finite(self.step, f"the loss on {name}", float(sums.nats.sum()))
            self.losses[name] = {modality: sums.mean(modality) for modality in MODALITIES}
            self.log.append("heldout", self.step, set=name, **loss_fields(sums))
        self.evaluated_step = self.step

    def checkpoint_if_due(self) -> None:
        if self.step % self.config.checkpoint_every == 0:
            self._save()

    def _save(self) -> None:
        self.checkpoint = save_checkpoint(
            self.directory / "checkpoints", self.model, self.optimizer, self.state, keep_last=self.config.keep_last
        )
        self.saved_step = self.step
        self.log.append("checkpoint", self.step, path=str(self.checkpoint))

    def end(self) -> TrainResult:
        """Saves where the run stands; evaluates and exports the model of a finished one."""
        is_done = self.step == self.config.steps
        if is_done and self.evaluated_step != self.step:
            self._evaluate()
        if self.saved_step != self.step:
            self._save()
        assert self.checkpoint is not None
        return TrainResult(
            status="done" if is_done else "stopped",
            step=self.step,
            resumed_from=self.resumed_from,
            num_parameters=num_parameters(self.model),
            tokens_seen=dict(self.tokens_seen),
            model_directory=export_model(self.model, self.directory / "model") if is_done else None,
            checkpoint=self.checkpoint,
            metrics=self.log.path,
            heldout=dict(self.losses),
            refused=self.refused,
        )


def _require_same_run(found: TrainState, wanted: TrainState, path: Path) -> None:
    """Refuses a checkpoint of other rows, settings or vocabulary, naming what differs."""
    pairs = [("fingerprint", found.fingerprint, wanted.fingerprint)]
    for group in ("identity", "vocabulary"):
        old, new = getattr(found, group), getattr(wanted, group)
        pairs += [(name, old.get(name), new.get(name)) for name in sorted({*old, *new})]
    differing = [f"{name} was {old!r}, now {new!r}" for name, old, new in pairs if old != new]
    if differing:
        raise UserError(
            f"checkpoint {path} belongs to another run: {'; '.join(differing)}",
            hint="train into another directory, or give back what was changed",
        )
