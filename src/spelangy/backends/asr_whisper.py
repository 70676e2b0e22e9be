"""Speech recognition by Whisper through faster-whisper (CTranslate2), several clips to a window.

Whisper pads whatever it hears to 30 s: a 3 s clip costs as much as a 28 s one. Clips of one call share windows::

    |--clip 0--| gap |--clip 1--| gap |----clip 2----|          one window, at most `window_s`
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spelangy.backends.asr_clips import Window, assign, fit, is_silence, pack, render
from spelangy.backends.protocols import Audio, ModelInfo, RecognizedClip
from spelangy.backends.weights import ResolvedWeights, catalogue, local_model, resolve
from spelangy.core.errors import UserError
from spelangy.core.records import HypothesisWord
from spelangy.core.spans import samples, seconds

GAP_SAMPLES = samples(0.5)
"""Long enough that Whisper ends the sentence. Source: ours; no worse than one clip per window (LibriSpeech)."""

MAX_WINDOW_S = 30.0
MAX_COMPRESSION_RATIO = 2.4
"""Text that zlib shrinks more than this is a loop. Source: Whisper's own threshold (Radford et al. 2022, 4.5)."""

MIN_TAIL_S = 1.0
"""Whisper reads on after its last word; a rest shorter than this is room tone, heard as "Thank you." or "Bye.".
Source: ours; on LibriSpeech test-other all rests below 0.8 s were invented and all above 3 s were speech."""

SEEK_RATE_HZ = 100

MODEL_FILES = ("config.json", "model.bin", "tokenizer.json")
TINY_ENGLISH = "whisper-tiny-en"
BASE = "whisper-base"


@dataclass(frozen=True, kw_only=True)
class _Heard:
    words: tuple[HypothesisWord, ...]
    language: str
    is_loop: bool


class FasterWhisper:
    """Any Whisper model in CTranslate2's format. Greedy, no conditioning on earlier text, word times from attention.

    A clip's words can depend on the clips packed beside it; the same list of clips always gives the same answers. A
    window whose text loops is thrown away and its clips are heard one by one.

    Args:
        model: A name of the weights catalogue, or a directory with a converted model.
        language: Spoken language; None detects it per clip, which gives up packing.
        threads: Threads of the model.
        window_s: Longest window to pack, at most 30 s; 0 hears every clip on its own.
        path: Weights to take instead of the pinned ones, for a `model` of the catalogue.
        allow_network: Whether the hub may be asked for a `model` of the catalogue that is not on this machine.
        device: ``cpu`` or ``cuda``.
        compute_type: As CTranslate2 names it.

    Raises:
        UserError: For a model that is not there, or a language or window it cannot do.

    Source: Radford et al. 2022, arXiv:2212.04356; packing is ours.
    """

    def __init__(
        self,
        *,
        model: str,
        language: str | None = "en",
        threads: int = 1,
        window_s: float = 28.0,
        path: str | Path | None = None,
        allow_network: bool = False,
        device: str = "cpu",
        compute_type: str = "int8",
    ) -> None:
        if not 0.0 <= window_s <= MAX_WINDOW_S:
            raise UserError(f"window_s={window_s} is not in [0, {MAX_WINDOW_S:g}]", hint="28 is the usual value")
        weights = _weights(model, path, allow_network)
        self.info = weights.info("asr")
        # Imports CTranslate2 and, through it, much that only users of this model should pay for.
        from faster_whisper import WhisperModel

        self._model = WhisperModel(
            str(weights.directory),
            device=device,
            compute_type=compute_type,
            cpu_threads=threads,
            num_workers=1,
            local_files_only=True,
        )
        if language not in (None, *self._model.supported_languages):
            raise UserError(f"{self.info.name} does not know language {language!r}", hint="give another model")
        self.language = language
        self.window_s = window_s if language else 0.0

    @classmethod
    def describe(
        cls, *, model: str, path: str | Path | None = None, allow_network: bool = False, **_options: object
    ) -> ModelInfo:
        """Which model this would be with these options; nothing is loaded."""
        return _weights(model, path, allow_network).info("asr")

    def transcribe(self, clips: Sequence[Audio]) -> list[RecognizedClip]:
        """One result per clip, in order."""
        results = [RecognizedClip(words=(), language=self.language or "en") for _ in clips]
        lengths = [0 if is_silence(clip) else clip.size for clip in clips]
        for window in pack(lengths, window_samples=samples(self.window_s), gap_samples=GAP_SAMPLES):
            for index, result in self._transcribe_window(window, clips):
                results[index] = result
        return results

    def _transcribe_window(self, window: Window, clips: Sequence[Audio]) -> Iterator[tuple[int, RecognizedClip]]:
        heard = self._hear(render(window, clips))
        if heard.is_loop and len(window) > 1:
            for placed in window:
                alone = replace(placed, span=placed.span.shift(-placed.span.start))
                yield from self._transcribe_window((alone,), clips)
            return
        for index, words in assign(heard.words, window).items():
            fitted = fit(words, clips[index].size)
            yield index, RecognizedClip(words=fitted, language=heard.language, mean_logprob=_mean_logprob(fitted))

    def _hear(self, audio_S: Audio) -> _Heard:
        segments, info = self._model.transcribe(
            audio_S,
            language=self.language,
            beam_size=1,
            temperature=0.0,
            condition_on_previous_text=False,
            word_timestamps=True,
        )
        last_seek = (seconds(audio_S.size) - MIN_TAIL_S) * SEEK_RATE_HZ
        kept = [segment for segment in segments if segment.seek == 0 or segment.seek <= last_seek]
        return _Heard(
            words=tuple(word for segment in kept for word in _words(segment.words or [])),
            language=info.language,
            is_loop=any(segment.compression_ratio > MAX_COMPRESSION_RATIO for segment in kept),
        )


