"""The machine's screens: which rows' sums are certainly on one side of a bound. Only imported where it is compiled."""

from __future__ import annotations

from numba.core import types

from sqlml.programs.kernel import layout as l_
from sqlml.programs.kernel.memory import (
    F64,
    I32,
    I64,
    U8,
    U16,
    add_bytes,
    native,
    pick_bytes,
    tell_pairs,
)

f64_at, f64_get, f64_put = F64
i64_at, i64_get, i64_put = I64
i32_at, i32_get, i32_put = I32
u8_at, u8_get, u8_put = U8
u16_at, u16_get, u16_put = U16

_OPEN, _BELOW, _ABOVE = range(3)
_MOST_WAIT = 64


@native
def _source(held: int, planes: int, tile: int, splats: int) -> int:
    return planes + held * tile if held >= 0 else splats + l_.TOGETHER * ~held


@native
def _pick(op: int, planes: int, tile: int, splats: int, rows: int) -> None:
    """Of three sources the one that two tests say, for TOGETHER rows at a time."""
    o = i64_at(op)
    to = planes + i64_get(o, 1) * tile
    a, b = planes + i64_get(o, 2) * tile, planes + i64_get(o, 5) * tile
    x, y, z = i64_get(o, 8), i64_get(o, 9), i64_get(o, 10)
    dx, dy, dz = 1 if x >= 0 else 0, 1 if y >= 0 else 0, 1 if z >= 0 else 0
    x, y, z = _source(x, planes, tile, splats), _source(y, planes, tile, splats), _source(z, planes, tile, splats)
    low, span = types.uint8(i64_get(o, 3)), types.uint8(i64_get(o, 4))
    low_too, span_too = types.uint8(i64_get(o, 6)), types.uint8(i64_get(o, 7))
    for i in range(0, rows, l_.TOGETHER):
        pick_bytes(to + i, a + i, low, span, b + i, low_too, span_too, x + i * dx, y + i * dy, z + i * dz)


@native
def _steps(
    ops: int, first: int, end: int, sums: int, planes: int, keys: int, tile: int, splats: int, rows: int
) -> None:
    for at in range(first, end):
        op = ops + 8 * l_.SCREEN_STEP * at
        o = i64_at(op)
        kind, to = i64_get(o, 0), planes + i64_get(o, 1) * tile
        if kind == l_.SCREEN_PICK:
            _pick(op, planes, tile, splats, rows)
        elif kind == l_.SCREEN_ADD:
            held = i64_get(o, 8)
            source, move = _source(held, planes, tile, splats), 1 if held >= 0 else 0
            for i in range(0, rows, l_.TOGETHER):
                add_bytes(sums + 2 * i, source + i * move)
        elif kind == l_.SCREEN_PAIRS:
            a = planes + i64_get(o, 2) * tile
            low, span = types.uint16(i64_get(o, 3)), types.uint16(i64_get(o, 4))
            for i in range(0, rows, l_.TOGETHER):
                tell_pairs(to + i, a + 2 * i, low, span)
        else:
            k, t, p = i32_at(keys + 4 * i64_get(o, 2) * tile), u8_at(i64_get(o, 3)), u8_at(to)
            for i in range(rows):
                u8_put(p, i, u8_get(t, types.int64(i32_get(k, i))))


@native
def _check(sums: int, bound: int, decided: int, constants: int, check: int, rows: int) -> int:
    """Decide what is certain; gives how many rows are still open."""
    s, b, d, c = u16_at(sums), f64_at(bound), u8_at(decided), f64_at(constants)
    step, divisor, slack, relative = f64_get(c, 0), f64_get(c, 1), f64_get(c, 2), f64_get(c, 3)
    most, least = f64_get(c, 4 + 2 * check), f64_get(c, 5 + 2 * check)
    for i in range(rows):
        limit = f64_get(b, i)
        size = abs(limit) if abs(limit) > 1.0 else 1.0
        limit, near = limit * divisor, slack + relative * size * divisor
        found = step * types.float64(types.int32(u16_get(s, i)))
        below = types.uint8(1 if found + most < limit - near else 0)
        above = types.uint8(2 if found + least > limit + near else 0)
        u8_put(d, i, types.uint8(u8_get(d, i) | below | above))
    open_ = 0
    for i in range(rows):
        open_ += 1 if u8_get(d, i) == _OPEN else 0
    return open_


