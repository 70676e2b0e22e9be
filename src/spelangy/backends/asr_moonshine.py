"""Speech recognition by Moonshine tiny (English): the library's two ONNX graphs in a greedy loop of our own.

    clip ──encoder──> states ──decoder, a token a step──> tokens and their log-probabilities ──> words, confidences

The library's own runtime takes all physical cores whatever is asked, and tells no probabilities. On the ONNX Runtime
release that it bundles (1.23.2), and with clips cut to whole hops of 512 samples as it does, this loop gives its very
text for all of 50 LibriSpeech utterances. Other releases change a word here and there, as half a bit of noise does.

Shape legend: S samples, T encoder states, V vocabulary, P tokens so far; batch 1, 8 heads of 36.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spelangy.backends.asr_clips import fit, is_silence, loud_span, spread
from spelangy.backends.protocols import Audio, ModelInfo, RecognizedClip
from spelangy.backends.weights import resolve
from spelangy.core.errors import UserError
from spelangy.core.records import HypothesisWord
from spelangy.core.spans import samples, seconds

MIN_CLIP_SAMPLES = samples(0.5)
"""The encoder fails below 0.1 s; what lies between is too little context to be heard as a word."""

MAX_TOKENS_PER_S = 6.5
"""A loop ends here. Source: ours; with it the text is the library's own on all 50 utterances (see above)."""

START_TOKEN, END_TOKEN = 1, 2
WORD_START = "▁".encode()
NUM_HEADS, HEAD_SIZE = 8, 36


@dataclass(frozen=True, kw_only=True)
class _Piece:
    """One token: its bytes (a word's first begins with `WORD_START`) and its log-probability."""

    text: bytes
    logprob: float


class MoonshineRecognizer:
    """One pass per clip, each independent of the others. Made for clips of up to 30 s.

    Gives no word times: words are spread over the clip's speech by their characters (`is_timed` is False). A word's
    confidence is the geometric mean of its tokens' probabilities. A clip of digital silence has no words (the model
    would say "You").

    Clips are not batched: neighbours changed a clip's words, and batches of 8 and 16 cost as much or more.

    Args:
        threads: Threads of the model.
        path: Directory with the model's files, to take instead of the pinned ones.

    Raises:
        UserError: When the weights are not there, or `threads` is no number of threads.

    Source: Jeffries et al. 2024, arXiv:2410.15608.
    """

    def __init__(self, *, threads: int = 1, path: str | Path | None = None) -> None:
        if threads < 1:
            raise UserError(f"MoonshineRecognizer: threads={threads}", hint="give 1 or more")
        weights = resolve("moonshine-tiny-en", path=path)
        self.info = weights.info("asr")
        self._encoder = _session(weights.files["encoder_model.ort"], threads)
        self._decoder = _session(weights.files["decoder_model_merged.ort"], threads)
        self._vocabulary = _read_vocabulary(weights.files["tokenizer.bin"].read_bytes())
        outputs = [output.name for output in self._decoder.get_outputs()]
        self._all_states = [name for name in outputs if name.startswith("present.")]
        self._own_states = [name for name in self._all_states if ".decoder." in name]

    @classmethod
    def describe(cls, *, path: str | Path | None = None, allow_network: bool = False, **_options: object) -> ModelInfo:
        """Which model this would be with these options; nothing is loaded."""
        return resolve("moonshine-tiny-en", path=path, allow_network=allow_network).info("asr")

    def transcribe(self, clips: Sequence[Audio]) -> list[RecognizedClip]:
        """One result per clip, in order."""
        return [self._transcribe_clip(clip) for clip in clips]

    def _transcribe_clip(self, clip: Audio) -> RecognizedClip:
        if is_silence(clip):
            return RecognizedClip(words=())
        pieces = list(self._decode(np.pad(clip, (0, max(0, MIN_CLIP_SAMPLES - clip.size)))))
        words = fit(_words(pieces, clip), clip.size)
        logprobs = [piece.logprob for piece in pieces]
        return RecognizedClip(words=words, mean_logprob=math.fsum(logprobs) / max(1, len(logprobs)))

    def _decode(self, audio_S: Audio) -> Iterator[_Piece]:
        mask_BS = np.ones((1, audio_S.size), np.int64)
        (states_BTD,) = self._encoder.run(None, {"input_values": audio_S[None], "attention_mask": mask_BS})
        fixed = {"encoder_attention_mask": mask_BS, "encoder_hidden_states": states_BTD}
        past = {_past(name): np.zeros((1, NUM_HEADS, 1, HEAD_SIZE), np.float32) for name in self._all_states}
        token = START_TOKEN
        for step in range(math.ceil(seconds(audio_S.size) * MAX_TOKENS_PER_S)):
            # Keys and values over the encoder's states never change: they are fetched once, with the first token.
            names = self._own_states if step else self._all_states
            branch = {"input_ids": np.array([[token]]), "use_cache_branch": np.array([step > 0])}
            logits_BPV, *states = self._decoder.run(["logits", *names], {**fixed, **branch, **past})
            past |= zip(map(_past, names), states, strict=True)
            logits_V = logits_BPV[0, -1]
            token = int(logits_V.argmax())
            if token == END_TOKEN:
                return
            logprob = -math.log(float(np.exp(logits_V - logits_V[token]).sum()))
            yield _Piece(text=self._vocabulary[token], logprob=logprob)


def _session(path: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _past(present: str) -> str:
    return present.replace("present.", "past_key_values.")


def _read_vocabulary(content: bytes) -> list[bytes]:
    """The tokens of a `tokenizer.bin`: each its length, then its bytes; lengths from 128 on take two bytes."""
    tokens, position = [], 0
    while position < len(content):
        length, position = content[position], position + 1
        if length >= 128:
            length, position = length - 128 + 128 * content[position], position + 1
        tokens.append(content[position : position + length])
        position += length
    return tokens


def _words(pieces: Sequence[_Piece], clip: NDArray[np.float32]) -> list[HypothesisWord]:
    texts: list[bytes] = []
    logprobs: list[list[float]] = []
    for piece in pieces:
        if piece.text.startswith(WORD_START) or not texts:
            texts.append(b"")
            logprobs.append([])
        texts[-1] += piece.text
        logprobs[-1].append(piece.logprob)
    plain = [text.replace(WORD_START, b" ").decode(errors="replace").strip() for text in texts]
    confidences = [math.exp(math.fsum(values) / len(values)) for values in logprobs]
    said = [(text, confidence) for text, confidence in zip(plain, confidences, strict=True) if text]
    words = spread([text for text, _ in said], loud_span(clip))
    return [
        HypothesisWord(text=word.text, start=word.start, end=word.end, confidence=confidence, is_timed=False)
        for word, (_, confidence) in zip(words, said, strict=True)
    ]
