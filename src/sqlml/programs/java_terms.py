"""Pieces of Java text, and the constants that a class reads from a file beside it."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


class NoJava(Exception):
    """A program that can't be a Java class; says why.

    Example:
        >>> str(NoJava("no function of Java is normal_cdf"))
        'no function of Java is normal_cdf'
    """


def number(value: float) -> str:
    """A float64 as a literal of the same bits.

    Example:
        >>> number(0.1), number(-2.0), number(float("-inf")), number(5e-324)
        ('0.1', '-2.0', 'Double.NEGATIVE_INFINITY', 'Double.longBitsToDouble(1L)')
    """
    if math.isnan(value):
        return "Double.NaN"
    if math.isinf(value):
        return "Double.POSITIVE_INFINITY" if value > 0 else "Double.NEGATIVE_INFINITY"
    if 0.0 < abs(value) < 1e-300:
        # Not every compiler reads subnormal literals.
        return f"Double.longBitsToDouble({struct.unpack('>q', struct.pack('>d', value))[0]}L)"
    return repr(float(value))


def string(text: str) -> str:
    r"""A text as a literal.

    Example:
        >>> print(string('it"s'), string("caf\u00e9"))
        "it\042s" "caf\u00e9"
    """
    units = text.encode("utf-16-be", "surrogatepass")
    return '"' + "".join(map(_letter, struct.unpack(f">{len(units) // 2}H", units))) + '"'


def _letter(unit: int) -> str:
    letter = chr(unit)
    if unit < 128:
        # A \u escape is read before the string is: a quote or a line's end would end it.
        return letter if letter.isalnum() or letter in " _-.,:;()'<>=/" else f"\\{unit:03o}"
    return f"\\u{unit:04x}"


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\w.]+|[^\w\s]')


def weight(text: str) -> int:
    """Of how many words and signs a text is, which is about how many bytes of code it becomes.

    Example:
        >>> weight('v[17] = "a b" + 1.5;')
        9
    """
    return len(_TOKEN.findall(text))


class Constants:
    """Arrays that a class keeps in static fields: a method can't hold more than 64 KB of them as code."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, bytes], str] = {}
        self._fields: list[str] = []

    def doubles(self, values: Any) -> str:
        """The field of an array of float64."""
        return self._field("double", np.asarray(values, ">f8"))

    def floats(self, values: Any) -> str:
        """The field of an array of float32."""
        with np.errstate(over="ignore"):
            return self._field("float", np.asarray(values).astype(">f4"))

    def ints(self, values: Any) -> str:
        """The field of an array of int32."""
        return self._field("int", np.asarray(values, ">i4"))

    def longs(self, values: Any) -> str:
        """The field of an array of int64."""
        return self._field("long", np.asarray(values).astype(">i8"))

    def texts(self, values: Sequence[str]) -> str:
        """The field of an array of UTF8String."""
        held = [text.encode("utf-8", "surrogatepass") for text in values]
        data = b"".join(struct.pack(">i", len(text)) + text for text in held)
        return self._named("UTF8String", len(held), data)

    def _field(self, type_: str, values: npt.NDArray[Any]) -> str:
        return self._named(type_, values.size, values.tobytes())

    def _named(self, type_: str, count: int, data: bytes) -> str:
        key = (type_, struct.pack(">i", count) + data)
        if key not in self._names:
            self._names[key] = f"K{len(self._names)}"
            self._fields.append(f"private static final {type_}[] {self._names[key]} = {type_.lower()}s();")
        return self._names[key]

    def data(self) -> bytes:
        """What the file holds: each array's length and its elements, big end first."""
        return b"".join(data for _, data in self._names)

    def fields(self, name: str) -> str:
        """The fields of a class of that name, filled in the file's order when it is loaded; empty for none."""
        if not self._fields:
            return ""
        opened = _READING.replace("$FILE$", string(f"{name}.bin")).replace("$CLASS$", name)
        readers = "".join(_READERS[type_] for type_ in dict.fromkeys(type_ for type_, _ in self._names))
        return "\n".join([opened + readers, *self._fields, "static { closed(); }"])


# A static field is filled where it stands: the stream before the arrays, and closed behind them.
_READING = """
private static java.io.DataInputStream held = opened();

private static java.io.DataInputStream opened() {
    java.io.InputStream in = $CLASS$.class.getResourceAsStream($FILE$);
    if (in == null) throw new IllegalStateException("The jar lacks " + $FILE$);
    return new java.io.DataInputStream(new java.io.BufferedInputStream(in, 65536));
}

private static void closed() {
    try {
        held.close();
    } catch (java.io.IOException error) {
        throw new IllegalStateException(error);
    }
    held = null;
}

private static java.nio.ByteBuffer read(int width) {
    try {
        byte[] bytes = new byte[width == 0 ? held.readInt() : width * held.readInt()];
        held.readFully(bytes);
        return java.nio.ByteBuffer.wrap(bytes);
    } catch (java.io.IOException error) {
        throw new IllegalStateException(error);
    }
}
"""

_NUMBERS = """
private static $TYPE$[] $TYPE$s() {
    java.nio.ByteBuffer bytes = read($WIDTH$);
    $TYPE$[] found = new $TYPE$[bytes.remaining() / $WIDTH$];
    bytes.as$NAME$Buffer().get(found);
    return found;
}
"""

_TEXTS = """
private static UTF8String[] utf8strings() {
    try {
        UTF8String[] found = new UTF8String[held.readInt()];
        for (int i = 0; i < found.length; i++) found[i] = UTF8String.fromBytes(read(0).array());
        return found;
    } catch (java.io.IOException error) {
        throw new IllegalStateException(error);
    }
}
"""


def _numbers(type_: str, name: str, width: int) -> str:
    return _NUMBERS.replace("$TYPE$", type_).replace("$NAME$", name).replace("$WIDTH$", str(width))


_READERS = {
    "double": _numbers("double", "Double", 8),
    "float": _numbers("float", "Float", 4),
    "int": _numbers("int", "Int", 4),
    "long": _numbers("long", "Long", 8),
    "UTF8String": _TEXTS,
}
