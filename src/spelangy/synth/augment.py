"""Rooms and noises laid over spoken sentences, after they were heard and padded, so lengths and word times stay.

    clean sentence + pause   |--speech--|.....|
    in a room                |--speech--~~....|    direct path at its old place, the tail rings into the pause
    and a noise              |::speech::::::::|    from end to end, as a microphone has it

What is drawn belongs to the chunk: share, room, noise, its segment and the ratio come from the chunk's id alone. Speech
keeps its level; noise comes on top.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import Any, Literal

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from scipy import signal

from spelangy.backends.protocols import Audio
from spelangy.core.errors import UserError
from spelangy.core.random import uniform
from spelangy.core.spans import SAMPLE_RATE_HZ, samples
from spelangy.store.inputs import find_inputs
from spelangy.synth.config import AugmentSettings

SUFFIXES = (".wav", ".flac", ".ogg", ".aif", ".aiff", ".w64")
"""What a folder is searched for."""

Kind = Literal["room", "noise"]

PEAK_LIMIT = 0.99

ACTIVE_RANGE_DB = 35.0
ACTIVE_FRAME = samples(0.02)
"""Speech is active in frames of 20 ms no further than this under the loudest. Source: ours; pauses and edges of these
voices lie 45 dB and more under it."""

DIRECT_S = 0.0025
"""What arrives so soon around the strongest path counts as direct. Source: Eaton et al. 2016 (the ACE challenge)."""

MAX_DIRECT_DB = 60.0
"""A room without an echo."""

SILENT_POWER = 1e-9
"""That of the last bit of 16."""
NUM_DRAWS = 8
"""A drawn segment of silence is drawn again, so often; then the sentence stays without noise."""

SPARE_SAMPLES = 64
BLOCK_SAMPLES = 1 << 18


@dataclass(frozen=True, kw_only=True)
class SoundFile:
    """A room or a noise: content id, file name, and where it lies (which is no part of what it is)."""

    id: str
    name: str
    path: str = field(compare=False)


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Everything that a worker needs; small and picklable."""

    rooms: tuple[SoundFile, ...]
    noises: tuple[SoundFile, ...]
    share: float
    snr_db: tuple[float, ...]

    @property
    def config(self) -> dict[str, Any]:
        """What decides the sound, for the lineage: contents and names, no places."""
        return {
            "rooms": [[file.id, file.name] for file in self.rooms],
            "noises": [[file.id, file.name] for file in self.noises],
            "share": self.share,
            "snr_db": self.snr_db,
        }


@dataclass(frozen=True, kw_only=True)
class Augmented:
    """A sentence after it: names are empty and measurements absent where nothing was laid over it.

    Attributes:
        scores: ``snr_added_db``: active speech over the noise, dB; ``room_direct_db``: direct over reverberant energy.
    """

    audio_S: Audio
    room: str = ""
    noise: str = ""
    scores: dict[str, float] = field(default_factory=dict)


def find_augmentation(settings: AugmentSettings) -> Augmentation:
    """The rooms and noises that a recipe names, in the order of their contents.

    Raises:
        UserError: When a file is missing, empty or no sound, or a room was recorded below 16 kHz.
    """
    if not settings.rooms and not settings.noises:
        raise UserError(
            "[synth.augment] names neither rooms nor noises", hint='rooms = ["folder"], noises = ["folder"], or both'
        )
    return Augmentation(
        rooms=_found(settings.rooms, "room"),
        noises=_found(settings.noises, "noise"),
        share=settings.share,
        snr_db=settings.snr_db,
    )


def check_augmentation(augmentation: Augmentation) -> None:
    """Reads every file to its end, once, before anything is spoken.

    Raises:
        UserError: When one cannot be decoded, is silent, or holds samples that are no numbers.
    """
    for kind, files in (("room", augmentation.rooms), ("noise", augmentation.noises)):
        for file in files:
            _check_sound(kind, file)


