"""An image in the making: registers, constants and tables, and the instructions over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sqlml.programs.kernel import layout as l_
from sqlml.programs.kernel.layout import Target, What


class NotLowered(Exception):
    """A program that the machine can't run, and why."""


class Image:
    """A program as the machine runs it, with every array that it points to.

    `outputs` are its results and how many numbers a row each has; `texts` are the keys of each argument of text.
    """

    def __init__(
        self,
        header: npt.NDArray[np.int64],
        held: Sequence[Any],
        outputs: Sequence[tuple[What, int]],
        texts: Mapping[int, tuple[str, ...]],
    ) -> None:
        self._header = header
        self._held = held
        self.outputs = tuple(outputs)
        self.texts = texts

    @property
    def address(self) -> int:
        """Where it lies; it must be kept for as long as anybody may run it."""
        return int(self._header.ctypes.data)

    @property
    def rows(self) -> int:
        """How many rows all runs were given."""
        return int(self._header[l_.ROWS])

    @property
    def steps(self) -> int:
        """How many trees all runs went through, summed over rows; a screen's count as any other."""
        return int(self._header[l_.STEPS])

    def reset(self) -> None:
        """Count from the beginning."""
        self._header[[l_.ROWS, l_.STEPS]] = 0

    def __repr__(self) -> str:
        header = self._header
        return (
            f"<Image of {header[l_.CODE_LENGTH]} numbers, {header[l_.REGISTERS]} registers, tiles of {header[l_.TILE]}>"
        )


_TILE_BYTES = 400 * 1024
"""What a tile's registers may take, so that they stay in the second-level cache."""


class Assembler:
    """Collects instructions, and hands out registers, key registers and planes."""

    def __init__(self) -> None:
        self.code: list[int] = []
        self.held: list[Any] = []
        self._constants: list[float] = []
        self._free: list[int] = []
        self._borrowers: list[int] = []
        self._borrowing: set[int] = set()
        self._registers = 0
        # The first is where ranks are sought and trees are walked.
        self._keys = 1
        self._bytes = 0

    def emit(self, *numbers: int) -> None:
        """Append an instruction."""
        self.code += [int(number) for number in numbers]

    def register(self, *, borrows: bool = False) -> int:
        """A register that nobody uses.

        One that `borrows` may be somebody else's column in place of a copy, and is only ever loaded: another value
        put there would be written into that column.
        """
        free = self._borrowers if borrows else self._free
        if free:
            return free.pop()
        self._registers += 1
        if borrows:
            self._borrowing.add(self._registers - 1)
        return self._registers - 1

    def release(self, register: int) -> None:
        """Give a register back."""
        (self._borrowers if register in self._borrowing else self._free).append(register)

    def keys(self) -> int:
        """A key register of its own."""
        self._keys += 1
        return self._keys - 1

    def planes(self, count: int) -> int:
        """The first of so many planes of bytes that lie together, at an even place."""
        self._bytes += self._bytes & 1
        first = self._bytes
        self._bytes += count
        return first

    def constant(self, *values: float) -> int:
        """The place of constants that lie together."""
        self._constants += [float(value) for value in values]
        return len(self._constants) - len(values)

    def table(self, array: npt.NDArray[Any]) -> int:
        """The address of an array that the image keeps."""
        kept = np.ascontiguousarray(array)
        self.held.append(kept)
        return int(kept.ctypes.data)

    def image(
        self,
        inputs: Sequence[tuple[Target, bool]],
        outputs: Sequence[tuple[What, Sequence[int]]],
        texts: Mapping[int, tuple[str, ...]],
        *,
        strict: bool,
    ) -> Image:
        """The finished image."""
        row = 8 * self._registers + 4 * self._keys + self._bytes + 2
        tile = 2048
        while tile > 64 and tile * row > _TILE_BYTES:
            tile //= 2
        heads = [[what, len(places), self.table(np.array(places, np.int64))] for what, places in outputs]
        spec = [[target, required] for target, required in inputs]
        header = np.zeros(l_.HEADER, np.int64)
        header[l_.TILE] = tile
        header[l_.REGISTERS] = self._registers
        header[l_.KEYS] = self._keys
        header[l_.BYTES] = self._bytes
        header[l_.CODE] = self.table(np.array(self.code or [0], np.int64))
        header[l_.CODE_LENGTH] = len(self.code)
        header[l_.CONSTANTS] = self.table(np.array(self._constants or [0.0], np.float64))
        header[l_.INPUTS] = self.table(np.array(spec or [[0, 0]], np.int64))
        header[l_.INPUT_COUNT] = len(inputs)
        header[l_.OUTPUTS] = self.table(np.array(heads, np.int64))
        header[l_.OUTPUT_COUNT] = len(outputs)
        header[l_.STRICT] = strict
        return Image(header, self.held, [(what, len(places)) for what, places in outputs], texts)
