"""Shapes a step's items out of tables, in Arrow, without a Python loop over rows.

nest:    rows of one group → one row with a list of them        (turns of a recording)
attach:  the nested rows of another table, found by id           (hypotheses of a turn)
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def nest(table: pa.Table, by: str, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """One row per distinct value of column `by`, as ``id``, with the group's rows as list column `name` in id order.

    Args:
        columns: The columns that the nested rows keep; all by default.
    """
    ordered = table.sort_by([(by, "ascending"), ("id", "ascending")]).combine_chunks()
    keys = ordered[by].combine_chunks()
    values = keys.to_numpy(zero_copy_only=False)
    starts = np.flatnonzero(np.r_[True, values[1:] != values[:-1]]) if len(values) else np.zeros(0, np.int64)
    kept = list(columns or ordered.column_names)
    arrays = [_single(ordered[column]) for column in kept]
    structs = pa.StructArray.from_arrays(arrays, fields=[ordered.schema.field(column) for column in kept])
    lists = pa.ListArray.from_arrays(pa.array(np.r_[starts, len(values)], pa.int32()), structs)
    return pa.table({"id": keys.take(pa.array(starts)), name: lists})


def attach(items: pa.Table, nested: pa.Table, name: str, key: str = "id") -> pa.Table:
    """`items` with column `name` of `nested` found by ``items[key] == nested["id"]``; null where there is none."""
    positions = pc.index_in(items[key].combine_chunks(), nested["id"].combine_chunks())
    return items.append_column(name, _single(nested[name]).take(positions))


def _single(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