def augmented(audio_S: Audio, augmentation: Augmentation, seed: int, chunk_id: str) -> Augmented:
    """`audio_S`, or what is drawn for it in a room and a noise: the same length, speech at the same level and place.

    Args:
        audio_S: A clean sentence, with its pause.
    """
    if uniform(seed, chunk_id, "augment") >= augmentation.share:
        return Augmented(audio_S=audio_S)
    is_active_S = active_samples(audio_S)
    room = _drawn(augmentation.rooms, seed, chunk_id, "room")
    scores: dict[str, float] = {}
    if room is not None:
        response = read_room(room.path)
        audio_S = in_room(audio_S, response, is_active_S)
        scores["room_direct_db"] = direct_db(response)
    noise = _drawn(augmentation.noises, seed, chunk_id, "noise")
    noise_S = _segment(noise, audio_S.size, seed, chunk_id) if noise is not None else None
    if noise_S is not None:
        scores["snr_added_db"] = _pick(augmentation.snr_db, seed, chunk_id, "snr")
        audio_S = with_noise(audio_S, noise_S, scores["snr_added_db"], is_active_S)
    return Augmented(
        audio_S=_within_limit(audio_S),
        room=room.name if room is not None else "",
        noise=noise.name if noise is not None and noise_S is not None else "",
        scores=scores,
    )


def active_samples(audio_S: Audio) -> NDArray[np.bool_]:
    """Where somebody speaks, by the power of 20 ms frames; shape [S]."""
    frames = np.pad(audio_S, (0, -audio_S.size % ACTIVE_FRAME)).reshape(-1, ACTIVE_FRAME)
    power = np.mean(frames.astype(np.float64) ** 2, axis=1)
    is_active = power >= max(SILENT_POWER, power.max(initial=0.0) * 10 ** (-ACTIVE_RANGE_DB / 10))
    return np.repeat(is_active, ACTIVE_FRAME)[: audio_S.size]


def in_room(audio_S: Audio, room_R: NDArray[np.float64], is_active_S: NDArray[np.bool_]) -> Audio:
    """`audio_S` as heard through a room's impulse response, its strongest path without delay, speech as loud as before.

    Source: the alignment is that of Kaldi's wav-reverberate with ``--shift-output``.
    """
    direct = int(np.abs(room_R).argmax())
    wet_S = signal.oaconvolve(audio_S.astype(np.float64), room_R)[direct : direct + audio_S.size]
    gain = np.sqrt(_power(audio_S[is_active_S]) / max(SILENT_POWER, _power(wet_S[is_active_S])))
    return np.asarray(wet_S * gain, np.float32)


def with_noise(audio_S: Audio, noise_S: Audio, snr_db: float, is_active_S: NDArray[np.bool_]) -> Audio:
    """`audio_S` and a noise `snr_db` under it: the mean power where speech is active over that of the whole noise."""
    wanted = _power(audio_S[is_active_S]) / 10 ** (snr_db / 10)
    return np.asarray(audio_S + noise_S * np.sqrt(wanted / _power(noise_S)), np.float32)


def direct_db(room_R: NDArray[np.float64]) -> float:
    """Energy within `DIRECT_S` of the strongest path over all other, dB, at most `MAX_DIRECT_DB`."""
    direct, margin = int(np.abs(room_R).argmax()), samples(DIRECT_S)
    energy = room_R**2
    near = float(energy[max(0, direct - margin) : direct + margin + 1].sum())
    return min(MAX_DIRECT_DB, 10 * float(np.log10(near / max(1e-30, float(energy.sum()) - near))))


@lru_cache(maxsize=256)
def read_room(path: str) -> NDArray[np.float64]:
    """An impulse response at 16 kHz, shape [R], its peak at 1; of several microphones the first.

    (Their mean would be a comb filter.)
    """
    with _opened(path) as file:
        sound = file.read(dtype="float64", always_2d=True)[:, 0]
        response = np.asarray(soxr.resample(sound, file.samplerate, SAMPLE_RATE_HZ), np.float64)
    return response / float(np.abs(response).max())


