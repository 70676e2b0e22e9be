from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spelangy.core.records import Score, Transcript, Turn, Word
from spelangy.core.schema import arrow_schema, from_table, to_table
from spelangy.store.tables import ROW_GROUP_ROWS, concat, empty_table, read_table, table_bytes

WORDS = st.builds(
    Word,
    text=st.text(max_size=5),
    start=st.integers(0, 2**40),
    end=st.integers(0, 2**40),
    vote_ratio=st.floats(0, 1, width=32),
    confidence=st.floats(0, 1, width=32),
)
TRANSCRIPTS = st.builds(
    Transcript,
    id=st.text(max_size=5),
    recording_id=st.sampled_from(["a", "b"]),
    systems=st.lists(st.text(max_size=3), max_size=3).map(tuple),
    words=st.lists(WORDS, max_size=3).map(tuple),
    dissent=st.lists(st.text(max_size=5), max_size=2).map(tuple),
)
TABLES = st.lists(TRANSCRIPTS, max_size=6, unique_by=lambda record: record.id)


def scores(ids: list[int]) -> pa.Table:
    rows = [Score(id=f"{index:06d}", turn_id="t", recording_id="r", name="snr_db", value=index / 7) for index in ids]
    return to_table(rows, Score)


@settings(max_examples=40)
@given(TABLES, st.randoms(use_true_random=False), st.integers(1, 4))
def test_bytes_do_not_depend_on_the_order_or_the_pieces_of_the_rows(
    written: list[Transcript], random: Any, piece: int
) -> None:
    shuffled = random.sample(written, len(written))
    pieces = [to_table(shuffled[start : start + piece], Transcript) for start in range(0, len(shuffled), piece)]
    assert table_bytes(concat(pieces, Transcript)) == table_bytes(to_table(written, Transcript))


@settings(max_examples=40)
@given(TABLES)
def test_rows_come_back_sorted_by_id(written: list[Transcript]) -> None:
    table = read_table(table_bytes(to_table(written, Transcript)))
    assert table.schema.equals(arrow_schema(Transcript))
    # Arrow sorts by the bytes of UTF-8, which is the order of code points.
    assert from_table(table, Transcript) == sorted(written, key=lambda record: record.id)


@settings(max_examples=40)
@given(TABLES, TABLES)
def test_other_rows_give_other_bytes(left: list[Transcript], right: list[Transcript]) -> None:
    by_id = [sorted(rows, key=lambda record: record.id) for rows in (left, right)]
    same_bytes = table_bytes(to_table(left, Transcript)) == table_bytes(to_table(right, Transcript))
    assert same_bytes == (repr(by_id[0]) == repr(by_id[1]))


def test_bytes_do_not_depend_on_pieces_beyond_one_row_group() -> None:
    table = scores([1]).take([0] * (ROW_GROUP_ROWS + 10))
    ids = pa.array([f"{index:06d}" for index in range(table.num_rows)])
    table = table.set_column(0, table.schema.field("id"), ids)
    backwards = concat([table.slice(50_000), table.slice(0, 50_000)], Score)
    assert table_bytes(backwards) == table_bytes(table)


def test_no_rows_have_the_schema_and_one_form() -> None:
    table = scores([1, 2])
    forms = [empty_table(Score), table.slice(0, 0), table.filter(pa.array([False, False])), concat([], Score)]
    assert len({table_bytes(form) for form in forms}) == 1
    assert read_table(table_bytes(forms[0])).schema.equals(arrow_schema(Score))


def test_tables_of_another_schema_are_refused() -> None:
    with pytest.raises((pa.ArrowInvalid, ValueError)):
        concat([pa.table({"id": ["a"]})], Turn)
    with pytest.raises(pa.ArrowInvalid):
        table_bytes(to_table([Score(id="a", turn_id="t", recording_id="r", name="n", value=None)], Score))  # type: ignore[arg-type]
