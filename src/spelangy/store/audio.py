"""Audio by content: FLAC, 16 kHz mono, 16 bit, under ``audio/<key>.flac``; spans are read by seeking.

The key hashes the decoded 16-bit samples, so the same sound has one file whatever container it came in.
"""

import hashlib
import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from spelangy.core.hashing import digest_bytes
from spelangy.core.spans import SAMPLE_RATE_HZ, Span
from spelangy.store.files import WRITING, Files, refused_writes

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

    @contextmanager
    def writing(self) -> Iterator["AudioWriter"]:
        """Takes samples block by block, for sound too long to be held; nothing is stored without `AudioWriter.commit`.

        Raises:
            UserError: When the disk is full or read-only.
        """
        files = Files(self.root)
        folder = Path(files.path("audio")) if files.is_local else Path(tempfile.gettempdir())
        with refused_writes(str(folder)):
            folder.mkdir(parents=True, exist_ok=True)
            handle, beside = tempfile.mkstemp(prefix=WRITING, suffix=".flac", dir=folder)
            os.close(handle)
        try:
            with AudioWriter(files, Path(beside)) as writer:
                yield writer
        finally:
            Path(beside).unlink(missing_ok=True)

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


class AudioWriter:
    """One sound on its way into the store: hashed and compressed as its blocks come."""

    def __init__(self, files: Files, beside: Path) -> None:
        self.files = files
        self.beside = beside
        self.num_samples = 0
        self._hash = hashlib.sha256()
        self._sound = soundfile.SoundFile(beside, "w", SAMPLE_RATE_HZ, 1, "PCM_16", format="FLAC")

    def __enter__(self) -> "AudioWriter":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(soundfile.SoundFileError):
            self._sound.close()

    def write(self, pcm_S: NDArray[np.int16]) -> None:
        """The next 16-bit samples.

        Raises:
            UserError: When the disk is full.
        """
        assert pcm_S.dtype == np.int16 and pcm_S.ndim == 1, "16-bit mono samples"
        self._hash.update(np.ascontiguousarray(pcm_S).data.cast("B"))
        self.num_samples += pcm_S.size
        with self._refused():
            self._sound.write(pcm_S)

    @property
    def key(self) -> str:
        """The content key of what was written so far."""
        return self._hash.hexdigest()

    def commit(self) -> str:
        """Puts the sound in its place, whole or not at all; returns the key that `AudioStore.put_pcm` would."""
        assert self.num_samples, "at least one sample"
        name = _name(self._hash.hexdigest())
        with self._refused():
            self._sound.close()
            num_written = soundfile.info(self.beside).frames
            if num_written != self.num_samples:
                raise OSError(f"{num_written} of {self.num_samples} samples were written")
        if not self.files.exists(name):
            self.files.move_in(self.beside, name)
        return self._hash.hexdigest()

    @contextmanager
    def _refused(self) -> Iterator[None]:
        """libsndfile tells of a full disk in errors of its own, or by writing less than it was given."""
        with refused_writes(str(self.beside.parent)):
            try:
                yield
            except (soundfile.SoundFileError, AssertionError) as error:
                raise OSError(str(error) or "less was written than given") from error


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
