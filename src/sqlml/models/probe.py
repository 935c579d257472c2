"""Rows to try a model with, and the proof that the engine's path answers them as the model itself does."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sqlml.models import feed
from sqlml.models.description import Argument, Description
from sqlml.models.fitted import Fitted
from sqlml.types import ARROW, Output, Returns

Columns = list[pa.Array]
_ROWS = 64
_SEED = 20130101


def probe_rows(
    arguments: Sequence[Argument], categories: Mapping[str, Sequence[Any]], example: Columns | None
) -> Columns:
    """The logged example's rows, then rows drawn from what is known of each argument; the same ones every time.

    Numbers are drawn around the example's where there is one, whole and small without one; text comes from the
    categories the model has seen. The last quarter of the rows has a missing value each.
    """
    random = np.random.default_rng(_SEED)
    columns: Columns = []
    for place, argument in enumerate(arguments):
        seen = list(argument.categories or categories.get(argument.name, ()))
        known = example[place].drop_null().to_pylist() if example is not None else []
        values = _drawn(argument.type, seen or known, random)
        for row in range(_ROWS - _ROWS // 4, _ROWS):
            if row % len(arguments) == place % _ROWS:
                values[row] = None
        drawn = pa.array(values, ARROW[argument.type])
        columns.append(drawn if example is None else pa.concat_arrays([example[place], drawn]))
    return columns


def _drawn(type_: str, known: list[Any], random: np.random.Generator) -> list[Any]:
    if type_ == "BOOLEAN":
        return [bool(value) for value in random.integers(0, 2, _ROWS)]
    if known:
        return [known[i] for i in random.integers(0, len(known), _ROWS)]
    if type_ in ("INTEGER", "BIGINT"):
        return [int(value) for value in random.integers(0, 5, _ROWS)]
    if type_ in ("FLOAT", "DOUBLE"):
        # Values that a float32 holds too, so that a library that works in it rounds none.
        return [float(value) for value in random.normal(0, 2, _ROWS).astype(np.float32)]
    if type_ == "TIMESTAMP":
        return [int(value) for value in random.integers(0, 10**15, _ROWS)]
    return ["a"] * _ROWS if type_ == "VARCHAR" else [b"a"] * _ROWS


def trial(call: Callable[[Any], Any], rows: Any) -> Any | None:
    """The model's answer, or None where it raises."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return call(rows)
    except Exception:  # noqa: BLE001
        # Any library may raise anything on a row it can't take; that it did is the whole finding.
        return None


@dataclass(frozen=True)
class Comparison:
    """What a strategy's answers were compared with, and how they differed from the model's own."""

    rows: int
    label_mismatches: int
    max_absolute: float
    max_relative: float
    seconds: float


def compare(description: Description, fitted: Fitted, example: Columns | None) -> Comparison:
    """Answer the probe rows as a query would, and compare with the model's own answers on the same data frame.

    Rows that the model refuses whole are left out. A relative difference is |a - b| / max(|b|, tiny).
    """
    from sqlml.models.predictor import Predictor

    started = time.perf_counter()
    columns = _taken(description, probe_rows(description.arguments, fitted.categories, example))
    predictor = Predictor("proof", description, fitted, "propagate")
    total = Comparison(0, 0, 0.0, 0.0, 0.0)
    asked: tuple[tuple[Output, Callable[[Any], Any] | None], ...] = (
        ("predict", fitted.predict),
        ("probs", fitted.proba),
    )
    for output, call in asked:
        if call is None or output not in description.outputs() or not len(columns[0]):
            continue
        own = trial(call, feed.frame(columns, description.arguments))
        if own is not None:
            for expected, got in _pairs(output, own, predictor(output, columns), description.returns):
                total = _added(total, len(columns[0]), expected, got)
    return replace(total, seconds=time.perf_counter() - started)


def _taken(description: Description, rows: Columns) -> Columns:
    """The rows with no NULL but where the model takes it as missing: others give NULL and would prove nothing."""
    table = pa.table(rows, names=[str(place) for place in range(len(rows))])
    for place, argument in enumerate(description.arguments):
        if argument.missing is None:
            table = table.filter(pc.is_valid(table.column(place)))
    return [column.combine_chunks() for column in table.columns]


def _pairs(output: Output, own: Any, got: pa.Array, returns: Returns) -> list[tuple[npt.NDArray[Any], pa.Array]]:
    """The model's own answers beside those of a query, both flat, a pair for each field of a struct."""
    if output == "predict" and returns.shape == "struct":
        return [(np.asarray(own[name]), got.field(name)) for name, _ in returns.fields]
    expected = np.asarray(own).reshape(-1)
    if output == "probs":
        return [(expected, got.flatten().field("prob"))]
    return [(expected, got.flatten() if returns.shape == "list" else got)]


def _added(total: Comparison, rows: int, expected: npt.NDArray[Any], got: pa.Array) -> Comparison:
    if expected.dtype.kind != "f":
        wrong = sum(one != other for one, other in zip(expected.tolist(), got.to_pylist(), strict=True))
        return replace(total, rows=rows, label_mismatches=total.label_mismatches + wrong)
    values = got.to_numpy(zero_copy_only=False).astype(np.float64)
    own = expected.astype(np.float64)
    difference = np.abs(values - own)
    # Two infinities of one sign, or two NaN, are the same answer.
    difference[(values == own) | (np.isnan(values) & np.isnan(own))] = 0.0
    relative = difference / np.maximum(np.abs(own), np.finfo(np.float64).tiny)
    return replace(
        total,
        rows=rows,
        max_absolute=max(total.max_absolute, float(difference.max(initial=0.0))),
        max_relative=max(total.max_relative, float(relative.max(initial=0.0))),
    )
