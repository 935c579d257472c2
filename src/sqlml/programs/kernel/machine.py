"""The machine: runs an image over rows, a tile at a time. Only imported where it is compiled."""

from __future__ import annotations

import numpy as np
from numba.core import types

from sqlml.programs.kernel import forest, functions, ranks, screening
from sqlml.programs.kernel import layout as l_
from sqlml.programs.kernel.columns import is_valid, load, mark_missing
from sqlml.programs.kernel.layout import Kind, What
from sqlml.programs.kernel.memory import F32, F64, I32, I64, U8, U32, add_shared, native

malloc = types.ExternalFunction("malloc", types.int64(types.int64))
free = types.ExternalFunction("free", types.void(types.int64))

f64_at, f64_get, f64_put = F64
f32_at, f32_get, _ = F32
i64_at, i64_get, i64_put = I64
i32_at, i32_get, i32_put = I32
u8_at, u8_get, u8_put = U8
u32_at, u32_get, _ = U32

_FNV = 1099511628211


@native
def _hash_of(low: int, high: int) -> int:
    mixed = (low * 7046029254386353131) ^ (high * 1609587929392839161)
    return mixed ^ (mixed >> 29)


@native
def _same_text(text: int, other: int, length: int) -> bool:
    a, b = u8_at(text), u8_at(other)
    for i in range(length):
        if u8_get(a, i) != u8_get(b, i):
            return False
    return True


@native
def _find(dictionary: int, value: int) -> int:
    """The key of a DuckDB text of 16 bytes: its length and first bytes, then the rest or where they lie."""
    d, v = i64_at(dictionary), i64_at(value)
    mask = i64_get(d, 0)
    low, high = i64_get(v, 0), i64_get(v, 1)
    length = types.int64(u32_get(u32_at(value), 0))
    spread = high
    if length > l_.INLINED:
        spread = 0
        text = u8_at(high)
        for i in range(length):
            spread = (spread ^ types.int64(u8_get(text, i))) * _FNV
    slot = _hash_of(low, spread) & mask
    while True:
        at = 1 + slot * l_.SLOT_FIELDS
        key = i64_get(d, at + l_.SLOT_KEY)
        if key == 0:
            return l_.UNKNOWN
        if i64_get(d, at + l_.SLOT_LOW) == low:
            held = i64_get(d, at + l_.SLOT_HIGH)
            if held == high or (length > l_.INLINED and _same_text(held, high, length)):
                return key
        slot = (slot + 1) & mask


@native
def _keys(column: int, dictionary: int, start: int, to: int, rows: int) -> None:
    c, k = i64_at(column), i32_at(to)
    source, validity = i64_get(c, l_.COLUMN_DATA), i64_get(c, l_.COLUMN_VALIDITY)
    if i64_get(c, l_.COLUMN_KIND) == Kind.KEY:
        given = i32_at(source)
        for i in range(rows):
            i32_put(k, i, i32_get(given, start + i))
        return
    for i in range(rows):
        if validity != 0 and not is_valid(validity, start + i):
            i32_put(k, i, types.int32(l_.MISSING))
        else:
            i32_put(k, i, types.int32(_find(dictionary, source + 16 * (start + i))))


@native
def _median(to: int, registers: int, places: int, count: int, weights: int, rows: int) -> None:
    """The weighted median: by counting, for each value, the weight at or below it in the order of value and place."""
    r, p, w, y = i64_at(registers), i64_at(places), f64_at(weights), f64_at(to)
    for i in range(rows):
        whole, found, found_weight = 0.0, np.nan, np.inf
        for a in range(count):
            whole += f64_get(w, a)
        for a in range(count):
            x = f64_get(f64_at(i64_get(r, i64_get(p, a))), i)
            below = 0.0
            for b in range(count):
                v = f64_get(f64_at(i64_get(r, i64_get(p, b))), i)
                if v < x or (v == x and b <= a):
                    below += f64_get(w, b)
            if below >= 0.5 * whole and below < found_weight:
                found, found_weight = x, below
        f64_put(y, i, found)


