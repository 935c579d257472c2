"""The native door into DuckDB: compiled functions that run on all of its threads, without the GIL.

DuckDB's C API, which the Python package's own library exports, registers them. What it does not give is the way from a
Python connection to its database: the pointer is read from where this build of the package keeps it, which is private
and therefore tried in a child process first (`duckdb_probe`).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
import itertools
import logging
import struct
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sqlml.engines import duckdb_layout as l_
from sqlml.engines.duckdb_arrow import arrays_of, logical_type, write
from sqlml.engines.duckdb_capi import Lacking, capi
from sqlml.engines.duckdb_layout import Shape, Want
from sqlml.engines.duckdb_probe import outcome
from sqlml.programs.kernel.layout import What
from sqlml.programs.objects import Loaded, NoObject, cached_object, load_object

log = logging.getLogger("sqlml")

OFFSET = 16
"""Where a connection object of the Python package holds the shared pointer to its database."""

Slow = Callable[[list[pa.Array]], Any]
"""Answers a chunk in Python: the arguments' columns -> an array, of the result's type or one that casts to it."""

Prepare = Callable[[], tuple[int, int, object]]
"""Makes a kernel ready: its address, its image's, and what that lies in."""

_SOURCES = ("sqlml.engines.duckdb_callback", "sqlml.engines.duckdb_layout", "sqlml.programs.kernel.memory")
_NANOBIND_OFFSET, _NANOBIND_FLAGS = 16, 20
_NANOBIND_STATE, _NANOBIND_READY, _NANOBIND_DIRECT = 3, 2, 4
_VALUES: dict[pa.DataType, Shape] = {
    pa.float64(): Shape.DOUBLE,
    pa.float32(): Shape.FLOAT,
    pa.int64(): Shape.BIGINT,
    pa.int32(): Shape.INTEGER,
    pa.bool_(): Shape.BOOLEAN,
}
_LABELS: dict[pa.DataType, tuple[Any, int]] = {
    pa.float64(): (np.float64, 8),
    pa.float32(): (np.float32, 4),
    pa.int64(): (np.int64, 8),
    pa.int32(): (np.int32, 4),
    pa.bool_(): (np.uint8, 1),
    pa.string(): (None, 16),
}


class NoDoor(Exception):
    """Why there is no native way into this database."""


@functools.cache
def callback() -> Loaded:
    """What DuckDB calls, loaded into this process.

    Raises:
        NoDoor: it is not in the cache and can't be compiled.
    """
    try:
        symbols = capi().symbols
        if importlib.util.find_spec("llvmlite") is None:
            raise NoDoor("numba is not installed: pip install 'sqlml[fast]'")
        return load_object(cached_object("door", _SOURCES, _build), symbols)
    except (NoObject, Lacking) as error:
        raise NoDoor(str(error)) from error


def _build() -> bytes:
    # A second to import, and only whoever compiles needs it.
    from sqlml.engines.duckdb_callback import build

    log.info("Compiling the way into DuckDB for this processor, once: about 3 seconds.")
    return build(capi().symbols)


def status() -> tuple[bool, str | None]:
    """Whether doors can be opened here, and why not; the first call on a machine compiles and tries it."""
    try:
        callback()
    except NoDoor as error:
        return False, str(error)
    found = outcome(OFFSET)
    return found.ok, found.reason


def open_door(connection: duckdb.DuckDBPyConnection) -> NativeDoor:
    """The native door into a connection's database.

    Raises:
        NoDoor: there is none, with the reason.
    """
    ok, reason = status()
    if not ok:
        raise NoDoor(reason)
    return NativeDoor(connection, OFFSET)


