"""The machine's hands: arithmetic on tiles. Only imported where the machine is compiled."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba.core import types

from sqlml.programs.kernel.memory import F64, I32, U8, native

f64_at, f64_get, f64_put = F64
i32_at, i32_get, i32_put = I32
u8_at, u8_get, u8_put = U8


@native
def arithmetic(op: int, to: int, a: int, k: float, rows: int) -> None:
    """A tile and a constant become one: by the place of the operation in ARITHMETIC_CODES."""
    x, y = f64_at(a), f64_at(to)
    if op == 0:
        for i in range(rows):
            f64_put(y, i, f64_get(x, i) + k)
    elif op == 1:
        for i in range(rows):
            f64_put(y, i, f64_get(x, i) - k)
    elif op == 2:
        for i in range(rows):
            f64_put(y, i, f64_get(x, i) * k)
    elif op == 3:
        for i in range(rows):
            f64_put(y, i, f64_get(x, i) / k)
    elif op == 4:
        for i in range(rows):
            v = f64_get(x, i)
            f64_put(y, i, k if v > k else v)
    elif op == 5:
        for i in range(rows):
            v = f64_get(x, i)
            f64_put(y, i, k if v < k else v)
    elif op == 6:
        for i in range(rows):
            f64_put(y, i, 1.0 if f64_get(x, i) == k else 0.0)
    elif op == 7:
        for i in range(rows):
            f64_put(y, i, 1.0 if f64_get(x, i) > k else 0.0)
    else:
        for i in range(rows):
            f64_put(y, i, 1.0 if f64_get(x, i) >= k else 0.0)


def _each(function: Any) -> Any:
    """A function of one number, over a tile."""
    one = native(function)

    @native
    def each(to: int, a: int, rows: int) -> None:
        x, y = f64_at(a), f64_at(to)
        for i in range(rows):
            f64_put(y, i, one(f64_get(x, i)))

    return each


# In the order of APPLY_CODES.
_abs = _each(lambda x: abs(x))
_cbrt = _each(lambda x: np.cbrt(x))
_cos = _each(lambda x: math.cos(x))
_exp = _each(lambda x: math.exp(x))
_expm1 = _each(lambda x: math.expm1(x))
_float32 = _each(lambda x: float(np.float32(x)))
_floor = _each(lambda x: float(np.floor(x)))
_is_missing = _each(lambda x: 1.0 if x != x else 0.0)
_log = _each(lambda x: np.log(x))
_log10 = _each(lambda x: np.log10(x))
_log1p = _each(lambda x: np.log1p(x))
_log2 = _each(lambda x: np.log2(x))
_negative = _each(lambda x: -x)
_normal_cdf = _each(lambda x: 0.5 * math.erfc(-x / math.sqrt(2.0)))
_not = _each(lambda x: 1.0 if x == 0.0 else 0.0)
_reciprocal = _each(lambda x: 1.0 / x)
_relu = _each(lambda x: 0.0 if x < 0.0 else x)
_rint = _each(lambda x: float(np.rint(x)))
_sigmoid = _each(lambda x: 1.0 / (1.0 + math.exp(-x)))
_sign = _each(lambda x: 1.0 if x > 0.0 else (-1.0 if x < 0.0 else x))
_sin = _each(lambda x: math.sin(x))
_sqrt = _each(lambda x: np.sqrt(x))
_square = _each(lambda x: x * x)
_tan = _each(lambda x: math.tan(x))
_tanh = _each(lambda x: math.tanh(x))
_trunc = _each(lambda x: float(np.trunc(x)))


@native
def apply(function: int, to: int, a: int, rows: int) -> None:
    """A function by its number, over a tile."""
    if function == 0:
        _abs(to, a, rows)
    elif function == 1:
        _cbrt(to, a, rows)
    elif function == 2:
        _cos(to, a, rows)
    elif function == 3:
        _exp(to, a, rows)
    elif function == 4:
        _expm1(to, a, rows)
    elif function == 5:
        _float32(to, a, rows)
    elif function == 6:
        _floor(to, a, rows)
    elif function == 7:
        _is_missing(to, a, rows)
    elif function == 8:
        _log(to, a, rows)
    elif function == 9:
        _log10(to, a, rows)
    elif function == 10:
        _log1p(to, a, rows)
    elif function == 11:
        _log2(to, a, rows)
    elif function == 12:
        _negative(to, a, rows)
    elif function == 13:
        _normal_cdf(to, a, rows)
    elif function == 14:
        _not(to, a, rows)
    elif function == 15:
        _reciprocal(to, a, rows)
    elif function == 16:
        _relu(to, a, rows)
    elif function == 17:
        _rint(to, a, rows)
    elif function == 18:
        _sigmoid(to, a, rows)
    elif function == 19:
        _sign(to, a, rows)
    elif function == 20:
        _sin(to, a, rows)
    elif function == 21:
        _sqrt(to, a, rows)
    elif function == 22:
        _square(to, a, rows)
    elif function == 23:
        _tan(to, a, rows)
    elif function == 24:
        _tanh(to, a, rows)
    elif function == 25:
        _trunc(to, a, rows)


@native
def pair(op: int, to: int, a: int, b: int, rows: int) -> None:
    """Two tiles become one."""
    x, y, z = f64_at(a), f64_at(b), f64_at(to)
    if op == 0:
        for i in range(rows):
            f64_put(z, i, f64_get(x, i) + f64_get(y, i))
    elif op == 1:
        for i in range(rows):
            f64_put(z, i, f64_get(x, i) * f64_get(y, i))
    elif op == 2:
        for i in range(rows):
            v, w = f64_get(x, i), f64_get(y, i)
            f64_put(z, i, v if v > w or v != v else w)
    elif op == 3:
        for i in range(rows):
            v, w = f64_get(x, i), f64_get(y, i)
            f64_put(z, i, v if v < w or v != v else w)
    elif op == 4:
        for i in range(rows):
            f64_put(z, i, f64_get(x, i) / f64_get(y, i))
    elif op == 5:
        for i in range(rows):
            f64_put(z, i, f64_get(x, i) ** f64_get(y, i))
    else:
        for i in range(rows):
            f64_put(z, i, f64_get(x, i) - f64_get(y, i))


@native
def constant(to: int, k: float, rows: int) -> None:
    """The same number everywhere."""
    y = f64_at(to)
    for i in range(rows):
        f64_put(y, i, k)


@native
def copy(to: int, a: int, rows: int) -> None:
    """A tile again."""
    x, y = f64_at(a), f64_at(to)
    for i in range(rows):
        f64_put(y, i, f64_get(x, i))


@native
def weigh(to: int, a: int, b: int, c: int, d: int, k: int, rows: int) -> None:
    """To += the sum of (x - k[0]) * k[1] over four tiles; k is the address of their eight constants.

    Four at a time, so that the sum is read and written once for four columns.
    """
    y, p, q, r, s, h = f64_at(to), f64_at(a), f64_at(b), f64_at(c), f64_at(d), f64_at(k)
    m0, w0, m1, w1 = f64_get(h, 0), f64_get(h, 1), f64_get(h, 2), f64_get(h, 3)
    m2, w2, m3, w3 = f64_get(h, 4), f64_get(h, 5), f64_get(h, 6), f64_get(h, 7)
    for i in range(rows):
        first = (f64_get(p, i) - m0) * w0 + (f64_get(q, i) - m1) * w1
        second = (f64_get(r, i) - m2) * w2 + (f64_get(s, i) - m3) * w3
        f64_put(y, i, f64_get(y, i) + (first + second))


@native
def weigh_one(to: int, a: int, k: int, rows: int) -> None:
    """To += (x - k[0]) * k[1]."""
    y, p, h = f64_at(to), f64_at(a), f64_at(k)
    m, w = f64_get(h, 0), f64_get(h, 1)
    for i in range(rows):
        f64_put(y, i, f64_get(y, i) + (f64_get(p, i) - m) * w)


@native
def squared(to: int, a: int, k: float, rows: int) -> None:
    """To += (x - k)^2."""
    x, y = f64_at(a), f64_at(to)
    for i in range(rows):
        v = f64_get(x, i) - k
        f64_put(y, i, f64_get(y, i) + v * v)


@native
def better(place: int, best: int, a: int, k: float, rows: int) -> None:
    """Where x > best: best = x, place = k. The first NaN wins and stays, as in numpy's argmax."""
    n, m, x = f64_at(place), f64_at(best), f64_at(a)
    for i in range(rows):
        v, w = f64_get(x, i), f64_get(m, i)
        if v > w or (v != v and w == w):
            f64_put(m, i, v)
            f64_put(n, i, k)


