"""The machine in this process: its object code from the cache, or compiled into it."""

from __future__ import annotations

import importlib.util
import logging
import threading

from sqlml.programs.kernel.layout import ENTRY
from sqlml.programs.objects import NoObject, cached_object, load_object

log = logging.getLogger("sqlml")

_PARTS = ("build", "columns", "forest", "functions", "layout", "machine", "memory", "ranks", "screening")
_SOURCES = tuple(f"sqlml.programs.kernel.{name}" for name in _PARTS)
_lock = threading.Lock()
_found: list[tuple[int | None, str | None]] = []


def machine() -> int | None:
    """The machine's address, None where there is none; the first call of a process loads it, or compiles it."""
    return _machine()[0]


def no_machine() -> str | None:
    """Why there is no machine; None where there is one."""
    return _machine()[1]


def _machine() -> tuple[int | None, str | None]:
    with _lock:
        if not _found:
            try:
                _found.append((_load(), None))
            except NoObject as reason:
                _found.append((None, str(reason)))
        return _found[0]


def _load() -> int:
    if importlib.util.find_spec("llvmlite") is None:
        raise NoObject("numba is not installed: pip install 'sqlml[fast]'")
    return load_object(cached_object("machine", _SOURCES, _build), {}).address(ENTRY)


def _build() -> bytes:
    # A second to import, and only whoever compiles needs it.
    from sqlml.programs.kernel.build import build

    log.info("Compiling the machine for this processor, once: about 15 seconds.")
    return build()
