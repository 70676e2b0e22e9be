"""Laws of cutting, packing and ordering."""

import pickle
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spelangy.core.errors import UserError
from spelangy.tokens.interleave import LossClass, Modality, Policy, plan_documents, render
from spelangy.tokens.packing import PackedRow, RowStream, cut, pack
from spelangy.tokens.span_store import SpanStore
from spelangy.tokens.vocabulary import Vocabulary

policies = st.builds(
    Policy,
    granularity=st.sampled_from(["fine", "coarse"]),
    coarse_target_s=st.floats(0.1, 20),
    plan=st.sampled_from(["deterministic", "stochastic", "speech-only", "text-only"]),
)
row_sizes = st.integers(4, 700)


def stream_of(store: SpanStore, **changes: Any) -> RowStream:
    options: dict[str, Any] = {
        "source": "all",
        "store": store,
        "documents": range(store.num_documents),
        "policy": Policy(plan="stochastic"),
        "vocabulary": store.vocabulary,
        "row_tokens": 128,
        "seed": 5,
    }
    return RowStream(**(options | changes))


def same(one: PackedRow, two: PackedRow) -> bool:
    arrays = ("ids", "modality", "loss_class", "document")
    return one.source == two.source and all(np.array_equal(getattr(one, name), getattr(two, name)) for name in arrays)


@given(st.lists(st.integers(1, 50), max_size=80), st.integers(50, 120), st.integers(1, 100))
def test_every_piece_is_packed_once_and_no_row_overflows(lengths: list[int], row_tokens: int, window: int) -> None:
    rows = pack(lengths, row_tokens, window=window)
    assert sorted(piece for row in rows for piece in row) == list(range(len(lengths)))
    assert all(0 < sum(lengths[piece] for piece in row) <= row_tokens for row in rows)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=80))
def test_no_two_rows_of_a_window_could_be_one(lengths: list[int]) -> None:
    fills = sorted(sum(lengths[piece] for piece in row) for row in pack(lengths, 60))
    assert len(fills) < 2 or fills[0] + fills[1] > 60


def test_best_fit_takes_the_tightest_place() -> None:
    assert pack([7, 6, 4, 3], 10) == [[0, 3], [1, 2]]


@given(policy=policies, row_tokens=row_sizes, seed=st.integers(0, 9))
def test_pieces_are_whole_spans_in_order_and_nothing_vanishes(
    store: SpanStore, policy: Policy, row_tokens: int, seed: int
) -> None:
    plan = plan_documents(store, range(store.num_documents), policy, seed=seed, epoch=0)
    pieces, too_long = cut(plan, row_tokens)
    covered = [span for piece in pieces for span in range(piece["first"], piece["last"])]
    assert sorted(covered + too_long.tolist()) == list(range(store.num_spans))
    assert covered == sorted(covered)
    assert (pieces["num_tokens"] <= row_tokens).all()
    is_last = np.isin(too_long + 1, plan.borders)
    assert (plan.num_tokens[too_long] + 1 + is_last > row_tokens).all()
    for piece in pieces:
        assert plan.borders[piece["document"]] <= piece["first"] < piece["last"] <= plan.borders[piece["document"] + 1]
        assert piece["is_last"] == (piece["last"] == plan.borders[piece["document"] + 1])


@given(policy=policies, row_tokens=row_sizes, seed=st.integers(0, 9))
def test_a_piece_takes_all_that_fits(store: SpanStore, policy: Policy, row_tokens: int, seed: int) -> None:
    plan = plan_documents(store, range(store.num_documents), policy, seed=seed, epoch=0)
    pieces, _ = cut(plan, row_tokens)
    for piece in pieces[~pieces["is_last"]]:
        more = int(plan.num_tokens[piece["last"]] + plan.is_switch[piece["last"]])
        ends = piece["last"] + 1 == plan.borders[piece["document"] + 1]
        assert piece["num_tokens"] + more + ends > row_tokens


@settings(max_examples=40)
@given(policy=policies, row_tokens=row_sizes, seed=st.integers(0, 9), epoch=st.integers(0, 2))
def test_rows_hold_the_documents_and_nothing_else(
    store: SpanStore, vocabulary: Vocabulary, policy: Policy, row_tokens: int, seed: int, epoch: int
) -> None:
    stream = stream_of(store, policy=policy, row_tokens=row_tokens, seed=seed)
    try:
        plan = stream.plan(epoch)
    except UserError as error:
        assert "fits" in error.message
        return
    found: Counter[int] = Counter()
    for row in stream.rows(epoch):
        assert all(len(array) == row_tokens for array in (row.ids, row.modality, row.loss_class, row.document))
        padding = row.document < 0
        assert (row.ids[padding] == vocabulary.pad).all()
        assert (row.loss_class[padding] == LossClass.NONE).all()
        assert (row.ids[~padding] != vocabulary.pad).all()
        found.update(row.ids[~padding & (row.modality != Modality.SPECIAL)].tolist())
        check_pieces(row, vocabulary)
    expected: Counter[int] = Counter()
    for document in range(store.num_documents):
        whole = render(store, document, policy, vocabulary, seed=seed, epoch=epoch)
        expected.update(whole.ids[whole.modality != Modality.SPECIAL].tolist())
    assert found <= expected
    assert expected.total() - found.total() == sum(int(drop.value or 0) for drop in plan.drops)


