"""Step ``train``: span store → packed rows → a speech LM in plain Hugging Face format.

losses.jsonl                           losses by step, training and held-out
circumstances/metrics.jsonl            the same with speed, checkpoints and resumes
model/
    config.json, model.safetensors …   loaded by ``AutoModelForCausalLM.from_pretrained``
    tokenizer.json …                   the text tokenizer with the special tokens
    spelangy.json                      the vocabulary's layout
    speech_tokenizer/                  what turns sound into units for this model
"""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from spelangy.core.errors import UserError
from spelangy.core.hashing import canonical_json
from spelangy.engine.step import ArtefactStep, Inputs
from spelangy.store.objects import CIRCUMSTANCES
from spelangy.tokens.config import TokensSettings
from spelangy.tokens.documents import SPANS_FOLDER
from spelangy.tokens.mixture import realised
from spelangy.tokens.span_store import SpanStore
from spelangy.tokens.text_tokenizer import TextTokenizer
from spelangy.train.config import TrainConfig
from spelangy.train.metrics import read_metrics
from spelangy.train.rows import TrainingRows

MODEL_FOLDER = "model"
LAYOUT_FILE = "spelangy.json"
SPEECH_TOKENIZER_FOLDER = "speech_tokenizer"
CHECKPOINTS_FOLDER = "checkpoints"
LOSSES_FILE = "losses.jsonl"


def train_step(config: TrainConfig, tokens: TokensSettings, split_seed: int) -> ArtefactStep:
    """Trains the recipe's model on its span store."""

    def build(inputs: Inputs, directory: Path, report: Callable[[int, int], None]) -> Mapping[str, Any]:
        # PyTorch and transformers take seconds to import; a plan, or a run that reuses the model, needs neither.
        from spelangy.train.loop import train

        store = SpanStore.open(inputs.directory("span-store") / SPANS_FOLDER)
        rows = TrainingRows(store, tokens, config, split_seed)
        mixture, heldout = rows.mixture(), rows.heldout()

        result = train(
            config,
            rows_from=mixture.rows_from,
            heldout=heldout,
            vocabulary=store.vocabulary,
            fingerprint=mixture.fingerprint,
            directory=directory,
            on_step=lambda metrics: report(metrics.step, config.steps),
        )
        if result.model_directory is None:
            raise UserError(f"training was stopped after step {result.step}", hint="run again: it goes on from there")
        complete_model(result.model_directory, store, inputs, tokens.speech_tokenizer.name)
        shutil.rmtree(directory / CHECKPOINTS_FOLDER)
        settle_metrics(result.metrics, directory)
        seen = realised(mixture.row(number) for number in range(config.steps * config.batch_rows))
        return {
            "num_parameters": result.num_parameters,
            "heldout_nats": {name: dict(values) for name, values in result.heldout.items()},
            "tokens_by_source": {source: sum(found.modality_tokens.values()) for source, found in seen.items()},
            "tokens_by_modality": dict(result.tokens_seen),
            "spans_longer_than_a_row": {stream.source: len(stream.plan(0).drops) for stream in mixture.streams},
        }

    shown = {"train": config.identity(), "interleave": tokens.interleave.model_dump(), "mixture": tokens.mixture}
    return ArtefactStep(
        name="train",
        version=2,
        config={**shown, "heldout_share": tokens.heldout_share, "split_seed": split_seed},
        inputs=("span-store", "text-tokenizer", "speech-tokenizer"),
        seed=config.seed,
        build=build,
    )


def settle_metrics(metrics: Path, directory: Path) -> None:
    """Parts what the run found (`LOSSES_FILE`) from how it went (speed, checkpoints, resumes).

    Two runs of one key find the same losses to the last bit, on any machine, interrupted or not.
    """
    rows = [row for row in read_metrics(metrics) if row["event"] in ("step", "heldout")]
    found = [{name: value for name, value in row.items() if name != "tokens_per_s"} for row in rows]
    (directory / LOSSES_FILE).write_text("".join(canonical_json(row) + "\n" for row in found))
    target = directory / CIRCUMSTANCES / metrics.name
    target.parent.mkdir(exist_ok=True)
    metrics.replace(target)


def complete_model(directory: Path, store: SpanStore, inputs: Inputs, speech_tokenizer: str) -> None:
    """Puts both tokenizers and the vocabulary's layout beside the weights: the folder needs nothing else."""
    TextTokenizer.load(inputs.directory("text-tokenizer")).save_with_specials(directory, store.vocabulary)
    layout = {"vocabulary": store.vocabulary.to_manifest(), "speech_tokenizer": speech_tokenizer}
    (directory / LAYOUT_FILE).write_text(json.dumps(layout, indent=1, sort_keys=True) + "\n")
    source = inputs.directory("speech-tokenizer")
    target = directory / SPEECH_TOKENIZER_FOLDER
    target.mkdir(exist_ok=True)
    for file in sorted(path for path in source.iterdir() if path.name != "lineage.json"):
        shutil.copyfile(file, target / file.name)
