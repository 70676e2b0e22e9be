"""Records → table → records, and the schemas that stored tables already have.

``python tests/core/test_schema.py`` writes golden_schemas.txt anew, after a change that is meant.
"""

import inspect
import types
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spelangy.core import records
from spelangy.core.schema import arrow_schema, from_rows, from_table, to_row, to_table

GOLDEN = Path(__file__).with_name("golden_schemas.txt")

RECORD_TYPES = [
    value
    for value in vars(records).values()
    if inspect.isclass(value) and is_dataclass(value) and value.__module__ == records.__name__
]

PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=8),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
    records.Float32: st.floats(width=32, allow_nan=False),
    records.UInt16: st.integers(0, 2**16 - 1),
    records.UInt32: st.integers(0, 2**32 - 1),
}


def values(hint: Any) -> st.SearchStrategy[Any]:
    if hint in PLAIN:
        return PLAIN[hint]
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if get_origin(hint) in (Union, types.UnionType):
        return st.one_of(*(st.none() if option is type(None) else values(option) for option in get_args(hint)))
    if get_origin(hint) is tuple:
        return st.lists(values(get_args(hint)[0]), max_size=3).map(tuple)
    return instances(hint)


def instances(record_type: type) -> st.SearchStrategy[Any]:
    hints = get_type_hints(record_type, include_extras=True)
    return st.builds(record_type, **{field.name: values(hints[field.name]) for field in fields(record_type)})


def schema_text() -> str:
    blocks = ([record.__name__, *map(column_text, arrow_schema(record))] for record in RECORD_TYPES)
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def column_text(field: pa.Field) -> str:
    return f"  {field.name}: {field.type}{'' if field.nullable else ' not null'}"


def test_every_record_of_the_house_is_tested_here() -> None:
    assert {"Recording", "Turn", "Hypothesis", "Word", "Chunk", "Drop"} <= {record.__name__ for record in RECORD_TYPES}


@pytest.mark.parametrize("record_type", RECORD_TYPES)
@settings(max_examples=30)
@given(data=st.data())
def test_records_come_back_equal(record_type: type, data: st.DataObject) -> None:
    written = data.draw(st.lists(instances(record_type), max_size=4))
    table = to_table(written, record_type)
    assert table.schema.equals(arrow_schema(record_type))
    table.validate(full=True)
    assert from_table(table, record_type) == written
    assert [to_row(record) for record in written] == [asdict(record) for record in written]


def test_schemas_are_those_of_the_tables_already_stored() -> None:
    assert schema_text() == GOLDEN.read_text(), (
        "a schema changed: tables stored before cannot be read as they were. If that is meant, raise the version of "
        f"every step that writes the record and run `python tests/core/{Path(__file__).name}`"
    )


def test_a_missing_column_is_refused_unless_the_record_has_a_default() -> None:
    turn = records.Turn(
        id="t", recording_id="r", audio="", start=0, end=5, speaker="S0", is_overlap=False, embedding=(1.0,)
    )
    table = to_table([turn], records.Turn)
    assert from_table(table.drop_columns(["embedding"]), records.Turn)[0].embedding == ()
    with pytest.raises(TypeError, match="speaker"):
        from_table(table.drop_columns(["speaker"]), records.Turn)


def test_columns_the_record_lacks_are_left_aside() -> None:
    (segment,) = from_rows([{"role": "answer", "text": "Yes.", "score": 3}], records.ScriptSegment)
    assert segment == records.ScriptSegment(role="answer", text="Yes.")


def test_a_number_too_great_for_its_column_is_refused() -> None:
    units = records.Units(id="u", recording_id="r", first_frame=0, units=(2**16,))
    with pytest.raises(pa.ArrowInvalid):
        to_table([units], records.Units)


@dataclass(frozen=True, kw_only=True)
class Nested:
    """What no record has yet, but a step's own may."""

    segment: records.ScriptSegment
    grid: tuple[tuple[Annotated[int, pa.int8()], ...], ...]


def test_records_within_records_and_lists_of_lists_come_back_equal() -> None:
    nested = Nested(segment=records.ScriptSegment(role="text", text="x"), grid=((1, 2), (), (3,)))
    assert from_table(to_table([nested], Nested), Nested) == [nested]


def test_a_type_without_a_column_type_is_refused_by_name() -> None:
    @dataclass(frozen=True)
    class Odd:
        when: complex

    with pytest.raises(TypeError, match=r"no Arrow type for .*complex"):
        arrow_schema(Odd)


def test_turn_ids_sort_in_time_order_and_fit_any_file_name() -> None:
    ids = [records.turn_id("rec", index) for index in (0, 9, 10, 99_999, 100_000)]
    assert ids == sorted(ids) and ids[1] == "rec-000009"


if __name__ == "__main__":
    GOLDEN.write_text(schema_text())
