from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spelangy.core.spans import FRAME_SAMPLES, Span, nearest_frame, samples, seconds, tile

DAY = 24 * 3600 * 16_000
SAMPLES = st.integers(min_value=0, max_value=DAY)
SPANS = st.tuples(SAMPLES, SAMPLES).map(sorted).map(lambda pair: Span(*pair))
NEAR_SPANS = st.tuples(st.integers(0, 50), st.integers(0, 50)).map(sorted).map(lambda pair: Span(*pair))


@st.composite
def spoken(draw: st.DrawFn) -> tuple[list[Span], Span]:
    """Ordered, disjoint, possibly empty or touching spans, and an outer one around them."""
    times = sorted(draw(st.lists(st.integers(0, 200), max_size=12)))
    spans = [Span(start, end) for start, end in zip(times[::2], times[1::2], strict=False)]
    before, after = draw(st.integers(0, 30)), draw(st.integers(0, 30))
    low, high = (spans[0].start, spans[-1].end) if spans else (100, 100)
    return spans, Span(max(0, low - before), high + after)


@pytest.mark.parametrize(("start", "end"), [(-1, 3), (4, 3), (-3, -1)])
def test_what_is_no_interval_is_refused(start: int, end: int) -> None:
    with pytest.raises(ValueError, match="not a span"):
        Span(start, end)


def test_properties() -> None:
    span = Span(1_600, 4_801)
    assert (span.num_samples, span.duration_s, span.middle) == (3_201, 0.2000625, 3_200)


@given(SPANS, SAMPLES)
def test_shift_keeps_the_length_and_can_be_undone(span: Span, by: int) -> None:
    shifted = span.shift(by)
    assert (shifted.start, shifted.num_samples) == (span.start + by, span.num_samples)
    assert shifted.shift(-by) == span


@given(NEAR_SPANS, NEAR_SPANS)
def test_overlap_counts_common_samples(left: Span, right: Span) -> None:
    common = set(range(left.start, left.end)) & set(range(right.start, right.end))
    assert left.overlap(right) == right.overlap(left) == len(common)


@given(NEAR_SPANS, NEAR_SPANS)
def test_clip_holds_exactly_the_common_samples_and_stays_inside(span: Span, outer: Span) -> None:
    clipped = span.clip(outer)
    assert outer.start <= clipped.start <= clipped.end <= outer.end
    assert clipped.num_samples == span.overlap(outer)
    assert clipped.clip(outer) == clipped
    if clipped.num_samples:
        assert clipped == Span(max(span.start, outer.start), min(span.end, outer.end))


def test_clip_of_what_lies_outside_is_empty_at_the_nearer_edge() -> None:
    outer = Span(10, 20)
    assert Span(2, 5).clip(outer) == Span(10, 10)
    assert Span(25, 30).clip(outer) == Span(20, 20)


@given(SAMPLES)
def test_seconds_round_back_to_the_sample(sample: int) -> None:
    assert samples(seconds(sample)) == sample


@given(SAMPLES)
def test_nearest_frame_is_the_nearest_border_and_halves_go_up(sample: int) -> None:
    frame = nearest_frame(sample)
    assert -FRAME_SAMPLES < 2 * (sample - frame * FRAME_SAMPLES) <= FRAME_SAMPLES or (
        2 * (frame * FRAME_SAMPLES - sample) == FRAME_SAMPLES
    )
    assert nearest_frame(640) == 1 and nearest_frame(639) == 0


@given(spoken(), st.integers(0, 40))
def test_tiles_cover_their_spans_without_overlap_or_excess(case: tuple[list[Span], Span], max_margin: int) -> None:
    spans, outer = case
    tiles = tile(spans, outer, max_margin)
    assert len(tiles) == len(spans)
    for span, stretched in zip(spans, tiles, strict=True):
        assert outer.start <= stretched.start <= span.start <= span.end <= stretched.end <= outer.end
        assert span.start - stretched.start <= max_margin and stretched.end - span.end <= max_margin
    assert all(left.end <= right.start for left, right in pairwise(tiles))


@given(spoken())
def test_without_a_margin_to_stop_them_tiles_leave_no_gap(case: tuple[list[Span], Span]) -> None:
    spans, outer = case
    tiles = tile(spans, outer, DAY)
    assert sum(stretched.num_samples for stretched in tiles) == (outer.num_samples if spans else 0)


def test_gaps_are_split_at_their_midpoint() -> None:
    assert tile([Span(10, 20), Span(31, 40)], Span(0, 100), 30) == [Span(0, 25), Span(25, 70)]
    assert tile([], Span(0, 100), 30) == []
