"""The machine's eyes: columns of any kind become tiles of float64. Only imported where the machine is compiled."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba.core import types

from sqlml.programs.kernel import layout as l_
from sqlml.programs.kernel.layout import Kind, Target
from sqlml.programs.kernel.memory import F32, F64, I8, I16, I32, I64, U8, U16, U32, U64, native

_LARGEST_LONG = 2.0**63
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_FLOAT32_TOP = _FLOAT32_MAX + 2.0**103


def _loader(access: Any) -> Any:
    at, get, _ = access
    at64, _, put64 = F64

    @native
    def load(source: int, start: int, to: int, rows: int) -> None:
        given, found = at(source), at64(to)
        for i in range(rows):
            put64(found, i, float(get(given, start + i)))

    return load


_load_i8, _load_i16, _load_i32, _load_i64 = _loader(I8), _loader(I16), _loader(I32), _loader(I64)
_load_u8, _load_u16, _load_u32, _load_u64 = _loader(U8), _loader(U16), _loader(U32), _loader(U64)
_load_f32, _load_f64 = _loader(F32), _loader(F64)

f64_at, f64_get, f64_put = F64
i64_at, i64_get, i64_put = I64
i32_at, i32_get, i32_put = I32
u8_at, u8_get, u8_put = U8


@native
def _load_bits(source: int, start: int, to: int, rows: int) -> None:
    given, found = u8_at(source), f64_at(to)
    for i in range(rows):
        f64_put(found, i, float((u8_get(given, (start + i) >> 3) >> ((start + i) & 7)) & 1))


@native
def _divide(values: int, rows: int, by: float) -> None:
    held = f64_at(values)
    for i in range(rows):
        f64_put(held, i, f64_get(held, i) / by)


@native
def is_valid(validity: int, row: int) -> bool:
    """Whether a row's bit is set."""
    return ((u8_get(u8_at(validity), row >> 3) >> (row & 7)) & 1) != 0


@native
def _all_valid(validity: int, start: int, rows: int) -> bool:
    # Tiles begin at multiples of 8 rows.
    held = u8_at(validity)
    for i in range(rows >> 3):
        if u8_get(held, (start >> 3) + i) != 255:
            return False
    for i in range(rows & ~7, rows):
        if not is_valid(validity, start + i):
            return False
    return True


@native
def _too_large(source: int, kind: int, start: int, rows: int, refused: int) -> None:
    """Refuse integers of 64 bits that no float64 equals."""
    given, marks = i64_at(source), u8_at(refused)
    for i in range(rows):
        value = i64_get(given, start + i)
        if value > 9007199254740992 or value < (0 if kind == Kind.U64 else -9007199254740992):
            u8_put(marks, i, types.uint8(1))


@native
def _check(values: int, rows: int, target: int, refused: int) -> None:
    """Refuse what the argument's type doesn't hold; NaN is a missing value of every type."""
    held, marks = f64_at(values), u8_at(refused)
    if target == Target.FLOAT:
        for i in range(rows):
            x = f64_get(held, i)
            if abs(x) >= _FLOAT32_TOP and not math.isinf(x):
                u8_put(marks, i, types.uint8(1))
            f64_put(held, i, float(np.float32(x)))
    elif target == Target.BIGINT or target == Target.INTEGER:
        low = -2147483648.0 if target == Target.INTEGER else -_LARGEST_LONG
        high = 2147483648.0 if target == Target.INTEGER else _LARGEST_LONG
        for i in range(rows):
            x = f64_get(held, i)
            if x == x and not (x >= low and x < high and math.floor(x) == x):
                u8_put(marks, i, types.uint8(1))
    elif target == Target.BOOLEAN:
        for i in range(rows):
            x = f64_get(held, i)
            if x == x and x != 0.0 and x != 1.0:
                u8_put(marks, i, types.uint8(1))


@native
def _convert(source: int, kind: int, extra: int, start: int, to: int, rows: int) -> None:
    if kind == Kind.F64:
        _load_f64(source, start, to, rows)
    elif kind == Kind.F32:
        _load_f32(source, start, to, rows)
    elif kind == Kind.I64 or kind == Kind.DECIMAL64:
        _load_i64(source, start, to, rows)
    elif kind == Kind.I32 or kind == Kind.DECIMAL32:
        _load_i32(source, start, to, rows)
    elif kind == Kind.I16 or kind == Kind.DECIMAL16:
        _load_i16(source, start, to, rows)
    elif kind == Kind.I8:
        _load_i8(source, start, to, rows)
    elif kind == Kind.U64:
        _load_u64(source, start, to, rows)
    elif kind == Kind.U32:
        _load_u32(source, start, to, rows)
    elif kind == Kind.U16:
        _load_u16(source, start, to, rows)
    elif kind == Kind.U8 or kind == Kind.BOOL:
        _load_u8(source, start, to, rows)
    elif kind == Kind.BITS:
        _load_bits(source, start, to, rows)
    if kind >= Kind.DECIMAL16 and kind <= Kind.DECIMAL64:
        _divide(to, rows, 10.0**extra)


@native
def load(column: int, target: int, start: int, own: int, rows: int, refused: int) -> int:
    """A column's values as float64, missing ones as NaN; gives their address, the column's own where that will do."""
    c = i64_at(column)
    source, validity = i64_get(c, l_.COLUMN_DATA), i64_get(c, l_.COLUMN_VALIDITY)
    kind, extra = i64_get(c, l_.COLUMN_KIND), i64_get(c, l_.COLUMN_EXTRA)
    whole = validity == 0 or _all_valid(validity, start, rows)
    if whole and kind == Kind.F64 and target == Target.DOUBLE:
        return source + 8 * start
    if (kind == Kind.I64 or kind == Kind.U64) and target <= Target.FLOAT:
        _too_large(source, kind, start, rows, refused)
    _convert(source, kind, extra, start, own, rows)
    if not whole:
        held, marks = f64_at(own), u8_at(refused)
        for i in range(rows):
            if not is_valid(validity, start + i):
                f64_put(held, i, np.nan)
                if (kind == Kind.I64 or kind == Kind.U64) and target <= Target.FLOAT:
                    # What lies beneath a NULL says nothing.
                    u8_put(marks, i, types.uint8(0))
    if target != Target.DOUBLE:
        _check(own, rows, target, refused)
    return own


@native
def mark_missing(values: int, rows: int, null: int) -> None:
    """Rows with NaN here are NULL."""
    held, marks = f64_at(values), u8_at(null)
    for i in range(rows):
        x = f64_get(held, i)
        u8_put(marks, i, types.uint8(u8_get(marks, i) | (1 if x != x else 0)))
