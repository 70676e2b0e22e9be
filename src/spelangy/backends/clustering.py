"""From many embeddings to a few speakers; shared by the diarizers and by what labels stored turns again.

Shape legend: P pieces of speech (windows, local speakers or turns); D embedding size; K speakers.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spelangy.core.errors import UserError
from spelangy.core.spans import samples

Embeddings = NDArray[np.float32]
"""Unit rows, shape [P, D] or [K, D]."""

MAX_CLUSTERED_PIECES = 4000
"""The distance matrix then stays below 64 MB and the clustering below seconds; of a longer recording the longest
pieces found the clusters and all others join the nearest."""

MIN_SPEAKER_RATIO = 0.1


@dataclass(frozen=True, kw_only=True)
class ClusterRule:
    """When pieces are one speaker.

    Attributes:
        threshold: Mean cosine distance up to which two clusters are one speaker, in (0, 2).
        min_speakers: Fewest speakers, where there are so many pieces.
        max_speakers: Most speakers.
        min_voting_samples: Embeddings of less speech say more about the words than about the voice: such pieces join,
            they do not found.
        min_speaker_samples: A speaker with less speech than this, and less than a tenth of all, is none.

    Raises:
        UserError: For values out of range.
    """

    threshold: float
    min_speakers: int = 1
    max_speakers: int = 20
    min_voting_samples: int = samples(0.8)
    min_speaker_samples: int = samples(1.6)

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold < 2.0:
            raise UserError(
                f"speaker clustering: threshold={self.threshold} is not in (0, 2)", hint="leave it out for the default"
            )
        if not 1 <= self.min_speakers <= self.max_speakers:
            raise UserError(
                f"speaker clustering: min_speakers={self.min_speakers}, max_speakers={self.max_speakers}",
                hint="1 ≤ min_speakers ≤ max_speakers",
            )


def find_speakers(embeddings_PD: Embeddings, lengths_P: NDArray[np.int64], rule: ClusterRule) -> Embeddings:
    """One direction per speaker, shape [K, D] with K ≥ 1, those who speak most first.

    Args:
        embeddings_PD: One row or more.
        lengths_P: Samples of speech behind each embedding.
    """
    voting = _voting(lengths_P, rule)
    labels = _cluster(embeddings_PD[voting], rule)
    weights = lengths_P[voting].astype(np.float64)
    totals_K = np.bincount(labels, weights)
    order = np.argsort(-totals_K, kind="stable")
    floor = min(float(rule.min_speaker_samples), MIN_SPEAKER_RATIO * float(totals_K.sum()))
    kept = [label for rank, label in enumerate(order) if totals_K[label] >= floor or rank < rule.min_speakers]
    sums_KD = [(embeddings_PD[voting] * weights[:, None])[labels == label].sum(axis=0) for label in kept]
    return unit(np.asarray(sums_KD, np.float32))


def unit(rows: NDArray[np.float32]) -> Embeddings:
    """Rows at unit length; a row of zeros or not-a-number (no sound at all) becomes the even direction."""
    rows = np.nan_to_num(rows)
    rows = np.where(np.any(rows, axis=1, keepdims=True), rows, 1.0)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def _voting(lengths_P: NDArray[np.int64], rule: ClusterRule) -> NDArray[np.int64]:
    """Indices of the pieces that found clusters: all that are long enough, the longest where they are too many."""
    voting = np.flatnonzero(lengths_P >= rule.min_voting_samples)
    if not voting.size:
        voting = np.arange(lengths_P.size)
    longest = np.argsort(-lengths_P[voting], kind="stable")[:MAX_CLUSTERED_PIECES]
    return np.sort(voting[longest])


def _cluster(embeddings_PD: Embeddings, rule: ClusterRule) -> NDArray[np.int64]:
    """Labels 0 … K-1, shape [P], by average linkage."""
    if len(embeddings_PD) == 1:
        return np.zeros(1, np.int64)
    # Takes half a second to import; a plan only asks which model this is.
    from scipy.cluster.hierarchy import cut_tree, fcluster, linkage

    tree = linkage(embeddings_PD.astype(np.float64), method="average", metric="cosine")
    labels = fcluster(tree, rule.threshold, criterion="distance")
    num_speakers = min(max(int(labels.max()), rule.min_speakers), rule.max_speakers, len(embeddings_PD))
    if labels.max() != num_speakers:
        # `fcluster` by number gives fewer where distances are equal.
        labels = cut_tree(tree, n_clusters=num_speakers)[:, 0]
    return np.asarray(np.unique(labels, return_inverse=True)[1], np.int64)