@native
def look_up(to: int, keys: int, table: int, rows: int) -> None:
    """The table's value for each key."""
    k, t, y = i32_at(keys), f64_at(table), f64_at(to)
    for i in range(rows):
        f64_put(y, i, f64_get(t, types.int64(i32_get(k, i))))


@native
def add_up(to: int, keys: int, table: int, rows: int) -> None:
    """To += the table's value for each key."""
    k, t, y = i32_at(keys), f64_at(table), f64_at(to)
    for i in range(rows):
        f64_put(y, i, f64_get(y, i) + f64_get(t, types.int64(i32_get(k, i))))


@native
def refuse_key(keys: int, key: int, refused: int, rows: int) -> None:
    """Refuse the rows that have this key."""
    k, marks = i32_at(keys), u8_at(refused)
    for i in range(rows):
        if types.int64(i32_get(k, i)) == key:
            u8_put(marks, i, types.uint8(1))


@native
def replace(to: int, a: int, old: float, new: float, rows: int) -> None:
    """Another value where it is the old one, which may be NaN."""
    x, y = f64_at(a), f64_at(to)
    if old != old:
        for i in range(rows):
            v = f64_get(x, i)
            f64_put(y, i, new if v != v else v)
    else:
        for i in range(rows):
            v = f64_get(x, i)
            f64_put(y, i, new if v == old else v)


