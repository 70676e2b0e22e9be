"""The time base: half-open intervals in samples at 16 kHz, and the 80 ms frame grid that speech units live on.

    samples  0        1280      2560      3840
             |---------|---------|---------|     one frame = 1,280 samples = 80 ms = one speech unit
    Span        [start ........ end)             whole samples, `end` not included

Seconds exist only at the edges (`_s`): recipes, reports, other tools' formats. docs/decisions/time-base.md says why.
"""

from collections.abc import Sequence
from dataclasses import dataclass

SAMPLE_RATE_HZ = 16_000
FRAME_SAMPLES = 1_280
FRAME_RATE_HZ = SAMPLE_RATE_HZ / FRAME_SAMPLES


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open interval `[start, end)` in samples at 16 kHz.

    Raises:
        ValueError: When `start` is negative or `end` lies before `start`.
    """

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise ValueError(f"not a span: [{self.start}, {self.end})")

    @property
    def num_samples(self) -> int:
        return self.end - self.start

    @property
    def duration_s(self) -> float:
        return self.num_samples / SAMPLE_RATE_HZ

    @property
    def middle(self) -> int:
        return (self.start + self.end) // 2

    def shift(self, samples: int) -> "Span":
        """The same length, `samples` later."""
        return Span(self.start + samples, self.end + samples)

    def overlap(self, other: "Span") -> int:
        """Number of samples that both spans cover."""
        return max(0, min(self.end, other.end) - max(self.start, other.start))

    def clip(self, outer: "Span") -> "Span":
        """The part inside `outer`; empty at `outer`'s nearer edge when they do not meet."""
        start = min(max(self.start, outer.start), outer.end)
        return Span(start, max(start, min(self.end, outer.end)))


def samples(seconds: float) -> int:
    """Seconds to the nearest sample at 16 kHz."""
    return round(seconds * SAMPLE_RATE_HZ)


def seconds(num_samples: int) -> float:
    """Samples at 16 kHz to seconds."""
    return num_samples / SAMPLE_RATE_HZ


def nearest_frame(sample: int) -> int:
    """The frame border nearest to `sample`; halves go up, so neighbours that share a border share its frame."""
    return (2 * sample + FRAME_SAMPLES) // (2 * FRAME_SAMPLES)


def tile(spans: Sequence[Span], outer: Span, max_margin: int) -> list[Span]:
    """Stretch ordered, disjoint spans over the silence between them: each gap is split at its midpoint.

    Args:
        spans: Ordered spans that do not overlap.
        outer: What may be covered, usually the whole recording.
        max_margin: Longest stretch on either side, in samples; silence beyond it belongs to nobody.
    """
    if not spans:
        return []
    starts = [span.start for span in spans]
    ends = [span.end for span in spans]
    lows = [outer.start, *((end + start) // 2 for end, start in zip(ends, starts[1:], strict=False))]
    highs = [*lows[1:], outer.end]
    return [
        Span(max(low, span.start - max_margin), min(high, span.end + max_margin))
        for span, low, high in zip(spans, lows, highs, strict=True)
    ]
