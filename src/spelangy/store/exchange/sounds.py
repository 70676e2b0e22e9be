"""Sound that other tools' files point at or carry: which files may be opened, and what is heard in them."""

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from spelangy.core.errors import Dropped
from spelangy.core.hashing import ID_HEX_DIGITS
from spelangy.core.records import Recording
from spelangy.core.spans import SAMPLE_RATE_HZ, seconds
from spelangy.store.audio import to_pcm

AUDIO_SUFFIXES = (".flac", ".wav", ".ogg", ".opus", ".mp3", ".m4a", ".aac", ".webm", ".mp4")
"""In the order in which a recording is looked for beside its labels; what is without loss comes first."""

MAX_SOUND_S = 24 * 3600.0
"""Longest sound that is taken in: bounds the memory that a header can ask for. As `curate.max_recording_s`."""

MIN_RATE_HZ = 1_000
"""Lowest sample rate: below it a small file would become a huge one."""

_BLOCK_SAMPLES = 1 << 20
"""Read at a time, of all channels together: what a header says of channels and rate cannot make a block large."""


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What a sound holds, at 16 kHz mono.

    Attributes:
        pcm_S: 16-bit samples.
    """

    pcm_S: NDArray[np.int16]
    codec: str
    sample_rate_hz: int
    channels: int


Hear = Callable[[BinaryIO, int | None], Heard]
"""Decodes a sound: (file, channel or None for the mean of all). Raises `Dropped`."""


@dataclass(frozen=True, kw_only=True)
class Sound:
    """Where a sound is: in a file, in bytes that an archive carried, or in the store already.

    Attributes:
        name: What it is called in the place it comes from; the host's folders are no part of it.
        channel: The one channel that counts; None: the mean of all.
    """

    name: str
    path: Path | None = None
    data: bytes | None = None
    known: Recording | None = None
    channel: int | None = None

    def open(self) -> BinaryIO:
        """The sound's bytes."""
        if self.path is not None:
            return self.path.open("rb")
        assert self.data is not None, "a known recording is not opened again"
        return io.BytesIO(self.data)

    def digest(self) -> str:
        """SHA-256 of the bytes."""
        with self.open() as file:
            return hashlib.file_digest(cast(io.BufferedReader, file), "sha256").hexdigest()

    def content_id(self, digest: str) -> str:
        """The id of the recording: its bytes, and which channel of them."""
        name = digest if self.channel is None else hashlib.sha256(f"{digest} {self.channel}".encode()).hexdigest()
        return name[:ID_HEX_DIGITS]


def hear(file: BinaryIO, channel: int | None = None) -> Heard:
    """Decodes wav, flac, ogg and mp3. What is 16 kHz, mono and 16-bit comes out sample for sample.

    Of several channels the mean is taken; other rates are converted (soxr, high quality), so that a time of `t` seconds
    is sample ``round(t * 16000)`` whatever the rate was.

    Raises:
        Dropped: Not decodable, without sound, longer than `MAX_SOUND_S`, or without that channel.
    """
    try:
        with soundfile.SoundFile(file) as sound:
            if channel is not None and channel >= sound.channels:
                raise Dropped("no such channel", value=channel, threshold=sound.channels - 1)
            if sound.samplerate < MIN_RATE_HZ:
                raise Dropped("sample rate too low", value=sound.samplerate, threshold=MIN_RATE_HZ)
            pcm_S = _samples(sound, channel)
            return Heard(
                pcm_S=pcm_S, codec=sound.format.lower(), sample_rate_hz=sound.samplerate, channels=sound.channels
            )
    except soundfile.LibsndfileError as error:
        raise Dropped("audio not decodable", detail=str(error)) from error


def _samples(sound: soundfile.SoundFile, channel: int | None) -> NDArray[np.int16]:
    is_exact = sound.samplerate == SAMPLE_RATE_HZ and sound.subtype == "PCM_16"
    blocks, num_samples = [], 0
    for block in (
        _exact(sound, channel) if is_exact and (sound.channels == 1 or channel is not None) else _mixed(sound, channel)
    ):
        blocks.append(block)
        num_samples += block.size
        if seconds(num_samples) > MAX_SOUND_S:
            raise Dropped("audio too long", value=seconds(num_samples), threshold=MAX_SOUND_S)
    if not num_samples:
        raise Dropped("no sound", value=0, threshold=1)
    return np.concatenate(blocks)


def _exact(sound: soundfile.SoundFile, channel: int | None) -> Iterator[NDArray[np.int16]]:
    while (block := sound.read(_frames(sound), dtype="int16", always_2d=True)).size:
        yield np.ascontiguousarray(block[:, channel or 0])


def _frames(sound: soundfile.SoundFile) -> int:
    return max(1, _BLOCK_SAMPLES // int(sound.channels))


def _mixed(sound: soundfile.SoundFile, channel: int | None) -> Iterator[NDArray[np.int16]]:
    rate = soxr.ResampleStream(sound.samplerate, SAMPLE_RATE_HZ, 1, dtype="float32")
    is_last = False
    while not is_last:
        read = sound.read(_frames(sound), dtype="float32", always_2d=True)
        block, is_last = np.nan_to_num(read, posinf=1.0, neginf=-1.0), len(read) < _frames(sound)
        mono_S = block.mean(axis=1, dtype=np.float32) if channel is None else np.ascontiguousarray(block[:, channel])
        yield to_pcm(rate.resample_chunk(mono_S, last=is_last))


@dataclass(frozen=True)
class AudioRoots:
    """Folders below which sound may be opened, beside the folder of the file that points at it."""

    folders: Sequence[Path] = ()

    def file(self, name: str, beside: Path) -> Sound:
        """The file that a manifest in folder `beside` calls `name`.

        Raises:
            Dropped: Not there, no file, or outside of the folders allowed, be it by a link.
        """
        if not isinstance(name, str) or "\0" in name or "://" in name or not name:
            raise Dropped("audio is no local file", detail=str(name)[:200])
        allowed = [beside.resolve(), *(folder.resolve() for folder in self.folders)]
        for root in allowed:
            found = _regular_file(root / name)
            if found is None:
                continue
            inside = next((folder for folder in allowed if found.is_relative_to(folder)), None)
            if inside is None:
                raise Dropped("audio outside the folders allowed", detail=f"{name}; --audio-root allows more")
            return Sound(name=found.relative_to(inside).as_posix(), path=found)
        raise Dropped("audio not found", detail=name[:200])

    def beside(self, stem: str, folder: Path) -> Sound:
        """The recording of the labels called `stem`, by any suffix of audio.

        Raises:
            Dropped: As `file`.
        """
        for suffix in AUDIO_SUFFIXES:
            try:
                return self.file(f"{stem}{suffix}", folder)
            except Dropped as dropped:
                if dropped.reason != "audio not found":
                    raise
        raise Dropped("audio not found", detail=f"{stem[:200]} with any of {' '.join(AUDIO_SUFFIXES)}")


def _regular_file(path: Path) -> Path | None:
    try:
        found = path.resolve(strict=True)
        return found if found.is_file() else None
    except (OSError, ValueError, RuntimeError):
        return None
