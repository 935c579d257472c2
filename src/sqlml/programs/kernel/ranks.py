"""Numbers become ranks: how many of the thresholds lie below each. Only imported where the machine is compiled."""

from __future__ import annotations

from numba.core import types

from sqlml.programs.kernel import layout as l_
from sqlml.programs.kernel.memory import F64, I32, I64, U8, U16, count_below, native

f64_at, f64_get, f64_put = F64
i64_at, i64_get, i64_put = I64
i32_at, i32_get, i32_put = I32
u8_at, u8_get, u8_put = U8
u16_at, u16_get, u16_put = U16


@native
def _search(a: int, thresholds: int, steps: int, places: int, rows: int) -> None:
    """Go on from the ranks that are there: so many halvings, with infinities behind the last threshold."""
    x, t, p = f64_at(a), f64_at(thresholds), i32_at(places)
    for step in range(steps - 1, -1, -1):
        # Without a branch: every row takes the same steps, so that they are taken several at a time.
        half = 1 << step
        for i in range(rows):
            at = types.int64(i32_get(p, i))
            moved = half if f64_get(t, at + half - 1) < f64_get(x, i) else 0
            i32_put(p, i, types.int32(at + moved))


@native
def _begin(a: int, bounds: int, cells: int, half: int, places: int, rows: int) -> None:
    """The rank at which each number's cell begins, a missing one's as the lowest's, and the first halving."""
    x, b, g, p = f64_at(a), f64_at(bounds), u16_at(cells), i32_at(places)
    low, high, scale = f64_get(b, 0), f64_get(b, 1), f64_get(b, 2)
    for i in range(rows):
        v = f64_get(x, i)
        v = v if v > low else low
        v = v if v < high else high
        i32_put(p, i, types.int32((v - low) * scale))
    t = f64_at(bounds + 24)
    for i in range(rows):
        at = types.int64(u16_get(g, types.int64(i32_get(p, i))))
        moved = half if f64_get(t, at + half - 1) < f64_get(x, i) else 0
        i32_put(p, i, types.int32(at + moved))


@native
def _count(a: int, thresholds: int, count: int, places: int, rows: int) -> None:
    """Few thresholds: each compared."""
    x, t, p = f64_at(a), f64_at(thresholds), i32_at(places)
    whole = rows & ~(l_.ABREAST - 1)
    for i in range(0, whole, l_.ABREAST):
        count_below(x, i, t, count, p)
    for i in range(whole, rows):
        found = 0
        for j in range(count):
            found += 1 if f64_get(t, j) < f64_get(x, i) else 0
        i32_put(p, i, types.int32(found))


@native
def _put(plane: int, a: int, places: int, wide: int, missing: int, rows: int) -> None:
    x, p = f64_at(a), i32_at(places)
    if wide != 0:
        pairs = u16_at(plane)
        for i in range(rows):
            v = f64_get(x, i)
            u16_put(pairs, i, types.uint16(missing if v != v else types.int64(i32_get(p, i))))
    else:
        bytes_ = u8_at(plane)
        for i in range(rows):
            v = f64_get(x, i)
            u8_put(bytes_, i, types.uint8(missing if v != v else types.int64(i32_get(p, i))))


@native
def rank(spec: int, a: int, constants: int, planes: int, tile: int, places: int, rows: int) -> None:
    """Ranks of a tile into one plane or two, in which a missing value has the lowest rank and the highest."""
    s = i64_at(spec)
    low, high, k = i64_get(s, l_.RANK_LOW), i64_get(s, l_.RANK_HIGH), constants + 8 * i64_get(s, l_.RANK_CONSTANTS)
    count, wide, cells = i64_get(s, l_.RANK_COUNT), i64_get(s, l_.RANK_WIDE), i64_get(s, l_.RANK_CELLS)
    thresholds, steps = k + 24, i64_get(s, l_.RANK_STEPS)
    if count <= l_.FEW:
        _count(a, thresholds, count, places, rows)
    else:
        if cells != 0:
            steps -= 1
            _begin(a, k, cells, 1 << steps, places, rows)
        else:
            p = i32_at(places)
            for i in range(rows):
                i32_put(p, i, types.int32(0))
        _search(a, thresholds, steps, places, rows)
    if low >= 0:
        _put(planes + low * tile, a, places, wide, 0, rows)
    if high >= 0:
        _put(planes + high * tile, a, places, wide, count, rows)


@native
def rank_set(keys: int, a: int, count: int, rows: int) -> None:
    """Categories as places in a set's table: `count` for none of them, count + 1 for NaN."""
    k, x = i32_at(keys), f64_at(a)
    for i in range(rows):
        v = f64_get(x, i)
        # Cut to an integer, as the libraries do it: -0.5 is 0.
        inside = v > -1.0 and v < float(count)
        place = types.int64(v) if inside else (count + 1 if v != v else count)
        i32_put(k, i, types.int32(place))


@native
def plane_of_key(plane: int, keys: int, table: int, wide: int, rows: int) -> None:
    """The table's number for each key."""
    k = i32_at(keys)
    if wide != 0:
        pairs, long = u16_at(plane), u16_at(table)
        for i in range(rows):
            u16_put(pairs, i, u16_get(long, types.int64(i32_get(k, i))))
    else:
        bytes_, short = u8_at(plane), u8_at(table)
        for i in range(rows):
            u8_put(bytes_, i, u8_get(short, types.int64(i32_get(k, i))))
