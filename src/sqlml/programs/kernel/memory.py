"""Reading and writing memory by address in compiled code: numba's arrays would bring a runtime of their own along.

Only imported where the machine is compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir
from numba import njit
from numba.core import cgutils, types
from numba.extending import intrinsic

from sqlml.programs.kernel.layout import ABREAST, TOGETHER


def native(function: Any) -> Any:
    """Compiled into the machine: no exceptions, no GIL, no wrapper for Python.

    Nothing may allocate through numba, raise or need Python, so that the machine runs on any thread. Inner loops run
    over the rows of a tile, for LLVM to make vector code of them.
    """
    return njit(error_model="numpy", nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)


class Access(NamedTuple):
    """An address as a pointer, and its elements."""

    at: Any
    get: Any
    put: Any


def access(type_: Any) -> Access:
    """How elements of a numba type are reached: `get(at(address), i)`, `put(at(address), i, value)`."""
    pointer = types.CPointer(type_)

    @intrinsic  # type: ignore[untyped-decorator]
    def at(context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            return builder.inttoptr(given[0], context.get_value_type(pointer))

        return pointer(types.int64), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def get(context: Any, place: Any, i: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            loaded = builder.load(builder.gep(given[0], [given[1]]))
            loaded.align = 1
            return loaded

        return type_(pointer, types.int64), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def put(context: Any, place: Any, i: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            builder.store(given[2], builder.gep(given[0], [given[1]])).align = 1
            return context.get_dummy_value()

        return types.void(pointer, types.int64, type_), generate

    return Access(at, get, put)


F64, F32 = access(types.float64), access(types.float32)
I64, I32, I16, I8 = access(types.int64), access(types.int32), access(types.int16), access(types.int8)
U64, U32, U16, U8 = access(types.uint64), access(types.uint32), access(types.uint16), access(types.uint8)

_BYTES = types.CPointer(types.uint8)
_PAIRS = types.CPointer(types.uint16)


def _mask(ranks: Any) -> Any:
    """bits[i] &= keep where ranks[i] - low, modulo, is at most span; numba's own arithmetic would make it 64 bits."""

    @intrinsic  # type: ignore[untyped-decorator]
    def mask(context: Any, bits: Any, held: Any, i: Any, low: Any, span: Any, keep: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            bits, held, i, low, span, keep = given
            place = builder.gep(bits, [i])
            value = builder.sub(builder.load(builder.gep(held, [i])), low)
            inside = builder.icmp_unsigned("<=", value, span)
            kept = builder.select(inside, keep, ir.Constant(keep.type, 255))
            builder.store(builder.and_(builder.load(place), kept), place)
            return context.get_dummy_value()

        return types.void(_BYTES, ranks, types.int64, ranks.dtype, ranks.dtype, types.uint8), generate

    return mask


mask_bytes, mask_pairs = _mask(_BYTES), _mask(_PAIRS)


@intrinsic  # type: ignore[untyped-decorator]
def pick(context: Any, chosen: Any, which: Any, bits: Any, i: Any, number: Any) -> Any:
    """Where bits[i] is not 0: chosen[i] = bits[i], which[i] = number; on bytes throughout."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        chosen, which, bits, i, number = given
        value = builder.load(builder.gep(bits, [i]))
        some = builder.icmp_unsigned("!=", value, ir.Constant(value.type, 0))
        for place, new in ((chosen, value), (which, number)):
            here = builder.gep(place, [i])
            builder.store(builder.select(some, new, builder.load(here)), here)
        return context.get_dummy_value()

    return types.void(_BYTES, _BYTES, _BYTES, types.int64, types.uint8), generate


@intrinsic  # type: ignore[untyped-decorator]
def lowest_bit(context: Any, value: Any) -> Any:
    """The place of the lowest bit of a byte that is not 0."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        wide = builder.zext(given[0], ir.IntType(32))
        found = builder.cttz(wide, ir.Constant(ir.IntType(1), 1))
        return builder.zext(found, ir.IntType(64))

    return types.int64(types.uint8), generate


@intrinsic  # type: ignore[untyped-decorator]
def _count_below(context: Any, numbers: Any, i: Any, thresholds: Any, count: Any, places: Any) -> Any:
    """places[i:] = how many thresholds lie below each of ABREAST numbers, which stay in vector registers meanwhile."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        numbers, i, thresholds, count, places = given
        vector, sums = ir.VectorType(ir.DoubleType(), 8), ir.VectorType(ir.IntType(64), 8)
        parts = range(0, ABREAST, 8)
        loaded, totals = [], []
        for part in parts:
            at = builder.gep(numbers, [builder.add(i, ir.Constant(i.type, part))])
            loaded.append(builder.load(builder.bitcast(at, vector.as_pointer())))
            loaded[-1].align = 1
            totals.append(cgutils.alloca_once_value(builder, ir.Constant(sums, [0] * 8)))
        with cgutils.for_range(builder, count) as loop:
            edge = builder.load(builder.gep(thresholds, [loop.index]))
            one = builder.insert_element(ir.Constant(vector, ir.Undefined), edge, ir.Constant(ir.IntType(32), 0))
            same = builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(ir.IntType(32), 8), [0] * 8))
            for part, total in zip(loaded, totals, strict=True):
                below = builder.sext(builder.fcmp_ordered("<", same, part), sums)
                builder.store(builder.sub(builder.load(total), below), total)
        narrow = ir.VectorType(ir.IntType(32), 8)
        for part, total in zip(parts, totals, strict=True):
            at = builder.gep(places, [builder.add(i, ir.Constant(i.type, part))])
            found = builder.trunc(builder.load(total), narrow)
            builder.store(found, builder.bitcast(at, narrow.as_pointer())).align = 1
        return context.get_dummy_value()

    numbers_at = types.CPointer(types.float64)
    return types.void(numbers_at, types.int64, numbers_at, types.int64, types.CPointer(types.int32)), generate


def _vector(builder: Any, address: Any, width: int, count: int) -> Any:
    """The pointer to so many integers beside each other."""
    return builder.inttoptr(address, ir.VectorType(ir.IntType(width), count).as_pointer())


def _loaded(builder: Any, address: Any, width: int = 8) -> Any:
    found = builder.load(_vector(builder, address, width, TOGETHER))
    found.align = 1
    return found


def _everywhere(builder: Any, value: Any) -> Any:
    """A number at all places of a vector."""
    vector = ir.VectorType(value.type, TOGETHER)
    whole = ir.IntType(32)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(whole, 0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(whole, TOGETHER), [0] * TOGETHER))


def _inside(builder: Any, address: Any, low: Any, span: Any) -> Any:
    """Where value - low, modulo, is at most span."""
    moved = builder.sub(_loaded(builder, address, low.type.width), _everywhere(builder, low))
    return builder.icmp_unsigned("<=", moved, _everywhere(builder, span))


@intrinsic  # type: ignore[untyped-decorator]
def _pick_bytes(
    context: Any, to: Any, a: Any, low: Any, span: Any, b: Any, low_too: Any, span_too: Any, x: Any, y: Any, z: Any
) -> Any:
    """TOGETHER bytes: x's where a is inside, y's where b is, else z's; explicit vectors, for loops know no aliases."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        to, a, low, span, b, low_too, span_too, x, y, z = given
        first, second = _inside(builder, a, low, span), _inside(builder, b, low_too, span_too)
        x, y, z = (_loaded(builder, source) for source in (x, y, z))
        found = builder.select(first, x, builder.select(second, y, z))
        builder.store(found, _vector(builder, to, 8, TOGETHER)).align = 1
        return context.get_dummy_value()

    whole, byte = types.int64, types.uint8
    return types.void(whole, whole, byte, byte, whole, byte, byte, whole, whole, whole), generate


@intrinsic  # type: ignore[untyped-decorator]
def _tell_pairs(context: Any, to: Any, a: Any, low: Any, span: Any) -> Any:
    """TOGETHER bytes: 1 where a pair is inside, else 0."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        to, a, low, span = given
        found = builder.zext(_inside(builder, a, low, span), ir.VectorType(ir.IntType(8), TOGETHER))
        builder.store(found, _vector(builder, to, 8, TOGETHER)).align = 1
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.uint16, types.uint16), generate


@intrinsic  # type: ignore[untyped-decorator]
def _add_bytes(context: Any, sums: Any, a: Any) -> Any:
    """TOGETHER pairs += bytes."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        sums, a = given
        wide = builder.zext(_loaded(builder, a), ir.VectorType(ir.IntType(16), TOGETHER))
        found = builder.add(_loaded(builder, sums, 16), wide)
        builder.store(found, _vector(builder, sums, 16, TOGETHER)).align = 1
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def _add_shared(context: Any, at: Any, value: Any) -> Any:
    """Add to an int64, whatever other threads do to it."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        place = builder.inttoptr(given[0], ir.IntType(64).as_pointer())
        return builder.atomic_rmw("add", place, given[1], "seq_cst")

    return types.int64(types.int64, types.int64), generate


count_below: Callable[..., None] = _count_below
pick_bytes: Callable[..., None] = _pick_bytes
tell_pairs: Callable[..., None] = _tell_pairs
add_bytes: Callable[..., None] = _add_bytes
add_shared: Callable[..., int] = _add_shared
