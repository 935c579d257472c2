"""A table for people, as wide as the terminal; whole, if it goes to a pipe or a file."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sqlml.cli.rows import Result

MAX_ROWS = 40

# Numbers stand right. Decimals carry their digits in their type's name.
_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL", "BIGNUM")

# Whoever reads a pipe wants the values, not what fits into 80 columns.
_UNBOUNDED = 1_000_000

_BETWEEN = 3
"""The blanks between two columns."""


def write(result: Result, stream: TextIO, *, max_rows: int = MAX_ROWS) -> None:
    """Write the first rows, and how many more there are; 0 writes all of them."""
    shown: list[tuple[str | None, ...]] = []
    total = 0
    for piece in result.rows(result.texts()):
        total += len(piece)
        shown += piece if not max_rows else piece[: max_rows - len(shown)]
    right = {i for i, type_ in enumerate(result.types) if str(type_).lstrip("U").startswith(_NUMBERS)}
    table(result.names, shown, stream, right=right, elide=True)
    if more := total - len(shown):
        stream.write(f"({more:,} more {'row' if more == 1 else 'rows'}: --max-rows 0 prints all)\n")


def table(
    names: Sequence[str],
    rows: Iterable[Sequence[str | None]],
    stream: TextIO,
    *,
    right: Iterable[int] = (),
    elide: bool = False,
) -> None:
    """Write a table; None is NULL. Without a name in it, the header is left out.

    Where the terminal is too narrow, columns are folded, or, to `elide`, the last ones are left out.
    """
    cells = [[Text("NULL", "dim") if cell is None else Text(_printable(cell)) for cell in row] for row in rows]
    headers = [Text(_printable(name)) for name in names]
    console = Console(file=stream, width=None if stream.isatty() else _UNBOUNDED)
    shown = _fitting([headers, *cells], console.width) if elide else len(names)
    drawn = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, show_header=any(names))
    for i, header in enumerate(headers[:shown]):
        drawn.add_column(header, justify="right" if i in right else "left", overflow="fold")
    for row in cells:
        drawn.add_row(*row[:shown])
    console.print(drawn)
    if more := len(names) - shown:
        stream.write(f"({more} more {'column' if more == 1 else 'columns'}: a pipe gets all, and '--output json')\n")


def _fitting(rows: Sequence[Sequence[Text]], width: int) -> int:
    """How many of the first columns fit side by side. One that is too wide by itself is folded."""
    widths = [max(map(_width, column)) + _BETWEEN for column in zip(*rows, strict=True)]
    fit = sum(end - _BETWEEN <= width for end in itertools.accumulate(widths))
    return max(fit, 1)


def _width(text: Text) -> int:
    """The width of a text's longest line, in cells of the terminal."""
    return max((cell_len(line) for line in text.plain.splitlines()), default=0)


def _printable(text: str) -> str:
    r"""A value without what would move the cursor; its lines are its own.

    Example:
        >>> _printable("a\x1b[2Jb")
        'a\\x1b[2Jb'
    """
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
