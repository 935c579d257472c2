"""Python values as Arrow columns, built from buffers.

`pa.array` and `pa.Table.from_pylist` import pandas wherever it is installed, to ask whether a value is one of its
own. That takes longer than everything else that a query of the catalog does.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

import pyarrow as pa

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# The types of the views that are one number a value: the number's code in `array`, and how it is found.
_NUMBERS: dict[pa.DataType, tuple[str, Callable[[Any], float]]] = {
    pa.int64(): ("q", int),
    pa.float64(): ("d", float),
    pa.timestamp("us", tz="UTC"): ("q", lambda moment: (moment - _EPOCH) // _MICROSECOND),
}


def table(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows as a table. What a row lacks is NULL, what the schema lacks is left out.

    Example:
        >>> table([{"id": 1, "other": 2}, {}], pa.schema([("id", pa.int64())])).to_pylist()
        [{'id': 1}, {'id': None}]
    """
    columns = [column([row.get(field.name) for row in rows], field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def column(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    """Values as one column of a type that the views have; in a text column, what is no text is written as JSON.

    Example:
        >>> column(["yes", 1, True, None], pa.string()).to_pylist()
        ['yes', '1', 'true', None]
    """
    valid = None if all(value is not None for value in values) else _bits(value is not None for value in values)
    buffers, children = _parts(values, type_)
    return pa.Array.from_buffers(type_, len(values), [valid, *buffers], children=children)


def _parts(values: Sequence[Any], type_: pa.DataType) -> tuple[list[pa.Buffer], list[pa.Array]]:
    """A column's buffers but for the first, which tells the NULLs, and its child columns."""
    if pa.types.is_struct(type_):
        return [], [column([(value or {}).get(field.name) for value in values], field.type) for field in type_]
    if pa.types.is_list(type_):
        items = [item for value in values for item in value or ()]
        return [_offsets(len(value or ()) for value in values)], [column(items, type_.value_type)]
    if pa.types.is_string(type_):
        texts = [b"" if value is None else _text(value) for value in values]
        return [_offsets(map(len, texts)), pa.py_buffer(b"".join(texts))], []
    if pa.types.is_boolean(type_):
        return [_bits(map(bool, values))], []
    code, number = _NUMBERS[type_]
    return [pa.py_buffer(array(code, [0 if value is None else number(value) for value in values]))], []


def _text(value: Any) -> bytes:
    # A label may hold half a surrogate pair, which is no UTF-8: one of them must not take the whole view away.
    return (value if isinstance(value, str) else json.dumps(value)).encode("utf-8", "replace")


def _offsets(lengths: Iterable[int]) -> pa.Buffer:
    return pa.py_buffer(array("i", accumulate(lengths, initial=0)))


def _bits(flags: Iterable[bool]) -> pa.Buffer:
    """One bit a flag, the lowest first."""
    digits = "".join("1" if flag else "0" for flag in flags)
    return pa.py_buffer(int(digits[::-1] or "0", 2).to_bytes((len(digits) + 7) // 8, "little"))
