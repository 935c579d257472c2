"""Results that are no relation: a list of things as a table, or as JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Any

from sqlml.cli.outputs.objects import dumped
from sqlml.cli.outputs.table import table


def print_json(value: Any) -> None:
    """Print a value, with dataclasses as objects."""
    sys.stdout.write(dumped(_plain(value), indent=2) + "\n")


def print_table(names: Sequence[str], rows: Sequence[Sequence[Any]], *, empty: str) -> None:
    """Print a table, or a sentence if it would have no rows; None is an empty cell."""
    if not rows:
        sys.stdout.write(f"{empty}\n")
        return
    table(names, [["" if cell is None else str(cell) for cell in row] for row in rows], sys.stdout)


def when(moment: datetime | None) -> str | None:
    """A moment for a column: to the second, in UTC."""
    return None if moment is None else moment.strftime("%Y-%m-%d %H:%M:%SZ")


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