@native
def _settle(a: int, inputs: int, count: int, columns: int, start: int, null: int, refused: int, rows: int) -> None:
    """Rows whose sum is not finite: NULL where an argument that must be there is missing, else refused."""
    x, spec, marks, refusals = f64_at(a), i64_at(inputs), u8_at(null), u8_at(refused)
    for i in range(rows):
        v = f64_get(x, i)
        if abs(v) <= 1.7976931348623157e308:
            continue
        missing = False
        for column in range(count):
            if i64_get(spec, column * l_.INPUT_FIELDS + l_.INPUT_REQUIRED) != 0:
                c = i64_at(columns + 8 * column * l_.COLUMN_FIELDS)
                source, validity = i64_get(c, l_.COLUMN_DATA), i64_get(c, l_.COLUMN_VALIDITY)
                if validity != 0 and not is_valid(validity, start + i):
                    missing = True
                elif i64_get(c, l_.COLUMN_KIND) == Kind.F64:
                    value = f64_get(f64_at(source), start + i)
                    missing = missing or value != value
                elif i64_get(c, l_.COLUMN_KIND) == Kind.F32:
                    value = float(f32_get(f32_at(source), start + i))
                    missing = missing or value != value
        if missing:
            u8_put(marks, i, types.uint8(1))
        else:
            u8_put(refusals, i, types.uint8(1))


@native
def _write(outputs: int, image: int, registers: int, null: int, start: int, rows: int) -> None:
    """A tile's results, where they were asked for."""
    o, h, r, marks = i64_at(outputs), i64_at(image), i64_at(registers), u8_at(null)
    heads, wanted = i64_at(i64_get(h, l_.OUTPUTS)), i64_get(h, l_.OUTPUT_COUNT)
    for ask in range(wanted):
        what = i64_get(o, ask * l_.OUT_FIELDS + l_.OUT_WHAT)
        data = i64_get(o, ask * l_.OUT_FIELDS + l_.OUT_DATA)
        validity = u8_at(i64_get(o, ask * l_.OUT_FIELDS + l_.OUT_VALIDITY))
        for head in range(wanted):
            if i64_get(heads, head * l_.HEAD_FIELDS + l_.HEAD_WHAT) != what:
                continue
            count = i64_get(heads, head * l_.HEAD_FIELDS + l_.HEAD_COUNT)
            places = i64_at(i64_get(heads, head * l_.HEAD_FIELDS + l_.HEAD_LIST))
            for column in range(count):
                x = f64_at(i64_get(r, i64_get(places, column)))
                if what == What.LABEL:
                    labels = i32_at(data)
                    for i in range(rows):
                        v = f64_get(x, i)
                        i32_put(labels, start + i, types.int32(0 if v != v else types.int64(v)))
                else:
                    values = f64_at(data)
                    for i in range(rows):
                        f64_put(values, (start + i) * count + column, f64_get(x, i))
        for i in range(rows):
            if u8_get(marks, i) != 0:
                at = (start + i) >> 3
                u8_put(validity, at, types.uint8(u8_get(validity, at) & ~(1 << ((start + i) & 7))))


@native
def _step(
    op: int,
    c: int,
    pc: int,
    image: int,
    columns: int,
    start: int,
    registers: int,
    keys: int,
    planes: int,
    tile: int,
    rows: int,
) -> int:
    """The instructions that make key registers, planes and trees; gives how many places they take."""
    h, code, r = i64_at(image), i64_at(c), i64_at(registers)
    constants = i64_get(h, l_.CONSTANTS)
    a, b = i64_get(code, pc + 1), i64_get(code, pc + 2)
    if op == l_.KEY_OF_TEXT:
        _keys(columns + 8 * b * l_.COLUMN_FIELDS, i64_get(code, pc + 3), start, keys + 4 * a * tile, rows)
        return 4
    if op == l_.KEY_OF_NUMBER:
        k, count, table = constants + 8 * i64_get(code, pc + 3), i64_get(code, pc + 4), i64_get(code, pc + 5)
        functions.key_of_number(keys + 4 * a * tile, i64_get(r, b), k, count, table, rows)
        return 6
    if op == l_.PLANE_OF_KEY:
        ranks.plane_of_key(planes + a * tile, keys + 4 * b * tile, i64_get(code, pc + 3), i64_get(code, pc + 4), rows)
        return 5
    if op == l_.RANK_SET:
        ranks.rank_set(keys + 4 * a * tile, i64_get(r, b), i64_get(code, pc + 3), rows)
        return 4
    if op == l_.RANK:
        # The first key register is for the ranks while they are sought.
        ranks.rank(c + 8 * (pc + 2), i64_get(r, a), constants, planes, tile, keys, rows)
        return 2 + l_.RANK_FIELDS
    if op == l_.SPREAD:
        screening.spread(i64_get(r, a), i64_get(r, b), planes + i64_get(code, pc + 3) * tile, rows)
        return 4
    if op == l_.SCREEN:
        found = screening.screen(a, i64_get(r, b), planes, keys, tile, rows)
        _count(image, planes, tile, (found >> 32) * rows)
        open_ = found & 0xFFFFFFFF
        few = i64_get(code, pc + 9) != 0 and open_ <= i64_get(code, pc + 3)
        if open_ > 0 and few:
            _add_up(c + 8 * (pc + 9), image, registers, keys, planes, tile, open_)
        elif open_ > 0:
            # Whole vectors: where few rows are left open, their ends would take most of the time.
            whole = min((open_ + l_.TOGETHER - 1) & ~(l_.TOGETHER - 1), tile)
            _add_up(c + 8 * (pc + 4), image, registers, keys, planes, tile, whole)
        return 14
    _add_up(c + 8 * pc, image, registers, keys, planes, tile, rows)
    return 5


