"""Step ``sound``: what the samples themselves tell about a turn, without a model.

turn scores        `snr_db` · `bandwidth_hz` · `loudness_lufs` · `clipping_ratio` · `overlap_ratio` · `music_ratio`
                   (the last only where the recipe finds events)
recording scores   `loudness_lufs` · `clipping_ratio` · `bandwidth_hz`

Nothing is dropped here: views decide. A recording is read once, in blocks of a minute, so three hours take the memory
of a minute and its frames (`sound_frames`).

Shape legend: C cells of 20 ms; F spectra, one every 40 ms; B bands of 125 Hz; T turns.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spelangy.core.records import Event, Score, Turn, scores_of
from spelangy.core.schema import from_rows
from spelangy.core.spans import Span, samples
from spelangy.curate.config import CurateSettings
from spelangy.curate.sound_frames import BAND_HZ, BLOCK_SAMPLES, CELL_SAMPLES, SoundFrames, frame_sound
from spelangy.curate.turns import recordings_with_turns
from spelangy.engine.items import attach, nest
from spelangy.engine.step import Inputs, Item, Produced, TableStep
from spelangy.store.audio import AudioStore

SILENCE_LUFS = -70.0
"""The absolute gate of BS.1770: what is softer has no loudness, and reads as this."""

GATE_CELLS = 20
GATE_HOP_CELLS = 5
"""Gating blocks of 400 ms, one every 100 ms. Source: ITU-R BS.1770-4."""

QUANTISATION_ENERGY = (1 / 32_768) ** 2 / 12
"""Noise of 16-bit samples; a pause that is no louder was cut out or gated, and tells nothing of the room."""

GAP_WINDOW_S = 10.0
MIN_GAP_S = 0.5
"""Noise is what sounds between turns up to 10 s away; with less than half a second of it, the turn's own pauses."""

PAUSE_CELLS = 5
PAUSE_PERCENTILE = 5
PAUSE_FACTOR = 1.12
"""A turn's pauses: the 5th percentile of its energy over 100 ms. Noise dips too: by 0.5 dB, in babble."""

MIN_SNR_DB = -20.0

SPEECH_CONTRAST_DB = 10.0
"""Speech comes and goes: a band that carries it rises this far over its own floor. Steady noise does not."""
SPEECH_RANGE_DB = 50.0
"""What lies further under the strongest band is a filter's skirt, not speech; fricatives lie 30-40 dB under."""
SPEECH_PERCENTILES = (10.0, 98.0)
"""Floor and peaks; peaks high enough that one fricative in two seconds counts."""

_MUSIC_KINDS = ("music", "singing")
_NOT_NOISE_KINDS = ("speech", *_MUSIC_KINDS)


class MeasureSound:
    """All sound scores of one recording and its turns."""

    def __init__(self, audio: AudioStore) -> None:
        self.audio = audio

    def __call__(self, item: Item) -> Produced:
        turns = from_rows(item["turns"] or [], Turn)
        events = from_rows(item["events"] or [], Event) if "events" in item else None
        frames = frame_sound(read_blocks(self.audio, item["audio"], item["num_samples"]))
        of_recording = recording_sound(frames, turns)
        scores = scores_of(of_recording, item["id"])
        is_gap_C = gap_cells(frames, turns, events or ())
        music = Spans([event.span for event in events or () if event.kind in _MUSIC_KINDS])
        by_speaker = _others_spans(turns)
        for turn in turns:
            measured = turn_sound(frames, turn.span, is_gap_C)
            measured["overlap_ratio"] = overlap_ratio(turn, by_speaker[turn.speaker])
            if events is not None:
                measured["music_ratio"] = music.covered_ratio(turn.span)
            scores += scores_of(measured, item["id"], turn.id)
        return Produced(records={"scores": scores})


def read_blocks(audio: AudioStore, key: str, num_samples: int) -> Iterator[NDArray[np.float32]]:
    """A recording's samples, a minute at a time."""
    for start in range(0, num_samples, BLOCK_SAMPLES):
        yield audio.read(key, Span(start, min(start + BLOCK_SAMPLES, num_samples)))


