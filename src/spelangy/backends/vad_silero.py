"""Voice activity by Silero VAD, run on blocks of frames through onnxruntime.

Shape legend: S samples; F frames of 512 samples (32 ms); the model sees each frame with the 64 samples before it.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from spelangy.backends.protocols import Audio, ModelInfo
from spelangy.backends.weights import resolve
from spelangy.core.errors import UserError
from spelangy.core.spans import Span, samples, tile

VAD_FRAME_SAMPLES = 512
CONTEXT_SAMPLES = 64
BLOCK_FRAMES = 512
"""16.4 s a run: large enough that Python costs nothing, small enough that 3 h take no more memory than a minute."""

HYSTERESIS = 0.15
"""Speech goes on until the probability is this far below the threshold. Source: Silero VAD's own default."""

SMOOTHING_FRAMES = 5
"""A pause worth cutting in lasts 160 ms; a single unvoiced frame inside a word does not."""


class SileroVad:
    """Finds speech: hysteresis over frame probabilities, then minimum silence, minimum speech, padding, maximum length.

    Args:
        threshold: Probability at which speech starts, in (0, 1).
        min_speech_s: Shorter speech is dropped (coughs, clicks).
        min_silence_s: Shorter silence does not end speech.
        pad_s: Kept before and after speech; neighbours share a short gap at its midpoint.
        max_speech_s: Longer speech is cut where speech is least likely.
        threads: Threads of the model.
        path: Weights to take instead of the pinned ones.

    Raises:
        UserError: For options that contradict each other, or weights that are not there.

    Source: github.com/snakers4/silero-vad, sequence model.
    """

    def __init__(
        self,
        *,
        threshold: float = 0.5,
        min_speech_s: float = 0.25,
        min_silence_s: float = 0.3,
        pad_s: float = 0.1,
        max_speech_s: float = 28.0,
        threads: int = 1,
        path: str | Path | None = None,
    ) -> None:
        if not 0.0 < threshold < 1.0:
            raise UserError(f"SileroVad: threshold={threshold} is not in (0, 1)", hint="0.5 is the usual value")
        if max_speech_s < 4 * max(min_speech_s, 0.25):
            raise UserError(
                f"SileroVad: max_speech_s={max_speech_s} leaves no room to cut", hint="give at least 4 × min_speech_s"
            )
        self.threshold = threshold
        self.min_speech_s = min_speech_s
        self.min_silence_s = min_silence_s
        self.pad_s = pad_s
        self.max_speech_s = max_speech_s
        weights = resolve("silero-vad", path=path)
        self.info = weights.info("vad")
        (model_path,) = weights.files.values()
        self._session = _session(model_path, threads)

    @classmethod
    def describe(cls, *, path: str | Path | None = None, allow_network: bool = False, **_options: object) -> ModelInfo:
        """Which model this would be with these options; nothing is loaded."""
        return resolve("silero-vad", path=path, allow_network=allow_network).info("vad")

    def speech(self, audio_S: Audio) -> list[Span]:
        """Ordered, disjoint spans of speech, none longer than `max_speech_s`."""
        outer = Span(0, audio_S.size)
        probabilities_F = self.probabilities(audio_S)
        runs = _runs(_is_speech(probabilities_F, self.threshold))
        runs = _without_short_gaps([run.clip(outer) for run in runs], samples(self.min_silence_s))
        runs = [run for run in runs if run.num_samples >= samples(self.min_speech_s)]
        padded = tile(runs, outer, samples(self.pad_s)) if runs else []
        smooth_F = _smooth(probabilities_F)
        return [piece for span in padded for piece in _split(span, smooth_F, samples(self.max_speech_s))]

    def probabilities(self, audio_S: Audio) -> NDArray[np.float32]:
        """Probability of speech per frame of 512 samples, shape [F] with F = ceil(S / 512)."""
        hidden, cell = np.zeros((2, 1, 1, 128), np.float32)
        blocks = [np.zeros(0, np.float32)]
        for frames in _blocks(audio_S):
            inputs = {"input": frames, "h": hidden, "c": cell}
            probabilities, hidden, cell = self._session.run(["speech_probs", "hn", "cn"], inputs)
            blocks.append(probabilities.reshape(-1))
        return np.concatenate(blocks)


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Idle threads that spin take the processor from the other steps of a pipeline.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _blocks(audio_S: Audio) -> Iterator[NDArray[np.float32]]:
    """Blocks of up to `BLOCK_FRAMES` frames, each with its context, shape [f, 576]."""
    block_samples = BLOCK_FRAMES * VAD_FRAME_SAMPLES
    context = np.zeros(CONTEXT_SAMPLES, np.float32)
    for start in range(0, audio_S.size, block_samples):
        block = audio_S[start : start + block_samples]
        padded = np.pad(block, (0, -block.size % VAD_FRAME_SAMPLES))
        windows = np.lib.stride_tricks.sliding_window_view(
            np.concatenate([context, padded]), CONTEXT_SAMPLES + VAD_FRAME_SAMPLES
        )
        yield np.ascontiguousarray(windows[::VAD_FRAME_SAMPLES], np.float32)
        context = padded[-CONTEXT_SAMPLES:]


