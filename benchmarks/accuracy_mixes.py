"""Diarization of conversations made up from single utterances, which no model can know: part of `accuracy`.

Speakers of LibriSpeech test-other or AN4 take turns of 1.5 to 9 s at levels of ±4 dB; two in five begin while the one
before still speaks; as recorded, or each speaker through a room's impulse response. Some conversations have one
speaker only. Reads `librispeech_test_other`, `an4_test` and `noise_rir/RIRs` of the data folder.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from accuracy_der import PEER, Excerpt, Scores, diarize_with
from figure import Figure
from spelangy.backends.protocols import Audio
from spelangy.core.settings import BackendChoice
from spelangy.core.spans import SAMPLE_RATE_HZ, samples, seconds
from spelangy.curate.config import CurateSettings

NUM_CONVERSATIONS = 10
DURATION_S = 75.0
MIN_UTTERANCES = 5
LEVEL = 0.05
AUDIBLE = 0.02
"""Of an utterance's peak: what is softer at its ends is not speech."""

Voices = Mapping[str, Sequence[Path]]
"""Utterances by speaker."""


@dataclass(frozen=True, kw_only=True)
class Mix:
    """One kind of conversations.

    Attributes:
        speakers: Numbers of speakers, in turn.
        rooms: Impulse responses, one a speaker; none: as recorded.
    """

    name: str
    voices: Voices
    speakers: Sequence[int]
    rooms: Sequence[Audio]


def mix_figures(folder: Path) -> Iterator[Figure]:
    """Error, speakers found and overlap found on each kind of conversation, beside GE2E's."""
    rooms = [soundfile.read(path, dtype="float32")[0] for path in sorted((folder / "noise_rir" / "RIRs").glob("*.wav"))]
    libri, an4 = read_voices(folder / "librispeech_test_other"), read_voices(folder / "an4_test")
    for mix in (
        Mix(name="LibriSpeech mixes", voices=libri, speakers=(1, 2, 3, 4, 5), rooms=()),
        Mix(name="LibriSpeech mixes in rooms", voices=libri, speakers=(1, 2, 3, 4, 5), rooms=rooms),
        Mix(name="AN4 mixes in rooms", voices=an4, speakers=(2, 4, 7), rooms=rooms),
    ):
        yield from _figures(mix)


def read_voices(folder: Path) -> Voices:
    """Speakers with `MIN_UTTERANCES` or more, by the start of LibriSpeech's file names or by AN4's folders."""
    voices: dict[str, list[Path]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.suffix in (".wav", ".flac")):
        speaker = path.name.split("-")[0] if path.suffix == ".flac" else path.parent.name
        voices.setdefault(speaker, []).append(path)
    return {speaker: paths for speaker, paths in voices.items() if len(paths) >= MIN_UTTERANCES}


def _figures(mix: Mix) -> Iterator[Figure]:
    talks = [conversation(mix, number) for number in range(NUM_CONVERSATIONS)]
    ours, peer = (
        Scores.of(talks, diarize_with(choice), choice.name)
        for choice in (CurateSettings().diarizer, BackendChoice(name=PEER))
    )
    der = "collar 0, no overlap"
    yield Figure(name=f"{mix.name}: DER, {der}", value=ours.der[der], unit="ratio", peer=PEER, peer_value=peer.der[der])
    yield Figure(
        name=f"{mix.name}: speakers found - true, mean distance", value=ours.speaker_error, unit="speakers", peer=PEER,
        peer_value=peer.speaker_error,
    )  # fmt: skip
    yield Figure(
        name=f"{mix.name}: overlap, precision", value=ours.overlap_precision, unit="ratio", peer="chance",
        peer_value=ours.overlap_chance,
    )  # fmt: skip
    yield Figure(name=f"{mix.name}: overlap, recall", value=ours.overlap_recall, unit="ratio")


def conversation(mix: Mix, number: int) -> Excerpt:
    """One conversation; `number` seeds it."""
    from pyannote.core import Annotation, Segment, Timeline

    rng = np.random.default_rng(number)
    speakers = rng.permutation(sorted(mix.voices))[: mix.speakers[number % len(mix.speakers)]].tolist()
    gains = dict(zip(speakers, 10 ** (rng.uniform(-4, 4, len(speakers)) / 20), strict=True))
    audio_S = rng.normal(0.0, 0.002 if mix.rooms else 0.0005, samples(DURATION_S))
    reference, end, last, index = Annotation(uri=str(number)), samples(0.5), "", 0
    while end < audio_S.size:
        speaker = str(rng.choice([name for name in speakers if name != last or len(speakers) == 1]))
        said_S = _utterance(mix.voices[speaker], rng) * gains[speaker]
        offset_s = rng.uniform(-2.5, 0.0) if index and rng.random() < 0.4 else rng.uniform(0.1, 0.8)
        start = max(0, end + samples(float(offset_s)))
        room = mix.rooms[speakers.index(speaker) % len(mix.rooms)] if mix.rooms else None
        _add(audio_S, said_S if room is None else _in_room(said_S, room), start)
        stop = min(start + said_S.size, audio_S.size)
        if start < stop:
            reference[Segment(seconds(start), seconds(stop)), index] = speaker
        end, last, index = max(end, start + said_S.size), speaker, index + 1
    scored = Timeline([Segment(0.0, seconds(audio_S.size))])
    sound = np.clip(audio_S, -1, 1).astype(np.float32)
    return Excerpt(name=f"{mix.name} {number}", audio_S=sound, reference=reference, scored=scored)


def _utterance(paths: Sequence[Path], rng: np.random.Generator) -> NDArray[np.float64]:
    """A stretch of 1.5 to 9 s of one of the files, without silence at its ends, at `LEVEL`."""
    while True:
        sound_S, rate_hz = soundfile.read(paths[rng.integers(len(paths))])
        assert rate_hz == SAMPLE_RATE_HZ
        length = samples(float(rng.uniform(1.5, 9.0)))
        first = int(rng.integers(0, max(1, sound_S.size - length)))
        part_S = sound_S[first : first + length]
        loud = np.flatnonzero(np.abs(part_S) > AUDIBLE * np.abs(part_S).max())
        part_S = part_S[loud[0] : loud[-1] + 1]
        if part_S.size >= samples(0.5):
            return np.asarray(part_S / np.sqrt(np.mean(part_S**2)) * LEVEL)


def _in_room(said_S: NDArray[np.float64], room_S: Audio) -> NDArray[np.float64]:
    return np.asarray(fftconvolve(said_S, room_S / np.sqrt(np.sum(room_S**2)))[: said_S.size + samples(0.25)])


def _add(audio_S: NDArray[np.float64], part_S: NDArray[np.float64], start: int) -> None:
    stop = min(start + part_S.size, audio_S.size)
    audio_S[start:stop] += part_S[: max(0, stop - start)]
