"""CSV: a header, fields in quotes as RFC 4180 has them, NULL as nothing. Lines end in a line feed, as pipes want."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import TextIO

from sqlml.cli.rows import Result

# An empty text is quoted too, so that it is not read as NULL.
_QUOTED = re.compile(r'[",\r\n]|^\s|\s$|^$')


def write(result: Result, stream: TextIO) -> None:
    """Write the rows as they come."""
    pieces = result.rows(result.texts())
    # Read before the header is written: what fails at once leaves no output.
    first = next(pieces, [])
    stream.write(line(result.names))
    for piece in itertools.chain([first], pieces):
        stream.write("".join(map(line, piece)))


def line(fields: Sequence[str | None]) -> str:
    """One record. A lone NULL is quoted: readers take an empty line for no record at all.

    Example:
        >>> line(["a", None, "", "b, c"]).rstrip()
        'a,,"","b, c"'
    """
    if len(fields) == 1 and fields[0] is None:
        return '""\n'
    return ",".join("" if field is None else _field(field) for field in fields) + "\n"


def _field(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text
