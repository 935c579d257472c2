"""A function's answers to a table's rows beside the model's own to the same rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from sqlml.engines.engine import Engine
from sqlml.models.answering import Answerer, match_names
from sqlml.models.cases import tolerance, widened
from sqlml.models.probe import Comparison
from sqlml.query.text import identifier
from sqlml.types import Output

_BATCH = 100_000
_SHOWN = 5


@dataclass(frozen=True)
class Verified:
    """What was compared: the strategy, how many rows, how far apart, and the first rows that differ."""

    function: str
    strategy: str
    rows: int
    label_mismatches: int
    max_absolute: float
    max_relative: float
    seconds: float
    differing: tuple[Mapping[str, Any], ...]


def verify(engine: Engine, answerer: Answerer, table: str, told: Callable[[int], None]) -> Verified:
    """Ask a query for the answers to each row of a table, and the model itself.

    Args:
        engine: where the table is.
        answerer: the function's.
        table: its name, as SQL writes it, or a query in parentheses.
        told: is called with the number of rows done.

    Raises:
        BindingError: the table lacks an argument.
        ModelError: the model itself can't be loaded.
    """
    started, held = time.perf_counter(), answerer.description
    names = [column.name for column in engine.columns(f"SELECT * FROM {table}")]
    places = match_names(answerer.function, held.arguments, names, f"'{table}'", lambda place: f"'{names[place]}'")
    given = ["NULL" if place is None else identifier(names[place], engine.dialect) for place in places]
    taken = ", ".join(text for text, argument in zip(given, held.arguments, strict=True) if argument.used)
    outputs: Sequence[Output] = [output for output in held.outputs() if output in ("predict", "score")]
    calls = [f"{engine.register(answerer, [output])}({taken}) AS o{i}" for i, output in enumerate(outputs)]
    arguments = [f"{text} AS a{i}" for i, text in enumerate(given)]
    program = answerer.compiled()
    bound = tolerance(program.program) if program is not None else 0.0
    found, rows = Comparison(0, 0, 0.0, 0.0, 0.0), 0
    differing: list[Mapping[str, Any]] = []
    for batch in engine.batches(f"SELECT {', '.join(arguments + calls)} FROM {table}", _BATCH):
        columns = [batch.column(i) for i in range(len(arguments))]
        for i, output in enumerate(outputs):
            own, got = answerer.predictor()(output, columns), batch.column(len(arguments) + i)
            found = widened(found, np.asarray(_values(own)), got)
            if len(differing) < _SHOWN:
                differing += _different(held.arguments, columns, own, got, bound)[: _SHOWN - len(differing)]
        rows += batch.num_rows
        told(rows)
    return Verified(
        function=answerer.function,
        strategy=answerer.strategy,
        rows=rows,
        label_mismatches=found.label_mismatches,
        max_absolute=found.max_absolute,
        max_relative=found.max_relative,
        seconds=time.perf_counter() - started,
        differing=tuple(differing),
    )


def _values(array: pa.Array) -> Any:
    """Numbers with NaN for NULL, or Python's values."""
    if pa.types.is_floating(array.type):
        return array.to_numpy(zero_copy_only=False)
    return np.array(array.to_pylist(), object)


def _different(
    arguments: Sequence[Any], columns: Sequence[pa.Array], own: pa.Array, got: pa.Array, bound: float
) -> list[Mapping[str, Any]]:
    expected, answered = own.to_pylist(), got.to_pylist()
    rows: list[Mapping[str, Any]] = []
    for row, (one, other) in enumerate(zip(expected, answered, strict=True)):
        if one == other or _close(one, other, bound):
            continue
        values = {argument.name: column[row].as_py() for argument, column in zip(arguments, columns, strict=True)}
        rows.append({**values, "the model's": one, "the function's": other})
        if len(rows) == _SHOWN:
            break
    return rows


def _close(one: Any, other: Any, bound: float) -> bool:
    if not isinstance(one, float) or not isinstance(other, float):
        return False
    both_nan = one != one and other != other
    return both_nan or abs(one - other) <= bound * max(abs(one), 1e-3)