@dataclass
class _Function:
    """A function that is registered once or more often: as long as DuckDB holds it, what it needs is held here."""

    context: npt.NDArray[np.int64]
    slow: Slow
    result: pa.DataType
    keep: object
    prepare: Prepare | None = None
    uses: int = 0

    def ready(self) -> None:
        """Let the kernel answer from now on, where it wasn't ready when the function was registered."""
        with _lock:
            if self.prepare is None:
                return
            prepare, self.prepare = self.prepare, None
        run, image, self.keep = prepare()
        # The image first: once there is a kernel to run, it is run.
        self.context[l_.IMAGE] = image
        self.context[l_.RUN] = run

    def gone(self) -> bool:
        """Whether DuckDB has let go of every registration: no catalog has it, no query runs it."""
        return bool(self.context[l_.GONE] == self.uses)


_functions: dict[int, _Function] = {}
_known: dict[Hashable, int] = {}
_numbers = itertools.count()
_lock = threading.Lock()


class NativeDoor:
    """The native way into one database. Every connection to it sees what is registered, at once.

    It holds nothing of DuckDB's but the connection: closing that is enough, and a query that runs goes on.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, offset: int = OFFSET) -> None:
        """Use `open_door`, which knows whether `offset` is right."""
        self._connection = connection
        self._offset = offset
        callback()
        with self._entered() as entered, connection.cursor() as later:
            number = later.execute("SELECT current_connection_id()").fetchall()[0][0]
            # DuckDB numbers the connections of a database in the order in which they are made; others may be made now.
            if not 0 < _connection_id(entered) < number < _connection_id(entered) + 1000:
                raise NoDoor("the connection's database is not where it is sought")

    def __repr__(self) -> str:
        return f"<NativeDoor of {self._connection!r}>"

    def register(
        self,
        name: str,
        inputs: Sequence[Want] | None,
        whats: Sequence[What],
        result: pa.DataType,
        slow: Slow,
        *,
        run: int = 0,
        image: int = 0,
        labels: Sequence[Any] | None = None,
        keep: object = None,
        prepare: Prepare | None = None,
        once: bool = False,
    ) -> Callable[[], None]:
        """Make a function callable in the database's SQL; one of the same name and number of arguments is replaced.

        Gives what calls `prepare` ahead of the first chunk.

        Args:
            name: the function's.
            inputs: what the model takes; None for any number of arguments of any type, all by the slow path.
            whats: what is asked of the kernel; of several the result is a struct, a field each.
            result: the function's type: a scalar one, or for probabilities a map, a list of structs of a label and a
                probability, or a list.
            slow: answers the chunks that the kernel doesn't; its error becomes the query's.
            run: the kernel's address; 0 where there is none.
            image: the model's, which the kernel is given.
            labels: the classes' in order, for labels and probabilities.
            keep: what `image` lies in; like `slow`, it is held until DuckDB lets go of the function.
            prepare: gives `run`, `image` and `keep` when the first chunk comes, in their place.
            once: whether the optimizer is kept from calling it in two places for one in the query.

        Raises:
            NoDoor: the connection is closed, or DuckDB refused.
        """
        function = _used(tuple(inputs or ()), tuple(whats), result, slow, run, image, labels, keep, prepare)
        api = capi()
        held = ctypes.c_void_p(api.create_scalar_function())
        try:
            # First of all, so that however it ends it is counted as gone.
            drop = callback().address("sqlml_door_drop")
            api.scalar_function_set_extra_info(held, function.context.ctypes.data, drop)
            api.scalar_function_set_name(held, name.encode())
            with logical_type(None) as any_type, logical_type(result) as type_:
                for _ in inputs or ():
                    api.scalar_function_add_parameter(held, any_type)
                if inputs is None:
                    api.scalar_function_set_varargs(held, any_type)
                api.scalar_function_set_return_type(held, type_)
            api.scalar_function_set_special_handling(held)
            if once:
                api.scalar_function_set_volatile(held)
            api.scalar_function_set_init(held, callback().address("sqlml_door_init"))
            api.scalar_function_set_function(held, callback().address("sqlml_door_execute"))
            with self._entered() as entered:
                if api.register_scalar_function(entered, held):
                    raise NoDoor(f"DuckDB refused the function '{name}'")
        except Lacking as error:
            raise NoDoor(str(error)) from error
        finally:
            api.destroy_scalar_function(ctypes.byref(held))
        return function.ready

    def unregister(self, name: str) -> None:
        """Take a function out of the database; queries that run go on. Nothing happens where it is closed.

        The C API can't, and SQL won't. The Python API does for names that it knows, so that it is made to know this.
        """
        with contextlib.suppress(duckdb.ConnectionException), self._connection.cursor() as cursor:
            cursor.create_function(name, _nothing, [], duckdb.sqltype("BIGINT"))
            cursor.remove_function(name)

    @contextlib.contextmanager
    def _entered(self) -> Iterator[ctypes.c_void_p]:
        """A connection of our own, closed again: one that stayed would keep the file from being opened again."""
        api, entered = capi(), ctypes.c_void_p()
        if api.connect(_database(self._connection, self._offset), ctypes.byref(entered)) or not entered:
            raise NoDoor("DuckDB refused a second connection")
        try:
            yield entered
        finally:
            api.disconnect(ctypes.byref(entered))


def _nothing() -> int:
    return 0


def _database(connection: duckdb.DuckDBPyConnection, offset: int) -> int:
    """Where a connection's shared pointer to its database lies."""
    if not isinstance(connection, duckdb.DuckDBPyConnection):
        raise NoDoor(f"a {type(connection).__name__} is no connection of DuckDB's")
    at = id(connection)
    # As nanobind keeps an instance: within reach of the Python object, or by a pointer there.
    place = at + ctypes.c_int32.from_address(at + _NANOBIND_OFFSET).value
    flags = ctypes.c_uint32.from_address(at + _NANOBIND_FLAGS).value
    if flags & _NANOBIND_STATE != _NANOBIND_READY:
        raise NoDoor("the connection is not ready")
    instance = place if flags & _NANOBIND_DIRECT else ctypes.c_int64.from_address(place).value
    if not ctypes.c_int64.from_address(instance + offset).value:
        raise NoDoor("the connection is closed")
    return instance + offset