def read_noise(path: str, num_samples: int, place: float) -> Audio:
    """A segment of a noise at 16 kHz, its channels mixed; a file that is shorter goes round.

    Args:
        place: Where it begins, in [0, 1) of the places where it can.
    """
    with _opened(path) as file:
        needed = ceil((num_samples + SPARE_SAMPLES) * file.samplerate / SAMPLE_RATE_HZ)
        start = int(place * (file.frames - needed + 1 if file.frames >= needed else file.frames))
        file.seek(start)
        sound = file.read(needed, dtype="float32", always_2d=True).mean(axis=1)
        if file.frames < needed:
            file.seek(0)
            sound = np.concatenate([sound, file.read(start, dtype="float32", always_2d=True).mean(axis=1)])
        resampled = np.asarray(soxr.resample(sound, file.samplerate, SAMPLE_RATE_HZ), np.float32)
    return np.resize(resampled, num_samples)


def _segment(file: SoundFile, num_samples: int, seed: int, chunk_id: str) -> Audio | None:
    for draw in range(NUM_DRAWS):
        noise_S = read_noise(file.path, num_samples, uniform(seed, chunk_id, "noise place", draw))
        if _power(noise_S) > SILENT_POWER:
            return noise_S
    return None


def _drawn(files: Sequence[SoundFile], seed: int, chunk_id: str, purpose: str) -> SoundFile | None:
    return files[int(uniform(seed, chunk_id, purpose) * len(files))] if files else None


def _pick(values: Sequence[float], seed: int, chunk_id: str, purpose: str) -> float:
    return values[int(uniform(seed, chunk_id, purpose) * len(values))]


def _power(audio_S: NDArray[Any]) -> float:
    return float(np.mean(audio_S.astype(np.float64) ** 2)) if audio_S.size else 0.0


def _within_limit(audio_S: Audio) -> Audio:
    peak = float(np.abs(audio_S).max(initial=0.0))
    return audio_S if peak <= PEAK_LIMIT else np.asarray(audio_S * (PEAK_LIMIT / peak), np.float32)


# -------------------------------------------------------------------------------------------------------------- files


def _found(uris: Sequence[str], kind: Kind) -> tuple[SoundFile, ...]:
    files = [SoundFile(id=at.id, name=Path(at.uri).name, path=at.path) for at in find_inputs(uris, SUFFIXES)]
    for file in files:
        _check_header(kind, file)
    return tuple(sorted(files, key=lambda file: file.id))


def _check_header(kind: Kind, file: SoundFile) -> None:
    if not Path(file.path).is_file():
        allowed = f"name files, globs, or folders that hold {', '.join(SUFFIXES)}"
        raise UserError(f"[synth.augment] there is no {kind} at {file.path}", hint=allowed)
    with _opened(file.path) as sound:
        if not sound.frames:
            raise UserError(f"{kind} {file.path} holds no sound", hint="take it out")
        if kind == "room" and sound.samplerate < SAMPLE_RATE_HZ:
            raise UserError(
                f"room {file.path} was recorded at {sound.samplerate} Hz: it would take the upper half of the speech",
                hint=f"take rooms at {SAMPLE_RATE_HZ} Hz or more",
            )


def _check_sound(kind: str, file: SoundFile) -> None:
    with _opened(file.path) as sound:
        try:
            peaks = [np.abs(block).max() for block in sound.blocks(BLOCK_SAMPLES, dtype="float32", always_2d=True)]
        except soundfile.LibsndfileError as error:
            raise UserError(f"{kind} {file.path} is damaged: {error}", hint="take it out") from error
    if not np.isfinite(peaks).all():
        raise UserError(f"{kind} {file.path} holds samples that are no numbers", hint="take it out")
    if max(peaks, default=0.0) ** 2 <= (SILENT_POWER if kind == "noise" else 0.0):
        raise UserError(f"{kind} {file.path} is silent", hint="take it out")


def _opened(path: str) -> soundfile.SoundFile:
    try:
        return soundfile.SoundFile(path)
    except soundfile.LibsndfileError as error:
        raise UserError(f"{path} is no sound that can be read: {error}", hint="take it out, or convert it") from error
