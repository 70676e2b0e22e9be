"""Sound files good and bad, written by the tests themselves."""

import io
import struct
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

from spelangy.core.spans import SAMPLE_RATE_HZ

ASSETS = "package:moonshine_voice/assets"
SHORT_SPEECH = f"{ASSETS}/clone-test.wav"
"""Real speech of 4 s."""

READING = f"{ASSETS}/beckett.wav"
"""Real speech of 10 s."""

AAC_FRAME_SAMPLES = 1024


def sine(duration_s: float, rate_hz: int, frequency_hz: float = 440.0, channels: int = 1) -> NDArray[np.float32]:
    """A tone at half of full scale, shape [S, channels]."""
    time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    tone_S = (0.5 * np.sin(2 * np.pi * frequency_hz * time_s)).astype(np.float32)
    return np.repeat(tone_S[:, None], channels, axis=1)


def loudest_hz(pcm_S: NDArray[np.int16]) -> float:
    """The frequency with the most energy, at 16 kHz."""
    spectrum = np.abs(np.fft.rfft(pcm_S * np.hanning(pcm_S.size)))
    return float(spectrum.argmax()) * SAMPLE_RATE_HZ / pcm_S.size


def encoded(
    audio_SC: NDArray[np.float32],
    rate_hz: int,
    *,
    container: str = "mp4",
    codec: str = "aac",
    **options: str,
) -> bytes:
    """A compressed file of planar floats; `options` go to the container (``movflags="faststart"``)."""
    # A seekable file in memory is enough for every container but a fast-start MP4, which is written twice.
    sink = io.BytesIO()
    layout = {1: "mono", 2: "stereo"}[audio_SC.shape[1]]
    with av.open(sink, "w", format=container, options=options) as output:
        stream = output.add_stream(codec, rate=rate_hz)
        stream.layout = layout
        for start in range(0, len(audio_SC), AAC_FRAME_SAMPLES):
            block_CS = np.ascontiguousarray(audio_SC[start : start + AAC_FRAME_SAMPLES].T)
            frame = av.AudioFrame.from_ndarray(block_CS, format="fltp", layout=layout)
            frame.sample_rate, frame.pts = rate_hz, start
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return sink.getvalue()


def write_wav(path: Path, audio_SC: NDArray[Any], rate_hz: int = SAMPLE_RATE_HZ, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, audio_SC, rate_hz, subtype=subtype)
    return path


def write_m4a(path: Path, duration_s: float = 4.0, *, faststart: bool = False) -> Path:
    """A tone at 44.1 kHz; the index (`moov`) stands at the end, or with `faststart` at the beginning."""
    data = encoded(sine(duration_s, 44_100), 44_100)
    path.write_bytes(_index_first(data) if faststart else data)
    return path


def _index_first(data: bytes) -> bytes:
    """The same MP4 with `moov` before `mdat`, chunk offsets moved along: what ``-movflags faststart`` writes."""
    boxes = []
    start = 0
    while start < len(data):
        size = int.from_bytes(data[start : start + 4])
        boxes.append((data[start + 4 : start + 8], data[start : start + size]))
        start += size
    by_kind = dict(boxes)
    moov = bytearray(by_kind[b"moov"])
    at = moov.index(b"stco") + 8
    for entry in range(int.from_bytes(moov[at : at + 4])):
        place = at + 4 + 4 * entry
        moov[place : place + 4] = (int.from_bytes(moov[place : place + 4]) + len(moov)).to_bytes(4)
    return by_kind[b"ftyp"] + bytes(moov) + b"".join(box for kind, box in boxes if kind not in (b"ftyp", b"moov"))


def truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


def with_hole(data: bytes) -> bytes:
    """An eighth of the file in its middle overwritten by noise."""
    start, size = len(data) // 2, len(data) // 8
    return data[:start] + random_bytes(size) + data[start + size :]


def random_bytes(num_bytes: int = 50_000) -> bytes:
    return np.random.default_rng(20).bytes(num_bytes)


def with_false_duration(wav: bytes) -> bytes:
    """A WAV whose header speaks of two gigabytes of sound."""
    at = wav.index(b"data") + 4
    return wav[:at] + struct.pack("<I", 0x7FFF_FF00) + wav[at + 4 :]


def with_nan(duration_s: float = 1.0, rate_hz: int = SAMPLE_RATE_HZ) -> NDArray[np.float32]:
    """A tone with ten samples that are no numbers and one that is infinite."""
    audio_SC = sine(duration_s, rate_hz)
    audio_SC[2000:2010] = np.nan
    audio_SC[4000] = np.inf
    return audio_SC


def video_only(path: Path) -> Path:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(5):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        output.mux(stream.encode(None))
    return path


def write_bad_files(folder: Path) -> dict[str, str]:
    """One file of each bad kind; returns the reason that each must be quarantined for, by file name."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "text.mp3").write_text("This is no sound.\n" * 50)
    (folder / "zero.wav").write_bytes(b"")
    (folder / "noise.m4a").write_bytes(random_bytes())
    header = write_wav(folder / "header.wav", sine(1.0, SAMPLE_RATE_HZ)).read_bytes()[:44]
    (folder / "header.wav").write_bytes(header)
    (folder / "cut.m4a").write_bytes(truncated(write_m4a(folder / "cut.m4a").read_bytes()))
    write_wav(folder / "click.wav", sine(0.1, SAMPLE_RATE_HZ))
    video_only(folder / "video.mp4")
    (folder / "list.wav").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1.0,\nclick.wav\n#EXT-X-ENDLIST\n")
    return {
        "text.mp3": "not decodable",
        "zero.wav": "empty file",
        "noise.m4a": "not decodable",
        "header.wav": "no sound decoded",
        "cut.m4a": "not decodable",
        "click.wav": "too short",
        "video.mp4": "no audio stream",
        "list.wav": "not decodable",
    }
