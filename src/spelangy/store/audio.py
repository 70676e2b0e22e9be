"""Audio by content: FLAC, 16 kHz mono, 16 bit, under ``audio/<key>.flac``; spans are read by seeking.

The key hashes the decoded 16-bit samples, so the same sound has one file whatever container it came in.
"""

import io
from dataclasses import dataclass

import numpy as np
import soundfile
from numpy.typing import NDArray

from spelangy.core.hashing import digest_bytes
from spelangy.core.spans import SAMPLE_RATE_HZ, Span
from spelangy.store.files import Files

_FULL_SCALE = 32_768
"""One scale both ways: what was read, put again, is the same sound under the same key."""


@dataclass(frozen=True)
class AudioStore:
    """The audio of one store. Small and picklable: workers carry it.

    Args:
        root: The store's root, a path or fsspec URL.
    """

    root: str

    def put(self, audio_S: NDArray[np.float32]) -> str:
        """Stores mono samples at 16 kHz in [-1, 1]; returns their content key. Known content is not written again."""
        return self.put_pcm(to_pcm(audio_S))

    def put_pcm(self, pcm_S: NDArray[np.int16]) -> str:
        """`put` for samples that are 16-bit already."""
        assert pcm_S.dtype == np.int16 and pcm_S.ndim == 1 and pcm_S.size, "16-bit mono samples, at least one"
        key = digest_bytes(np.ascontiguousarray(pcm_S).data.cast("B"))
        files = Files(self.root)
        if not files.exists(_name(key)):
            files.write(_name(key), flac_bytes(pcm_S))
        return key

    def read(self, key: str, span: Span | None = None) -> NDArray[np.float32]:
        """Samples of `span` (all of them without one), float32 in [-1, 1], shape [S]."""
        files = Files(self.root)
        with files.fs.open(files.path(_name(key)), "rb") as raw, soundfile.SoundFile(raw) as sound:
            if span is not None:
                sound.seek(span.start)
            samples: NDArray[np.float32] = sound.read(-1 if span is None else span.num_samples, dtype="float32")
            return samples

    def url(self, key: str) -> str:
        """Where the FLAC file is, for tools that open it themselves."""
        return Files(self.root).url(_name(key))


def to_pcm(audio_S: NDArray[np.float32]) -> NDArray[np.int16]:
    """Float samples to 16 bit: rounded, clipped at full scale; the inverse of `float_audio`."""
    scaled = np.clip(np.rint(audio_S * np.float32(_FULL_SCALE)), -_FULL_SCALE, _FULL_SCALE - 1)
    pcm_S: NDArray[np.int16] = scaled.astype(np.int16)
    return pcm_S


def float_audio(pcm_S: NDArray[np.int16]) -> NDArray[np.float32]:
    """16-bit samples as float32 in [-1, 1), as `AudioStore.read` gives them."""
    return pcm_S.astype(np.float32) / np.float32(_FULL_SCALE)


def flac_bytes(pcm_S: NDArray[np.int16] | NDArray[np.float32]) -> bytes:
    """Samples at 16 kHz as a FLAC file in memory."""
    sink = io.BytesIO()
    soundfile.write(sink, pcm_S, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return sink.getvalue()


def _name(key: str) -> str:
    return f"audio/{key[:2]}/{key}.flac"
