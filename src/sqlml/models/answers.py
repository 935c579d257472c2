"""A model's answers as Arrow arrays of the types that SQL functions give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sqlml.types import ARROW, Output, Returns, label_type, output_type


def numbers_of(array: pa.Array) -> npt.NDArray[np.float64]:
    """An array of numbers or booleans as float64, missing ones NaN."""
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    return np.asarray(array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)


def predictions(predicted: Any, returns: Returns) -> pa.Array:
    """What `predict` gave: n answers, n rows of several, or a data frame with a column for each field."""
    if returns.shape == "struct":
        columns = [pa.array(np.asarray(predicted[name]), ARROW[type_]) for name, type_ in returns.fields]
        return pa.StructArray.from_arrays(columns, names=[name for name, _ in returns.fields])
    values = np.asarray(predicted)
    if returns.shape == "list":
        flat = _array(values.reshape(-1), ARROW[returns.scalar])
        offsets = np.arange(0, len(flat) + 1, values.shape[1], dtype=np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), flat)
    return _array(values.reshape(len(values)), ARROW[returns.scalar])


def labels(places: npt.NDArray[np.int32], classes: Sequence[Any], returns: Returns) -> pa.Array:
    """The classes at some places."""
    return pa.array(list(classes), ARROW[returns.scalar]).take(pa.array(places))


def probabilities(output: Output, proba: npt.NDArray[Any], classes: Sequence[Any]) -> pa.Array:
    """Probabilities of the shape [rows, classes], as `score`, `proba` or `probs` give them."""
    rows, width = proba.shape
    if output == "score":
        return pa.array(proba[:, width - 1].astype(np.float64))
    held = pa.array(list(classes), ARROW[label_type(classes)])
    keys = held.take(pa.array(np.tile(np.arange(width), rows)))
    values = pa.array(proba.astype(np.float64).reshape(-1))
    offsets = pa.array(np.arange(0, rows * width + 1, width, dtype=np.int32))
    if output == "proba":
        return pa.MapArray.from_arrays(offsets, keys, values)
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays([keys, values], names=["label", "prob"]))


def with_nulls(answers: pa.Array, valid: npt.NDArray[np.bool_]) -> pa.Array:
    """The answers, NULL where a row is not valid; `answers` has one for each row."""
    if valid.all():
        return answers
    return answers.take(pa.array(np.arange(len(valid)), mask=~valid))


def nothing(output: Output, returns: Returns, classes: Sequence[Any] | None) -> pa.Array:
    """No answers, of the right type."""
    return pa.nulls(0, output_type(output, returns, classes)[0])


def _array(values: npt.NDArray[Any], type_: pa.DataType) -> pa.Array:
    """Answers as Arrow: numbers without a copy of each, labels as text where they are text."""
    if values.dtype.kind in "fiub":
        return pa.array(values).cast(type_)
    return pa.array(values.tolist(), type_)
