"""The part of DuckDB's C API that the native door uses, as the Python package's own library exports it."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from typing import Any

_P, _S, _N, _I = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint64, ctypes.c_int

ANY = 34
"""DuckDB's number of the type that takes any."""

# What Python calls: the result, then the arguments. A handle and an address of one are both `_P`.
_CALLED: dict[str, tuple[Any, ...]] = {
    "open_ext": (_I, _S, _P, _P, _P),
    "create_config": (_I, _P),
    "set_config": (_I, _P, _S, _S),
    "destroy_config": (None, _P),
    "connect": (_I, _P, _P),
    "disconnect": (None, _P),
    "query": (_I, _P, _S, _P),
    "connection_get_client_context": (None, _P, _P),
    "client_context_get_connection_id": (_N, _P),
    "client_context_get_config_option": (_P, _P, _S, _P),
    "destroy_client_context": (None, _P),
    "get_varchar": (_P, _P),
    "destroy_value": (None, _P),
    "free": (None, _P),
    "connection_get_arrow_options": (None, _P, _P),
    "destroy_arrow_options": (None, _P),
    "to_arrow_schema": (_P, _P, _P, _P, _N, _P),
    "data_chunk_to_arrow": (_P, _P, _P, _P),
    "schema_from_arrow": (_P, _P, _P, _P),
    "data_chunk_from_arrow": (_P, _P, _P, _P, _P),
    "destroy_arrow_converted_schema": (None, _P),
    "error_data_message": (_S, _P),
    "error_data_has_error": (ctypes.c_bool, _P),
    "destroy_error_data": (None, _P),
    "create_logical_type": (_P, _I),
    "create_list_type": (_P, _P),
    "create_map_type": (_P, _P, _P),
    "create_struct_type": (_P, _P, _P, _N),
    "destroy_logical_type": (None, _P),
    "create_scalar_function": (_P,),
    "destroy_scalar_function": (None, _P),
    "scalar_function_set_name": (None, _P, _S),
    "scalar_function_add_parameter": (None, _P, _P),
    "scalar_function_set_varargs": (None, _P, _P),
    "scalar_function_set_return_type": (None, _P, _P),
    "scalar_function_set_special_handling": (None, _P),
    "scalar_function_set_volatile": (None, _P),
    "scalar_function_set_extra_info": (None, _P, _P, _P),
    "scalar_function_set_init": (None, _P, _P),
    "scalar_function_set_function": (None, _P, _P),
    "scalar_function_set_error": (None, _P, _S),
    "register_scalar_function": (_I, _P, _P),
    "data_chunk_get_column_count": (_N, _P),
    "data_chunk_get_size": (_N, _P),
    "data_chunk_get_vector": (_P, _P, _N),
    "vector_get_column_type": (_P, _P),
    "vector_reference_vector": (None, _P, _P),
    "destroy_data_chunk": (None, _P),
    "vector_size": (_N,),
}

# What the compiled callback calls.
_LINKED = (
    "data_chunk_get_size",
    "data_chunk_get_vector",
    "vector_get_data",
    "vector_get_validity",
    "vector_ensure_validity_writable",
    "vector_get_column_type",
    "destroy_logical_type",
    "get_type_id",
    "decimal_width",
    "decimal_scale",
    "list_vector_get_child",
    "list_vector_reserve",
    "list_vector_set_size",
    "struct_vector_get_child",
    "scalar_function_get_extra_info",
    "scalar_function_get_state",
    "scalar_function_init_get_extra_info",
    "scalar_function_init_get_client_context",
    "scalar_function_init_set_state",
    "destroy_client_context",
)


class Lacking(Exception):
    """A function that this build of DuckDB doesn't export."""


def library() -> str:
    """The file of the Python package that DuckDB itself is in."""
    spec = importlib.util.find_spec("_duckdb")
    if spec is None or spec.origin is None:
        raise Lacking("this build of DuckDB's package has no library of its own")
    return spec.origin


class CApi:
    """DuckDB's C functions as attributes, without `duckdb_` before their names.

    They let go of the GIL while they run: another thread may hold a lock of DuckDB's and wait for Python.
    """

    def __init__(self) -> None:
        try:
            held = ctypes.CDLL(library())
            for name, (result, *arguments) in _CALLED.items():
                function = getattr(held, f"duckdb_{name}")
                function.restype, function.argtypes = result, arguments
                setattr(self, name, function)
            linked = {name: getattr(held, f"duckdb_{name}") for name in _LINKED}
        except (AttributeError, OSError) as error:
            raise Lacking(f"this build of DuckDB's package shows no C API: {error}") from error
        self.symbols = {f"duckdb_{name}": ctypes.cast(function, _P).value or 0 for name, function in linked.items()}

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


@functools.cache
def capi() -> CApi:
    """The C API; raises Lacking where a part is not there."""
    return CApi()


def check(error: int | None) -> None:
    """Raise what a function gave back as its error, if it is one."""
    if not error:
        return
    api, held = capi(), ctypes.c_void_p(error)
    try:
        if api.error_data_has_error(held):
            raise RuntimeError((api.error_data_message(held) or b"").decode(errors="replace"))
    finally:
        api.destroy_error_data(ctypes.byref(held))
