"""The baseline speech tokenizer: k-means on log-mel frames, 12.5 units a second.

A frame is its 8 log-mel hops laid end to end (640 numbers), normalised per mel bin with the training set's mean and
deviation, turned to its principal components and named after the nearest centroid.

Legend: S samples; F frames of 80 ms; M = 80 mel bins; W = 640 numbers a frame; P principal components; K centroids.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from spelangy.backends.protocols import Audio, ModelInfo
from spelangy.core.errors import UserError
from spelangy.core.hashing import digest_bytes
from spelangy.core.random import stream
from spelangy.core.spans import FRAME_SAMPLES
from spelangy.tokens.features import HOPS_PER_FRAME, NUM_MELS, log_mel_blocks

WEIGHTS_FILE = "kmeans.safetensors"
CONFIG_FILE = "kmeans.json"
FORMAT = 1
NUM_COMPONENTS = 64
"""Kept 98 % of the variance of the 83 s of speech inside the moonshine-voice wheel, at a tenth of the width."""
MAX_ITERATIONS = 100
MAX_CODEBOOK = 2**16
MIN_DEVIATION = 1e-3
"""A mel bin that never moves (band-limited audio) is left flat instead of blown up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Codebook:
    """What training learns; all float32.

    Attributes:
        mean_M: Mean of the log-mel hops.
        deviation_M: Their standard deviation.
        center_W: Mean of the normalised frames.
        components_PW: Principal directions, largest variance first.
        centroids_KP: Unit k is the region nearest to row k.
    """

    mean_M: NDArray[np.float32]
    deviation_M: NDArray[np.float32]
    center_W: NDArray[np.float32]
    components_PW: NDArray[np.float32]
    centroids_KP: NDArray[np.float32]

    def to_bytes(self) -> bytes:
        """The codebook as safetensors; equal codebooks give equal bytes."""
        return bytes(save(asdict(self)))

    def project(self, frames_FW: NDArray[np.float64]) -> NDArray[np.float64]:
        """Raw log-mel frames to principal components, shape [F, P]."""
        hops = frames_FW.reshape(-1, HOPS_PER_FRAME, NUM_MELS)
        normal_FW = ((hops - self.mean_M) / self.deviation_M).reshape(frames_FW.shape)
        projected: NDArray[np.float64] = (normal_FW - self.center_W) @ self.components_PW.T.astype(np.float64)
        return projected

    def nearest(self, projected_FP: NDArray[np.float64]) -> NDArray[np.uint16]:
        """Index of the nearest centroid, the lowest one where two are equally near; shape [F]."""
        centroids_KP = self.centroids_KP.astype(np.float64)
        distance_FK = (centroids_KP**2).sum(axis=1) - 2.0 * (projected_FP @ centroids_KP.T)
        nearest_F: NDArray[np.uint16] = distance_FK.argmin(axis=1).astype(np.uint16)
        return nearest_F


