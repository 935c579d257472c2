"""Chunks of DuckDB's as Arrow arrays, and Arrow arrays as vectors: the native door's slow path."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from sqlml.engines.duckdb_capi import ANY, Lacking, capi, check

# ArrowSchema and ArrowArray of Arrow's C data interface, which are 72 and 80 bytes; pyarrow knows what lies in them.
_SCHEMA, _ARRAY = ctypes.c_int64 * 9, ctypes.c_int64 * 10

_PLAIN: dict[pa.DataType, int] = {
    pa.bool_(): 1,
    pa.int32(): 4,
    pa.int64(): 5,
    pa.float32(): 10,
    pa.float64(): 11,
    pa.timestamp("us"): 12,
    pa.string(): 17,
    pa.binary(): 18,
}


class _Private:
    """A database in memory, of this process, by whose connection Arrow data is converted.

    The connection that a query runs on is not known by the C API while it runs, and one to the user's database that
    stays open would keep its file from being opened again.
    """

    def __init__(self) -> None:
        api = capi()
        config, database, self.connection = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
        api.create_config(ctypes.byref(config))
        api.set_config(config, b"threads", b"1")
        failed = api.open_ext(None, ctypes.byref(database), config, None)
        api.destroy_config(ctypes.byref(config))
        if failed or api.connect(database, ctypes.byref(self.connection)):
            raise RuntimeError("no database in memory can be opened")
        self.lock = threading.RLock()
        self._options: dict[str, ctypes.c_void_p] = {}

    def options(self, zone: str) -> ctypes.c_void_p:
        """How types become Arrow's in a session of that time zone; kept."""
        with self.lock:
            if zone not in self._options:
                if zone:
                    quoted = zone.replace("'", "''")
                    capi().query(self.connection, f"SET TimeZone = '{quoted}'".encode(), None)
                self._options[zone] = held = ctypes.c_void_p()
                capi().connection_get_arrow_options(self.connection, ctypes.byref(held))
            return self._options[zone]


@functools.cache
def _private() -> _Private:
    return _Private()


def _time_zone(client: int) -> str:
    """The time zone of the session that runs the query; nothing where it has none."""
    if not client:
        return ""
    api, scope = capi(), ctypes.c_int()
    value = ctypes.c_void_p(api.client_context_get_config_option(client, b"TimeZone", ctypes.byref(scope)))
    if not value:
        return ""
    text = api.get_varchar(value)
    found = ctypes.string_at(text).decode() if text else ""
    api.free(text)
    api.destroy_value(ctypes.byref(value))
    return found


def arrays_of(chunk: int, client: int) -> list[pa.Array]:
    """The columns of a chunk, copied."""
    api = capi()
    count = api.data_chunk_get_column_count(chunk)
    options = _private().options(_time_zone(client))
    types = (ctypes.c_void_p * count)()
    names = (ctypes.c_char_p * count)(*(f"c{i}".encode() for i in range(count)))
    schema, array = _SCHEMA(), _ARRAY()
    try:
        for i in range(count):
            types[i] = api.vector_get_column_type(api.data_chunk_get_vector(chunk, i))
        check(api.to_arrow_schema(options, types, names, count, schema))
        described = pa.Schema._import_from_c(ctypes.addressof(schema))
        check(api.data_chunk_to_arrow(options, chunk, array))
    finally:
        for i in range(count):
            held = ctypes.c_void_p(types[i])
            api.destroy_logical_type(ctypes.byref(held))
    return list(pa.RecordBatch._import_from_c(ctypes.addressof(array), described).columns)


def write(answers: pa.Array | pa.ChunkedArray, type_: pa.DataType, rows: int, output: int) -> None:
    """Make a vector hold these answers.

    Args:
        answers: one a row.
        type_: the Arrow type that the vector's own was made from; any other would be read as if it were this.
        rows: how many there must be.
        output: the vector.
    """
    if isinstance(answers, pa.ChunkedArray):
        answers = answers.combine_chunks()
    if answers.type != type_:
        answers = answers.cast(type_)
    if len(answers) != rows:
        raise RuntimeError(f"{len(answers)} answers to {rows} rows")
    api, private = capi(), _private()
    schema, array = _SCHEMA(), _ARRAY()
    described, chunk = ctypes.c_void_p(), ctypes.c_void_p()
    batch = pa.RecordBatch.from_arrays([answers], names=["a"])
    batch._export_to_c(ctypes.addressof(array), ctypes.addressof(schema))
    try:
        with private.lock:
            check(api.schema_from_arrow(private.connection, schema, ctypes.byref(described)))
            check(api.data_chunk_from_arrow(private.connection, array, described, ctypes.byref(chunk)))
        # The output shares the buffers from here on, so that the chunk may go.
        api.vector_reference_vector(output, api.data_chunk_get_vector(chunk, 0))
    finally:
        api.destroy_data_chunk(ctypes.byref(chunk))
        api.destroy_arrow_converted_schema(ctypes.byref(described))
        _release(schema, pa.Schema)


def _release(schema: ctypes.Array[ctypes.c_int64], kind: Any) -> None:
    # Importing takes what was exported over; its release function stands before its private data.
    if schema[7]:
        kind._import_from_c(ctypes.addressof(schema))


@contextlib.contextmanager
def _made(handle: int, destroy: Callable[..., None]) -> Iterator[ctypes.c_void_p]:
    held = ctypes.c_void_p(handle)
    try:
        yield held
    finally:
        destroy(ctypes.byref(held))


@contextlib.contextmanager
def logical_type(type_: pa.DataType | None) -> Iterator[ctypes.c_void_p]:
    """DuckDB's type for an Arrow type, and ANY for None, as long as the block lasts.

    Raises:
        Lacking: there is none here.
    """
    api = capi()
    with contextlib.ExitStack() as stack:

        def made(handle: int) -> ctypes.c_void_p:
            return stack.enter_context(_made(handle, api.destroy_logical_type))

        def of(one: pa.DataType) -> ctypes.c_void_p:
            if pa.types.is_map(one):
                return made(api.create_map_type(of(one.key_type), of(one.item_type)))
            if pa.types.is_list(one):
                return made(api.create_list_type(of(one.value_type)))
            if pa.types.is_struct(one):
                types = (ctypes.c_void_p * one.num_fields)(*(of(field.type).value for field in one))
                names = (ctypes.c_char_p * one.num_fields)(*(field.name.encode() for field in one))
                return made(api.create_struct_type(types, names, one.num_fields))
            if one not in _PLAIN:
                raise Lacking(f"{one} is no type of a function's result")
            return made(api.create_logical_type(_PLAIN[one]))

        yield made(api.create_logical_type(ANY)) if type_ is None else of(type_)
