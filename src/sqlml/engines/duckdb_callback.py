"""What DuckDB calls for each chunk of rows, without the GIL. Only imported where it is compiled.

Nothing here may allocate through numba, raise or need Python: it runs on DuckDB's own threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from sqlml.engines import duckdb_layout as l_
from sqlml.engines.duckdb_layout import Shape, Want
from sqlml.programs.kernel.memory import F32, F64, I32, I64, U8, native
from sqlml.programs.objects import object_of

f64_at, f64_get, f64_put = F64
f32_at, _, f32_put = F32
i64_at, i64_get, i64_put = I64
i32_at, i32_get, i32_put = I32
u8_at, u8_get, u8_put = U8


def _external(name: str, arguments: int, result: Any = types.int64) -> Callable[..., int]:
    external: Callable[..., int] = types.ExternalFunction(name, result(*(types.int64,) * arguments))
    return external


malloc, free = _external("malloc", 1), _external("free", 1, types.void)
chunk_size, chunk_vector = _external("duckdb_data_chunk_get_size", 1), _external("duckdb_data_chunk_get_vector", 2)
vector_data, vector_validity = _external("duckdb_vector_get_data", 1), _external("duckdb_vector_get_validity", 1)
ensure_validity = _external("duckdb_vector_ensure_validity_writable", 1, types.void)
vector_type = _external("duckdb_vector_get_column_type", 1)
destroy_type = _external("duckdb_destroy_logical_type", 1, types.void)
type_id = _external("duckdb_get_type_id", 1, types.int32)
decimal_width = _external("duckdb_decimal_width", 1, types.uint8)
decimal_scale = _external("duckdb_decimal_scale", 1, types.uint8)
list_child = _external("duckdb_list_vector_get_child", 1)
list_reserve = _external("duckdb_list_vector_reserve", 2, types.int32)
list_set_size = _external("duckdb_list_vector_set_size", 2, types.int32)
struct_child = _external("duckdb_struct_vector_get_child", 2)
context_of_call = _external("duckdb_scalar_function_get_extra_info", 1)
state_of_call = _external("duckdb_scalar_function_get_state", 1)
context_of_init = _external("duckdb_scalar_function_init_get_extra_info", 1)
client_of_init = _external("duckdb_scalar_function_init_get_client_context", 2, types.void)
set_state = _external("duckdb_scalar_function_init_set_state", 3, types.void)
destroy_client = _external("duckdb_destroy_client_context", 1, types.void)


def _caller(count: int) -> Callable[..., int]:
    """A call of a C function by its address."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        whole = ir.IntType(64)
        function = ir.FunctionType(whole, [whole] * count).as_pointer()
        return builder.call(builder.inttoptr(given[0], function), given[1:])

    signature = types.int64(*(types.int64,) * (count + 1))
    if count == 4:

        @intrinsic
        def call_four(context: Any, at: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
            return signature, generate

        return call_four

    @intrinsic
    def call_five(context: Any, at: Any, a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
        return signature, generate

    return call_five


call_run, call_slow = _caller(4), _caller(5)


@intrinsic
def _count_one(context: Any, at: Any) -> Any:
    """Add one to an int64, whatever other threads do to it."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        whole = ir.IntType(64)
        place = builder.inttoptr(given[0], whole.as_pointer())
        return builder.atomic_rmw("add", place, ir.Constant(whole, 1), "seq_cst")

    return types.int64(types.int64), generate


count_one: Callable[..., int] = _count_one


@native
def _init(info: int) -> int:
    """Make a thread's state, in one piece of memory."""
    context = i64_at(context_of_init(info))
    inputs, capacity = i64_get(context, l_.INPUT_COUNT), i64_get(context, l_.CAPACITY)
    parts = i64_get(context, l_.PART_COUNT)
    columns = 8 * l_.STATE
    output = columns + 32 * inputs
    validity = output + 24 * parts
    scratch = validity + 8 * ((capacity + 63) >> 6)
    size = scratch + 8 * capacity * parts
    held = malloc(size)
    if held == 0:
        # Without a state every chunk takes the slow path.
        return 0
    state = i64_at(held)
    i64_put(state, l_.READY, l_.UNKNOWN)
    i64_put(state, l_.CLIENT, 0)
    i64_put(state, l_.COLUMNS, held + columns)
    i64_put(state, l_.OUTPUT, held + output)
    i64_put(state, l_.VALIDITY, held + validity)
    i64_put(state, l_.SCRATCH, held + scratch)
    client_of_init(info, held + 8 * l_.CLIENT)
    set_state(info, held, i64_get(context, l_.FORGETTER))
    return 0


@native
def _forget(held: int) -> int:
    destroy_client(held + 8 * l_.CLIENT)
    free(held)
    return 0


@native
def _kind(column: int, type_: int, want: int) -> int:
    """Write down how an argument's values lie; gives whether the kernel reads them."""
    c = i64_at(column)
    id_ = types.int64(type_id(type_))
    i64_put(c, 3, 0)
    if want == Want.UNUSED:
        i64_put(c, 2, l_.KIND_NONE)
        return 1
    if want == Want.TEXT:
        i64_put(c, 2, l_.KIND_STRING)
        return 1 if id_ == l_.VARCHAR_TYPE else 0
    if id_ >= l_.BOOLEAN_TYPE and id_ <= l_.DOUBLE_TYPE:
        i64_put(c, 2, id_)
        return 1
    if id_ != l_.DECIMAL_TYPE:
        return 0
    width = types.int64(decimal_width(type_))
    kind = l_.KIND_DECIMAL16
    if width > 4:
        kind = l_.KIND_DECIMAL32
    if width > 9:
        kind = l_.KIND_DECIMAL64
    i64_put(c, 2, kind)
    i64_put(c, 3, types.int64(decimal_scale(type_)))
    return 1 if width <= l_.EXACT_DIGITS else 0


@native
def _get_ready(context: int, state: int, chunk: int) -> int:
    """Look at the types of the arguments, which are the same in every chunk of a call site."""
    held, s = i64_at(context), i64_at(state)
    if i64_get(held, l_.RUN) == 0:
        # The slow path may make the kernel ready for the next chunk.
        return l_.SLOWLY
    wants, columns, fast = i64_at(i64_get(held, l_.WANTS)), i64_get(s, l_.COLUMNS), 1
    scratch = i64_get(s, l_.SCRATCH)
    for i in range(i64_get(held, l_.INPUT_COUNT)):
        type_ = vector_type(chunk_vector(chunk, i))
        fast = fast & _kind(columns + 32 * i, type_, i64_get(wants, i))
        i64_put(i64_at(scratch), 0, type_)
        destroy_type(scratch)
    ready = l_.FAST if fast != 0 else l_.SLOWLY
    i64_put(s, l_.READY, ready)
    return ready


@native
def _copy(source: int, index: int, to: int, at: int, width: int) -> None:
    """One element of a table of labels."""
    if width == 16:
        held, out = i64_at(source), i64_at(to)
        i64_put(out, 2 * at, i64_get(held, 2 * index))
        i64_put(out, 2 * at + 1, i64_get(held, 2 * index + 1))
    elif width == 8:
        i64_put(i64_at(to), at, i64_get(i64_at(source), index))
    elif width == 4:
        i32_put(i32_at(to), at, i32_get(i32_at(source), index))
    else:
        u8_put(u8_at(to), at, u8_get(u8_at(source), index))


@native
def _labels(part: int, given: int, to: int, rows: int) -> int:
    held, classes = i64_at(part), i32_at(given)
    table, width, count = i64_get(held, l_.TABLE), i64_get(held, l_.WIDTH), i64_get(held, l_.CLASSES)
    for i in range(rows):
        label = types.int64(i32_get(classes, i))
        if label < 0 or label >= count:
            # A NULL row's class is whatever was there.
            label = 0
        _copy(table, label, to, i, width)
    return 0


@native
def _whole(value: float, low: float, high: float) -> bool:
    return bool(value >= low and value < high and math.floor(value) == value)


@native
def _narrowed(shape: int, given: int, valid: int, to: int, rows: int) -> int:
    """The kernel's float64 as another type; gives how many it doesn't hold."""
    values, marks = f64_at(given), u8_at(valid)
    refused = 0
    for i in range(rows):
        value = f64_get(values, i)
        if ((u8_get(marks, i >> 3) >> (i & 7)) & 1) == 0:
            value = 0.0
        if shape == Shape.FLOAT:
            f32_put(f32_at(to), i, types.float32(value))
        elif shape == Shape.BIGINT:
            fits = _whole(value, -9223372036854775808.0, 9223372036854775808.0)
            i64_put(i64_at(to), i, types.int64(value) if fits else 0)
            refused += 0 if fits else 1
        elif shape == Shape.INTEGER:
            fits = _whole(value, -2147483648.0, 2147483648.0)
            i32_put(i32_at(to), i, types.int32(value) if fits else types.int32(0))
            refused += 0 if fits else 1
        else:
            u8_put(u8_at(to), i, types.uint8(1 if value != 0.0 else 0))
            refused += 0 if value == 0.0 or value == 1.0 else 1
    return refused


@native
def _lists(part: int, output: int, rows: int) -> int:
    """Lay out a list a row; gives where the probabilities go."""
    held = i64_at(part)
    shape, classes = i64_get(held, l_.SHAPE), i64_get(held, l_.CLASSES)
    list_reserve(output, rows * classes)
    list_set_size(output, rows * classes)
    entries = i64_at(vector_data(output))
    for i in range(rows):
        i64_put(entries, 2 * i, i * classes)
        i64_put(entries, 2 * i + 1, classes)
    child = list_child(output)
    if shape == Shape.LIST:
        return vector_data(child)
    keys = vector_data(struct_child(child, 0))
    table, width = i64_get(held, l_.TABLE), i64_get(held, l_.WIDTH)
    for i in range(rows):
        for label in range(classes):
            _copy(table, label, keys, i * classes + label, width)
    return vector_data(struct_child(child, 1))


@native
def _validity(state: int, output: int, rows: int) -> None:
    """Where a row is NULL, say so; most chunks have none, and then there is nothing to write."""
    valid = i64_at(i64_get(i64_at(state), l_.VALIDITY))
    words = (rows + 63) >> 6
    for i in range(words):
        if i64_get(valid, i) != -1:
            ensure_validity(output)
            to = i64_at(vector_validity(output))
            for j in range(words):
                i64_put(to, j, i64_get(valid, j))
            return


@native
def _part(context: int, index: int) -> int:
    first: int = i64_get(i64_at(context), l_.PARTS)
    return first + 8 * l_.PART * index


@native
def _vector(context: int, output: int, index: int) -> int:
    """Where a part's answers go: the result, or a field of it."""
    return output if i64_get(i64_at(context), l_.IN_STRUCT) == 0 else struct_child(output, index)


@native
def _ask(context: int, state: int, output: int, rows: int) -> None:
    """Tell the kernel what it is asked, and where each answer goes."""
    held, s = i64_at(context), i64_at(state)
    validity, asked = i64_get(s, l_.VALIDITY), i64_at(i64_get(s, l_.OUTPUT))
    for i in range(i64_get(held, l_.PART_COUNT)):
        part = i64_at(_part(context, i))
        shape = i64_get(part, l_.SHAPE)
        target = i64_get(s, l_.SCRATCH) + 8 * i64_get(held, l_.CAPACITY) * i
        if shape == Shape.DOUBLE:
            target = vector_data(_vector(context, output, i))
        elif shape == Shape.PAIRS or shape == Shape.LIST:
            target = _lists(_part(context, i), _vector(context, output, i), rows)
        i64_put(asked, 3 * i, i64_get(part, l_.WHAT))
        i64_put(asked, 3 * i + 1, target)
        i64_put(asked, 3 * i + 2, validity)


@native
def _settle(context: int, state: int, output: int, rows: int) -> int:
    """Turn what the kernel wrote into the types of the answers; gives how many rows don't fit theirs."""
    held, s = i64_at(context), i64_at(state)
    validity, asked, refused = i64_get(s, l_.VALIDITY), i64_at(i64_get(s, l_.OUTPUT)), 0
    for i in range(i64_get(held, l_.PART_COUNT)):
        part, vector = _part(context, i), _vector(context, output, i)
        shape, scratch = i64_get(i64_at(part), l_.SHAPE), i64_get(asked, 3 * i + 1)
        if shape == Shape.LABEL:
            _labels(part, scratch, vector_data(vector), rows)
        elif shape >= Shape.FLOAT and shape <= Shape.BOOLEAN:
            refused += _narrowed(shape, scratch, validity, vector_data(vector), rows)
    if refused == 0:
        for i in range(i64_get(held, l_.PART_COUNT)):
            _validity(state, _vector(context, output, i), rows)
    return refused


@native
def _answer(context: int, state: int, chunk: int, output: int, rows: int) -> int:
    """Answer a chunk by the kernel; gives how many rows it refused."""
    held, s = i64_at(context), i64_at(state)
    columns = i64_get(s, l_.COLUMNS)
    for i in range(i64_get(held, l_.INPUT_COUNT)):
        vector, column = chunk_vector(chunk, i), i64_at(columns + 32 * i)
        i64_put(column, 0, vector_data(vector))
        i64_put(column, 1, vector_validity(vector))
    valid = i64_at(i64_get(s, l_.VALIDITY))
    for i in range((rows + 63) >> 6):
        i64_put(valid, i, -1)
    _ask(context, state, output, rows)
    refused: int = call_run(i64_get(held, l_.RUN), i64_get(held, l_.IMAGE), rows, columns, i64_get(s, l_.OUTPUT))
    if refused == 0:
        refused = _settle(context, state, output, rows)
    return refused


@native
def _execute(info: int, chunk: int, output: int) -> int:
    context, state = context_of_call(info), state_of_call(info)
    held = i64_at(context)
    rows, client = chunk_size(chunk), 0
    if rows == 0:
        return 0
    if state != 0:
        s = i64_at(state)
        ready, client = i64_get(s, l_.READY), i64_get(s, l_.CLIENT)
        if ready == l_.UNKNOWN:
            ready = _get_ready(context, state, chunk)
        if (
            ready == l_.FAST
            and rows <= i64_get(held, l_.CAPACITY)
            and _answer(context, state, chunk, output, rows) == 0
        ):
            return 0
    call_slow(i64_get(held, l_.SLOW), i64_get(held, l_.NUMBER), client, info, chunk, output)
    return 0


@native
def _trial(rows: int, columns: int, outputs: int) -> int:
    """A kernel of the smallest kind, to try the door with: twice a column of float64, NULL where that is NULL."""
    column, asked = i64_at(columns), i64_at(outputs)
    source, to = f64_at(i64_get(column, 0)), f64_at(i64_get(asked, 1))
    valid, marks = i64_get(column, 1), u8_at(i64_get(asked, 2))
    for i in range(rows):
        f64_put(to, i, 2.0 * f64_get(source, i))
        if valid != 0 and ((u8_get(u8_at(valid), i >> 3) >> (i & 7)) & 1) == 0:
            u8_put(marks, i >> 3, types.uint8(u8_get(marks, i >> 3) & ~(1 << (i & 7))))
    return 0


@native
def _door(task: int, a: int, b: int, c: int, d: int) -> int:
    found: int = 0
    if task == l_.EXECUTE:
        found = _execute(a, b, c)
    elif task == l_.INIT:
        found = _init(a)
    elif task == l_.FORGET:
        found = _forget(a)
    elif task == l_.DROP:
        found = count_one(a + 8 * l_.GONE)
    else:
        found = _trial(b, c, d)
    return found


def build(symbols: Mapping[str, int]) -> bytes:
    """Compile the callback for this processor; takes a few seconds.

    Args:
        symbols: the addresses of DuckDB's functions: numba links what it compiles at once.
    """
    for name, address in symbols.items():
        llvm.add_symbol(name, address)
    signature = (types.int64,) * 5
    _door.compile(signature)
    compiled = _door.overloads[signature]
    inner = compiled.fndesc.llvm_func_name
    text = compiled.library.get_llvm_str()
    for name, (task, count) in l_.ENTRIES.items():
        taken = ", ".join(f"i64 %a{i}" for i in range(count))
        given = ", ".join(f"i64 %a{i}" if i < count else "i64 0" for i in range(4))
        # numba's own convention: a status is returned, the result goes through a pointer. Nothing here can raise.
        text += f"""
            define i64 @{name}({taken}) {{
                %result = alloca i64
                %error = alloca i8*
                %status = call i32 @{inner}(i64* %result, i8** %error, i64 {task}, {given})
                %found = load i64, i64* %result
                ret i64 %found
            }}
        """
    return object_of(text)
