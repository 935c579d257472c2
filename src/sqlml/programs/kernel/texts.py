"""A dictionary of texts as the machine looks them up: by the 16 bytes in which DuckDB keeps a text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sqlml.programs.kernel import layout as l_
from sqlml.programs.kernel.image import Assembler

_WORD = (1 << 64) - 1


def dictionary(assembler: Assembler, keys: Sequence[str]) -> int:
    """The address of a table that gives FIRST_KEY + i for `keys[i]`.

    Open addressing with linear probing; at most half of the slots are taken.
    """
    slots = 8
    while slots < 2 * len(keys):
        slots *= 2
    table = np.zeros(1 + slots * l_.SLOT_FIELDS, np.uint64)
    table[0] = slots - 1
    for i, text in enumerate(keys):
        data = text.encode()
        low, high = _words(assembler, data)
        slot = _hash(low, high if len(data) <= l_.INLINED else _spread(data)) & (slots - 1)
        while table[1 + slot * l_.SLOT_FIELDS]:
            slot = (slot + 1) & (slots - 1)
        at = 1 + slot * l_.SLOT_FIELDS
        table[at : at + 3] = [l_.FIRST_KEY + i, low, high]
    return assembler.table(table)


def _words(assembler: Assembler, data: bytes) -> tuple[int, int]:
    """The two words of a text: its length and first four bytes; the rest, or the address of all of it."""
    low = len(data).to_bytes(4, "little") + data[:4].ljust(4, b"\0")
    if len(data) <= l_.INLINED:
        high = int.from_bytes(data[4:].ljust(8, b"\0"), "little")
    else:
        high = assembler.table(np.frombuffer(data, np.uint8))
    return int.from_bytes(low, "little"), high


def _hash(low: int, high: int) -> int:
    mixed = _signed((low * 7046029254386353131) ^ (high * 1609587929392839161))
    return mixed ^ (mixed >> 29)


def _spread(data: bytes) -> int:
    spread = 0
    for byte in data:
        spread = ((spread ^ byte) * 1099511628211) & _WORD
    return spread


def _signed(value: int) -> int:
    value &= _WORD
    return value - (1 << 64) if value >> 63 else value


def keys_of(keys: Sequence[str], distinct: Sequence[str | None]) -> npt.NDArray[np.int32]:
    """The machine's key of each text, and MISSING behind the last."""
    places = {key: l_.FIRST_KEY + i for i, key in enumerate(keys)}
    found = [l_.MISSING if text is None else places.get(text, l_.UNKNOWN) for text in distinct]
    return np.array([*found, l_.MISSING], np.int32)
