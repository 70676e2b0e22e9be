"""Speakers within windows of 10 s: who of up to three speaks in each 17 ms, two of them at once at most.

    audio     |----------------------------------------|
    windows   |--------10 s--------|                      every 5 s, only those that hold speech
                        |--------10 s--------|
    local     A A A B B B+A A                             names hold within one window only

Shape legend: S samples; C windows; F = 589 frames of a window; L = 3 local speakers; T frames of the recording.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from itertools import combinations
from pathlib import Path
from pickle import UnpicklingError
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spelangy.backends.protocols import Audio
from spelangy.backends.torch_threads import torch_threads
from spelangy.core.errors import UserError
from spelangy.core.spans import Span, samples

WINDOW_SAMPLES = samples(10.0)
FRAME_SAMPLES = 270
WINDOW_FRAMES = 589
FIRST_FRAME_SAMPLE = 360
"""Frame t is about samples 360 + [270 t, 270 (t + 1)): the middle of the 991 samples that the network sees for it."""

HOP_FRAMES = 296
"""A whole number of frames next to 5 s, so that windows share one grid."""

NUM_LOCAL = 3
BATCH_WINDOWS = 16
SETS = [members for size in range(3) for members in combinations(range(NUM_LOCAL), size)]
"""What a frame can hold: nobody, one speaker, two. The network's seven classes in order."""


@dataclass(frozen=True, kw_only=True)
class LocalActivity:
    """What the network heard.

    Attributes:
        firsts_C: First frame of each window on the recording's grid.
        probabilities_CFL: That a local speaker speaks.
        overlap_CF: That two speak at once.
    """

    firsts_C: NDArray[np.int64]
    probabilities_CFL: NDArray[np.float32]
    overlap_CF: NDArray[np.float32]


class Segmenter:
    """The network `segmentation-3.0`, batch by batch.

    Args:
        network: The file of the network's class.
        weights: Its weights.
        threads: Threads of the model.

    Source: Plaquet and Bredin 2023, arXiv:2310.13025.
    """

    def __init__(self, network: Path, weights: Path, threads: int) -> None:
        self.threads = threads
        self._network = _network(network, weights)

    def __call__(self, audio_S: Audio, speech: Sequence[Span]) -> LocalActivity:
        """Activity in every window that meets a span of `speech`."""
        import torch

        firsts = _windows(audio_S.size, speech)
        members_ZL = torch.tensor([[float(k in members) for k in range(NUM_LOCAL)] for members in SETS])
        activity, overlap = [], []
        with torch.inference_mode(), torch_threads(self.threads):
            for windows in _batches(audio_S, firsts):
                sets_CFZ = self._network(torch.from_numpy(windows[:, None])).exp()
                activity.append((sets_CFZ @ members_ZL).numpy())
                overlap.append(sets_CFZ[..., 1 + NUM_LOCAL :].sum(dim=-1).numpy())
        return LocalActivity(
            firsts_C=np.array(firsts, np.int64),
            probabilities_CFL=np.concatenate(activity),
            overlap_CF=np.concatenate(overlap),
        )


@dataclass(frozen=True, kw_only=True)
class TimeLine:
    """The windows as one line of frames. A frame belongs to the window whose middle is nearest.

    Attributes:
        local_T: The most active local speaker, counted through all windows.
        is_active_T: Whether anybody speaks.
        overlap_T: Probability that two speak at once, the mean over the windows by how near their middles are.
    """

    local_T: NDArray[np.int64]
    is_active_T: NDArray[np.bool_]
    overlap_T: NDArray[np.float32]

    @classmethod
    def of(cls, heard: LocalActivity, num_frames: int) -> "TimeLine":
        """The line of a recording of `num_frames` frames; what no window covers is silence."""
        here = np.arange(num_frames)
        middles_C = heard.firsts_C + WINDOW_FRAMES // 2
        window_T = np.searchsorted((middles_C[1:] + middles_C[:-1]) / 2, here)
        inside_T = here - heard.firsts_C[window_T]
        is_covered_T = (inside_T >= 0) & (inside_T < WINDOW_FRAMES)
        activity_TL = heard.probabilities_CFL[window_T, np.clip(inside_T, 0, WINDOW_FRAMES - 1)]
        return cls(
            local_T=window_T * NUM_LOCAL + np.argmax(activity_TL, axis=1),
            is_active_T=is_covered_T & (np.max(activity_TL, axis=1) >= 0.5),
            overlap_T=_overlap(heard, num_frames),
        )


def _overlap(heard: LocalActivity, num_frames: int) -> NDArray[np.float32]:
    # A window knows one side only of what is at its edges.
    taper_F = (np.hamming(WINDOW_FRAMES) + 0.02).astype(np.float32)
    sum_T, weight_T = np.zeros(num_frames + WINDOW_FRAMES, np.float32), np.zeros(num_frames + WINDOW_FRAMES, np.float32)
    for first, overlap_F in zip(heard.firsts_C.tolist(), heard.overlap_CF, strict=True):
        sum_T[first : first + WINDOW_FRAMES] += taper_F * overlap_F
        weight_T[first : first + WINDOW_FRAMES] += taper_F
    return np.asarray((sum_T / np.maximum(weight_T, 1e-6))[:num_frames], np.float32)


def module_of(path: Path) -> ModuleType:
    """The Python file at `path` as a module, without the package that it lies in."""
    spec = spec_from_file_location(f"_spelangy_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def frame_of(sample: int) -> int:
    """The frame that a sample falls into; those before the first frame count as its."""
    return max(0, (sample - FIRST_FRAME_SAMPLE) // FRAME_SAMPLES)


def sample_of(frame: int) -> int:
    """Where a frame starts."""
    return FIRST_FRAME_SAMPLE + frame * FRAME_SAMPLES


def stretches(is_on_T: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """[start, end) of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_on_T, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _network(network: Path, weights: Path) -> Any:
    import torch

    try:
        # Takes tensors and plain values only and runs no code from the file.
        saved = torch.load(weights, map_location="cpu", weights_only=True)
        names = ("output_dim", "sincnet", "lstm", "linear", "sample_rate", "num_channels")
        model = module_of(network).LocalPyanNet(**{name: saved["model"][name] for name in names})
        model.load_state_dict(saved["state_dict"])
    except (UnpicklingError, ValueError, KeyError, RuntimeError, TypeError) as error:
        raise UserError(f"{weights} holds no segmentation network: {error}", hint="leave out `path`") from error
    return model.eval()


def _windows(num_samples: int, speech: Sequence[Span]) -> list[int]:
    """First frames of the windows that cover the recording and hold speech, in order."""
    last = -(-max(num_samples - WINDOW_SAMPLES, 0) // (HOP_FRAMES * FRAME_SAMPLES))
    wanted: set[int] = set()
    for span in speech:
        low = (span.start - WINDOW_SAMPLES) // (HOP_FRAMES * FRAME_SAMPLES) + 1
        high = (span.end - 1) // (HOP_FRAMES * FRAME_SAMPLES)
        wanted.update(range(max(low, 0), min(high, last) + 1))
    return [index * HOP_FRAMES for index in sorted(wanted)]


def _batches(audio_S: Audio, firsts: Sequence[int]) -> Iterator[NDArray[np.float32]]:
    for first in range(0, len(firsts), BATCH_WINDOWS):
        starts = [frame * FRAME_SAMPLES for frame in firsts[first : first + BATCH_WINDOWS]]
        clips = [audio_S[start : start + WINDOW_SAMPLES] for start in starts]
        yield np.stack([np.pad(clip, (0, WINDOW_SAMPLES - clip.size)).astype(np.float32) for clip in clips])