def _connection_id(entered: ctypes.c_void_p) -> int:
    api, client = capi(), ctypes.c_void_p()
    api.connection_get_client_context(entered, ctypes.byref(client))
    try:
        return int(api.client_context_get_connection_id(client))
    finally:
        api.destroy_client_context(ctypes.byref(client))


def _used(
    inputs: tuple[Want, ...],
    whats: tuple[What, ...],
    result: pa.DataType,
    slow: Slow,
    run: int,
    image: int,
    labels: Sequence[Any] | None,
    keep: object,
    prepare: Prepare | None,
) -> _Function:
    """What DuckDB is given an address of, the same one for the same function, about to be registered once more."""
    typed = tuple((type(label), label) for label in labels or ())
    key = (inputs, whats, result, slow, run, image, typed, id(keep), id(prepare))
    with _lock:
        for known, number in list(_known.items()):
            if _functions[number].gone():
                del _known[known], _functions[number]
        if key not in _known:
            number = next(_numbers)
            context = _context(number, inputs, whats, result, run, image, labels)
            _functions[number] = _Function(context, slow, result, keep, prepare)
            _known[key] = number
        function = _functions[_known[key]]
        function.uses += 1
        return function


def _context(
    number: int,
    inputs: tuple[Want, ...],
    whats: tuple[What, ...],
    result: pa.DataType,
    run: int,
    image: int,
    labels: Sequence[Any] | None,
) -> npt.NDArray[np.int64]:
    types = [result] if len(whats) == 1 else [field.type for field in result] if whats else []
    parts = np.zeros((len(whats), l_.PART), np.int64)
    kept = []
    for place, (what, type_) in enumerate(zip(whats, types, strict=True)):
        shape = _shape(what, type_)
        table, width, texts = _table(labels, _label_type(type_)) if shape in (Shape.LABEL, Shape.PAIRS) else _NONE
        parts[place, [l_.SHAPE, l_.WHAT, l_.WIDTH, l_.CLASSES]] = shape, what, width, len(labels or ())
        parts[place, l_.TABLE] = table.ctypes.data
        kept.append((table, texts))
    wants = np.array(inputs, np.int64)
    fields = {
        l_.RUN: run,
        l_.IMAGE: image,
        l_.INPUT_COUNT: len(inputs),
        l_.WANTS: wants.ctypes.data,
        l_.PARTS: parts.ctypes.data,
        l_.PART_COUNT: len(whats),
        l_.IN_STRUCT: len(whats) > 1,
        l_.SLOW: ctypes.cast(_slow, ctypes.c_void_p).value or 0,
        l_.NUMBER: number,
        l_.CAPACITY: capi().vector_size(),
        l_.FORGETTER: callback().address("sqlml_door_forget"),
    }
    context = np.zeros(l_.CONTEXT, np.int64)
    context[list(fields)] = list(fields.values())
    # These few bytes are never freed: a result may point at a label when the function is long gone, and DuckDB lets go
    # of functions when Python has already ended.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object((context, wants, parts, kept)))
    return context


