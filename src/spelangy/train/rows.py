"""Which rows a run trains on and which it is tested on."""

import numpy as np

from spelangy.core.errors import UserError, did_you_mean
from spelangy.core.splits import is_heldout
from spelangy.tokens.config import TokensSettings
from spelangy.tokens.documents import TEXT_SOURCE
from spelangy.tokens.interleave import Policy
from spelangy.tokens.mixture import Mixture
from spelangy.tokens.packing import PackedRow, RowStream
from spelangy.tokens.span_store import SpanStore
from spelangy.train.config import TrainConfig


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
