"""Finds texts in tables, however deeply they are nested."""

import pyarrow as pa
import pyarrow.compute as pc


def mentioning(table: pa.Table, pattern: str) -> pa.ChunkedArray:
    """Whether each row holds a text that `pattern` matches, in any column and however deeply nested; shape [rows]."""
    found = pa.array([False] * table.num_rows, pa.bool_())
    for column in table.columns:
        found = pc.or_(found, _matches(_whole(column), pattern))
    return pa.chunked_array([found])


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _matches(values: pa.Array, pattern: str) -> pa.Array:
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pc.fill_null(pc.match_substring_regex(values, pattern), False)
    found = pa.array([False] * len(values), pa.bool_())
    if pa.types.is_struct(kind):
        for index in range(kind.num_fields):
            found = pc.or_(found, _matches(pc.struct_field(values, index), pattern))
    elif pa.types.is_list(kind):
        hits = pc.list_parent_indices(values).filter(_matches(pc.list_flatten(values), pattern))
        found = pc.is_in(pa.array(range(len(values)), pa.int64()), hits.cast(pa.int64()))
    return found