def recording_sound(frames: SoundFrames, turns: Sequence[Turn]) -> dict[str, float]:
    """Loudness and clipping of the whole; bandwidth of what is said in it, or of all where nothing is said."""
    is_said_F = np.zeros(len(frames.power_FB), np.bool_)
    for turn in turns:
        is_said_F[frames.spectra(turn.span)] = True
    power_FB = frames.power_FB[is_said_F] if turns else frames.power_FB
    return {
        "loudness_lufs": loudness_lufs(frames.weighted_C),
        "clipping_ratio": float(frames.clipped_C.sum(dtype=np.int64)) / frames.num_samples,
        "bandwidth_hz": bandwidth_hz(power_FB),
    }


def turn_sound(frames: SoundFrames, span: Span, is_gap_C: NDArray[np.bool_]) -> dict[str, float]:
    """The scores that one turn's frames give."""
    cells = frames.cells(span)
    num_samples = (cells.stop - cells.start) * CELL_SAMPLES
    return {
        "snr_db": snr_db(frames.energy_C, cells, is_gap_C),
        "bandwidth_hz": bandwidth_hz(frames.power_FB[frames.spectra(span)]),
        "loudness_lufs": loudness_lufs(frames.weighted_C[cells]),
        "clipping_ratio": float(frames.clipped_C[cells].sum(dtype=np.int64)) / num_samples,
    }


# --------------------------------------------------------------------------------------------------------------- SNR


def gap_cells(frames: SoundFrames, turns: Sequence[Turn], events: Sequence[Event]) -> NDArray[np.bool_]:
    """Which cells hold the room alone: in no turn, in no event but noise, and not cut to silence; shape [C]."""
    is_gap_C = frames.energy_C > 4 * QUANTISATION_ENERGY
    for span in (*(turn.span for turn in turns), *(e.span for e in events if e.kind in _NOT_NOISE_KINDS)):
        is_gap_C[frames.cells(span)] = False
    return is_gap_C


def snr_db(energy_C: NDArray[np.float32], cells: slice, is_gap_C: NDArray[np.bool_]) -> float:
    """Mean speech energy of a turn over the noise under it, in dB, at least `MIN_SNR_DB`.

    Noise is the mean energy between turns nearby, or, where there is no such pause, of the turn's own pauses. The first
    follows steady noise (traffic, babble, hiss) within 3 dB from 0 to 30 dB; the second understates beyond 20 dB,
    because speech without pauses hides a floor that low. For noise that comes in bursts either is an average.
    """
    turn_C = energy_C[cells].astype(np.float64)
    margin = samples(GAP_WINDOW_S) // CELL_SAMPLES
    nearby = slice(max(0, cells.start - margin), cells.stop + margin)
    gap_C = energy_C[nearby][is_gap_C[nearby]]
    if gap_C.size * CELL_SAMPLES >= samples(MIN_GAP_S):
        noise = float(gap_C.mean(dtype=np.float64))
    else:
        noise = _pause_energy(turn_C)
    noise = max(noise, QUANTISATION_ENERGY)
    speech = max(float(turn_C.mean()) - noise, noise * 10 ** (MIN_SNR_DB / 10))
    return 10 * float(np.log10(speech / noise))


def _pause_energy(turn_C: NDArray[np.float64]) -> float:
    width = min(PAUSE_CELLS, turn_C.size)
    smooth = np.convolve(turn_C, np.full(width, 1 / width), mode="valid")
    return float(np.percentile(smooth, PAUSE_PERCENTILE)) * PAUSE_FACTOR


# ------------------------------------------------------------------------------------------------- loudness, bandwidth


