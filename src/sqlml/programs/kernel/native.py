"""Run an image over Arrow arrays. The machine's object code is loaded; nothing is compiled here."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sqlml.programs.kernel import layout as l_
from sqlml.programs.kernel.image import Image
from sqlml.programs.kernel.layout import Kind, What
from sqlml.programs.kernel.texts import keys_of

_KINDS: Mapping[pa.DataType, Kind] = {
    pa.float64(): Kind.F64,
    pa.float32(): Kind.F32,
    pa.int64(): Kind.I64,
    pa.int32(): Kind.I32,
    pa.int16(): Kind.I16,
    pa.int8(): Kind.I8,
    pa.uint64(): Kind.U64,
    pa.uint32(): Kind.U32,
    pa.uint16(): Kind.U16,
    pa.uint8(): Kind.U8,
}


def takes(type_: pa.DataType) -> bool:
    """Whether the machine reads arrays of a type as they are."""
    return type_ in _KINDS or pa.types.is_boolean(type_) or pa.types.is_string(type_)


@dataclass(frozen=True)
class Answered:
    """What the machine answered: a result's values [rows, width], which rows are not NULL, and how many it refused."""

    results: Mapping[What, npt.NDArray[Any]]
    valid: npt.NDArray[np.bool_]
    refused: int


class Kernel:
    """An image and the machine. Safe to call from several threads, which then run side by side."""

    def __init__(self, image: Image, machine: int) -> None:
        self.image = image
        self._run = ctypes.CFUNCTYPE(*(ctypes.c_int64,) * 5)(machine)

    @property
    def rows(self) -> int:
        """How many rows the image was given, in every thread."""
        return self.image.rows

    @property
    def steps(self) -> int:
        """How many trees it went through, summed over rows."""
        return self.image.steps

    def reset(self) -> None:
        """Count both from the beginning."""
        self.image.reset()

    def __call__(self, arrays: Sequence[pa.Array]) -> Answered:
        """Answer rows given as an array an argument, each of a type that `takes` says."""
        rows = len(arrays[0])
        held: list[Any] = []
        columns = np.zeros((len(arrays), l_.COLUMN_FIELDS), np.int64)
        for place, array in enumerate(arrays):
            columns[place] = _column(array, self.image.texts.get(place), held)
        outputs = np.zeros((len(self.image.outputs), l_.OUT_FIELDS), np.int64)
        valid = np.full((rows + 7) // 8, 255, np.uint8)
        results: dict[What, npt.NDArray[Any]] = {}
        for place, (what, width) in enumerate(self.image.outputs):
            results[what] = found = np.empty((rows, width), np.int32 if what == What.LABEL else np.float64)
            outputs[place] = what, found.ctypes.data, valid.ctypes.data
        # ctypes lets go of the GIL while the machine runs.
        refused = self._run(self.image.address, rows, columns.ctypes.data, outputs.ctypes.data)
        if refused < 0:
            raise MemoryError("no memory for a tile of rows")
        marks = np.unpackbits(valid, count=rows, bitorder="little").astype(bool)
        return Answered(results, marks, int(refused))


def _column(array: pa.Array, texts: tuple[str, ...] | None, held: list[Any]) -> tuple[int, int, int, int]:
    """An array as the machine reads it; what must live as long as it runs goes to `held`."""
    if texts is not None:
        coded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
        table = keys_of(texts, coded.dictionary.to_pylist())
        indices = coded.indices.fill_null(len(table) - 1) if coded.indices.null_count else coded.indices
        keys = table[indices.to_numpy(zero_copy_only=False)]
        held.append(keys)
        return keys.ctypes.data, 0, Kind.KEY, 0
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    if array.type not in _KINDS:
        # A column that the program doesn't use.
        return 0, 0, Kind.KEY, 0
    held.append(array)
    validity, data = array.buffers()
    address = data.address + array.offset * array.type.bit_width // 8
    if not array.null_count:
        return address, 0, _KINDS[array.type], 0
    if array.offset % 8:
        bits = np.packbits(array.is_valid().to_numpy(zero_copy_only=False), bitorder="little")
        held.append(bits)
        return address, bits.ctypes.data, _KINDS[array.type], 0
    return address, validity.address + array.offset // 8, _KINDS[array.type], 0
