"""The rows that a compiled version is compared with its model on, and the model's own answers to them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sqlml.models import feed
from sqlml.models.answers import numbers_of
from sqlml.models.description import Argument, Description
from sqlml.models.fitted import Fitted
from sqlml.models.probe import Columns, trial
from sqlml.programs.evaluate import evaluate
from sqlml.programs.probes import turning_points
from sqlml.programs.program import Program
from sqlml.types import ARROW

_SEED = 20130101
_MIXED = 1_000
"""So many rows are put together at random from all values."""
_MOST = 12_000


@dataclass(frozen=True)
class Cases:
    """Rows as an array an argument, and the model's answers: labels or values, and probabilities where it has them."""

    columns: Columns
    predicted: npt.NDArray[Any]
    probabilities: npt.NDArray[np.float64] | None

    @property
    def rows(self) -> int:
        """How many."""
        return len(self.predicted)


class NoCases(Exception):
    """Why there is nothing to compare with."""


def make_cases(program: Program, description: Description, fitted: Fitted, rows: Columns) -> Cases:
    """Draw rows where the program turns, and ask the model.

    Rows that the program refuses are left out, for the model answers those itself, and rows that a NULL makes NULL.

    Raises:
        NoCases: the model refuses rows that the program answers, or all of them.
    """
    columns = _drawn(program, description.arguments, rows)
    keep = _answerable(program, description.arguments, columns)
    columns = [array.filter(pa.array(keep)) for array in columns]
    if not len(columns[0]):
        raise NoCases("no row could be tried")
    frame = feed.frame(columns, description.arguments)
    predicted = trial(fitted.predict, frame)
    if predicted is None:
        raise NoCases("the model refuses rows that its program answers")
    probabilities = None
    if fitted.proba is not None and description.has_proba:
        probabilities = trial(fitted.proba, frame)
        if probabilities is None:
            raise NoCases("the model gives no probabilities for rows that its program answers")
        probabilities = np.asarray(probabilities, np.float64)
    return Cases(columns, np.asarray(predicted), probabilities)


def _drawn(program: Program, arguments: Sequence[Argument], rows: Columns) -> Columns:
    """The rows given; each turning point in one of them; and rows of turning points and given values at random."""
    random = np.random.default_rng(_SEED)
    points = {
        place: _fitting(values, arguments[place]) for place, values in turning_points(program, seed=_SEED).items()
    }
    total = sum(len(values) for values in points.values())
    if total > _MOST:
        points = {
            place: [values[i] for i in random.permutation(len(values))[: max(20, len(values) * _MOST // total)]]
            for place, values in points.items()
        }
        total = sum(len(values) for values in points.values())
    given = len(rows[0])
    start = 0
    columns = []
    for place, (array, argument) in enumerate(zip(rows, arguments, strict=True)):
        base = array.drop_null().to_pylist() or [None]
        mine = points.get(place, [])
        held = [base[i] for i in random.integers(0, len(base), total)]
        held[start : start + len(mine)] = mine
        start += len(mine)
        pool = [*base, *mine] if random.random() < 0.5 else base
        mixed = [pool[i] for i in random.integers(0, len(pool), _MIXED)]
        columns.append(pa.concat_arrays([array, pa.array([*held, *mixed], ARROW[argument.type])]))
    assert all(len(column) == given + total + _MIXED for column in columns)
    return columns


def _fitting(values: Sequence[float | str | None], argument: Argument) -> list[Any]:
    """Values as the argument's type holds them; those that it doesn't are left out."""
    if argument.type == "VARCHAR":
        return [value if value is None else str(value) for value in values]
    numbers = [float(value) for value in values if isinstance(value, float)]
    if argument.type == "DOUBLE":
        return list(numbers)
    if argument.type == "FLOAT":
        with np.errstate(over="ignore"):
            return [float(np.float32(value)) for value in numbers if not abs(value) > 3.4e38 or math.isinf(value)]
    if argument.type == "BOOLEAN":
        return [False, True, None]
    largest = 2**31 - 1 if argument.type == "INTEGER" else 2**53
    whole = {int(side) for value in numbers if abs(value) < largest for side in (math.floor(value), math.ceil(value))}
    return [*sorted(whole), None]


def _answerable(program: Program, arguments: Sequence[Argument], columns: Columns) -> npt.NDArray[np.bool_]:
    """Rows that no NULL makes NULL and that the program doesn't refuse."""
    keep = np.ones(len(columns[0]), bool)
    held: list[Any] = []
    for place, (array, argument) in enumerate(zip(columns, arguments, strict=True)):
        held.append(array if argument.type == "VARCHAR" else numbers_of(array))
        if argument.missing is None and place in program.used:
            missing = array.is_null().to_numpy(zero_copy_only=False)
            keep &= ~missing if argument.type == "VARCHAR" else ~np.isnan(held[-1])
        elif argument.missing is None:
            # The model can't take NULL here, and the program doesn't look.
            keep &= array.is_valid().to_numpy(zero_copy_only=False)
            if argument.type in ("DOUBLE", "FLOAT"):
                keep &= np.isfinite(held[-1])
    return keep & ~evaluate(program, held).refused


def to_table(cases: Cases) -> pa.Table:
    """Cases as a table to keep: `a0`, `a1`... are the arguments, `predicted` and `probabilities` the answers."""
    held: dict[str, Any] = {f"a{i}": column for i, column in enumerate(cases.columns)}
    values = cases.predicted
    flat = pa.array(values.tolist()) if values.dtype.kind not in "fiub" or values.ndim > 1 else pa.array(values)
    held["predicted"] = flat
    if cases.probabilities is not None:
        held["probabilities"] = pa.array(cases.probabilities.tolist())
    return pa.table(held)


def from_table(table: pa.Table) -> Cases:
    """What `to_table` made."""
    held: Mapping[str, Any] = {name: table.column(name).combine_chunks() for name in table.column_names}
    columns = [held[f"a{i}"] for i in range(sum(name[0] == "a" for name in held))]
    proba = np.array(held["probabilities"].to_pylist()) if "probabilities" in held else None
    return Cases(columns, np.array(held["predicted"].to_pylist()), proba)
