"""Speech recognition by ``onnx-asr``: Parakeet, Canary, GigaAM, Vosk, Whisper … as ONNX graphs.

tokens      ␣the   ␣cat   ␣s    at
times        |      |      |     |        a word reaches from its first token to a frame after its last
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from spelangy.backends.asr_clips import fit, is_silence, loud_span, spread
from spelangy.backends.protocols import Audio, ModelInfo, RecognizedClip
from spelangy.backends.weights import local_model
from spelangy.core.errors import UserError
from spelangy.core.records import HypothesisWord
from spelangy.core.spans import SAMPLE_RATE_HZ, Span, samples

MIN_CLIP_SAMPLES = samples(0.1)
"""Below this the encoders' convolutions have nothing left to read."""

MAX_WORD_TAIL_S = 0.32
"""A token tells when it starts, not when it ends: a word ends with the next one, and at most this long after its last
token. Source: ours, a guess (four frames of 80 ms)."""


@dataclass(frozen=True, kw_only=True)
class _Piece:
    """The tokens of one word: text, time of the first and the last, and mean log-probability."""

    text: str
    start_s: float
    last_s: float
    logprob: float


class OnnxAsrRecognizer:
    """Any model that ``onnx_asr.load_model`` reads from a directory. Clips are heard one by one.

    Words have times where the model's tokens do (CTC and transducers: Parakeet, GigaAM, Vosk); else (Canary, Whisper)
    they are spread over the clip's speech, and `is_timed` is False. A word's confidence is the geometric mean of its
    tokens' probabilities, 1 where the model tells none.

    Args:
        model: Model type or name, as ``onnx_asr`` knows it: ``nemo-conformer-tdt``, ``nemo-parakeet-tdt-0.6b-v3`` …
        path: Directory with the model's files. The library would fetch them by itself; here nothing is fetched behind
            a recipe's back: ``hf download istupakov/parakeet-tdt-0.6b-v3-onnx`` fills one.
        quantization: Suffix of the files, ``int8`` for example; None takes those without.
        language: Spoken language, for models that take one.
        licence: The model's, for the lineage.
        threads: Threads of the model.

    Raises:
        UserError: When the library or the model is not there.
    """

    def __init__(
        self,
        *,
        model: str,
        path: str | Path,
        quantization: str | None = None,
        language: str | None = "en",
        licence: str = "unknown",
        threads: int = 1,
    ) -> None:
        self.info = self.describe(model=model, path=path, licence=licence)
        self.language = language
        self._asr = _load(model, Path(path), quantization, threads)

    @classmethod
    def describe(cls, *, model: str, path: str | Path, licence: str = "unknown", **_options: object) -> ModelInfo:
        """Which model this would be with these options; nothing is loaded."""
        if not Path(path).is_dir():
            raise UserError(f"no directory {path} with a model for onnx-asr", hint="check path")
        weights = local_model(path, (), licence=licence)
        return ModelInfo(role="asr", name=model, revision=weights.revision, licence=licence, origin=weights.origin)

    def transcribe(self, clips: Sequence[Audio]) -> list[RecognizedClip]:
        """One result per clip, in order."""
        return [self._transcribe_clip(clip) for clip in clips]

    def _transcribe_clip(self, clip: Audio) -> RecognizedClip:
        language = self.language or "en"
        if is_silence(clip) or clip.size < MIN_CLIP_SAMPLES:
            return RecognizedClip(words=(), language=language)
        found = self._asr.recognize(clip, sample_rate=SAMPLE_RATE_HZ, language=self.language)
        logprobs = [min(0.0, float(value)) for value in found.logprobs or ()]
        return RecognizedClip(
            words=fit(_words(found, clip), clip.size),
            language=language,
            mean_logprob=math.fsum(logprobs) / max(1, len(logprobs)),
        )


def _load(model: str, path: Path, quantization: str | None, threads: int) -> Any:
    try:
        import onnx_asr
        import onnxruntime
    except ImportError as error:
        raise UserError("onnx-asr is not installed", hint="pip install 'spelangy[onnx-asr]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    try:
        loaded = onnx_asr.load_model(
            model, path, quantization=quantization, sess_options=options, providers=["CPUExecutionProvider"]
        )
    except (onnx_asr.utils.ModelLoadingError, FileNotFoundError) as error:
        raise UserError(
            f"cannot load {model!r} from {path}: {error}", hint="check model, path, quantization"
        ) from error
    return loaded.with_timestamps()


def _words(found: Any, clip: Audio) -> list[HypothesisWord]:
    logprobs = [min(0.0, float(value)) for value in found.logprobs or ()]
    if not found.tokens or not found.timestamps:
        mean = math.fsum(logprobs) / max(1, len(logprobs))
        return spread(found.text.split(), loud_span(clip), confidence=math.exp(mean))
    pieces = list(_pieces(found.tokens, found.timestamps, logprobs or [0.0] * len(found.tokens)))
    limits = [right.start_s for _, right in pairwise(pieces)] + [math.inf]
    return [_word(piece, limit, clip.size) for piece, limit in zip(pieces, limits, strict=True)]


def _word(piece: _Piece, limit_s: float, num_samples: int) -> HypothesisWord:
    end_s = max(piece.last_s, min(piece.last_s + MAX_WORD_TAIL_S, limit_s))
    span = Span(samples(piece.start_s), samples(end_s)).clip(Span(0, num_samples))
    return HypothesisWord(
        text=piece.text, start=span.start, end=span.end, confidence=math.exp(piece.logprob), is_timed=True
    )


def _pieces(tokens: Sequence[str], times_s: Sequence[float], logprobs: Sequence[float]) -> Iterator[_Piece]:
    """Words: a token that begins with a space begins one."""
    begins = [index for index, token in enumerate(tokens) if index == 0 or token.startswith(" ")]
    for start, end in pairwise([*begins, len(tokens)]):
        yield _Piece(
            text="".join(tokens[start:end]).strip(),
            start_s=times_s[start],
            last_s=times_s[end - 1],
            logprob=math.fsum(logprobs[start:end]) / (end - start),
        )
