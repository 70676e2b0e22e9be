"""Who speaks when, from GE2E speaker embeddings: cluster pieces of speech, then find the borders between speakers.

    speech   |=========span=========|     |====|      |==========|
    windows  |--1.6 s--|                                            one embedding every 0.4 s
               |---------|
    pieces   |======|===============|     |====|      |==========|   cut at changes, clustered: how many speakers
    borders  |====S0===|====S1======|     |=S1=|      |====S0====|   Viterbi over the windows of each span
    turns    |====S0===|====S1====================|   |====S0====|   same speaker across a short gap is one turn

Shape legend: S samples; W windows of one span; D = 256 embedding size; K speakers; P pieces.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spelangy.backends.clustering import ClusterRule, Embeddings, find_speakers, unit
from spelangy.backends.mel import HOP_SAMPLES, mel_power
from spelangy.backends.protocols import Audio, DiarizedSpan, ModelInfo
from spelangy.backends.speaker_runs import Run, as_turns
from spelangy.backends.torch_threads import torch_threads
from spelangy.backends.weights import resolve
from spelangy.core.errors import UserError
from spelangy.core.spans import Span

WINDOW_FRAMES = 160
STEP_FRAMES = 40
WINDOW_SAMPLES = WINDOW_FRAMES * HOP_SAMPLES
STEP_SAMPLES = STEP_FRAMES * HOP_SAMPLES
"""1.6 s is what the model was trained on; 0.4 s bounds the error of a border to 0.2 s."""

TARGET_DBFS = -30.0
MEL_BANDS = 40
HIDDEN = 256
BATCH_WINDOWS = 64
WINDOW_STEPS = WINDOW_FRAMES // STEP_FRAMES
CHANGE_DISTANCE = 0.33
"""Cosine distance of neighbouring windows that may be a change of speaker. One too many costs little: both pieces then
fall into the same cluster."""

SWITCH_COST = 0.25
"""In summed cosine over windows: how much better another speaker must fit before a border is drawn."""


@dataclass(frozen=True, kw_only=True)
class _Region:
    """One span of speech with the embedding of each of its windows."""

    span: Span
    embeddings_WD: Embeddings


class Ge2eDiarizer:
    """Average-linkage clustering of GE2E embeddings; the number of speakers is found, not given.

    A quarter of the cost of `diarizer.campplus`, for readings and clean dialogues. Cannot hear two people at once:
    `is_overlap` is always False and overlapped speech goes to one of them. Far-field voices in one room look alike to
    this model: in meetings it finds too few speakers.

    Args:
        threshold: Mean cosine distance up to which two clusters are one speaker, in (0, 1).
        max_speakers: Most speakers in one recording.
        threads: Threads of the model.
        path: Weights to take instead of the pinned ones (a checkpoint that holds tensors only).

    Raises:
        UserError: For options out of range, or weights that are not there.

    Source: Wan et al. 2018, arXiv:1710.10467. Clustering and resegmentation are ours; the threshold is the middle of
    the range, 0.32 to 0.40, that counts speakers right in dialogues, readings and mixes of LibriSpeech test-other.
    """

    def __init__(
        self, *, threshold: float = 0.36, max_speakers: int = 20, threads: int = 1, path: str | Path | None = None
    ) -> None:
        self.rule = ClusterRule(threshold=threshold, max_speakers=max_speakers)
        self.threads = threads
        weights = resolve("ge2e", path=path)
        self.info = weights.info("diarizer")
        (checkpoint,) = weights.files.values()
        self._encoder = _encoder(checkpoint)

    @classmethod
    def describe(cls, *, path: str | Path | None = None, allow_network: bool = False, **_options: object) -> ModelInfo:
        """Which model this would be with these options; nothing is loaded."""
        return resolve("ge2e", path=path, allow_network=allow_network).info("diarizer")

    def diarize(self, audio_S: Audio, speech: Sequence[Span]) -> list[DiarizedSpan]:
        """Turns of at most 28 s in time order; one may bridge a pause of up to 0.5 s between two spans of `speech`."""
        spans = [span for span in speech if span.num_samples]
        if not spans:
            return []
        regions = [_Region(span=span, embeddings_WD=self._embed(audio_S[span.start : span.end])) for span in spans]
        centroids_KD = find_speakers(*_pieces(regions), self.rule)
        return as_turns([run for region in regions for run in _runs(region, centroids_KD)])

    def _embed(self, audio_S: Audio) -> Embeddings:
        """Embeddings of the windows of one span, every 0.4 s; a span shorter than a window is repeated to fill one."""
        import torch

        mel = mel_power(_levelled(audio_S))
        starts = range(0, len(mel) - WINDOW_FRAMES + 1, STEP_FRAMES)
        windows = np.stack([mel[start : start + WINDOW_FRAMES] for start in starts])
        with torch.inference_mode(), torch_threads(self.threads):
            batches = [
                self._encoder(torch.from_numpy(windows[first : first + BATCH_WINDOWS])).numpy()
                for first in range(0, len(windows), BATCH_WINDOWS)
            ]
        return unit(np.concatenate(batches))


def _encoder(checkpoint: Path) -> Any:
    """The network: three LSTM layers, the last state through a linear layer and a ReLU. Its package is not imported."""
    import torch

    layers = torch.nn.ModuleDict(
        {"lstm": torch.nn.LSTM(MEL_BANDS, HIDDEN, 3, batch_first=True), "linear": torch.nn.Linear(HIDDEN, HIDDEN)}
    )
    try:
        # Takes tensors only and runs no code from the file.
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)["model_state"]
        layers.load_state_dict({name: state[name] for name in layers.state_dict()})
    except (UnpicklingError, KeyError, RuntimeError, TypeError) as error:
        raise UserError(f"{checkpoint} holds no GE2E encoder: {error}", hint="leave out `path`") from error
    layers.eval()
    return lambda mel_BTM: torch.relu(layers["linear"](layers["lstm"](mel_BTM)[1][0][-1]))


def _levelled(audio_S: Audio) -> Audio:
    """Raised to -30 dBFS where softer (the model saw no softer speech), and at least one window long."""
    rms = float(np.sqrt(np.mean(np.square(audio_S, dtype=np.float64))))
    gain = max(1.0, 10 ** (TARGET_DBFS / 20) / max(rms, 1e-6))
    return np.resize(audio_S, max(audio_S.size, WINDOW_SAMPLES)).astype(np.float32) * np.float32(gain)


def _pieces(regions: Sequence[_Region]) -> tuple[Embeddings, NDArray[np.int64]]:
    """Embedding and length of each piece, shapes [P, D] and [P]: every span cut where its sound changes most."""
    embeddings, lengths = [], []
    for region in regions:
        num_windows = len(region.embeddings_WD)
        edges = [0, *_changes(region.embeddings_WD), num_windows + WINDOW_STEPS - 1]
        for first, last in pairwise(edges):
            # Windows that reach across an edge hear both voices; a piece shorter than a window has its middle one.
            middle = min(max((first + last - WINDOW_STEPS) // 2, 0), num_windows - 1)
            inside = region.embeddings_WD[first : last - WINDOW_STEPS + 1]
            embeddings.append(inside.mean(axis=0) if len(inside) else region.embeddings_WD[middle])
        share = region.span.num_samples / edges[-1]
        lengths += [round((last - first) * share) for first, last in pairwise(edges)]
    return unit(np.asarray(embeddings, np.float32)), np.asarray(lengths, np.int64)


def _changes(embeddings_WD: Embeddings) -> list[int]:
    """Steps at which the window before and the window after differ most, and by more than `CHANGE_DISTANCE`."""
    # Takes half a second to import; a plan only asks which model this is.
    from scipy.signal import find_peaks

    before, after = embeddings_WD[:-WINDOW_STEPS], embeddings_WD[WINDOW_STEPS:]
    if not len(before):
        return []
    distances = 1.0 - np.sum(before * after, axis=1)
    # Padded, since a peak at either end is a change too.
    peaks, _ = find_peaks(np.pad(distances, 1), height=CHANGE_DISTANCE, distance=WINDOW_STEPS // 2 + 1)
    return [int(peak) - 1 + WINDOW_STEPS for peak in peaks]


# ----------------------------------------------------------------------------------------------- borders of speakers


def _runs(region: _Region, centroids_KD: Embeddings) -> Iterator[Run]:
    """The region cut where its speaker changes, half-way between the centres of two windows."""
    path = _best_path(region.embeddings_WD @ centroids_KD.T)
    firsts = [0, *(np.flatnonzero(np.diff(path)) + 1).tolist(), len(path)]
    offset = (WINDOW_SAMPLES - STEP_SAMPLES) // 2
    cuts = [region.span.start + offset + first * STEP_SAMPLES for first in firsts]
    cuts[0], cuts[-1] = region.span.start, region.span.end
    for index, (first, last) in enumerate(pairwise(firsts)):
        embedding = unit(region.embeddings_WD[first:last].mean(axis=0)[None])[0]
        yield Run(span=Span(cuts[index], cuts[index + 1]), speaker=int(path[first]), embedding_D=embedding)


def _best_path(similarity_WK: NDArray[np.float32]) -> NDArray[np.int64]:
    """The sequence of speakers with the highest summed similarity less `SWITCH_COST` per change, shape [W]."""
    score_K = similarity_WK[0].astype(np.float64)
    came_from = []
    for row_K in similarity_WK[1:]:
        best = int(np.argmax(score_K))
        stays = score_K >= score_K[best] - SWITCH_COST
        came_from.append(np.where(stays, np.arange(score_K.size), best))
        score_K = np.maximum(score_K, score_K[best] - SWITCH_COST) + row_K
    path = [int(np.argmax(score_K))]
    for previous in reversed(came_from):
        path.append(int(previous[path[-1]]))
    return np.asarray(path[::-1], np.int64)