class WhisperTinyEnglish(FasterWhisper):
    """Whisper tiny.en: English only, the fastest. Arguments as of `FasterWhisper`."""

    def __init__(self, *, threads: int = 1, window_s: float = 28.0, path: str | Path | None = None) -> None:
        super().__init__(model=TINY_ENGLISH, threads=threads, window_s=window_s, path=path)

    @classmethod
    def describe(
        cls,
        *,
        model: str = TINY_ENGLISH,
        path: str | Path | None = None,
        allow_network: bool = False,
        **_options: object,
    ) -> ModelInfo:
        """Which model this would be with these options; nothing is loaded."""
        return super().describe(model=model, path=path, allow_network=allow_network)


class WhisperBase(FasterWhisper):
    """Whisper base: 99 languages. Arguments as of `FasterWhisper`."""

    def __init__(
        self,
        *,
        language: str | None = "en",
        threads: int = 1,
        window_s: float = 28.0,
        path: str | Path | None = None,
    ) -> None:
        super().__init__(model=BASE, language=language, threads=threads, window_s=window_s, path=path)

    @classmethod
    def describe(
        cls, *, model: str = BASE, path: str | Path | None = None, allow_network: bool = False, **_options: object
    ) -> ModelInfo:
        """Which model this would be with these options; nothing is loaded."""
        return super().describe(model=model, path=path, allow_network=allow_network)


def _weights(model: str, path: str | Path | None, allow_network: bool) -> ResolvedWeights:
    if path is None and model not in {entry.name for entry in catalogue()} and Path(model).is_dir():
        return local_model(model, MODEL_FILES)
    return resolve(model, path=path, allow_network=allow_network)


def _words(words: Sequence[Any]) -> list[HypothesisWord]:
    """Whisper's words with the pieces it splits at punctuation (``well`` ``-known``, ``10`` ``%``) joined again."""
    joined: list[HypothesisWord] = []
    for word in words:
        piece = HypothesisWord(
            text=word.word.strip(),
            start=samples(word.start),
            end=samples(word.end),
            confidence=word.probability,
            is_timed=True,
        )
        if joined and not word.word.startswith(" "):
            piece = replace(
                piece,
                text=joined[-1].text + piece.text,
                start=joined[-1].start,
                confidence=min(joined[-1].confidence, piece.confidence),
            )
            joined.pop()
        joined.append(piece)
    return joined


def _mean_logprob(words: Sequence[HypothesisWord]) -> float:
    if not words:
        return 0.0
    return math.fsum(math.log(max(word.confidence, 1e-6)) for word in words) / len(words)