def loudness_lufs(weighted_C: NDArray[np.float32]) -> float:
    """Gated loudness of K-weighted cells; the plain mean where they are shorter than one gating block.

    Source: ITU-R BS.1770-4; equal to pyloudnorm's meter to 0.1 LU (which takes a recording whole, so hours of it not).
    """
    energy_C = weighted_C.astype(np.float64)
    if energy_C.size < GATE_CELLS:
        return _lufs(float(energy_C.mean()))
    sums = np.concatenate([[0.0], np.cumsum(energy_C)])
    blocks = (sums[GATE_CELLS:] - sums[:-GATE_CELLS])[::GATE_HOP_CELLS] / GATE_CELLS
    loud = blocks[blocks > _energy_of(SILENCE_LUFS)]
    if not loud.size:
        return SILENCE_LUFS
    return _lufs(float(loud[loud > loud.mean() / 10].mean()))


def _lufs(energy: float) -> float:
    return max(SILENCE_LUFS, -0.691 + 10 * float(np.log10(max(energy, 1e-20))))


def _energy_of(lufs: float) -> float:
    return float(10 ** ((lufs + 0.691) / 10))


def bandwidth_hz(power_FB: NDArray[np.float32]) -> float:
    """Upper edge of the highest band that carries speech, in steps of 125 Hz; 0 where none does.

    Telephone speech reads 3,400-4,000 whatever rate it was brought to. A band counts when it and the one under it rise
    and fall as speech does and lie within `SPEECH_RANGE_DB` of the strongest.
    """
    floor_B, peak_B = np.percentile(power_FB, SPEECH_PERCENTILES, axis=0) + 1e-12
    is_speech_B = (peak_B >= floor_B * 10 ** (SPEECH_CONTRAST_DB / 10)) & (
        peak_B >= peak_B.max() * 10 ** (-SPEECH_RANGE_DB / 10)
    )
    is_speech_B[1:] &= is_speech_B[:-1]
    carrying = np.flatnonzero(is_speech_B)
    return float((carrying[-1] + 1) * BAND_HZ) if carrying.size else 0.0


# ---------------------------------------------------------------------------------------------------- overlap, music


class Spans:
    """Spans that are asked how much of another they cover together; they may overlap."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self.spans = sorted(spans)
        self.starts = np.array([span.start for span in self.spans], np.int64)
        self.ends = np.array([span.end for span in self.spans], np.int64)

    def covered_ratio(self, span: Span) -> float:
        """Share of `span` that is covered."""
        if not span.num_samples:
            return 0.0
        covered, reached = 0, span.start
        for index in np.flatnonzero((self.starts < span.end) & (self.ends > span.start)):
            other = self.spans[index].clip(span)
            covered += max(0, other.end - max(reached, other.start))
            reached = max(reached, other.end)
        return covered / span.num_samples


def _others_spans(turns: Sequence[Turn]) -> dict[str, Spans]:
    speakers = {turn.speaker for turn in turns}
    return {name: Spans([turn.span for turn in turns if turn.speaker != name]) for name in speakers}


def overlap_ratio(turn: Turn, others: Spans) -> float:
    """Share of a turn in which another speaker's turn runs too; all of a turn that is flagged though it runs alone.

    (Diarizers with an exclusive output cut overlapped speech into turns of its own and flag these.)
    """
    ratio = others.covered_ratio(turn.span)
    return 1.0 if turn.is_overlap and not ratio else ratio


def sound_step(settings: CurateSettings, audio: AudioStore) -> TableStep:
    """Sound scores of all recordings; with events, where the recipe finds them."""
    has_events = settings.events is not None

    def items(inputs: Inputs) -> pa.Table:
        kept = recordings_with_turns(inputs)
        if has_events:
            kept = attach(kept, nest(inputs.table("events"), by="recording_id", name="events"), "events")
        return kept

    return TableStep(
        name="sound",
        version=1,
        config={"has_events": has_events},
        inputs=("ingest/recordings", "turns", *(("events",) if has_events else ())),
        outputs={"scores": Score},
        items=items,
        worker=lambda _: partial(MeasureSound, audio),
        shard_items=16,
    )