class KMeansTokenizer:
    """A `SpeechTokenizer` over one `Codebook`.

    Unit i depends on samples [1280 i - 120, 1280 (i + 1) + 120) alone. So a recording cut on the frame grid gives the
    units of the whole, except for the first and the last unit of a piece, whose 7.5 ms margins hold zeros there.

    Args:
        directory: Where `save` wrote the tokenizer.
        codebook: A codebook in memory instead.

    Raises:
        UserError: When neither is given, or the directory holds no readable tokenizer.
    """

    def __init__(self, directory: Path | str | None = None, *, codebook: Codebook | None = None) -> None:
        if codebook is None:
            if directory is None:
                raise UserError("a k-means tokenizer needs its directory", hint="run `spelangy tokenizer train` first")
            codebook = _read(Path(directory))
        self.codebook = codebook
        self.codebook_size = len(codebook.centroids_KP)
        self.info = ModelInfo(
            role="speech-tokenizer",
            name="kmeans-logmel",
            revision=digest_bytes(codebook.to_bytes()),
            licence="Apache-2.0",
            origin="trained here" if directory is None else str(directory),
        )

    @classmethod
    def load(cls, directory: Path) -> "KMeansTokenizer":
        """The tokenizer that `save` wrote.

        Raises:
            UserError: When a file is missing, damaged or does not belong to the other.
        """
        return cls(directory)

    @classmethod
    def train(
        cls, audios: Iterable[Audio], *, codebook_size: int, seed: int, max_frames: int = 50_000
    ) -> "KMeansTokenizer":
        """Learns a codebook; the same audio in the same order gives the same bytes, on any number of cores.

        Args:
            audios: Recordings or turns at 16 kHz; passed through once.
            codebook_size: Number of units, 2 to 65,536.
            seed: Seed of the frame sample and of the first centroids.
            max_frames: Frames kept for clustering, drawn evenly from all of `audios`; bounds the memory.

        Raises:
            UserError: When `codebook_size` is out of range or there are fewer different frames than units.
        """
        if not 2 <= codebook_size <= MAX_CODEBOOK:
            raise UserError(
                f"codebook_size {codebook_size} is out of range", hint=f"units are 16-bit: use 2 to {MAX_CODEBOOK}"
            )
        with _threadpools().limit(limits=1):
            frames_FW = _sample(audios, seed, max_frames)
            return cls(codebook=_fit(frames_FW, codebook_size, seed))

    @classmethod
    def describe(cls, directory: Path | str | None = None) -> ModelInfo:
        """Which tokenizer `directory` holds; without one, what every recipe trains for itself."""
        if directory is not None:
            return cls(directory).info
        return ModelInfo(
            role="speech-tokenizer",
            name="kmeans-logmel",
            revision="of each recipe",
            licence="Apache-2.0",
            origin="trained by each recipe",
        )

    def encode(self, audio_S: Audio) -> NDArray[np.uint16]:
        """Units, shape [F] with F = ceil(S / 1280); memory does not grow with the recording but for the result."""
        with _threadpools().limit(limits=1):
            blocks = [self.codebook.nearest(self.codebook.project(frames)) for frames in _frames(audio_S)]
        return np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.uint16)

    def save(self, directory: Path) -> None:
        """Writes `kmeans.safetensors` and `kmeans.json`."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / WEIGHTS_FILE).write_bytes(self.codebook.to_bytes())
        config = {
            "format": FORMAT,
            "type": self.info.name,
            "codebook_size": self.codebook_size,
            "samples_per_unit": FRAME_SAMPLES,
            "sha256": self.info.revision,
        }
        (directory / CONFIG_FILE).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def _read(directory: Path) -> Codebook:
    try:
        config = json.loads((directory / CONFIG_FILE).read_text())
        codebook = Codebook(**load_file(directory / WEIGHTS_FILE))
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise UserError(
            f"no k-means tokenizer can be read from {directory}: {error}",
            hint="train it again with `spelangy tokenizer train`, or copy both its files",
        ) from error
    if config.get("format") != FORMAT or config.get("sha256") != digest_bytes(codebook.to_bytes()):
        raise UserError(
            f"{directory / WEIGHTS_FILE} is not the codebook that {CONFIG_FILE} describes",
            hint="copy both files from one training run: units of two codebooks must never be mixed",
        )
    return codebook


def _frames(audio_S: Audio) -> Iterator[NDArray[np.float64]]:
    for _, hops in log_mel_blocks(audio_S):
        yield hops.reshape(-1, HOPS_PER_FRAME * NUM_MELS).astype(np.float64)


def _sample(audios: Iterable[Audio], seed: int, max_frames: int) -> NDArray[np.float32]:
    """An even sample without replacement: every frame draws a number, the `max_frames` lowest stay, in time order."""
    rng = stream(seed, "kmeans", "frames")
    frames: list[NDArray[np.float32]] = [np.zeros((0, HOPS_PER_FRAME * NUM_MELS), dtype=np.float32)]
    draws: list[NDArray[np.float64]] = [np.zeros(0)]
    highest = 1.0
    for block in (block for audio_S in audios for block in _frames(audio_S)):
        draw = rng.random(len(block))
        frames.append(block[draw < highest].astype(np.float32))
        draws.append(draw[draw < highest])
        if sum(map(len, draws)) > 2 * max_frames:
            frames, draws = _lowest(frames, draws, max_frames)
            highest = float(draws[0].max())
    return _lowest(frames, draws, max_frames)[0][0]


def _lowest(
    frames: list[NDArray[np.float32]], draws: list[NDArray[np.float64]], count: int
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float64]]]:
    all_draws = np.concatenate(draws)
    kept = np.sort(np.argsort(all_draws, kind="stable")[:count])
    return [np.concatenate(frames)[kept]], [all_draws[kept]]


def _fit(frames_FW: NDArray[np.float32], codebook_size: int, seed: int) -> Codebook:
    is_flat = bool((frames_FW == frames_FW[:1]).all())
    _check_enough(1 if is_flat else len(frames_FW), codebook_size)
    normal_HM = frames_FW.reshape(-1, NUM_MELS).astype(np.float64)
    mean_M, deviation_M = normal_HM.mean(axis=0), np.maximum(normal_HM.std(axis=0), MIN_DEVIATION)
    normal_HM -= mean_M
    normal_HM /= deviation_M
    normal_FW = normal_HM.reshape(frames_FW.shape)
    pca = PCA(n_components=min(NUM_COMPONENTS, len(frames_FW)), svd_solver="covariance_eigh").fit(normal_FW)
    projected_FP = pca.transform(normal_FW)
    _check_enough(len(np.unique(projected_FP, axis=0)), codebook_size)
    kmeans = KMeans(
        n_clusters=codebook_size,
        n_init=1,
        max_iter=MAX_ITERATIONS,
        random_state=int(stream(seed, "kmeans", "centroids").integers(2**31)),
    ).fit(projected_FP)
    learnt = (mean_M, deviation_M, pca.mean_, pca.components_, kmeans.cluster_centers_)
    mean, deviation, center, components, centroids = (np.ascontiguousarray(array, np.float32) for array in learnt)
    return Codebook(
        mean_M=mean, deviation_M=deviation, center_W=center, components_PW=components, centroids_KP=centroids
    )


def _check_enough(num_different: int, codebook_size: int) -> None:
    if num_different < codebook_size:
        raise UserError(
            f"{num_different} different frames cannot give {codebook_size} units",
            hint="give more audio (12.5 frames a second), raise max_frames or lower codebook_size",
        )


@cache
def _threadpools() -> ThreadpoolController:
    # One thread: workers share a machine already, and sums split over threads would differ in the last bit.
    return ThreadpoolController()
