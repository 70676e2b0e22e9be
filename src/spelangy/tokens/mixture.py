"""Several sources in one stream of rows, in shares of *tokens* that hold at every step.

Which source gives the next row is settled as packet networks share a line: a source may go when it is not ahead of its
share, and among those the one goes first whose next row an ideal, infinitely divisible mixture would finish first.

Source: WF²Q (Bennett & Zhang 1996): no source is ever more than one row away from its share, for rows of any filling.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from math import inf

import numpy as np

from spelangy.core.errors import UserError, did_you_mean
from spelangy.core.hashing import digest
from spelangy.tokens.interleave import LossClass, Modality
from spelangy.tokens.packing import PackedRow, RowStream


class Mixture:
    """An endless, exactly repeatable stream of rows. Its state is (`fingerprint`, index of the next row).

    Args:
        streams: One per source; all with the same row length and vocabulary.
        weights: Share of tokens (padding not counted) per source name; any positive scale. Weight 0 leaves one out.

    Raises:
        UserError: When names and weights do not match, a weight is negative, all are 0, or the rows differ in shape.
    """

    def __init__(self, streams: Sequence[RowStream], weights: Mapping[str, float]) -> None:
        _check(streams, weights)
        self.streams = [stream for stream in streams if weights[stream.source] > 0]
        # As written, not as stored: 0.6 means 3/5, and exact arithmetic leaves no rounding to drift.
        shares = [Fraction(str(weights[stream.source])) for stream in self.streams]
        self.shares = {stream.source: share / sum(shares) for stream, share in zip(self.streams, shares, strict=True)}
        self._share = list(self.shares.values())
        self._taken = [0] * len(self.streams)
        self._tokens = [0] * len(self.streams)
        self._chosen = array("i")
        self._number = array("q")

    @property
    def fingerprint(self) -> str:
        """Digest of all that decides the rows; a saved index means something only with the same fingerprint."""
        return digest([[stream.fingerprint, str(self.shares[stream.source])] for stream in self.streams])

    def source_of(self, index: int) -> str:
        """Name of the source that gives row `index`."""
        self._schedule(index + 1)
        return self.streams[self._chosen[index]].source

    def row(self, index: int) -> PackedRow:
        """Row `index`: the same whatever was asked for before."""
        self._schedule(index + 1)
        return self.streams[self._chosen[index]].row(self._number[index])

    def rows_from(self, index: int, *, step: int = 1) -> Iterator[PackedRow]:
        """Rows `index`, `index + step` … without end: the exact continuation of a run that stopped before `index`.

        Rank r of R ranks takes ``rows_from(index + r, step=R)``.
        """
        return (self.row(number) for number in count(index, step))

    def _schedule(self, num_rows: int) -> None:
        while len(self._chosen) < num_rows:
            chosen = self._next()
            self._chosen.append(chosen)
            self._number.append(self._taken[chosen])
            self._tokens[chosen] += self.streams[chosen].fill(self._taken[chosen])
            self._taken[chosen] += 1

    def _next(self) -> int:
        total = sum(self._tokens)
        due = [place for place, share in enumerate(self._share) if self._tokens[place] <= share * total]
        return min(due, key=lambda place: (self._finish(place), place))

    def _finish(self, place: int) -> Fraction:
        """Tokens the whole ideal mixture has given when it ends this source's next row."""
        return (self._tokens[place] + self.streams[place].fill(self._taken[place])) / self._share[place]


def mix(streams: Sequence[RowStream], weights: Mapping[str, float]) -> Iterator[PackedRow]:
    """All rows of `Mixture(streams, weights)` from the first."""
    return Mixture(streams, weights).rows_from(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Realised:
    """What one source really gave.

    Attributes:
        num_rows: Rows.
        padding_tokens: Padding, counted nowhere else.
        modality_tokens: Tokens by modality (``text``, ``speech``, ``special``).
        target_tokens: Tokens by loss class (``text``, ``switch_to_text`` …), before any weight.
    """

    num_rows: int
    padding_tokens: int
    modality_tokens: dict[str, int]
    target_tokens: dict[str, int]


def realised(rows: Iterable[PackedRow]) -> dict[str, Realised]:
    """Counts rows by source, modality and loss class; sources by name.

    Multiply `target_tokens` by the loss weights for the loss tokens: 60/40 by tokens can be 90/10 by loss.
    """
    counts: dict[str, list[np.ndarray]] = {}
    for row in rows:
        is_token = row.document >= 0
        counted = [
            np.array([1, np.count_nonzero(~is_token)]),
            np.bincount(row.modality[is_token], minlength=len(Modality)),
            np.bincount(row.loss_class[is_token], minlength=len(LossClass)),
        ]
        before = counts.get(row.source)
        counts[row.source] = [old + new for old, new in zip(before, counted, strict=True)] if before else counted
    return {source: _realised(*counts[source]) for source in sorted(counts)}


def _realised(totals: np.ndarray, by_modality: np.ndarray, by_class: np.ndarray) -> Realised:
    return Realised(
        num_rows=int(totals[0]),
        padding_tokens=int(totals[1]),
        modality_tokens={kind.name.lower(): int(by_modality[kind]) for kind in Modality},
        target_tokens={kind.name.lower(): int(by_class[kind]) for kind in LossClass if kind != LossClass.NONE},
    )


def _check(streams: Sequence[RowStream], weights: Mapping[str, float]) -> None:
    names = [stream.source for stream in streams]
    if len(set(names)) != len(names):
        raise UserError(f"two sources of the mixture share a name: {names}", hint="name every source once")
    for name in sorted(set(names) ^ set(weights)):
        known = "has no weight" if name in names else "is not among the sources"
        raise UserError(
            f"mixture source {name!r} {known}", hint=did_you_mean(name, names if name in weights else weights)
        )
    if not all(0 <= weight < inf for weight in weights.values()) or not any(weights.values()):
        raise UserError(f"mixture weights {dict(weights)}", hint="weights are 0 or more, one at least above 0")
    if len({(stream.row_tokens, stream.vocabulary) for stream in streams}) != 1:
        raise UserError("the sources of a mixture differ in row_tokens or vocabulary", hint="give all the same")
