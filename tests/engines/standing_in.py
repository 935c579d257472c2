"""A kernel to go through the native door with: a linear model over any columns, compiled in the test."""

from __future__ import annotations

from numba import cfunc
from numba.core import types

from sqlml.programs.kernel.layout import Kind, What
from sqlml.programs.kernel.memory import F32, F64, I8, I16, I32, I64, U8, U16, U32, U64, native

f64_at, f64_get, f64_put = F64
f32_at, f32_get, _ = F32
i64_at, i64_get, _ = I64
i32_at, i32_get, i32_put = I32
i16_at, i16_get, _ = I16
i8_at, i8_get, _ = I8
u64_at, u64_get, _ = U64
u32_at, u32_get, _ = U32
u16_at, u16_get, _ = U16
u8_at, u8_get, u8_put = U8


@native
def _value(kind, extra, data, i):
    """The number; of a text the sum of its bytes."""
    if kind == Kind.F64:
        return f64_get(f64_at(data), i)
    if kind == Kind.F32:
        return float(f32_get(f32_at(data), i))
    if kind == Kind.I64 or kind == Kind.DECIMAL64:
        x = float(i64_get(i64_at(data), i))
    elif kind == Kind.I32 or kind == Kind.DECIMAL32:
        x = float(i32_get(i32_at(data), i))
    elif kind == Kind.I16 or kind == Kind.DECIMAL16:
        x = float(i16_get(i16_at(data), i))
    elif kind == Kind.I8:
        x = float(i8_get(i8_at(data), i))
    elif kind == Kind.U64:
        x = float(u64_get(u64_at(data), i))
    elif kind == Kind.U32:
        x = float(u32_get(u32_at(data), i))
    elif kind == Kind.U16:
        x = float(u16_get(u16_at(data), i))
    elif kind == Kind.BOOL or kind == Kind.U8:
        x = float(u8_get(u8_at(data), i))
    elif kind == Kind.DUCKDB_STRING:
        length = types.int64(u32_get(u32_at(data + 16 * i), 0))
        text = u8_at(data + 16 * i + 4)
        if length > 12:
            text = u8_at(i64_get(i64_at(data + 16 * i), 1))
        x = 0.0
        for j in range(length):
            x += float(u8_get(text, j))
    else:
        x = 0.0
    if kind >= Kind.DECIMAL16 and kind <= Kind.DECIMAL64:
        x /= 10.0**extra
    return x


@native
def _all_doubles(columns, inputs):
    for j in range(inputs):
        column = i64_at(columns + 32 * j)
        if i64_get(column, 2) != Kind.F64 or i64_get(column, 1) != 0:
            return False
    return True


@native
def _doubles(image, rows, columns, to):
    """The quick way, for measuring: sums that LLVM makes vector code of."""
    weights, sums, inputs = f64_at(image + 16), f64_at(to), i64_get(i64_at(image), 0)
    for i in range(rows):
        f64_put(sums, i, 0.0)
    for j in range(inputs):
        values, weight = f64_at(i64_get(i64_at(columns + 32 * j), 0)), f64_get(weights, j)
        for i in range(rows):
            f64_put(sums, i, f64_get(sums, i) + weight * f64_get(values, i))


@cfunc("int64(int64, int64, int64, int64)", error_model="numpy", nopython=True)
def linear(image, rows, columns, outputs):
    """Image: inputs, classes, then a float64 weight an input. A NULL makes the row's answer NULL; -1 is refused."""
    header, weights = i64_at(image), f64_at(image + 16)
    inputs, classes = i64_get(header, 0), i64_get(header, 1)
    asked = i64_at(outputs)
    what, to, marks = i64_get(asked, 0), i64_get(asked, 1), u8_at(i64_get(asked, 2))
    if (what == What.VALUE or what == What.SCORE) and _all_doubles(columns, inputs):
        _doubles(image, rows, columns, to)
        return 0
    refused = 0
    for i in range(rows):
        total, gone = 0.0, False
        for j in range(inputs):
            column = i64_at(columns + 32 * j)
            validity = i64_get(column, 1)
            if validity != 0 and ((u8_get(u8_at(validity), i >> 3) >> (i & 7)) & 1) == 0:
                gone = True
            else:
                total += f64_get(weights, j) * _value(i64_get(column, 2), i64_get(column, 3), i64_get(column, 0), i)
        if gone:
            u8_put(marks, i >> 3, types.uint8(u8_get(marks, i >> 3) & ~(1 << (i & 7))))
            total = 0.0
        elif total == -1.0:
            refused += 1
        if what == What.LABEL:
            i32_put(i32_at(to), i, types.int32(types.int64(abs(total)) % classes))
        elif what == What.PROBABILITIES:
            for k in range(classes):
                f64_put(f64_at(to), i * classes + k, total + k)
        else:
            f64_put(f64_at(to), i, total)
    return refused
