"""A table for people, as wide as the terminal; whole, if it goes to a pipe or a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sqlml.cli.rows import Result

MAX_ROWS = 40

# Numbers stand right. Decimals carry their digits in their type's name.
_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL", "BIGNUM")

# Whoever reads a pipe wants the values, not what fits into 80 columns.
_UNBOUNDED = 1_000_000


def write(result: Result, stream: TextIO, *, max_rows: int = MAX_ROWS) -> None:
    """Write the first rows, and how many more there are; 0 writes all of them."""
    shown: list[tuple[str | None, ...]] = []
    total = 0
    for piece in result.rows(result.texts()):
        total += len(piece)
        shown += piece if not max_rows else piece[: max_rows - len(shown)]
    right = {i for i, type_ in enumerate(result.types) if str(type_).lstrip("U").startswith(_NUMBERS)}
    table(result.names, shown, stream, right=right)
    if more := total - len(shown):
        stream.write(f"({more:,} more {'row' if more == 1 else 'rows'}: --max-rows 0 prints all)\n")


def table(
    names: Sequence[str], rows: Iterable[Sequence[str | None]], stream: TextIO, *, right: Iterable[int] = ()
) -> None:
    """Write a table; None is NULL."""
    drawn = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for i, name in enumerate(names):
        drawn.add_column(Text(_printable(name)), justify="right" if i in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text("NULL", "dim") if cell is None else Text(_printable(cell)) for cell in row))
    console = Console(file=stream, width=None if stream.isatty() else _UNBOUNDED, soft_wrap=False)
    console.print(drawn)


def _printable(text: str) -> str:
    """A value without what would move the cursor; its lines are its own.

    Example:
        >>> _printable("a\x1b[2Jb")
        'a\\x1b[2Jb'
    """
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