@native
def _count(header: int, planes: int, tile: int, trees: int) -> None:
    """Behind the planes and the two marks of a row a run's trees are counted."""
    counter = i64_at(planes + (i64_get(i64_at(header), l_.BYTES) + 2) * tile)
    i64_put(counter, 0, i64_get(counter, 0) + trees)


@native
def _add_up(instruction: int, header: int, registers: int, keys: int, planes: int, tile: int, rows: int) -> None:
    """The sums of an ensemble."""
    code = i64_at(instruction)
    trees, count, narrow, last = i64_get(code, 1), i64_get(code, 2), i64_get(code, 3), i64_get(code, 4)
    _count(header, planes, tile, count * rows)
    if i64_get(code, 0) == l_.TREES:
        forest.trees(trees, count, narrow, registers, planes + last * tile, planes, keys, tile, rows)
    else:
        forest.walk(trees, count, narrow, last, registers, planes, tile, keys, rows)


@native
def _tile(
    image: int,
    columns: int,
    start: int,
    registers: int,
    keys: int,
    planes: int,
    null: int,
    refused: int,
    tile: int,
    rows: int,
) -> None:
    """All instructions over one tile."""
    h, r = i64_at(image), i64_at(registers)
    c, end = i64_get(h, l_.CODE), i64_get(h, l_.CODE_LENGTH)
    code, constants = i64_at(c), i64_get(h, l_.CONSTANTS)
    k, inputs = f64_at(constants), i64_get(h, l_.INPUTS)
    count = i64_get(h, l_.INPUT_COUNT)
    own = (registers + 8 * i64_get(h, l_.REGISTERS) + 63) & ~63
    pc = 0
    while pc < end:
        op, a, b = i64_get(code, pc), i64_get(code, pc + 1), i64_get(code, pc + 2)
        if op == l_.LOAD:
            target = i64_get(i64_at(inputs), b * l_.INPUT_FIELDS + l_.INPUT_TARGET)
            column = columns + 8 * b * l_.COLUMN_FIELDS
            i64_put(r, a, load(column, target, start, own + 8 * a * tile, rows, refused))
            pc += 3
        elif op == l_.WEIGH:
            x, y = i64_get(r, b), i64_get(r, i64_get(code, pc + 3))
            z, w = i64_get(r, i64_get(code, pc + 4)), i64_get(r, i64_get(code, pc + 5))
            functions.weigh(i64_get(r, a), x, y, z, w, constants + 8 * i64_get(code, pc + 6), rows)
            pc += 7
        elif op == l_.WEIGH_ONE:
            functions.weigh_one(i64_get(r, a), i64_get(r, b), constants + 8 * i64_get(code, pc + 3), rows)
            pc += 4
        elif op == l_.REQUIRE:
            mark_missing(i64_get(r, a), rows, null)
            pc += 2
        elif op == l_.REQUIRE_KEY:
            _mark_missing_keys(keys + 4 * a * tile, null, rows)
            pc += 2
        elif op == l_.CONSTANT:
            functions.constant(i64_get(r, a), f64_get(k, b), rows)
            pc += 3
        elif op == l_.COPY:
            functions.copy(i64_get(r, a), i64_get(r, b), rows)
            pc += 3
        elif op == l_.ARITHMETIC:
            to, x = i64_get(r, b), i64_get(r, i64_get(code, pc + 3))
            functions.arithmetic(a, to, x, f64_get(k, i64_get(code, pc + 4)), rows)
            pc += 5
        elif op == l_.APPLY:
            functions.apply(a, i64_get(r, b), i64_get(r, i64_get(code, pc + 3)), rows)
            pc += 4
        elif op == l_.PAIR:
            x, y = i64_get(r, i64_get(code, pc + 3)), i64_get(r, i64_get(code, pc + 4))
            functions.pair(a, i64_get(r, b), x, y, rows)
            pc += 5
        elif op == l_.SQUARED:
            functions.squared(i64_get(r, a), i64_get(r, b), f64_get(k, i64_get(code, pc + 3)), rows)
            pc += 4
        elif op == l_.BETTER:
            x, value = i64_get(r, i64_get(code, pc + 3)), f64_get(k, i64_get(code, pc + 4))
            functions.better(i64_get(r, a), i64_get(r, b), x, value, rows)
            pc += 5
        elif op == l_.REFUSE_KEY:
            functions.refuse_key(keys + 4 * a * tile, b, refused, rows)
            pc += 3
        elif op == l_.LOOK_UP:
            functions.look_up(i64_get(r, a), keys + 4 * b * tile, constants + 8 * i64_get(code, pc + 3), rows)
            pc += 4
        elif op == l_.ADD_UP:
            functions.add_up(i64_get(r, a), keys + 4 * b * tile, constants + 8 * i64_get(code, pc + 3), rows)
            pc += 4
        elif op == l_.REPLACE:
            old, new = f64_get(k, i64_get(code, pc + 3)), f64_get(k, i64_get(code, pc + 4))
            functions.replace(i64_get(r, a), i64_get(r, b), old, new, rows)
            pc += 5
        elif op == l_.GUARD:
            functions.guard(i64_get(r, a), f64_get(k, b), i64_get(code, pc + 3), refused, rows)
            pc += 4
        elif op == l_.SETTLE:
            _settle(i64_get(r, a), inputs, count, columns, start, null, refused, rows)
            pc += 2
        elif op == l_.PIECE:
            edges, powers = i64_get(code, pc + 3), i64_get(code, pc + 5)
            at, from_left = constants + 8 * i64_get(code, pc + 4), i64_get(code, pc + 6)
            functions.piece(i64_get(r, a), i64_get(r, b), at, edges, powers, from_left, rows)
            pc += 7
        elif op == l_.MEDIAN:
            weights = constants + 8 * i64_get(code, pc + 4)
            _median(i64_get(r, a), registers, i64_get(code, pc + 3), b, weights, rows)
            pc += 5
        else:
            pc += _step(op, c, pc, image, columns, start, registers, keys, planes, tile, rows)


