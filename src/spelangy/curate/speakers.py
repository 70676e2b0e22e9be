"""Step ``speakers``: turns → the same turns, labelled again from their stored embeddings. No sound, no model."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from spelangy.backends.clustering import ClusterRule, find_speakers, unit
from spelangy.core.records import Turn
from spelangy.core.spans import samples
from spelangy.curate.config import CurateSettings
from spelangy.engine.items import nest
from spelangy.engine.step import Inputs, Item, Produced, TableStep

MIN_VOTING_S = 1.0
"""Shorter turns, and overlapped ones, join speakers but do not found any."""

MIN_SPEAKER_S = 3.0
"""As in `diarizer.campplus`: who speaks less, and less than a tenth of all speech, is no speaker of their own."""


class Recluster:
    """Speakers of one recording by another rule. Spans, ids, overlap and embeddings stay as they are."""

    def __init__(self, rule: ClusterRule) -> None:
        self.rule = rule

    def __call__(self, item: Item) -> Produced:
        turns = [Turn(**{**row, "embedding": tuple(row["embedding"])}) for row in item["turns"]]
        if not all(turn.embedding for turn in turns):
            return Produced(records={"turns": turns})
        speakers = self._speakers(turns)
        names = {speaker: f"S{number}" for number, speaker in enumerate(dict.fromkeys(speakers))}
        labelled = [replace(turn, speaker=names[speaker]) for turn, speaker in zip(turns, speakers, strict=True)]
        return Produced(records={"turns": labelled})

    def _speakers(self, turns: Sequence[Turn]) -> list[int]:
        embeddings_PD = unit(np.array([turn.embedding for turn in turns], np.float32))
        lengths_P = np.array([0 if turn.is_overlap else turn.span.num_samples for turn in turns], np.int64)
        centroids_KD = find_speakers(embeddings_PD, np.maximum(lengths_P, 1), self.rule)
        nearest: list[int] = np.argmax(embeddings_PD @ centroids_KD.T, axis=1).tolist()
        return nearest


def _turns_by_recording(inputs: Inputs) -> pa.Table:
    return nest(inputs.table("turns"), "recording_id", "turns")


def speakers_step(settings: CurateSettings) -> TableStep:
    """All turns, labelled again; only where the recipe has `curate.recluster`."""
    assert settings.recluster is not None, "no rule to label speakers again is given"
    config: Mapping[str, Any] = settings.recluster.model_dump()
    rule = ClusterRule(**config, min_voting_samples=samples(MIN_VOTING_S), min_speaker_samples=samples(MIN_SPEAKER_S))
    return TableStep(
        name="speakers",
        version=1,
        config=config,
        inputs=("turns",),
        outputs={"turns": Turn},
        items=_turns_by_recording,
        worker=lambda _: partial(Recluster, rule),
    )
