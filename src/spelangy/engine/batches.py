"""Which items are committed together, and in which order: what keeps every worker busy until the end.

    items by expected work   ████████ █████ ███ ██ ██ █ █ █ ·
    batches                  [██████] [███] [██ ██] [█ █] [█] [·]     large first, smaller towards the end

A batch is one shard. The largest items go first, and a batch takes a share of what is left (guided self-scheduling:
Polychronopoulos and Kuck 1987), so that at the end all workers stop within one small batch of each other.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_Measure = Callable[[dict[str, pa.Array]], pa.Array | None]

SHARE_OF_A_WORKER = 0.5
"""How much of what would be left for each worker a batch takes at most. Source: ours; a half bounds idle time."""


def batch_items(items: pa.Table, num_workers: int, max_items: int, *, in_flight: int = 1) -> pa.Table:
    """One row per batch, in the order to do them; column ``items`` lists the batch's rows as structs.

    Items that are done `in_flight` at once wait rather than work: they go in full batches, as small ones would leave
    most of the places empty.
    """
    work = expected_work(items)
    order = np.argsort(-work, kind="stable")
    rows = items.take(pa.array(order)).combine_chunks()
    arrays = [column.chunk(0) if column.num_chunks else pa.array([], column.type) for column in rows.columns]
    structs = pa.StructArray.from_arrays(arrays, fields=list(rows.schema))
    bounds = _full(work.size, max_items) if in_flight > 1 else _bounds(work[order], num_workers, max_items)
    return pa.table({"items": pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), structs)})


def _bounds(work: NDArray[np.float64], num_workers: int, max_items: int) -> list[int]:
    """Where batches begin and end, over work sorted in descending order."""
    before = np.concatenate([[0.0], np.cumsum(work)])
    bounds = [0]
    while bounds[-1] < work.size:
        start = bounds[-1]
        share = (before[-1] - before[start]) * SHARE_OF_A_WORKER / num_workers
        stop = int(np.searchsorted(before, before[start] + share, side="right")) - 1
        bounds.append(min(work.size, max(start + 1, min(stop, start + max_items))))
    return bounds


def _full(num_items: int, max_items: int) -> list[int]:
    return [*range(0, num_items, max_items), num_items] if num_items else [0]


def expected_work(items: pa.Table) -> NDArray[np.float64]:
    """Samples of audio that each item holds, else characters of text; 1 where it holds neither."""
    structs = pa.StructArray.from_arrays(
        [column.combine_chunks() for column in items.columns], fields=list(items.schema)
    )
    samples, characters = _held(structs, _samples), _held(structs, _characters)
    held: NDArray[np.float64] = np.maximum(1.0, samples if samples.any() else characters)
    return held


def _held(rows: pa.StructArray, measure: _Measure) -> NDArray[np.float64]:
    """What each row holds itself, else the sum over the lists of structs in it."""
    fields = {field.name: rows.field(index) for index, field in enumerate(rows.type)}
    own = measure(fields)
    if own is not None:
        return np.asarray(pc.fill_null(own, 0).to_numpy(zero_copy_only=False), np.float64)
    total = np.zeros(len(rows))
    for column in fields.values():
        if pa.types.is_list(column.type) and pa.types.is_struct(column.type.value_type):
            parents = pc.list_parent_indices(column).to_numpy(zero_copy_only=False)
            total += np.bincount(parents, _held(pc.list_flatten(column), measure), minlength=len(rows))
    return total


def _samples(fields: dict[str, pa.Array]) -> pa.Array | None:
    if "num_samples" in fields:
        return fields["num_samples"]
    return pc.subtract(fields["end"], fields["start"]) if fields.keys() >= {"start", "end"} else None


def _characters(fields: dict[str, pa.Array]) -> pa.Array | None:
    return pc.utf8_length(fields["text"]) if "text" in fields and pa.types.is_string(fields["text"].type) else None