@native
def guard(a: int, limit: float, passes_missing: int, refused: int, rows: int) -> None:
    """Refuse where not abs(x) < limit."""
    x, marks = f64_at(a), u8_at(refused)
    for i in range(rows):
        v = f64_get(x, i)
        bad = not (abs(v) < limit)
        if passes_missing != 0 and v != v:
            bad = False
        u8_put(marks, i, types.uint8(u8_get(marks, i) | (1 if bad else 0)))


@native
def piece(to: int, a: int, edges: int, count: int, powers: int, from_left: int, rows: int) -> None:
    """Polynomials between edges: after the edges come, for each piece, its origin and its coefficients."""
    x, y, k = f64_at(a), f64_at(to), f64_at(edges)
    for i in range(rows):
        v = f64_get(x, i)
        low, high = 0, count
        while low < high:
            middle = (low + high) >> 1
            edge = f64_get(k, middle)
            if edge < v or (edge == v and from_left == 0):
                low = middle + 1
            else:
                high = middle
        at = count + low * (powers + 1)
        offset = v - f64_get(k, at)
        found = f64_get(k, at + powers)
        for power in range(powers - 1, 0, -1):
            found = found * offset + f64_get(k, at + power)
        f64_put(y, i, found if v == v else v)


@native
def key_of_number(keys: int, a: int, sorted_: int, count: int, table: int, rows: int) -> None:
    """The place of each number among sorted ones, after the keys for a missing and for an unknown one.

    The table has the key of each whole number from the first to the last, where all are whole and near enough.
    """
    n, x, k, t = i32_at(keys), f64_at(a), f64_at(sorted_), i32_at(table)
    if table != 0:
        first, last = f64_get(k, 0), f64_get(k, count - 1)
        for i in range(rows):
            v = f64_get(x, i)
            inside = v >= first and v <= last
            place = types.int32(v - first if inside else 0.0)
            found = types.int64(i32_get(t, types.int64(place)))
            key = found if inside and float(place) + first == v else 1
            i32_put(n, i, types.int32(0 if v != v else key))
        return
    for i in range(rows):
        v = f64_get(x, i)
        low, high = 0, count
        while low < high:
            middle = (low + high) >> 1
            if f64_get(k, middle) < v:
                low = middle + 1
            else:
                high = middle
        key = 1
        if low < count and f64_get(k, low) == v:
            key = low + 2
        i32_put(n, i, types.int32(0 if v != v else key))
