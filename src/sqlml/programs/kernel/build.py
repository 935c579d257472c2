"""The machine's object code: numba makes it once; whoever only runs it needs llvmlite alone."""

from __future__ import annotations

from numba.core import types

from sqlml.programs.kernel.layout import ENTRY
from sqlml.programs.kernel.machine import run
from sqlml.programs.objects import object_of


def build() -> bytes:
    """Compile the machine for this processor; takes about fifteen seconds."""
    signature = (types.int64,) * 4
    run.compile(signature)
    compiled = run.overloads[signature]
    inner = compiled.fndesc.llvm_func_name
    # numba's own convention: a status is returned, the result goes through a pointer. Nothing here can raise.
    entry = f"""
        define i64 @{ENTRY}(i64 %image, i64 %rows, i64 %columns, i64 %outputs) {{
            %result = alloca i64
            %error = alloca i8*
            %status = call i32 @{inner}(i64* %result, i8** %error, i64 %image, i64 %rows, i64 %columns, i64 %outputs)
            %found = load i64, i64* %result
            ret i64 %found
        }}
    """
    return object_of(compiled.library.get_llvm_str() + entry)
