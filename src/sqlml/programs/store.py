"""Programs on disk: one npz file each, named by its digest, without a pickle in it."""

from __future__ import annotations

import io
import os
import struct
import tempfile
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sqlml.programs.program import Program, from_parts, parts

# What a damaged zip raises, beside what it is meant to: one bit makes a member encrypted, compressed in a way that
# there is not, or longer than any memory.
BROKEN = (
    ValueError,
    LookupError,
    TypeError,
    EOFError,
    RuntimeError,
    OverflowError,
    MemoryError,
    struct.error,
    tokenize.TokenError,
    zlib.error,
    zipfile.BadZipFile,
)


class BadProgram(Exception):
    """A file that holds no program, or another one than its name says."""


def written(program: Program) -> bytes:
    """A program as the bytes of its file."""
    file = io.BytesIO()
    _write(program, file)
    return file.getvalue()


def _write(program: Program, file: Any) -> None:
    text, arrays = parts(program)
    held: dict[str, Any] = {f"a{i}": array for i, array in enumerate(arrays)}
    np.savez_compressed(file, program=np.frombuffer(text.encode(), np.uint8), **held)


def save(program: Program, folder: Path) -> Path:
    """Write a program into a folder, by rename; one that is there already stays.

    Raises:
        OSError: the folder can't be written.
    """
    path = folder / f"{program.digest}.npz"
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(dir=folder, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            _write(program, file)
        Path(scratch).replace(path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
    return path


def load(folder: Path, digest: str) -> Program:
    """The program of that digest.

    Raises:
        BadProgram: the file is missing, broken, or holds another program.
    """
    try:
        return read(folder / f"{digest}.npz", digest)
    except OSError as error:
        raise BadProgram(f"{digest}.npz: {error}") from error


def read(file: Path | BinaryIO, digest: str | None) -> Program:
    """The program of that digest (None: any), from the file that `save` wrote or its bytes.

    Raises:
        BadProgram: it is broken, or another program.
    """
    try:
        with np.load(file, allow_pickle=False) as held:
            text = held["program"].tobytes().decode()
            program = from_parts(text, [held[f"a{i}"] for i in range(len(held.files) - 1)])
    except BROKEN as error:
        raise BadProgram(f"{digest}.npz: {error}") from error
    if digest is not None and program.digest != digest:
        raise BadProgram(f"{digest}.npz is not what its name says")
    return program
