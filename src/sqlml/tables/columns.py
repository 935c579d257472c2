"""What a table's columns can be, and how a query's columns become those: a cast that loses nothing, or an error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa

from sqlml.errors import BadColumn, SchemaDrift
from sqlml.query.text import identifier
from sqlml.query.typenames import sql_type

_UTC = pa.timestamp("us", tz="UTC")
_WIDER: Mapping[pa.DataType, pa.DataType] = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
    pa.float16(): pa.float32(),
    pa.date64(): pa.date32(),
    pa.timestamp("s"): pa.timestamp("us"),
    pa.timestamp("ms"): pa.timestamp("us"),
}
_PLAIN = frozenset(
    {
        pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64(),
        pa.string(), pa.binary(), pa.date32(), pa.timestamp("us"), _UTC,
    }
)  # fmt: skip
_DIGITS: Mapping[pa.DataType, int] = {pa.int8(): 3, pa.int16(): 5, pa.int32(): 10, pa.int64(): 19}
_EXACT_IN: Mapping[pa.DataType, tuple[pa.DataType, ...]] = {
    pa.float64(): (pa.int8(), pa.int16(), pa.int32(), pa.float32()),
    pa.float32(): (pa.int8(), pa.int16()),
    pa.int64(): (pa.int8(), pa.int16(), pa.int32()),
    pa.int32(): (pa.int8(), pa.int16()),
    pa.int16(): (pa.int8(),),
}


def storable(schema: pa.Schema) -> pa.Schema:
    """The columns of the table that a query makes: each as the type that Delta has for it.

    Raises:
        BadColumn: a type that Delta has none for, or two columns that differ in case alone.

    Example:
        >>> storable(pa.schema([("n", pa.uint32()), ("s", pa.large_string())]))
        n: int64
        s: string
    """
    seen: dict[str, str] = {}
    for name in schema.names:
        if (other := seen.setdefault(name.casefold(), name)) != name or schema.names.count(name) > 1:
            raise BadColumn(column=name, reason=f"it is there twice, as '{other}' too: give one another name")
    return pa.schema([(field.name, _storable(field.name, field.type)) for field in schema])


def _storable(name: str, type_: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(type_):
        return _storable(name, type_.value_type)
    if pa.types.is_large_string(type_) or pa.types.is_string_view(type_):
        return pa.string()
    if pa.types.is_large_binary(type_) or pa.types.is_binary_view(type_) or pa.types.is_fixed_size_binary(type_):
        return pa.binary()
    if pa.types.is_timestamp(type_) and type_.tz is not None and type_.unit != "ns":
        return _UTC
    if isinstance(type_, pa.StructType):
        return pa.struct([(field.name, _storable(name, field.type)) for field in type_])
    if pa.types.is_map(type_):
        return pa.map_(_storable(name, type_.key_type), _storable(name, type_.item_type))
    if pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_):
        return pa.list_(pa.field("element", _storable(name, type_.value_type)))
    found = _WIDER.get(type_, type_)
    if found in _PLAIN or (pa.types.is_decimal128(found)):
        return found
    raise BadColumn(column=name, reason=f"it is of type {type_}, which no Delta table has: CAST it in the query")


def casts(found: pa.Schema, wanted: pa.Schema, dialect: str, table: str) -> list[str]:
    """A query's columns as those of its table, in the table's order, as SQL.

    Raises:
        SchemaDrift: a column is missing, is new, or is of a type whose values the table's can't all hold.
        BadColumn: a type that Delta has none for.
    """
    by_name = {field.name.casefold(): field for field in storable(found)}
    if new := [
        field.name for field in found if field.name.casefold() not in {name.casefold() for name in wanted.names}
    ]:
        raise SchemaDrift(table=table, column=new[0], what="is new")
    return [_cast(table, by_name.get(field.name.casefold()), field, dialect) for field in wanted]


def _cast(table: str, found: pa.Field | None, wanted: pa.Field, dialect: str) -> str:
    if found is None:
        raise SchemaDrift(table=table, column=wanted.name, what="is missing")
    if not _fits(found.type, wanted.type):
        what = f"is {sql_type(found.type, dialect)}, and the table's {sql_type(wanted.type, dialect)}"
        raise SchemaDrift(table=table, column=wanted.name, what=what)
    name = identifier(found.name, dialect)
    return f"CAST({name} AS {sql_type(wanted.type, dialect)}) AS {identifier(wanted.name, dialect)}"


def _fits(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether each value of a type is one of another, too."""
    if alike(found, wanted) or found in _EXACT_IN.get(wanted, ()):
        return True
    if pa.types.is_decimal(wanted):
        whole = wanted.precision - wanted.scale
        if pa.types.is_decimal(found):
            return bool(found.scale <= wanted.scale and found.precision - found.scale <= whole)
        return bool(whole >= _DIGITS.get(found, whole + 1))
    return False


def alike(one: pa.DataType, other: pa.DataType) -> bool:
    """Whether two types are the same but for what writers of Parquet call a list's items, and for what may be NULL.

    Example:
        >>> alike(pa.list_(pa.field("item", pa.int64())), pa.list_(pa.field("element", pa.int64(), nullable=False)))
        True
    """
    return bool(one.id == other.id and list(_parts(one)) == list(_parts(other)))


def _parts(type_: pa.DataType) -> Iterator[object]:
    if isinstance(type_, pa.StructType):
        yield "struct"
        for field in type_:
            yield field.name
            yield from _parts(field.type)
        yield "end"
    elif pa.types.is_map(type_):
        yield "map"
        yield from _parts(type_.key_type)
        yield from _parts(type_.item_type)
    elif pa.types.is_list(type_):
        yield "list"
        yield from _parts(type_.value_type)
    else:
        yield type_
