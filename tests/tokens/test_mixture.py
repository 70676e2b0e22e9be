"""Laws of mixing."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spelangy.core.errors import UserError
from spelangy.tokens.interleave import LossClass, Modality, Policy
from spelangy.tokens.mixture import Mixture, mix, realised
from spelangy.tokens.packing import PackedRow, RowStream
from spelangy.tokens.span_store import SpanStore
from spelangy.tokens.vocabulary import Vocabulary

ROW_TOKENS = 100
VOCABULARY = Vocabulary(text_size=10, codebook_size=10)


@dataclass(frozen=True)
class FilledRows:
    """A stream that knows only how full its rows are."""

    source: str
    fills: tuple[int, ...]
    row_tokens: int = ROW_TOKENS
    vocabulary: Vocabulary = VOCABULARY

    def fill(self, index: int) -> int:
        return self.fills[index % len(self.fills)]


def fillings(smallest: int) -> st.SearchStrategy[list[tuple[float, tuple[int, ...]]]]:
    fills = st.lists(st.integers(smallest, ROW_TOKENS), min_size=1, max_size=7).map(tuple)
    return st.lists(st.tuples(st.floats(0.01, 1), fills), min_size=1, max_size=7)


def largest_gap(sources: list[tuple[float, tuple[int, ...]]], num_rows: int) -> Fraction:
    """Largest |realised - target| over all sources and steps."""
    streams = {f"s{number}": FilledRows(f"s{number}", fills) for number, (_, fills) in enumerate(sources)}
    weights = {name: weight for name, (weight, _) in zip(streams, sources, strict=True)}
    mixture = Mixture(cast(Any, list(streams.values())), weights)
    taken, tokens, gap = dict.fromkeys(streams, 0), dict.fromkeys(streams, 0), Fraction(0)
    for index in range(num_rows):
        name = mixture.source_of(index)
        tokens[name] += streams[name].fill(taken[name])
        taken[name] += 1
        total = sum(tokens.values())
        gap = max(gap, *(abs(tokens[other] - mixture.shares[other] * total) for other in streams))
    return gap


@given(fillings(1))
def test_no_source_is_ever_a_row_away_from_its_share(sources: list[tuple[float, tuple[int, ...]]]) -> None:
    assert largest_gap(sources, 120) < ROW_TOKENS


@given(fillings(ROW_TOKENS))
def test_full_rows_too(sources: list[tuple[float, tuple[int, ...]]]) -> None:
    assert largest_gap(sources, 200) < ROW_TOKENS


def test_sixty_to_forty() -> None:
    streams = cast(Any, [FilledRows("speech", (100,)), FilledRows("text", (50, 100))])
    mixture = Mixture(streams, {"speech": 0.4, "text": 0.6})
    names = [mixture.source_of(index) for index in range(1000)]
    tokens = {"speech": 100 * names.count("speech"), "text": 75 * names.count("text")}
    assert tokens["text"] / sum(tokens.values()) == pytest.approx(0.6, abs=0.002)
    assert mixture.shares == {"speech": Fraction(2, 5), "text": Fraction(3, 5)}


@pytest.fixture(scope="module")
def streams(store: SpanStore) -> list[RowStream]:
    return [row_stream(store, source, seed=1) for source in ("crawl", "quest", "text")]


def row_stream(store: SpanStore, source: str, **changes: Any) -> RowStream:
    options: dict[str, Any] = {
        "source": source,
        "store": store,
        "documents": store.documents_of(source).tolist(),
        "policy": Policy(plan="stochastic"),
        "vocabulary": store.vocabulary,
        "row_tokens": 128,
        "seed": 1,
    }
    return RowStream(**(options | changes))


WEIGHTS = {"crawl": 0.3, "quest": 0.1, "text": 0.6}


def fields(row: PackedRow) -> tuple[Any, ...]:
    return (row.source, row.ids.tolist(), row.modality.tolist(), row.loss_class.tolist(), row.document.tolist())


def test_rows_from_an_index_continue_exactly(store: SpanStore, streams: list[RowStream]) -> None:
    straight = [fields(row) for row in islice(mix(streams, WEIGHTS), 120)]
    assert {row[0] for row in straight} == set(WEIGHTS)
    for start in (0, 1, 57, 119):
        fresh = Mixture([row_stream(store, name) for name in WEIGHTS], WEIGHTS)
        assert [fields(row) for row in islice(fresh.rows_from(start), 120 - start)] == straight[start:]


def test_ranks_share_the_rows_among_them(store: SpanStore, streams: list[RowStream]) -> None:
    straight = [fields(row) for row in islice(mix(streams, WEIGHTS), 30)]
    ranks = [Mixture([row_stream(store, name) for name in WEIGHTS], WEIGHTS) for _ in range(3)]
    for rank, mixture in enumerate(ranks):
        assert [fields(row) for row in islice(mixture.rows_from(rank, step=3), 10)] == straight[rank::3]


def test_realised_counts_every_token_once(streams: list[RowStream]) -> None:
    rows = list(islice(mix(streams, WEIGHTS), 60))
    counted = realised(rows)
    for source, counts in counted.items():
        own = [row for row in rows if row.source == source]
        tokens = sum(np.count_nonzero(row.document >= 0) for row in own)
        pieces = sum(int(row.document.max()) + 1 for row in own)
        speech = sum(np.count_nonzero(row.modality == Modality.SPEECH) for row in own)
        ends = sum(np.count_nonzero(row.loss_class == LossClass.END) for row in own)
        assert counts.num_rows == len(own)
        assert counts.padding_tokens + tokens == 128 * len(own)
        assert sum(counts.modality_tokens.values()) == tokens
        assert counts.modality_tokens["speech"] == speech
        assert sum(counts.target_tokens.values()) == tokens - pieces
        assert counts.target_tokens["end"] == ends
    assert counted["text"].modality_tokens["speech"] == 0
    total = sum(sum(counts.modality_tokens.values()) for counts in counted.values())
    assert abs(sum(counted["text"].modality_tokens.values()) - 0.6 * total) < 128


def test_a_source_of_weight_zero_is_left_out(streams: list[RowStream]) -> None:
    rows = islice(mix(streams, WEIGHTS | {"quest": 0}), 40)
    assert {row.source for row in rows} == {"crawl", "text"}


def test_the_fingerprint_follows_streams_and_weights(store: SpanStore, streams: list[RowStream]) -> None:
    base = Mixture(streams, WEIGHTS).fingerprint
    assert base == Mixture(streams, {"crawl": 3, "quest": 1, "text": 6}).fingerprint
    assert base != Mixture(streams, WEIGHTS | {"text": 0.7}).fingerprint
    assert base != Mixture([*streams[:2], row_stream(store, "text", seed=2)], WEIGHTS).fingerprint


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"crawl": 1, "quest": 1}, "'text' has no weight"),
        (WEIGHTS | {"txet": 1}, "'txet' is not among the sources\nhint: did you mean 'text'"),
        (WEIGHTS | {"text": -1}, "mixture weights"),
        (WEIGHTS | {"text": float("nan")}, "mixture weights"),
        (dict.fromkeys(WEIGHTS, 0), "mixture weights"),
    ],
)
def test_weights_that_make_no_sense_are_refused(
    streams: list[RowStream], weights: dict[str, float], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        Mixture(streams, weights)


def test_sources_that_do_not_fit_together_are_refused(store: SpanStore, streams: list[RowStream]) -> None:
    with pytest.raises(UserError, match="share a name"):
        Mixture([streams[0], streams[0]], {"crawl": 1})
    with pytest.raises(UserError, match="differ in row_tokens"):
        Mixture([streams[0], row_stream(store, "text", row_tokens=64)], {"crawl": 1, "text": 1})
