"""Role ``lid``: Whisper base tells the language of a few seconds, without its 30 s of padding.

    clips ──log-mel──> [N, 80, frames], each padded to 6 s or to the longest ──one encoder pass──> language token

Whisper's encoder takes shorter input than it was trained on. Cut to the clip alone it takes short clips for Chinese or
Finnish; with silence up to 6 s it is as right as with silence up to 30 s, at a tenth of the price.

Shape legend: S samples, N clips, M mel bands, F frames of 10 ms.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spelangy.backends.asr_clips import is_silence
from spelangy.backends.protocols import Audio, ModelInfo
from spelangy.backends.weights import resolve
from spelangy.core.errors import UserError
from spelangy.core.spans import samples

WEIGHTS = "whisper-base"
FRAMES_PER_S = 100
MIN_FRAMES = 6 * FRAMES_PER_S
"""Source: ours. Of 13 English clips of 3 s, without padding 12 were found English (mean probability 0.81), padded to
6 s 13 (0.93), padded to 30 s 13 (0.98); a window took 0.04, 0.08 and 1.0 s on one thread."""

ISO_CODES = {"jw": "jv"}
"""Whisper's own names that are no ISO 639-1 codes."""

MAX_CLIP_SAMPLES = samples(30.0)
BATCH_CLIPS = 8


class WhisperLanguageIdentifier:
    """Language by Whisper base, 99 languages; listens to the first 30 s of a clip.

    Clips of one length are heard in one pass; a clip's answer does not depend on the others.

    Args:
        threads: Threads of the model.
        path: Weights to take instead of the pinned ones.

    Raises:
        UserError: When the weights are not there, or know one language only.

    Source: Radford et al. 2022, arXiv:2212.04356, 3.1.
    """

    def __init__(self, *, threads: int = 1, path: str | Path | None = None) -> None:
        weights = resolve(WEIGHTS, path=path)
        self.info = weights.info("lid")
        from faster_whisper import WhisperModel

        self._whisper = WhisperModel(
            str(weights.directory), device="cpu", compute_type="int8", cpu_threads=threads, local_files_only=True
        )
        if not self._whisper.model.is_multilingual:
            raise UserError(f"{weights.directory} knows English only", hint="give a multilingual Whisper")

    @classmethod
    def describe(cls, *, path: str | Path | None = None, allow_network: bool = False, **_options: object) -> ModelInfo:
        """Which model this would be with these options; nothing is loaded."""
        return resolve(WEIGHTS, path=path, allow_network=allow_network).info("lid")

    def identify(self, clips: Sequence[Audio]) -> list[Mapping[str, float]]:
        """Probability by ISO 639-1 code for each clip, in order; empty for a clip of silence."""
        found: list[Mapping[str, float]] = [{} for _ in clips]
        features = {index: self._features(clip) for index, clip in enumerate(clips) if not is_silence(clip)}
        by_length: dict[int, list[int]] = {}
        for index, features_MF in features.items():
            by_length.setdefault(features_MF.shape[1], []).append(index)
        for indices in by_length.values():
            for first in range(0, len(indices), BATCH_CLIPS):
                batch = indices[first : first + BATCH_CLIPS]
                for index, guess in zip(batch, self._identify([features[i] for i in batch]), strict=True):
                    found[index] = guess
        return found

    def _features(self, clip: Audio) -> NDArray[np.float32]:
        features_MF = self._whisper.feature_extractor(clip[:MAX_CLIP_SAMPLES])[:, :-1]
        num_frames = max(MIN_FRAMES, features_MF.shape[1] + features_MF.shape[1] % 2)
        return np.pad(features_MF, ((0, 0), (0, num_frames - features_MF.shape[1])))

    def _identify(self, features: Sequence[NDArray[np.float32]]) -> Iterator[Mapping[str, float]]:
        encoded = self._whisper.encode(np.ascontiguousarray(np.stack(features)))
        for guesses in self._whisper.model.detect_language(encoded):
            codes = ((token.strip("<|>"), min(1.0, probability)) for token, probability in guesses)
            yield {ISO_CODES.get(code, code): probability for code, probability in codes}
