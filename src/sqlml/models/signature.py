"""From the rows that a model was fitted on to its signature: every input by name, with the type that SQL casts to."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from sqlml.errors import UnsupportedModel, did_you_mean, quoted
from sqlml.models.description import CATEGORIES_KEY, LABEL_KEY

# What MLflow calls the type of a column of Python objects that are all of one kind. A date is a datetime at midnight.
_OBJECTS: tuple[tuple[tuple[type, ...], str], ...] = (
    ((str,), "string"),
    ((bool, np.bool_), "boolean"),
    ((int, np.integer), "long"),
    ((int, float, np.integer, np.floating, decimal.Decimal), "double"),
    ((datetime.date, np.datetime64), "datetime"),
    ((bytes,), "binary"),
)


_MOST_ENCODED = 255


def input_rows(given: Any, names: list[str] | None, label: str | None, model: str) -> pd.DataFrame:
    """The rows to log a model with: its own columns in its own order, or all but the label where it has no names.

    Args:
        given: a data frame, or a matrix, whose columns get the model's names, or else x0, x1 and so on.
        names: the inputs that the model was fitted with, where it kept them.
        label: the column that it predicts.
        model: the name it is logged by, for messages.

    Raises:
        UnsupportedModel: no rows, two columns of one name, or the model's columns are not there.
    """
    rows = given if isinstance(given, pd.DataFrame) else _named(given, names, model)
    rows = rows.set_axis([str(name) for name in rows.columns], axis=1).reset_index(drop=True)
    if not len(rows):
        raise UnsupportedModel(model=model, reason="signature_from has no rows to compare its answers on")
    if label is not None and label not in (names or ()):
        rows = rows.drop(columns=label, errors="ignore")
    # LightGBM writes a space in a name as an underscore, and goes by the place.
    if names is not None and [name.replace(" ", "_") for name in rows.columns] != names:
        lost = [name for name in names if name not in rows.columns]
        if lost:
            near = did_you_mean(lost[0], rows.columns).removesuffix("?")
            reason = f"it was fitted on {quoted(lost)}, which signature_from does not have{near and '.' + near}"
            raise UnsupportedModel(model=model, reason=reason)
        rows = rows[names]
    twice = rows.columns[rows.columns.duplicated()]
    if len(twice):
        raise UnsupportedModel(model=model, reason=f"signature_from has {quoted(sorted(set(twice)))} twice")
    return rows


def _named(given: Any, names: list[str] | None, model: str) -> pd.DataFrame:
    values = np.asarray(given)
    if values.ndim != 2:
        reason = f"signature_from is a {type(given).__name__} and no table of rows and columns"
        raise UnsupportedModel(model=model, reason=reason)
    width = values.shape[1]
    return pd.DataFrame(values, columns=names if names and len(names) == width else [f"x{i}" for i in range(width)])


def column_types(rows: pd.DataFrame, model: str) -> dict[str, str]:
    """MLflow's name of each column's type.

    Raises:
        UnsupportedModel: a type that no argument of a SQL function can have.

    Example:
        >>> column_types(pd.DataFrame({"a": [1], "b": ["x"], "c": pd.Categorical([True])}), "m")
        {'a': 'long', 'b': 'string', 'c': 'boolean'}
    """
    found = {}
    for name in rows.columns:
        column = rows[name]
        values = column.cat.categories.to_series() if isinstance(column.dtype, pd.CategoricalDtype) else column
        type_ = _type(values)
        if type_ is None:
            raise UnsupportedModel(model=model, reason=f"its input '{name}' is of the type '{values.dtype}'")
        found[str(name)] = type_
    return found


def _type(column: pd.Series[Any]) -> str | None:
    for test, type_ in (
        (types.is_bool_dtype, "boolean"),
        (types.is_integer_dtype, "long"),
        (types.is_float_dtype, "double"),
        (types.is_datetime64_any_dtype, "datetime"),
    ):
        if test(column.dtype):
            return type_
    if not types.is_object_dtype(column.dtype) and not types.is_string_dtype(column.dtype):
        return None
    return _type_of_objects(column.dropna())


def _type_of_objects(values: Iterable[Any]) -> str | None:
    kinds = {type(value) for value in values}
    for allowed, type_ in _OBJECTS:
        if all(issubclass(kind, allowed) and (bool in allowed or kind is not bool) for kind in kinds):
            return type_
    return None


def categories(rows: pd.DataFrame) -> dict[str, list[Any]]:
    """The values of each pandas category column, in their order, where JSON can hold them."""
    found: dict[str, list[Any]] = {}
    for name in rows.columns:
        dtype = rows[name].dtype
        if isinstance(dtype, pd.CategoricalDtype):
            values = dtype.categories.tolist()
            if all(isinstance(value, str | int | float | bool) for value in values):
                found[str(name)] = values
    return found


def spread(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """So many rows from all over the frame, which differ more than its first ones do."""
    return rows.iloc[np.unique(np.linspace(0, len(rows) - 1, count).astype(int))]


def encoded(rows: pd.DataFrame, model: Any) -> dict[str, list[Any]]:
    """The texts and whole numbers of a CatBoost model's category columns that it may encode one by one.

    CatBoost itself keeps hashes of them, and encodes so no column of more than 255.
    """
    places: list[int] = getattr(model, "get_cat_feature_indices", list)()
    found: dict[str, list[Any]] = {}
    for name in rows.columns[places]:
        if (column := rows[name].dropna()).nunique() <= _MOST_ENCODED and _type(column) in ("string", "long"):
            found[str(name)] = sorted(column.unique().tolist())
    return found


def metadata(rows: pd.DataFrame, label: str | None, model: Any) -> dict[str, Any]:
    """What the artifact itself says beside its signature: its label and its category columns."""
    held = {LABEL_KEY: label, CATEGORIES_KEY: {**encoded(rows, model), **categories(rows)} or None}
    return {key: value for key, value in held.items() if value is not None}
