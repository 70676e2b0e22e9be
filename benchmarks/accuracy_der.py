"""Diarization error rate on the AMI excerpts, scored by pyannote.metrics: called by the benchmark `accuracy`.

A collar of 0.25 s is NIST's: 0.25 s on either side of every reference border is not scored. "No overlap" leaves out
where the reference has two speakers or more; our turns are exclusive, so with overlap everybody but one is missed.
"""

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from figure import Figure
from spelangy.backends.load import create
from spelangy.backends.protocols import Audio, DiarizedSpan
from spelangy.core.settings import BackendChoice
from spelangy.core.spans import SAMPLE_RATE_HZ, seconds
from spelangy.curate.config import CurateSettings

Diarize = Callable[[Audio], Sequence[DiarizedSpan]]

VARIANTS = {
    "collar 0": {"collar": 0.0, "skip_overlap": False},
    "collar 0.25": {"collar": 0.5, "skip_overlap": False},
    "collar 0, no overlap": {"collar": 0.0, "skip_overlap": True},
    "collar 0.25, no overlap": {"collar": 0.5, "skip_overlap": True},
}
"""pyannote.metrics counts a collar's whole width, NIST half of it."""

PEER = "ge2e"
GRID_S = 0.01


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """One recording with who speaks when."""

    name: str
    audio_S: Audio
    reference: Any
    scored: Any


def der_figures(folder: Path) -> Iterator[Figure]:
    """Figures of the default diarizer beside those of GE2E; one line a file goes to stderr.

    Args:
        folder: Holds ``*.wav``, ``*.rttm`` and ``*.uem``, at any depth.
    """
    excerpts = list(read_excerpts(folder))
    ours = CurateSettings().diarizer
    scores = Scores.of(excerpts, diarize_with(ours), ours.name)
    peer = Scores.of(excerpts, diarize_with(BackendChoice(name=PEER)), PEER)
    for variant, value in scores.der.items():
        yield Figure(name=f"DER, {variant}", value=value, unit="ratio", peer=PEER, peer_value=peer.der[variant])
    yield Figure(name="JER", value=scores.jer, unit="ratio", peer=PEER, peer_value=peer.jer)
    yield Figure(
        name="speakers found - true, mean distance",
        value=scores.speaker_error,
        unit="speakers",
        peer=PEER,
        peer_value=peer.speaker_error,
    )
    yield Figure(
        name="overlap, precision",
        value=scores.overlap_precision,
        unit="ratio",
        peer="chance",
        peer_value=scores.overlap_chance,
    )
    yield Figure(name="overlap, recall", value=scores.overlap_recall, unit="ratio")


