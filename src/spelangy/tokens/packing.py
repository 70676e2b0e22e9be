"""Documents to rows of fixed length.

    document    |-- piece 0 --|-- piece 1 --|      cut at span edges, only where it does not fit into one row
    row         [ piece | piece  | piece | pad ]   best fit, longest first, within a window of shuffled pieces

Every order comes from keyed permutations: rows depend on (store, policy, seed, epoch), not on workers or history.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spelangy.core.errors import UserError
from spelangy.core.hashing import digest, digest_bytes, record_id
from spelangy.core.random import stream
from spelangy.core.records import Drop
from spelangy.core.spans import seconds
from spelangy.tokens.interleave import LossClass, Modality, Plan, Policy, plan_documents, render_spans
from spelangy.tokens.span_store import SpanStore
from spelangy.tokens.vocabulary import Vocabulary

WINDOW_PIECES = 4_096
"""Pieces sorted at a time: many enough to find a fit, few enough to keep the neighbours in a row random."""
MIN_ROW_TOKENS = 4
"""One token of speech or text with its marker and end, and one to predict from."""

PIECE_DTYPE = np.dtype(
    [("document", "<i8"), ("first", "<i8"), ("last", "<i8"), ("num_tokens", "<i8"), ("is_last", "?")]
)
"""Spans [first, last) of a `Plan`; `document` counts within the plan; `is_last`: ``<|end|>`` follows."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PackedRow:
    """One row of the training matrix.

    Attributes:
        ids: int32 [T].
        modality: `Modality`, uint8 [T].
        loss_class: `LossClass` as a target, uint8 [T]; NONE on padding and on the first token of each piece.
        document: Running index of the piece in the row, int32 [T]; -1 on padding. Attention stays within it.
        source: Name of the stream it comes from.
    """

    ids: NDArray[np.int32]
    modality: NDArray[np.uint8]
    loss_class: NDArray[np.uint8]
    document: NDArray[np.int32]
    source: str


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RowPlan:
    """All rows of one epoch, not yet rendered.

    Attributes:
        plan: Modality of every span.
        pieces: `PIECE_DTYPE`.
        rows: Piece numbers of each row.
        fills: Tokens that are not padding, per row.
        drops: Spans longer than a row.
    """

    plan: Plan
    pieces: NDArray[np.void]
    rows: list[list[int]]
    fills: NDArray[np.int64]
    drops: tuple[Drop, ...]


def pack(lengths: Sequence[int], row_tokens: int, *, window: int = WINDOW_PIECES) -> list[list[int]]:
    """Distributes pieces over rows: best fit, longest first, one window of pieces after the other.

    Args:
        lengths: Tokens of each piece; none longer than a row.
        row_tokens: Tokens a row holds.
        window: Pieces sorted and packed together.

    Returns:
        Piece numbers of each row; every piece exactly once.
    """
    assert all(0 < length <= row_tokens for length in lengths), "pieces are cut to fit before they are packed"
    rows: list[list[int]] = []
    for start in range(0, len(lengths), window):
        stop = min(start + window, len(lengths))
        rows.extend(
            _best_fit(sorted(range(start, stop), key=lambda piece: (-lengths[piece], piece)), lengths, row_tokens)
        )
    return rows


def _best_fit(order: Iterable[int], lengths: Sequence[int], row_tokens: int) -> list[list[int]]:
    rows: list[list[int]] = []
    room: list[tuple[int, int]] = []
    for piece in order:
        place = bisect_left(room, (lengths[piece], -1))
        if place == len(room):
            free, row = row_tokens, len(rows)
            rows.append([])
        else:
            free, row = room.pop(place)
        rows[row].append(piece)
        insort(room, (free - lengths[piece], row))
    return rows


def cut(plan: Plan, row_tokens: int) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    """Pieces that fit into a row, in document order.

    A piece opens with the token that names its modality, so it stands alone. Each piece takes as many spans as fit.

    Returns:
        (`PIECE_DTYPE` array, numbers of the spans in the plan that are longer than a row and stay out).
    """
    pieces: list[tuple[int, int, int, int, bool]] = []
    too_long: list[int] = []
    ends = np.concatenate([[0], np.cumsum(plan.num_tokens + plan.is_switch)])
    for document, length in enumerate(plan.lengths.tolist()):
        first, stop = int(plan.borders[document]), int(plan.borders[document + 1])
        if length <= row_tokens:
            pieces.append((document, first, stop, length, True))
            continue
        while first < stop:
            last, num_tokens = _longest(plan, ends, first, stop, row_tokens)
            if last == first:
                too_long.append(first)
            else:
                pieces.append((document, first, last, num_tokens, last == stop))
            first = max(last, first + 1)
    return np.array(pieces, dtype=PIECE_DTYPE), np.array(too_long, dtype=np.int64)


def _longest(plan: Plan, ends: NDArray[np.int64], first: int, stop: int, row_tokens: int) -> tuple[int, int]:
    """The most spans from `first` on that fit into a row: (span after the last, tokens)."""
    before = int(ends[first]) + int(plan.is_switch[first]) - 1
    last = min(int(np.searchsorted(ends, before + row_tokens, side="right")) - 1, stop)
    if last == stop and int(ends[stop]) - before + 1 > row_tokens:
        last -= 1
    last = max(last, first)
    return last, int(ends[last]) - before + (last == stop)


