"""Any audio file to 16 kHz mono, by what can be decoded and never by what its header claims.

A hostile file costs bounded memory and opens nothing else: FFmpeg reads through a file object of ours, and its own
protocols, by which a playlist would fetch other files or hosts, are switched off.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import IO

import av
import numpy as np
from numpy.typing import NDArray

from spelangy.core.errors import Quarantined
from spelangy.core.spans import SAMPLE_RATE_HZ, seconds

_NO_PROTOCOLS = {"protocol_whitelist": ""}
_FULL_SCALE = 32_768.0


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """What a file holds.

    Attributes:
        pcm_S: 16-bit samples, 16 kHz mono.
        damage: What could not be decoded; empty for a whole file.
    """

    pcm_S: NDArray[np.int16]
    codec: str
    sample_rate_hz: int
    channels: int
    damage: str = ""


def decode(path: Path, *, max_duration_s: float) -> Decoded:
    """Decodes the first audio stream of any container; channels are mixed, the rate converted.

    Packets that cannot be decoded are left out and told in `damage`; the sound around them is kept.

    Raises:
        Quarantined: Not there, not ours to read, empty, not audio, nothing decodable, or longer than `max_duration_s`.
    """
    with open_file(path) as file, sound_of(file, str(path), max_duration_s=max_duration_s) as sound:
        return Decoded(
            pcm_S=np.concatenate(list(sound.blocks())),
            codec=sound.codec,
            sample_rate_hz=sound.sample_rate_hz,
            channels=sound.channels,
            damage=sound.damage,
        )


@contextmanager
def open_file(path: Path) -> Iterator[IO[bytes]]:
    """A local file that is there, a file, ours to read and not empty.

    Raises:
        Quarantined: When it is not.
    """
    if not path.exists():
        raise Quarantined("not found", detail=str(path))
    if not path.is_file():
        raise Quarantined("not a file", detail=str(path))
    if path.stat().st_size == 0:
        raise Quarantined("empty file", value=0, threshold=1, detail=str(path))
    try:
        file = path.open("rb")
    except OSError as error:
        raise Quarantined("not readable", detail=f"{path}: {error.strerror}") from error
    with file:
        yield file


@contextmanager
def sound_of(file: IO[bytes], name: str, *, max_duration_s: float) -> Iterator["Sound"]:
    """The first audio stream of a seekable file, to be decoded block by block: memory does not grow with its length.

    Args:
        name: What messages call the file.

    Raises:
        Quarantined: As `decode`; also out of the body, while blocks are taken.
    """
    try:
        with av.open(file, "r", options=_NO_PROTOCOLS) as container:
            if not container.streams.audio:
                raise Quarantined("no audio stream", detail=f"{name}: {container.format.name}")
            yield Sound(container, max_duration_s)
    except (av.error.FFmpegError, ValueError) as error:
        raise Quarantined("not decodable", detail=f"{name}: {error}") from error
    except OSError as error:
        raise Quarantined("not readable", detail=f"{name}: {error.strerror}") from error


class Sound:
    """One stream as it is decoded. What it says of its codec and damage holds once its blocks are taken."""

    def __init__(self, container: "av.container.InputContainer", max_duration_s: float) -> None:
        self.stream = container.streams.audio[0]
        self.packets = _Packets(container, self.stream)
        self.max_duration_s = max_duration_s
        self.num_samples = 0

    def blocks(self) -> Iterator[NDArray[np.int16]]:
        """16-bit samples, 16 kHz mono, about a second at a time.

        Raises:
            Quarantined: Nothing decodable, or longer than `max_duration_s`.
        """
        waiting: list[NDArray[np.int16]] = []
        num_given = 0
        for block in _resampled(self.packets):
            self.num_samples += block.size
            if seconds(self.num_samples) > self.max_duration_s:
                raise Quarantined("too long", value=seconds(self.num_samples), threshold=self.max_duration_s)
            waiting.append(block)
            if self.num_samples - num_given >= SAMPLE_RATE_HZ:
                yield np.concatenate(waiting)
                num_given = self.num_samples
                waiting.clear()
        if not self.num_samples:
            raise Quarantined("no sound decoded", value=0, threshold=1, detail=self.damage)
        if waiting:
            yield np.concatenate(waiting)

    @property
    def damage(self) -> str:
        return self.packets.damage

    @property
    def codec(self) -> str:
        return str(self.stream.codec_context.name)

    @property
    def sample_rate_hz(self) -> int:
        return int(self.stream.codec_context.sample_rate)

    @property
    def channels(self) -> int:
        return int(self.stream.codec_context.channels)


class _Packets:
    """The frames of a stream, bad packets counted and passed over."""

    def __init__(self, container: "av.container.InputContainer", stream: "av.audio.stream.AudioStream") -> None:
        self.container = container
        self.stream = stream
        self.num_bad = 0
        self.ended_early = ""

    @property
    def damage(self) -> str:
        bad = f"{self.num_bad} packets not decodable" if self.num_bad else ""
        return "; ".join(part for part in (bad, self.ended_early) if part)

    def frames(self) -> Iterator["av.AudioFrame"]:
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError as error:
                self.ended_early = f"ends early: {error}"
                return
            yield from self._decoded(packet)

    def _decoded(self, packet: "av.Packet") -> list["av.AudioFrame"]:
        try:
            return list(packet.decode())
        except av.error.FFmpegError:
            self.num_bad += 1
            return []


def _resampled(packets: _Packets) -> Iterator[NDArray[np.int16]]:
    # Files joined end to end change rate or channels on the way: each such stretch gets a resampler of its own.
    for _, frames in groupby(packets.frames(), key=_sample_format):
        resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
        for frame in chain(frames, [None]):
            if frame is not None:
                frame.pts = None  # a jump in time stamps must not become an error: samples are counted, not clocked
            yield from map(_to_pcm, resampler.resample(frame))


def _sample_format(frame: "av.AudioFrame") -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _to_pcm(frame: "av.AudioFrame") -> NDArray[np.int16]:
    audio_S = np.nan_to_num(frame.to_ndarray()[0], nan=0.0, posinf=1.0, neginf=-1.0)
    scaled = np.clip(np.rint(audio_S * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1)
    pcm_S: NDArray[np.int16] = scaled.astype(np.int16)
    return pcm_S
