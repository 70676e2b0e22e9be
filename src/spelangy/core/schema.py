"""Arrow schemas of the nouns, read off the records themselves, and the two ways between records and tables."""

import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import pyarrow as pa

Record = TypeVar("Record")

_PLAIN: dict[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
}


@cache
def arrow_schema(record_type: type) -> pa.Schema:
    """The Arrow schema of a record type, fields in the order they are declared."""
    return pa.schema(_arrow_fields(record_type))


def _arrow_fields(record_type: type) -> list[pa.Field]:
    hints = get_type_hints(record_type, include_extras=True)
    return [_arrow_field(field.name, hints[field.name]) for field in fields(record_type)]


def _arrow_field(name: str, hint: Any) -> pa.Field:
    if get_origin(hint) in (Union, types.UnionType):
        (inner,) = [option for option in get_args(hint) if option is not type(None)]
        return pa.field(name, _arrow_type(inner), nullable=True)
    return pa.field(name, _arrow_type(hint), nullable=False)


def _arrow_type(hint: Any) -> pa.DataType:
    if hint in _PLAIN:
        return _PLAIN[hint]
    if get_origin(hint) is Annotated:
        declared: pa.DataType = get_args(hint)[1]
        return declared
    if get_origin(hint) is Literal:
        return pa.string()
    if get_origin(hint) is tuple:
        return pa.list_(pa.field("item", _arrow_type(get_args(hint)[0]), nullable=False))
    if isinstance(hint, type) and is_dataclass(hint):
        return pa.struct(_arrow_fields(hint))
    raise TypeError(f"no Arrow type for {hint!r}: extend core/schema.py")


@cache
def _field_names(record_type: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(record_type))


def to_row(record: Any) -> dict[str, Any]:
    """A record as a plain row; what `dataclasses.asdict` gives, without its copies, in a fraction of the time."""
    names = _field_names(type(record))  # type: ignore[arg-type]  # types are hashable; typeshed disagrees
    return {name: _plain(getattr(record, name)) for name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(to_row, value)) if value and is_dataclass(value[0]) else value
    return to_row(value) if is_dataclass(value) else value


def to_table(records: Iterable[Any], record_type: type) -> pa.Table:
    """Records to an Arrow table in the order given."""
    return pa.Table.from_pylist([to_row(record) for record in records], schema=arrow_schema(record_type))


def from_table(table: pa.Table, record_type: type[Record]) -> list[Record]:
    """Arrow rows to records.

    Raises:
        TypeError: When the table lacks a column of the record.
    """
    return from_rows(table.to_pylist(), record_type)


def from_rows(rows: Sequence[Mapping[str, Any]], record_type: type[Record]) -> list[Record]:
    """Plain rows (of `pa.Table.to_pylist`) to records; columns the record does not have are left aside."""
    return [_record(row, record_type) for row in rows]


def _record(row: Mapping[str, Any], record_type: type[Record]) -> Record:
    makers: dict[str, Any] = _makers(record_type)  # type: ignore[arg-type]  # types are hashable; typeshed disagrees
    return record_type(**{name: make(row[name]) for name, make in makers.items() if name in row})


@cache
def _makers(record_type: type) -> dict[str, Any]:
    hints = get_type_hints(record_type)
    return {field.name: _maker(hints[field.name]) for field in fields(record_type)}


def _maker(hint: Any) -> Any:
    if get_origin(hint) is tuple:
        make = _maker(get_args(hint)[0])
        if make is _as_it_is:
            return lambda values: tuple(values or ())
        return lambda values: tuple(make(value) for value in values or ())
    if isinstance(hint, type) and is_dataclass(hint):
        return lambda value: _record(value, hint)
    return _as_it_is


def _as_it_is(value: Any) -> Any:
    return value
