"""Step ``fingerprints``: how a recording sounds, in codes that survive re-encoding, resampling, gain and cutting.

    16 kHz ──frames of 1.02 s, every 0.13 s──> 33 bands, 250 to 3,000 Hz ──log energy──> which of two neighbouring
    bands gains on the other over half a frame ──32 signs──> one 32-bit code a step: 28,125 codes (110 kB) an hour

A sign does not change with gain, hardly with the codec, and little with where the frame starts: after MP3 at 32 kbit/s
about 1 bit in 20 differs, after a cut half a step off 1 in 10, between unrelated recordings 1 in 2.

Source: Haitsma and Kalker 2002, "A highly robust audio fingerprinting system"; bands and steps ours, wider in time so
that one code in twelve stays whole after the worst cut, which is what `duplicates` finds pairs by. Chromaprint was not
chosen: no wheel holds its library, and its bands are made for music.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft

from spelangy.backends.protocols import Audio
from spelangy.core.records import Fingerprint
from spelangy.core.spans import SAMPLE_RATE_HZ, Span
from spelangy.curate.config import CurateSettings
from spelangy.curate.turns import readable_recordings
from spelangy.engine.step import Item, Produced, TableStep
from spelangy.store.audio import AudioStore

VERSION = 1
"""Raised whenever the same sound gives other codes."""

STEP_SAMPLES = 2048
FRAME_SAMPLES = 16_384
LAG_STEPS = 4
"""Half a frame: two frames that share half their sound differ enough to be compared, and change slowly with the cut."""

NO_SOUND = 0
"""The code of digital silence, which tells nothing."""

_BAND_EDGES = np.round(np.geomspace(250.0, 3000.0, 34) * FRAME_SAMPLES / SAMPLE_RATE_HZ).astype(np.intp)
_WINDOW = np.hanning(FRAME_SAMPLES).astype(np.float32)
_FLOOR = np.float32(1e-6)
"""Energy of half a 16-bit step of noise in a band: quieter is silence."""

_BLOCK_STEPS = 256
Codes = NDArray[np.uint32]


def band_energies(audio_S: Audio) -> NDArray[np.float32]:
    """Log energy of each band in each whole frame, shape [frames, 33]."""
    if audio_S.size < FRAME_SAMPLES:
        return np.zeros((0, _BAND_EDGES.size - 1), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(audio_S, FRAME_SAMPLES)[::STEP_SAMPLES]
    spectrum = np.abs(rfft(frames * _WINDOW, axis=1)[:, : _BAND_EDGES[-1]]) ** 2
    energies: NDArray[np.float32] = np.log(np.add.reduceat(spectrum, _BAND_EDGES[:-1], axis=1) + _FLOOR)
    return energies


def codes_of(energies: NDArray[np.float32]) -> Codes:
    """Codes from log energies [frames, 33]: bit m says whether band m gains on band m+1 over `LAG_STEPS`."""
    if len(energies) <= LAG_STEPS:
        return np.zeros(0, np.uint32)
    tilt = energies[:, :-1] - energies[:, 1:]
    codes: Codes = np.packbits(tilt[LAG_STEPS:] - tilt[:-LAG_STEPS] > 0, axis=1).view(">u4").ravel().astype(np.uint32)
    return codes


def fingerprint(audio_S: Audio) -> Codes:
    """The codes of samples at 16 kHz; none for less than `FRAME_SAMPLES` + `LAG_STEPS` steps (1.5 s)."""
    return codes_of(np.concatenate([band_energies(block) for block in _blocks(audio_S)]))


def _blocks(audio_S: Audio) -> Iterator[Audio]:
    for start, end in block_bounds(audio_S.size):
        yield audio_S[start:end]


def block_bounds(num_samples: int) -> Iterator[tuple[int, int]]:
    """Stretches whose whole frames, one after another, are the whole frames of `num_samples`: memory stays bounded."""
    step = _BLOCK_STEPS * STEP_SAMPLES
    for start in range(0, max(1, num_samples), step):
        yield start, min(num_samples, start + step - STEP_SAMPLES + FRAME_SAMPLES)


@dataclass(frozen=True)
class TakeFingerprint:
    """One recording, read half a minute at a time."""

    audio: AudioStore

    def __call__(self, item: Item) -> Produced:
        key = item["audio"]
        energies = [band_energies(self.audio.read(key, Span(*bounds))) for bounds in block_bounds(item["num_samples"])]
        codes = codes_of(np.concatenate(energies))
        taken = Fingerprint(
            id=item["id"], recording_id=item["id"], step_samples=STEP_SAMPLES, codes=tuple(codes.tolist())
        )
        return Produced(records={"fingerprints": [taken]})


def fingerprints_step(settings: CurateSettings, audio: AudioStore) -> TableStep:  # noqa: ARG001  # as all steps' makers
    """Fingerprints of all readable recordings."""
    return TableStep(
        name="fingerprints",
        version=VERSION,
        config={"step_samples": STEP_SAMPLES, "frame_samples": FRAME_SAMPLES, "lag_steps": LAG_STEPS},
        inputs=("ingest/recordings",),
        outputs={"fingerprints": Fingerprint},
        items=readable_recordings,
        worker=lambda _: partial(TakeFingerprint, audio),
        shard_items=16,
    )
