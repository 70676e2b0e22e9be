"""Runs of one speaker become turns: joined across short gaps, cut where they grow too long, named by appearance."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

from spelangy.backends.clustering import unit
from spelangy.backends.protocols import DiarizedSpan
from spelangy.core.spans import Span, samples

MAX_GAP_SAMPLES = samples(0.5)
MAX_TURN_SAMPLES = samples(28.0)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One speaker without a break; `embedding_D` has unit length."""

    span: Span
    speaker: int
    embedding_D: NDArray[np.float32]
    is_overlap: bool = False


def as_turns(runs: Sequence[Run]) -> list[DiarizedSpan]:
    """Turns of at most 28 s in time order; one may bridge a pause of up to 0.5 s."""
    return _named(merged(runs))


def merged(runs: Sequence[Run]) -> list[Run]:
    """Neighbours of one kind become one turn across a short gap, up to 28 s; longer runs are cut in equal parts."""
    turns: list[Run] = []
    for run in chain.from_iterable(map(_parts, runs)):
        last = turns[-1] if turns else None
        if last and _are_one_kind(last, run) and _may_join(last.span, run.span):
            lengths = last.span.num_samples, run.span.num_samples
            mean = last.embedding_D * lengths[0] + run.embedding_D * lengths[1]
            joined = Span(last.span.start, run.span.end)
            turns[-1] = replace(last, span=joined, embedding_D=unit(mean[None])[0])
        else:
            turns.append(run)
    return turns


def _are_one_kind(left: Run, right: Run) -> bool:
    return (left.speaker, left.is_overlap) == (right.speaker, right.is_overlap)


def _may_join(left: Span, right: Span) -> bool:
    return right.start - left.end <= MAX_GAP_SAMPLES and right.end - left.start <= MAX_TURN_SAMPLES


def _parts(run: Run) -> Iterator[Run]:
    parts = -(-run.span.num_samples // MAX_TURN_SAMPLES)
    edges = np.linspace(run.span.start, run.span.end, parts + 1).astype(int).tolist()
    for start, end in pairwise(edges):
        yield replace(run, span=Span(start, end))


def _named(turns: Sequence[Run]) -> list[DiarizedSpan]:
    names = {speaker: f"S{i}" for i, speaker in enumerate(dict.fromkeys(turn.speaker for turn in turns))}
    return [
        DiarizedSpan(
            span=turn.span, speaker=names[turn.speaker], is_overlap=turn.is_overlap, embedding=turn.embedding_D
        )
        for turn in turns
    ]