@native
def _compact(spec: int, open_: int, planes: int, keys: int, tile: int, rows: int) -> None:
    """The open rows' ranks and keys to the front. Planes are this ensemble's alone; keys are copied."""
    s = i64_at(spec)
    d, r = u8_at(planes + i64_get(s, l_.SCREEN_DECIDED) * tile), i32_at(keys + 4 * i64_get(s, l_.SCREEN_ROWS) * tile)
    at = 0
    for i in range(rows):
        i32_put(r, at, types.int32(i))
        at += 1 if u8_get(d, i) == _OPEN else 0
    p = i64_at(i64_get(s, l_.SCREEN_PLANES))
    if open_ < rows:
        for j in range(i64_get(s, l_.SCREEN_PLANE_COUNT)):
            plane = planes + i64_get(p, 2 * j) * tile
            if i64_get(p, 2 * j + 1) != 0:
                pairs = u16_at(plane)
                for i in range(open_):
                    u16_put(pairs, i, u16_get(pairs, types.int64(i32_get(r, i))))
            else:
                bytes_ = u8_at(plane)
                for i in range(open_):
                    u8_put(bytes_, i, u8_get(bytes_, types.int64(i32_get(r, i))))
    k = i64_at(i64_get(s, l_.SCREEN_KEYS_COPIED))
    for j in range(i64_get(s, l_.SCREEN_KEY_COUNT)):
        source, to = i32_at(keys + 4 * i64_get(k, 2 * j) * tile), i32_at(keys + 4 * i64_get(k, 2 * j + 1) * tile)
        for i in range(open_):
            i32_put(to, i, i32_get(source, types.int64(i32_get(r, i))))
        # Behind them rows are gone through that nobody asks for.
        for i in range(open_, min((open_ + l_.TOGETHER - 1) & ~(l_.TOGETHER - 1), tile)):
            i32_put(to, i, types.int32(l_.MISSING))


@native
def _waits(spec: int) -> int:
    """Whether this tile is not screened: where that decided little, it is tried less and less often.

    Threads share the two numbers, and write them as they like: at worst a tile more is screened.
    """
    s = i64_at(spec)
    left: int = i64_get(s, l_.SCREEN_SKIP)
    if left > 0:
        i64_put(s, l_.SCREEN_SKIP, left - 1)
    return left


@native
def _learn(spec: int, open_: int, rows: int) -> None:
    s = i64_at(spec)
    wait = i64_get(s, l_.SCREEN_WAIT)
    if 8 * open_ > 7 * rows:
        wait = min(2 * wait + 1, _MOST_WAIT)
        i64_put(s, l_.SCREEN_WAIT, wait)
        i64_put(s, l_.SCREEN_SKIP, wait)
    elif wait != 0:
        i64_put(s, l_.SCREEN_WAIT, 0)


@native
def screen(spec: int, bound: int, planes: int, keys: int, tile: int, rows: int) -> int:
    """Decide rows, and put the others' planes to the front; gives how many these are, and the trees done above them.

    The second is in the upper half of the number.
    """
    s = i64_at(spec)
    decided, sums = planes + i64_get(s, l_.SCREEN_DECIDED) * tile, planes + i64_get(s, l_.SCREEN_SUMS) * tile
    d, added = u8_at(decided), u16_at(sums)
    for i in range(rows):
        u8_put(d, i, types.uint8(_OPEN))
    if _waits(spec) > 0:
        _compact(spec, rows, planes, keys, tile, rows)
        return rows
    for i in range(rows):
        u16_put(added, i, types.uint16(0))
    ops, blocks, splats = i64_get(s, l_.SCREEN_OPS), i64_at(i64_get(s, l_.SCREEN_BLOCKS)), i64_get(s, l_.SCREEN_SPLATS)
    constants = i64_get(s, l_.SCREEN_CONSTANTS)
    open_, first, trees = rows, 0, 0
    for block in range(i64_get(s, l_.SCREEN_BLOCK_COUNT)):
        end, trees = i64_get(blocks, 2 * block), i64_get(blocks, 2 * block + 1)
        _steps(ops, first, end, sums, planes, keys, tile, splats, rows)
        open_, first = _check(sums, bound, decided, constants, block, rows), end
        if open_ == 0:
            break
    _learn(spec, open_, rows)
    if 4 * open_ > 3 * rows:
        # To gather nearly all rows costs more than to add up the others too.
        for i in range(rows):
            u8_put(d, i, types.uint8(_OPEN))
        open_ = rows
    _compact(spec, open_, planes, keys, tile, rows)
    return open_ + (trees << 32)


@native
def spread(to: int, a: int, decided: int, rows: int) -> None:
    """The sums of open rows, which stand at the front, to their places, and infinities to the others'."""
    y, x, d = f64_at(to), f64_at(a), u8_at(decided)
    at = 0
    for i in range(rows):
        found = types.int64(u8_get(d, i))
        value = f64_get(x, at)
        f64_put(y, i, value if found == _OPEN else (-1e999 if found == _BELOW else 1e999))
        at += 1 if found == _OPEN else 0
