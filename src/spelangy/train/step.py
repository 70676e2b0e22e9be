"""Step ``train``: span store → packed rows → a speech LM in plain Hugging Face format.

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

import numpy as np

from spelangy.core.errors import UserError, did_you_mean
from spelangy.core.splits import is_heldout
from spelangy.engine.step import ArtefactStep, Inputs
from spelangy.tokens.config import TokensSettings
from spelangy.tokens.documents import SPANS_FOLDER, TEXT_SOURCE
from spelangy.tokens.interleave import Policy
from spelangy.tokens.mixture import Mixture, realised
from spelangy.tokens.packing import PackedRow, RowStream
from spelangy.tokens.span_store import SpanStore
from spelangy.tokens.text_tokenizer import TextTokenizer
from spelangy.train.config import TrainConfig
from spelangy.train.loop import StepMetrics, train

MODEL_FOLDER = "model"
LAYOUT_FILE = "spelangy.json"
SPEECH_TOKENIZER_FOLDER = "speech_tokenizer"
CHECKPOINTS_FOLDER = "checkpoints"


class TrainingRows:
    """The rows of one run: training documents mixed by source, held-out documents by modality.

    Args:
        config: Its seed orders the rows.
        split_seed: Draws the held-out documents: the recipe's, so that every training seed is tested on the same ones.
    """

    def __init__(self, store: SpanStore, tokens: TokensSettings, config: TrainConfig, split_seed: int) -> None:
        self.store = store
        self.tokens = tokens
        self.row_tokens = config.row_tokens
        self.seed = config.seed
        held = [is_heldout(store.document_id(n), tokens.heldout_share, split_seed) for n in range(store.num_documents)]
        self.is_heldout = np.array(held, dtype=np.bool_)

    def _stream(self, name: str, policy: Policy, sources: tuple[str, ...], heldout: bool) -> RowStream | None:
        documents = self.store.documents_of(*sources)
        documents = documents[self.is_heldout[documents] == heldout]
        if not len(documents):
            return None
        return RowStream(
            source=name,
            store=self.store,
            documents=documents.tolist(),
            policy=policy,
            vocabulary=self.store.vocabulary,
            row_tokens=self.row_tokens,
            seed=self.seed,
        )

    def mixture(self) -> Mixture:
        """Training rows without end, sources in the recipe's shares.

        Raises:
            UserError: When the recipe's mixture names a source that the store does not have.
        """
        weights = {source: weight for source, weight in self.tokens.mixture.items() if weight > 0}
        for source in weights:
            if source not in self.store.sources:
                raise UserError(
                    f"tokens.mixture.{source}: no such source of documents",
                    hint=did_you_mean(source, self.store.sources),
                )
        policy = self.tokens.interleave.policy()
        streams = {source: self._stream(source, policy, (source,), heldout=False) for source in weights}
        found = {source: stream for source, stream in streams.items() if stream is not None}
        return Mixture(list(found.values()), {source: weights[source] for source in found})

    def heldout(self) -> dict[str, list[PackedRow]]:
        """One epoch of the held-out documents as text alone, as speech alone, and interleaved as in training."""
        spoken = tuple(source for source in self.store.sources if source != TEXT_SOURCE)
        wanted = {
            "text": (Policy(plan="text-only"), self.store.sources),
            "speech": (Policy(plan="speech-only"), spoken),
            "interleaved": (self.tokens.interleave.policy(), spoken),
        }
        streams = {
            name: self._stream(name, policy, sources, heldout=True)
            for name, (policy, sources) in wanted.items()
            if sources
        }
        return {name: list(stream.rows(0)) for name, stream in streams.items() if stream is not None}


def train_step(config: TrainConfig, tokens: TokensSettings, split_seed: int) -> ArtefactStep:
    """Trains the recipe's model on its span store."""

    def build(inputs: Inputs, directory: Path, report: Callable[[int, int], None]) -> Mapping[str, Any]:
        store = SpanStore.open(inputs.directory("span-store") / SPANS_FOLDER)
        rows = TrainingRows(store, tokens, config, split_seed)
        mixture, heldout = rows.mixture(), rows.heldout()

        def on_step(metrics: StepMetrics) -> None:
            report(metrics.step, config.steps)

        result = train(
            config,
            rows_from=mixture.rows_from,
            heldout=heldout,
            vocabulary=store.vocabulary,
            fingerprint=mixture.fingerprint,
            directory=directory,
            on_step=on_step,
        )
        if result.model_directory is None:
            raise UserError(f"training was stopped after step {result.step}", hint="run again: it goes on from there")
        complete_model(result.model_directory, store, inputs, tokens.speech_tokenizer.name)
        shutil.rmtree(directory / CHECKPOINTS_FOLDER)
        seen = realised(mixture.row(number) for number in range(config.steps * config.batch_rows))
        return {
            "num_parameters": result.num_parameters,
            "heldout_nats": {name: dict(values) for name, values in result.heldout.items()},
            "tokens_by_source": {source: sum(found.modality_tokens.values()) for source, found in seen.items()},
            "tokens_by_modality": dict(result.tokens_seen),
        }

    shown = {"train": config.identity(), "interleave": tokens.interleave.model_dump(), "mixture": tokens.mixture}
    return ArtefactStep(
        name="train",
        version=1,
        config={**shown, "heldout_share": tokens.heldout_share, "split_seed": split_seed},
        inputs=("span-store", "text-tokenizer", "speech-tokenizer"),
        seed=config.seed,
        build=build,
    )


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