def diarize_with(choice: BackendChoice) -> Diarize:
    """The default VAD, then this diarizer."""
    vad, diarizer = create("vad", CurateSettings().vad), create("diarizer", choice)
    return lambda audio_S: diarizer.diarize(audio_S, vad.speech(audio_S))


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Totals over all excerpts.

    Attributes:
        der: By variant.
        speaker_error: Mean |found - true| number of speakers.
        overlap_chance: Precision of flagging speech at random.
    """

    der: Mapping[str, float]
    jer: float
    speaker_error: float
    overlap_precision: float
    overlap_recall: float
    overlap_chance: float

    @classmethod
    def of(cls, excerpts: Sequence[Excerpt], diarize: Diarize, name: str) -> "Scores":
        """Diarizes and scores each excerpt; prints one line for each to stderr."""
        from pyannote.metrics.diarization import DiarizationErrorRate, JaccardErrorRate

        metrics = {variant: DiarizationErrorRate(**given) for variant, given in VARIANTS.items()}
        jaccard = JaccardErrorRate()
        found, tally = [], np.zeros(4)
        for excerpt in excerpts:
            turns = diarize(excerpt.audio_S)
            hypothesis = annotation(turns)
            with warnings.catch_warnings():
                # A hypothesis without any turn has an empty extent, of which the metric warns.
                warnings.simplefilter("ignore")
                ders = [metric(excerpt.reference, hypothesis, uem=excerpt.scored) for metric in metrics.values()]
                jer = jaccard(excerpt.reference, hypothesis, uem=excerpt.scored)
            counts = len(hypothesis.labels()), len(excerpt.reference.labels())
            found.append(abs(counts[0] - counts[1]))
            tally += overlap_tally(excerpt, turns)
            print(_line(name, excerpt.name, ders, jer, counts), file=sys.stderr)
        both, flagged, true, speech = tally
        return cls(
            der={variant: abs(metric) for variant, metric in metrics.items()},
            jer=abs(jaccard),
            speaker_error=float(np.mean(found)),
            overlap_precision=both / max(flagged, 1.0),
            overlap_recall=both / max(true, 1.0),
            overlap_chance=true / max(speech, 1.0),
        )


def _line(diarizer: str, name: str, ders: Sequence[float], jer: float, counts: tuple[int, int]) -> str:
    rates = "  ".join(f"{variant} {der:.3f}" for variant, der in zip(VARIANTS, ders, strict=True))
    return f"{diarizer} {name}: DER {rates}; JER {jer:.3f}; speakers {counts[0]} of {counts[1]}"


def overlap_tally(excerpt: Excerpt, turns: Sequence[DiarizedSpan]) -> NDArray[np.float64]:
    """Frames of 10 ms that are overlap in both, flagged, overlap in the reference, speech in the reference."""
    num_frames = round(seconds(excerpt.audio_S.size) / GRID_S)
    speakers_T = np.zeros(num_frames, np.int64)
    for label in excerpt.reference.labels():
        for segment in excerpt.reference.label_timeline(label).support():
            speakers_T[round(segment.start / GRID_S) : round(segment.end / GRID_S)] += 1
    flagged_T = np.zeros(num_frames, bool)
    for turn in turns:
        if turn.is_overlap:
            flagged_T[round(seconds(turn.span.start) / GRID_S) : round(seconds(turn.span.end) / GRID_S)] = True
    true_T = speakers_T >= 2
    return np.array([(true_T & flagged_T).sum(), flagged_T.sum(), true_T.sum(), (speakers_T > 0).sum()], np.float64)


def annotation(turns: Sequence[DiarizedSpan]) -> Any:
    """Our turns as pyannote.metrics takes them."""
    from pyannote.core import Annotation, Segment

    hypothesis = Annotation()
    for index, turn in enumerate(turns):
        hypothesis[Segment(seconds(turn.span.start), seconds(turn.span.end)), index] = turn.speaker
    return hypothesis


def read_excerpts(folder: Path) -> Iterator[Excerpt]:
    """Every recording in `folder` that an RTTM file speaks of, by name; what no UEM bounds is scored whole."""
    from pyannote.core import Segment, Timeline

    references, scored = _references(folder), _scored(folder)
    for path in sorted(folder.rglob("*.wav")):
        if path.stem in references:
            audio_S, rate_hz = soundfile.read(path, dtype="float32")
            assert rate_hz == SAMPLE_RATE_HZ and audio_S.ndim == 1, f"{path}: 16 kHz mono is needed"
            whole = Timeline([Segment(0.0, seconds(audio_S.size))])
            yield Excerpt(
                name=path.stem,
                audio_S=audio_S,
                reference=references[path.stem],
                scored=scored.get(path.stem, whole),
            )


def _references(folder: Path) -> dict[str, Any]:
    from pyannote.core import Annotation, Segment

    references: dict[str, Any] = {}
    for path in sorted(folder.rglob("*.rttm")):
        for index, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
            kind, name, _, start, duration, _, _, speaker, *_ = line.split()
            if kind == "SPEAKER":
                segment = Segment(float(start), float(start) + float(duration))
                references.setdefault(name, Annotation(uri=name))[segment, index] = speaker
    return references


def _scored(folder: Path) -> dict[str, Any]:
    from pyannote.core import Segment, Timeline

    segments: dict[str, list[Any]] = {}
    for path in sorted(folder.rglob("*.uem")):
        for line in path.read_text(encoding="utf-8").splitlines():
            name, _, start, end = line.split()
            segments.setdefault(name, []).append(Segment(float(start), float(end)))
    return {name: Timeline(parts) for name, parts in segments.items()}