def _shape(what: What, result: pa.DataType) -> Shape:
    if what in (What.VALUE, What.SCORE) and result in _VALUES:
        return _VALUES[result]
    if what == What.LABEL and result in _LABELS:
        return Shape.LABEL
    if what == What.PROBABILITIES and pa.types.is_map(result) and result.item_type == pa.float64():
        return Shape.PAIRS
    if what == What.PROBABILITIES and pa.types.is_list(result):
        inner = result.value_type
        if inner == pa.float64():
            return Shape.LIST
        if pa.types.is_struct(inner) and inner.num_fields == 2 and inner.field(1).type == pa.float64():
            return Shape.PAIRS
    raise NoDoor(f"a kernel's {what.name} can't be written as {result}")


def _label_type(result: pa.DataType) -> pa.DataType:
    if pa.types.is_map(result):
        return result.key_type
    return result.value_type.field(0).type if pa.types.is_list(result) else result


_Table = tuple[npt.NDArray[Any], int, Any]
_NONE: _Table = (np.zeros(1, np.int64), 8, None)


def _table(labels: Sequence[Any] | None, type_: pa.DataType) -> _Table:
    """The labels as DuckDB keeps values of their type, how wide one is, and what they point into."""
    if not labels or type_ not in _LABELS:
        raise NoDoor(f"labels can't be written as {type_}")
    dtype, width = _LABELS[type_]
    if dtype is not None:
        return np.array(labels, dtype), width, None
    texts = [str(label).encode() for label in labels]
    buffers = [ctypes.create_string_buffer(text) for text in texts]
    # A text of at most 12 bytes stands behind its length; of a longer one the first four do, then its address, which
    # is good for ever.
    packed = b"".join(
        struct.pack("<I12s", len(text), text)
        if len(text) <= 12
        else struct.pack("<I4sQ", len(text), text[:4], ctypes.addressof(buffer))
        for text, buffer in zip(texts, buffers, strict=True)
    )
    return np.frombuffer(packed, np.int64).copy(), width, buffers


def _answer_slowly(number: int, client: int, info: int, chunk: int, output: int) -> int:
    """Answer a chunk in Python; whatever goes wrong is the query's error, as from a Python function of DuckDB's."""
    api = capi()
    try:
        function = _functions[number]
        function.ready()
        answers = function.slow(arrays_of(chunk, client))
        write(answers, function.result, api.data_chunk_get_size(chunk), output)
    except BaseException as error:  # noqa: BLE001  # it would be lost in a callback, and the answer be whatever was there
        text = f"Python exception occurred while executing the UDF: {type(error).__name__}: {error}"
        api.scalar_function_set_error(info, text.replace("\0", "\\0").encode(errors="replace"))
    return 0


_slow = ctypes.CFUNCTYPE(ctypes.c_int64, *(ctypes.c_int64,) * 5)(_answer_slowly)
