"""The types of a table's columns, as each engine's SQL has them."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from sqlml.query.text import identifier

_MOMENT = pa.timestamp("us", tz="UTC")
_DUCKDB: Mapping[pa.DataType, str] = {
    pa.bool_(): "BOOLEAN",
    pa.int8(): "TINYINT",
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.string(): "VARCHAR",
    pa.binary(): "BLOB",
    pa.date32(): "DATE",
    pa.timestamp("us"): "TIMESTAMP",
    _MOMENT: "TIMESTAMPTZ",
}
_SPARK = {**_DUCKDB, pa.string(): "STRING", pa.binary(): "BINARY", pa.timestamp("us"): "TIMESTAMP_NTZ"}
_SPARK[_MOMENT] = "TIMESTAMP_LTZ"


def sql_type(type_: pa.DataType, dialect: str) -> str:
    """A storable type as the engine's SQL has it.

    Example:
        >>> sql_type(pa.list_(pa.struct([("a b", pa.int64())])), "duckdb")
        'STRUCT("a b" BIGINT)[]'
        >>> sql_type(pa.list_(pa.struct([("a b", pa.int64())])), "spark")
        'ARRAY<STRUCT<`a b`: BIGINT>>'
    """
    spark = dialect == "spark"
    if pa.types.is_decimal(type_):
        return f"DECIMAL({type_.precision}, {type_.scale})"
    if isinstance(type_, pa.StructType):
        mark = ": " if spark else " "
        fields = ", ".join(f"{identifier(field.name, dialect)}{mark}{sql_type(field.type, dialect)}" for field in type_)
        return f"STRUCT<{fields}>" if spark else f"STRUCT({fields})"
    if pa.types.is_map(type_):
        inner = f"{sql_type(type_.key_type, dialect)}, {sql_type(type_.item_type, dialect)}"
        return f"MAP<{inner}>" if spark else f"MAP({inner})"
    if pa.types.is_list(type_):
        inner = sql_type(type_.value_type, dialect)
        return f"ARRAY<{inner}>" if spark else f"{inner}[]"
    return (_SPARK if spark else _DUCKDB)[type_]
