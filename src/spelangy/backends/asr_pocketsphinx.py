"""Speech recognition by PocketSphinx: its US English model, trigrams and dictionary, all inside its wheel.

A weak recogniser (LibriSpeech test-other, 20 utterances: 44 % of words wrong, at four tenths of real time), for where
nothing else may be installed. As a third vote beside stronger systems it makes a consensus worse.
"""

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from spelangy.backends.asr_clips import fit, is_silence
from spelangy.backends.protocols import Audio, ModelInfo, RecognizedClip
from spelangy.backends.weights import resolve
from spelangy.core.records import HypothesisWord
from spelangy.core.spans import SAMPLE_RATE_HZ

WEIGHTS = "pocketsphinx-en-us-ngram"
FRAME_SAMPLES = SAMPLE_RATE_HZ // 100

_VARIANT = re.compile(r"\(\d+\)$")
_FILLERS = ("<", "[", "+")


class PocketSphinxRecognizer:
    """One search per clip, from a decoder that remembers nothing of earlier clips.

    Words have times and the search lattice's posterior probability as confidence; no casing, no punctuation.

    Args:
        path: Directory with the model's files, to take instead of the pinned ones.

    Raises:
        UserError: When the weights are not there.

    Source: Huggins-Daines et al. 2006, "PocketSphinx".
    """

    def __init__(self, *, path: str | Path | None = None) -> None:
        weights = resolve(WEIGHTS, path=path)
        self.info = weights.info("asr")
        from pocketsphinx import Decoder

        self._decoder = Decoder(
            hmm=str(weights.files["en-us/mdef"].parent),
            lm=str(weights.files["en-us.lm.bin"]),
            dict=str(weights.files["cmudict-en-us.dict"]),
            samprate=SAMPLE_RATE_HZ,
            loglevel="FATAL",
        )

    @classmethod
    def describe(cls, *, path: str | Path | None = None, allow_network: bool = False, **_options: object) -> ModelInfo:
        """Which model this would be with these options; nothing is loaded."""
        return resolve(WEIGHTS, path=path, allow_network=allow_network).info("asr")

    def transcribe(self, clips: Sequence[Audio]) -> list[RecognizedClip]:
        """One result per clip, in order."""
        return [self._transcribe_clip(clip) for clip in clips]

    def _transcribe_clip(self, clip: Audio) -> RecognizedClip:
        if is_silence(clip):
            return RecognizedClip(words=())
        # The feature extractor carries its running cepstral mean from one utterance to the next unless it is made anew.
        self._decoder.reinit_feat()
        self._decoder.start_utt()
        self._decoder.process_raw((np.clip(clip, -1.0, 1.0) * 32767).astype("<i2").tobytes(), full_utt=True)
        self._decoder.end_utt()
        words = fit(self._words(), clip.size)
        logprobs = [math.log(max(word.confidence, 1e-6)) for word in words]
        return RecognizedClip(words=words, mean_logprob=math.fsum(logprobs) / max(1, len(logprobs)))

    def _words(self) -> Iterator[HypothesisWord]:
        # Segments are read while iterating: kept ones point into memory that the decoder reuses.
        for segment in self._decoder.seg() or ():
            if not segment.word.startswith(_FILLERS):
                yield HypothesisWord(
                    text=_VARIANT.sub("", segment.word),
                    start=segment.start_frame * FRAME_SAMPLES,
                    end=(segment.end_frame + 1) * FRAME_SAMPLES,
                    confidence=min(1.0, segment.prob),
                    is_timed=True,
                )
