"""The machine's trees. Only imported where the machine is compiled.

A row's columns become ranks first: how many of the model's thresholds lie below the value, one byte where there are
at most 255 of them. `x <= threshold` is then a comparison of small whole numbers, exactly. One-hot columns of a key
become codes, to be equal to.

Small trees are done as QuickScorer does them (Lucchese et al., SIGIR 2015), turned over: every leaf is a bit, eight to
a plane of bytes; a node that sends a row right takes away the bits of the leaves to its left; the lowest bit that is
left is the row's leaf. All of it is byte arithmetic over the rows of a tile. Large trees are walked, level by level.
"""

from __future__ import annotations

import numpy as np
from numba.core import types

from sqlml.programs.kernel import layout as l_
from sqlml.programs.kernel.memory import F64, I32, I64, U8, U16, lowest_bit, mask_bytes, mask_pairs, native, pick

f64_at, f64_get, f64_put = F64
i64_at, i64_get, i64_put = I64
i32_at, i32_get, i32_put = I32
u8_at, u8_get, u8_put = U8
u16_at, u16_get, u16_put = U16


@native
def _mask_set(bits: int, keys: int, table: int, rows: int) -> None:
    b, k, t = u8_at(bits), i32_at(keys), u8_at(table)
    for i in range(rows):
        u8_put(b, i, types.uint8(u8_get(b, i) & u8_get(t, types.int64(i32_get(k, i)))))


@native
def _masks(ops: int, count: int, bits: int, planes: int, keys: int, tile: int, rows: int) -> None:
    """Take away the leaves that rows can't come to: in `byte` all but `keep`, where rank - low is at most span.

    An op is (kind, plane or keys, low or table, span, byte, keep).
    """
    held = i64_at(ops)
    for i in range(count):
        kind, source, low = i64_get(held, 6 * i), i64_get(held, 6 * i + 1), i64_get(held, 6 * i + 2)
        span, byte, keep = i64_get(held, 6 * i + 3), i64_get(held, 6 * i + 4), i64_get(held, 6 * i + 5)
        to = bits + byte * tile
        if kind == l_.BY_BYTE:
            b, r = u8_at(to), u8_at(planes + source * tile)
            for j in range(rows):
                mask_bytes(b, r, j, types.uint8(low), types.uint8(span), types.uint8(keep))
        elif kind == l_.BY_PAIR:
            b, w = u8_at(to), u16_at(planes + source * tile)
            for j in range(rows):
                mask_pairs(b, w, j, types.uint16(low), types.uint16(span), types.uint8(keep))
        else:
            _mask_set(to, keys + 4 * source * tile, low, rows)


@native
def _add_leaves(to: int, leaves: int, stride: int, chosen: int, which: int, narrow: int, rows: int) -> None:
    """Add each row's leaf; a sum in float32 is rounded to it after every tree."""
    y, t, c, w = f64_at(to), f64_at(leaves), u8_at(chosen), u8_at(which)
    for i in range(rows):
        leaf = (types.int64(u8_get(w, i)) << 3) + lowest_bit(u8_get(c, i))
        total = f64_get(y, i) + f64_get(t, leaf * stride)
        if narrow != 0:
            total = float(np.float32(total))
        f64_put(y, i, total)


@native
def trees(
    descriptor: int, count: int, narrow: int, registers: int, bits: int, planes: int, keys: int, tile: int, rows: int
) -> None:
    """Add up trees. Each is (ops, how many, bytes of leaves, leaves, values a leaf, registers, how many of them)."""
    d, r = i64_at(descriptor), i64_at(registers)
    for tree in range(count):
        ops, number, bytes_ = i64_get(d, 7 * tree), i64_get(d, 7 * tree + 1), i64_get(d, 7 * tree + 2)
        leaves, stride = i64_get(d, 7 * tree + 3), i64_get(d, 7 * tree + 4)
        outputs, many = i64_at(i64_get(d, 7 * tree + 5)), i64_get(d, 7 * tree + 6)
        for b in range(bytes_):
            held = u8_at(bits + b * tile)
            for i in range(rows):
                u8_put(held, i, types.uint8(255))
        _masks(ops, number, bits, planes, keys, tile, rows)
        chosen, which = bits + bytes_ * tile, bits + (bytes_ + 1) * tile
        none = u8_at(which)
        for i in range(rows):
            u8_put(none, i, types.uint8(0))
        if bytes_ == 1:
            chosen = bits
        else:
            c, w = u8_at(chosen), u8_at(which)
            for b in range(bytes_ - 1, -1, -1):
                held = u8_at(bits + b * tile)
                for i in range(rows):
                    pick(c, w, held, i, types.uint8(b))
        for output in range(many):
            to = i64_get(r, i64_get(outputs, output))
            _add_leaves(to, leaves + 8 * output, stride, chosen, which, narrow, rows)


@native
def _steps_narrow(nodes: int, depth: int, planes: int, tile: int, at: int, rows: int) -> None:
    n, p, here = i64_at(nodes), u8_at(planes), i32_at(at)
    for _ in range(depth):
        for i in range(rows):
            node = i64_get(n, types.int64(i32_get(here, i)))
            value = types.int64(u8_get(p, (node & 0x7FFF) * tile + i))
            low, equal = (node >> 16) & 0xFFFF, (node >> 15) & 1
            right = 1 if ((value - low) & 0xFFFF) <= ((0xFFFF - low) & (equal - 1)) else 0
            i32_put(here, i, types.int32((node >> 32) + right))


@native
def _steps_wide(nodes: int, depth: int, planes: int, tile: int, at: int, rows: int) -> None:
    n, p, here = i64_at(nodes), u16_at(planes), i32_at(at)
    for _ in range(depth):
        for i in range(rows):
            node = i64_get(n, types.int64(i32_get(here, i)))
            value = types.int64(u16_get(p, (node & 0x7FFF) * tile + i))
            low, equal = (node >> 16) & 0xFFFF, (node >> 15) & 1
            right = 1 if ((value - low) & 0xFFFF) <= ((0xFFFF - low) & (equal - 1)) else 0
            i32_put(here, i, types.int32((node >> 32) + right))


@native
def walk(
    descriptor: int, count: int, narrow: int, wide: int, registers: int, planes: int, tile: int, at: int, rows: int
) -> None:
    """Add up trees by walking them. Each is (nodes, depth, leaves by node, values a leaf, register list, how many).

    A node is 64 bits: plane, whether equality sends a row right, the value to be equal to or the lowest that goes
    right, and the left child's place, beside which the right one stands. A leaf is its own left child with a value
    that nothing is equal to.
    """
    d, r, here = i64_at(descriptor), i64_at(registers), i32_at(at)
    for tree in range(count):
        nodes, depth = i64_get(d, 6 * tree), i64_get(d, 6 * tree + 1)
        leaves, stride = f64_at(i64_get(d, 6 * tree + 2)), i64_get(d, 6 * tree + 3)
        outputs, many = i64_at(i64_get(d, 6 * tree + 4)), i64_get(d, 6 * tree + 5)
        for i in range(rows):
            i32_put(here, i, types.int32(0))
        if wide != 0:
            _steps_wide(nodes, depth, planes, tile, at, rows)
        else:
            _steps_narrow(nodes, depth, planes, tile, at, rows)
        for output in range(many):
            y = f64_at(i64_get(r, i64_get(outputs, output)))
            for i in range(rows):
                total = f64_get(y, i) + f64_get(leaves, types.int64(i32_get(here, i)) * stride + output)
                if narrow != 0:
                    total = float(np.float32(total))
                f64_put(y, i, total)
