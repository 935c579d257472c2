"""Object code on disk and in the process: numba compiles it once, llvmlite loads it wherever it is run."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import platformdirs


class NoObject(Exception):
    """Why there is no native code here."""


class Loaded:
    """Object code in this process. It is never unloaded: somebody may hold an address."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def address(self, name: str) -> int:
        """Where a function lies."""
        return int(self._engine.get_function_address(name))


_kept: list[Loaded] = []


def cache_folder() -> Path:
    """Where compiled code is kept: SQLML_CACHE, else the user's cache."""
    named = os.environ.get("SQLML_CACHE")
    return Path(named) if named else platformdirs.user_cache_path("sqlml")


def cached_object(name: str, sources: Sequence[str], build: Callable[[], bytes]) -> bytes:
    """Object code from the cache, else built and put there by rename.

    Args:
        name: the file's first part.
        sources: the modules that it is made of: another text of theirs is other code.
        build: makes it; needs numba.

    Raises:
        NoObject: it is not in the cache, and numba is not installed.
    """
    path = cache_folder() / f"{name}-{_key(sources)}.o"
    try:
        held = path.read_bytes()
        data, digest = held[:-32], held[-32:]
        # A file that was cut short would take the process down.
        if hashlib.sha256(data).digest() == digest:
            return data
    except OSError:
        pass
    if importlib.util.find_spec("numba") is None:
        raise NoObject("numba is not installed: pip install 'sqlml[fast]'")
    data = build()
    _keep(path, data + hashlib.sha256(data).digest())
    return data


def _keep(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(scratch).replace(path)
    except OSError:
        # A home that can't be written costs the next process the time, and nothing else.
        return


def _key(sources: Sequence[str]) -> str:
    import llvmlite.binding as llvm

    held = hashlib.sha256()
    for module in sources:
        spec = importlib.util.find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        held.update(Path(spec.origin).read_bytes())
    numba = importlib.metadata.version("numba") if importlib.util.find_spec("numba") else "none"
    llvmlite = importlib.metadata.version("llvmlite")
    machine = (llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten(), platform.platform(), sys.version)
    held.update("\n".join((numba, llvmlite, *machine)).encode())
    return held.hexdigest()[:32]


def object_of(assembly: str) -> bytes:
    """Object code for this processor, from LLVM's assembly."""
    import llvmlite.binding as llvm

    module = llvm.parse_assembly(assembly)
    module.verify()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    machine = target.create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        reloc="pic",
        codemodel="default",
    )
    return bytes(machine.emit_object(module))


def load_object(data: bytes, symbols: Mapping[str, int]) -> Loaded:
    """Put object code into this process.

    Args:
        data: what `cached_object` gave.
        symbols: the addresses of the functions that it calls.
    """
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    for name, address in symbols.items():
        llvm.add_symbol(name, address)
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine()
    # LLVM's own manager of memory may put code and data further apart than 2 GB where a process holds that much, which
    # ends it; llvmlite's keeps them together.
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine, use_lmm=True)
    engine.add_object_file(llvm.object_file.ObjectFileRef.from_data(data))
    engine.finalize_object()
    _kept.append(Loaded(engine))
    return _kept[-1]