def check_pieces(row: PackedRow, vocabulary: Vocabulary) -> None:
    """Each piece opens with the token of its modality, which is never a target, and no other token lacks a class."""
    pieces = row.document[row.document >= 0]
    assert (np.diff(pieces) >= 0).all()
    for piece in range(int(pieces.max()) + 1):
        ids, classes = row.ids[row.document == piece], row.loss_class[row.document == piece]
        modality = row.modality[row.document == piece]
        assert ids[0] == (vocabulary.to_speech if modality[1] == Modality.SPEECH else vocabulary.to_text)
        assert classes[0] == LossClass.NONE
        assert (classes[1:] != LossClass.NONE).all()


def test_a_document_that_fits_is_one_piece_as_rendered(store: SpanStore, vocabulary: Vocabulary) -> None:
    stream = stream_of(store, row_tokens=4000)
    whole = {tuple(render(store, d, stream.policy, vocabulary, seed=5, epoch=0).ids.tolist()) for d in range(32)}
    pieces = {
        tuple(row.ids[row.document == piece].tolist())
        for row in stream.rows(0)
        for piece in range(int(row.document.max()) + 1)
    }
    assert pieces == whole


def test_a_span_longer_than_a_row_is_a_counted_drop(store: SpanStore) -> None:
    plan = stream_of(store, row_tokens=40, policy=Policy(plan="speech-only")).plan(0)
    too_long = np.flatnonzero(store.unit_counts + 1 > 40)
    assert len(plan.drops) >= len(too_long) > 0
    drop = plan.drops[0]
    assert (drop.step, drop.kind, drop.reason, drop.threshold) == ("pack", "dropped", "span longer than a row", 40.0)
    assert drop.value is not None and drop.value > 38
    assert drop.duration_s == pytest.approx(drop.value * 0.08)
    assert len({drop.id for drop in plan.drops}) == len(plan.drops)


def test_the_stream_goes_on_over_epochs_and_can_be_entered_anywhere(store: SpanStore) -> None:
    stream = stream_of(store)
    sizes = [len(stream.plan(epoch).rows) for epoch in range(3)]
    straight = [row for epoch in range(3) for row in stream.rows(epoch)]
    entered = stream_of(store)
    for index in (sum(sizes) - 1, 0, sizes[0] - 1, sizes[0], sizes[0] + sizes[1], 3):
        assert same(entered.row(index), straight[index])
        assert entered.fill(index) == np.count_nonzero(straight[index].document >= 0)


def test_every_epoch_has_its_own_order_and_draws(store: SpanStore) -> None:
    stream = stream_of(store)
    assert not same(stream.row(0), next(stream.rows(1)))
    assert not same(stream.row(0), stream_of(store, seed=6).row(0))
    assert same(stream.row(0), pickle.loads(pickle.dumps(stream)).row(0))


def test_long_documents_do_not_come_first(store: SpanStore) -> None:
    plan = stream_of(store, row_tokens=400, policy=Policy()).plan(0)
    longest = [max(plan.pieces["num_tokens"][row]) for row in plan.rows]
    assert longest != sorted(longest, reverse=True)


def test_the_fingerprint_names_all_that_decides_the_rows(store: SpanStore) -> None:
    base = stream_of(store).fingerprint
    changes: list[dict[str, Any]] = [
        {"source": "other"},
        {"documents": range(5)},
        {"policy": Policy()},
        {"row_tokens": 129},
        {"seed": 6},
        {"vocabulary": Vocabulary(text_size=store.vocabulary.text_size, codebook_size=60)},
    ]
    assert base == stream_of(store).fingerprint
    assert len({base, *(stream_of(store, **change).fingerprint for change in changes)}) == len(changes) + 1


def test_bad_requests(store: SpanStore) -> None:
    with pytest.raises(UserError, match="no documents"):
        stream_of(store, documents=[])
    with pytest.raises(UserError, match="too short"):
        stream_of(store, row_tokens=3)
