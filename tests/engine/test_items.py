"""Shaping items: nesting and attaching lose no row, keep order, and do not mind how Arrow holds its columns."""

from collections import defaultdict
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from spelangy.engine.items import attach, nest

Rows = list[tuple[str, int]]

rows = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 99)), max_size=30)
SCHEMA = pa.schema([("id", pa.string()), ("group", pa.string()), ("value", pa.int64())])


def table(drawn: Rows, num_chunks: int = 1) -> pa.Table:
    records = [{"id": f"{index:03d}", "group": group, "value": value} for index, (group, value) in enumerate(drawn)]
    size = max(1, -(-len(records) // num_chunks))
    parts = [
        pa.Table.from_pylist(records[start : start + size], schema=SCHEMA) for start in range(0, len(records), size)
    ]
    return pa.concat_tables(parts) if parts else SCHEMA.empty_table()


@given(rows, st.integers(1, 4), st.randoms())
def test_nesting_groups_every_row_once_in_id_order(drawn: Rows, num_chunks: int, random: Any) -> None:
    flat = table(drawn, num_chunks)
    order = list(range(flat.num_rows))
    random.shuffle(order)
    nested = nest(flat.take(pa.array(order, pa.int64())), by="group", name="members").to_pylist()

    expected: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in flat.to_pylist():
        expected[row["group"]].append(row)
    assert nested == [{"id": group, "members": expected[group]} for group in sorted(expected)]


@given(rows)
def test_nesting_keeps_the_columns_asked_for(drawn: Rows) -> None:
    nested = nest(table(drawn), by="group", name="members", columns=["value"])
    assert nested.schema.field("members").type.value_type == pa.struct([pa.field("value", pa.int64())])
    assert [member["value"] for row in nested.to_pylist() for member in row["members"]] == [
        value for _, value in sorted(drawn, key=lambda pair: pair[0])
    ]


@given(rows, st.lists(st.sampled_from("abcdef"), unique=True, max_size=6), st.integers(1, 3))
def test_attaching_finds_by_id_and_leaves_null_where_there_is_none(
    drawn: Rows, ids: list[str], num_chunks: int
) -> None:
    nested = nest(table(drawn, num_chunks), by="group", name="members")
    items = pa.table({"id": pa.array(ids, pa.string()), "number": pa.array(range(len(ids)), pa.int64())})
    attached = attach(items, nested, "members")
    by_id = {row["id"]: row["members"] for row in nested.to_pylist()}
    assert attached.drop_columns(["members"]).equals(items)
    assert attached["members"].to_pylist() == [by_id.get(name) for name in ids]


def test_attaching_by_another_column() -> None:
    items = pa.table({"id": ["1", "2", "3"], "owner": ["b", "z", "a"]})
    nested = nest(table([("a", 1), ("b", 2), ("b", 3)]), by="group", name="members", columns=["value"])
    attached = attach(items, nested, "members", key="owner")
    assert attached["members"].to_pylist() == [[{"value": 2}, {"value": 3}], None, [{"value": 1}]]


def test_nested_rows_keep_fields_that_may_not_be_null() -> None:
    schema = pa.schema([pa.field("id", pa.string(), nullable=False), pa.field("by", pa.string(), nullable=False)])
    nested = nest(pa.table({"id": ["x"], "by": ["y"]}, schema=schema), by="by", name="rows")
    assert [field.nullable for field in nested.schema.field("rows").type.value_type] == [False, False]


def test_empty_tables_stay_empty_and_typed() -> None:
    nested = nest(SCHEMA.empty_table(), by="group", name="members")
    assert (nested.num_rows, nested.schema.names) == (0, ["id", "members"])
    assert attach(pa.table({"id": ["a"]}), nested, "members")["members"].to_pylist() == [None]
    assert attach(pa.table({"id": pa.array([], pa.string())}), nested, "members").num_rows == 0


def test_lists_inside_nested_rows_survive() -> None:
    words = pa.table({"id": ["1", "2"], "turn": ["t", "t"], "words": [["a", "b"], []]})
    assert nest(words, by="turn", name="found").to_pylist() == [
        {"id": "t", "found": [{"id": "1", "turn": "t", "words": ["a", "b"]}, {"id": "2", "turn": "t", "words": []}]}
    ]
