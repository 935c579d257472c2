"""Rows to try a model with, and the proof that the engine's path answers them as the model itself does."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from sqlml.models import feed
from sqlml.models.description import Argument, Description
from sqlml.models.fitted import Fitted
from sqlml.models.predictor import Predictor
from sqlml.types import ARROW

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
        return [float(value) for value in np.float32(random.normal(0, 2, _ROWS))]
    if type_ == "TIMESTAMP":
        return [int(value) for value in random.integers(0, 10**15, _ROWS)]
    return ["a"] * _ROWS if type_ == "VARCHAR" else [b"a"] * _ROWS


def trial(call: Callable[[Any], Any], rows: Any) -> Any | None:
    """The model's answer, or None where it raises."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return call(rows)
    except Exception:
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
    started = time.perf_counter()
    arguments = description.arguments
    rows = probe_rows(arguments, fitted.categories, example)
    # What the model takes as missing stays missing; the rest would be NULL on both sides and prove nothing.
    asked = pa.table(rows, names=[str(i) for i in range(len(rows))])
    for i, argument in enumerate(arguments):
        if argument.missing is None:
            asked = asked.filter(pa.compute.is_valid(asked.column(i)))
    columns = [column.combine_chunks() for column in asked.columns]
    predictor = Predictor("proof", description, fitted, "propagate")
    mismatches, absolute, relative, compared = 0, 0.0, 0.0, 0
    frame = feed.frame(columns, arguments) if asked.num_rows else None
    for output in description.outputs():
        oracle = None if frame is None else trial(fitted.predict if output == "predict" else fitted.proba, frame)  # type: ignore[arg-type]
        if oracle is None or output in ("proba", "probs"):
            continue
        compared = asked.num_rows
        expected = np.asarray(oracle)
        expected = expected[:, -1] if output == "score" else expected.reshape(len(expected), -1)
        answers = predictor(output, columns)
        if description.returns.shape == "struct" and output == "predict":
            answers = pa.StructArray.from_arrays(answers.flatten(), names=[n for n, _ in description.returns.fields])
            got = np.array([list(row.values()) for row in answers.to_pylist()], dtype=object)
        else:
            got = np.array(answers.to_pylist(), dtype=expected.dtype if expected.dtype.kind == "f" else object)
        got = got.reshape(expected.shape)
        if expected.dtype.kind == "f":
            difference = np.abs(got - expected)
            difference[np.isnan(got) & np.isnan(expected)] = 0.0
            absolute = max(absolute, float(difference.max(initial=0.0)))
            relative = max(
                relative, float((difference / np.maximum(np.abs(expected), np.finfo(float).tiny)).max(initial=0.0))
            )
        else:
            mismatches += int((got != expected).sum())
    return Comparison(compared, mismatches, absolute, relative, time.perf_counter() - started)