@native
def _mark_missing_keys(keys: int, null: int, rows: int) -> None:
    held, marks = i32_at(keys), u8_at(null)
    for i in range(rows):
        u8_put(marks, i, types.uint8(u8_get(marks, i) | (1 if types.int64(i32_get(held, i)) == l_.MISSING else 0)))


@native
def _clear(bytes_: int, rows: int) -> None:
    held = u8_at(bytes_)
    for i in range(rows):
        u8_put(held, i, types.uint8(0))


@native
def run(image: int, rows: int, columns: int, outputs: int) -> int:
    """Answer rows.

    Args:
        image: the program's, by address.
        rows: how many.
        columns: what is handed in, by address: COLUMN_FIELDS numbers for each input.
        outputs: where they go, by address: OUT_FIELDS numbers for each of the image's outputs, in any order.

    Returns:
        How many rows were refused; where it is not 0, no result is to be used. -1 without memory.
    """
    h = i64_at(image)
    # Of few rows a tile is as large as they need: memory that is new to the process is what costs most then.
    tile = min(i64_get(h, l_.TILE), (max(rows, 1) + l_.TOGETHER - 1) & ~(l_.TOGETHER - 1))
    registers = i64_get(h, l_.REGISTERS)
    keys, bytes_ = i64_get(h, l_.KEYS), i64_get(h, l_.BYTES)
    size = 8 * registers + (8 * registers + 4 * keys + bytes_ + 2) * tile + 8
    scratch = malloc(size + 128)
    if scratch == 0:
        return -1
    at = (scratch + 63) & ~63
    # Vectors that lie across two lines of the cache take twice as long.
    r, own = i64_at(at), (at + 8 * registers + 63) & ~63
    for i in range(registers):
        i64_put(r, i, own + 8 * i * tile)
    key_registers = own + 8 * registers * tile
    planes = key_registers + 4 * keys * tile
    null = planes + bytes_ * tile
    refused = null + tile
    steps = i64_at(refused + tile)
    i64_put(steps, 0, 0)
    refusals, nulls = u8_at(refused), u8_at(null)
    total, strict = 0, i64_get(h, l_.STRICT)
    for start in range(0, rows, tile):
        here = min(tile, rows - start)
        _clear(null, here)
        _clear(refused, here)
        for i in range(registers):
            i64_put(r, i, own + 8 * i * tile)
        _tile(image, columns, start, at, key_registers, planes, null, refused, tile, here)
        for i in range(here):
            if u8_get(nulls, i) != 0:
                total += strict
            elif u8_get(refusals, i) != 0:
                total += 1
        _write(outputs, image, at, null, start, here)
    add_shared(image + 8 * l_.ROWS, rows)
    add_shared(image + 8 * l_.STEPS, i64_get(steps, 0))
    free(scratch)
    return total