def _is_speech(probabilities_F: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """Starts at the threshold, ends `HYSTERESIS` below it, keeps its state in between; shape [F]."""
    starts = probabilities_F >= threshold
    decided = starts | (probabilities_F < max(threshold - HYSTERESIS, 0.01))
    last_decided = np.maximum.accumulate(np.where(decided, np.arange(decided.size), -1))
    return np.where(last_decided >= 0, starts[last_decided], False) if decided.size else starts


def _runs(is_speech_F: NDArray[np.bool_]) -> list[Span]:
    """The runs of True, in samples."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_speech_F, [False]]).astype(np.int8)))
    return [
        Span(int(start) * VAD_FRAME_SAMPLES, int(end) * VAD_FRAME_SAMPLES)
        for start, end in zip(edges[::2], edges[1::2], strict=True)
    ]


def _without_short_gaps(runs: list[Span], min_gap: int) -> list[Span]:
    if not runs:
        return []
    ends_here = [right.start - left.end >= min_gap for left, right in pairwise(runs)]
    starts = [runs[0].start, *(run.start for run, ends in zip(runs[1:], ends_here, strict=True) if ends)]
    ends = [*(run.end for run, ends in zip(runs[:-1], ends_here, strict=True) if ends), runs[-1].end]
    return [Span(start, end) for start, end in zip(starts, ends, strict=True)]


def _smooth(probabilities_F: NDArray[np.float32]) -> NDArray[np.float32]:
    if probabilities_F.size < SMOOTHING_FRAMES:
        return probabilities_F
    kernel = np.full(SMOOTHING_FRAMES, 1 / SMOOTHING_FRAMES, np.float32)
    return np.convolve(probabilities_F, kernel, mode="same").astype(np.float32)


def _split(span: Span, smooth_F: NDArray[np.float32], max_samples: int) -> Iterator[Span]:
    """Cuts `span` into pieces of at most `max_samples`, each cut at the least likely frame of the second half."""
    while span.num_samples > max_samples:
        # The rest after the cut keeps at least an eighth, so that no sliver is left over.
        latest = min(max_samples, span.num_samples - max_samples // 8)
        first = (span.start + max_samples // 2) // VAD_FRAME_SAMPLES + 1
        last = (span.start + latest) // VAD_FRAME_SAMPLES
        candidates = smooth_F[first : last + 1]
        # The last of equal ones: longer pieces give a recogniser more context.
        cut = (first + candidates.size - 1 - int(np.argmin(candidates[::-1]))) * VAD_FRAME_SAMPLES
        yield Span(span.start, cut)
        span = Span(cut, span.end)
    yield span
