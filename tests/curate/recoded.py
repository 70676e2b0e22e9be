"""The same speech in another dress: as re-uploads, excerpts and edited episodes are."""

import io

import av
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

import sound_files as sounds
from spelangy.backends.protocols import Audio
from spelangy.core.spans import SAMPLE_RATE_HZ
from spelangy.curate.decode import decode
from spelangy.store.audio import float_audio
from spelangy.store.inputs import package_file

LONG_READING = f"{sounds.ASSETS}/two_cities.wav"
"""Real speech of 44 s."""


def reading(uri: str = LONG_READING) -> Audio:
    return float_audio(decode(package_file(uri), max_duration_s=120.0).pcm_S)


def mp3_bytes(audio_S: Audio, bit_rate: int = 64_000, rate_hz: int = SAMPLE_RATE_HZ) -> bytes:
    sink = io.BytesIO()
    resampled_S = resampled(audio_S, rate_hz)
    with av.open(sink, "w", format="mp3") as output:
        stream = output.add_stream("libmp3lame", rate=rate_hz)
        stream.layout, stream.bit_rate = "mono", bit_rate
        for start in range(0, resampled_S.size, 1152):
            block_CS = np.ascontiguousarray(resampled_S[None, start : start + 1152])
            frame = av.AudioFrame.from_ndarray(block_CS, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = rate_hz, start
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return sink.getvalue()


def mp3(audio_S: Audio, bit_rate: int = 64_000, rate_hz: int = SAMPLE_RATE_HZ) -> Audio:
    """`audio_S` after MP3, at 16 kHz again; the encoder's delay shifts it too."""
    decoded_S, decoded_hz = soundfile.read(io.BytesIO(mp3_bytes(audio_S, bit_rate, rate_hz)), dtype="float32")
    return resampled(decoded_S, SAMPLE_RATE_HZ, decoded_hz)


def resampled(audio_S: Audio, rate_hz: int, from_hz: int = SAMPLE_RATE_HZ) -> Audio:
    found: NDArray[np.float32] = soxr.resample(audio_S, from_hz, rate_hz).astype(np.float32)
    return found
