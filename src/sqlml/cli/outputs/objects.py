"""JSON: one array, a row an object. NaN and the infinities are null, for JSON has none of them."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any, TextIO

from sqlml.cli.rows import Result


def write(result: Result, stream: TextIO) -> None:
    """Write the rows as they come."""
    columns = result.values()
    names = [column.name for column in columns]
    pieces = result.rows(columns)
    # Read before the bracket is written: what fails at once leaves no output.
    first = next(pieces, [])
    between = "[\n"
    for row in itertools.chain(first, itertools.chain.from_iterable(pieces)):
        stream.write(between + dumped(dict(zip(names, row, strict=True))))
        between = ",\n"
    stream.write("[]\n" if between == "[\n" else "\n]\n")


def dumped(value: Any, indent: int | None = None) -> str:
    """A value as JSON; what JSON has no form for (a time, a path) as text.

    Example:
        >>> dumped({"a": [1.5, float("nan")]})
        '{"a": [1.5, null]}'
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=str, indent=indent)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, default=str, indent=indent)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