class RowStream:
    """The endless rows of one source: epoch 0, epoch 1 … each in a new order and, where the policy draws, newly drawn.

    Args:
        source: Name in mixtures and reports.
        store: Where the documents lie.
        documents: Their numbers.
        policy: How they are interleaved.
        vocabulary: Layout of the ids.
        row_tokens: Tokens a row holds.
        seed: Seed of the run.

    Raises:
        UserError: When there are no documents or rows are too short to hold anything.
    """

    def __init__(
        self,
        *,
        source: str,
        store: SpanStore,
        documents: Sequence[int],
        policy: Policy,
        vocabulary: Vocabulary,
        row_tokens: int,
        seed: int,
    ) -> None:
        if not len(documents):
            raise UserError(f"source {source!r} has no documents", hint="check its filters, or leave it out")
        if row_tokens < MIN_ROW_TOKENS:
            raise UserError(f"row_tokens {row_tokens} is too short", hint=f"use at least {MIN_ROW_TOKENS}")
        self.source = source
        self.store = store
        self.documents = np.asarray(documents, dtype=np.int64)
        self.policy = policy
        self.vocabulary = vocabulary
        self.row_tokens = row_tokens
        self.seed = seed
        self._epoch_starts = [0]
        self._plans: dict[int, RowPlan] = {}

    @property
    def fingerprint(self) -> str:
        """Digest of everything the rows depend on: a saved row index belongs to one fingerprint."""
        documents = digest_bytes(self.documents.astype("<i8").tobytes())
        layout = [self.vocabulary.to_manifest(), self.row_tokens, self.seed, WINDOW_PIECES]
        return digest([self.source, self.store.fingerprint, documents, self.policy, *layout])

    def plan(self, epoch: int) -> RowPlan:
        """The rows of one epoch; the two latest plans asked for are kept.

        Raises:
            UserError: When not one span fits into a row.
        """
        if epoch not in self._plans:
            while len(self._plans) > 1:
                del self._plans[next(iter(self._plans))]
            self._plans[epoch] = self._make_plan(epoch)
        return self._plans[epoch]

    def rows(self, epoch: int) -> Iterator[PackedRow]:
        """One epoch: every document once."""
        plan = self.plan(epoch)
        return (self._build(plan, number) for number in range(len(plan.rows)))

    def row(self, index: int) -> PackedRow:
        """Row `index` of the endless stream."""
        epoch, number = self._locate(index)
        return self._build(self.plan(epoch), number)

    def fill(self, index: int) -> int:
        """Tokens of row `index` that are not padding, without rendering it."""
        epoch, number = self._locate(index)
        return int(self.plan(epoch).fills[number])

    def _locate(self, index: int) -> tuple[int, int]:
        starts = self._epoch_starts
        while index >= starts[-1]:
            starts.append(starts[-1] + len(self.plan(len(starts) - 1).rows))
        epoch = bisect_left(starts, index + 1) - 1
        return epoch, index - starts[epoch]

    def _make_plan(self, epoch: int) -> RowPlan:
        shuffled = self.documents[stream(self.seed, self.source, "documents", epoch).permutation(len(self.documents))]
        plan = plan_documents(self.store, shuffled.tolist(), self.policy, seed=self.seed, epoch=epoch)
        pieces, too_long = cut(plan, self.row_tokens)
        if not len(pieces):
            raise UserError(
                f"no span of source {self.source!r} fits into a row of {self.row_tokens} tokens",
                hint="raise row_tokens or store shorter spans",
            )
        lengths: list[int] = pieces["num_tokens"].tolist()
        packed = pack(lengths, self.row_tokens)
        # Packing sorts by length within a window; training must not see long documents first.
        order = stream(self.seed, self.source, "rows", epoch).permutation(len(packed))
        rows = [packed[number] for number in order]
        fills = np.array([sum(lengths[piece] for piece in row) for row in rows], dtype=np.int64)
        return RowPlan(plan=plan, pieces=pieces, rows=rows, fills=fills, drops=self._drops(plan, too_long))

    def _drops(self, plan: Plan, too_long: NDArray[np.int64]) -> tuple[Drop, ...]:
        return tuple(self._drop(plan, int(span)) for span in too_long)

    def _drop(self, plan: Plan, span: int) -> Drop:
        document = int(np.searchsorted(plan.borders, span, side="right")) - 1
        row = self.store.spans[_stored_span(self.store, plan, document, span)]
        item = self.store.document_id(int(plan.documents[document]))
        return Drop(
            id=record_id("pack", item, span - int(plan.borders[document])),
            item_id=item,
            step="pack",
            kind="dropped",
            reason="span longer than a row",
            value=float(plan.num_tokens[span]),
            threshold=float(self.row_tokens),
            detail=f"span {span - int(plan.borders[document])} of the document",
            duration_s=seconds(int(row["end"] - row["start"])),
        )

    def _build(self, plan: RowPlan, number: int) -> PackedRow:
        size = self.row_tokens
        packed = PackedRow(
            ids=np.full(size, self.vocabulary.pad, dtype=np.int32),
            modality=np.full(size, Modality.SPECIAL, dtype=np.uint8),
            loss_class=np.full(size, LossClass.NONE, dtype=np.uint8),
            document=np.full(size, -1, dtype=np.int32),
            source=self.source,
        )
        start = 0
        for index, piece in enumerate(plan.pieces[plan.rows[number]]):
            first = _stored_span(self.store, plan.plan, piece["document"], piece["first"])
            modality = plan.plan.modality[piece["first"] : piece["last"]]
            tokens = render_spans(self.store, first, modality, self.vocabulary, is_last=bool(piece["is_last"]))
            place = slice(start, start + len(tokens.ids))
            packed.ids[place], packed.modality[place] = tokens.ids, tokens.modality
            packed.loss_class[place], packed.document[place] = tokens.loss_class, index
            start = place.stop
        assert start == plan.fills[number], "a row was planned with another length than it was rendered"
        return packed


def _stored_span(store: SpanStore, plan: Plan, document: int, span: int) -> int:
    """Number in the store of span number `span` of the plan."""
    return int(store.docs["spans_start"][plan.documents[document]] + span - plan.borders[document])
