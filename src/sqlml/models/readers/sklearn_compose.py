"""Pipelines, column transformers, searches, and what else puts scikit-learn estimators together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sqlml.models.readers.reading import Answers, Columns, NoReader, Predicting, Reading, Transforming
from sqlml.models.readers.sklearn_common import apply, arithmetic, is_argument, numbers, picked, step
from sqlml.programs.program import Builder, Ref

# The ufuncs that FunctionTransformer and TransformedTargetRegressor are given, by name, as the program's own.
FUNCTIONS: Mapping[str, str] = {
    **{
        name: name
        for name in (
            "cbrt",
            "cos",
            "exp",
            "expm1",
            "floor",
            "log",
            "log10",
            "log1p",
            "log2",
            "negative",
            "reciprocal",
            "rint",
            "sign",
            "sin",
            "sqrt",
            "square",
            "tan",
            "tanh",
            "trunc",
        )
    },
    "absolute": "abs",
    "ceil": "ceil",
    "expit": "sigmoid",
    "fabs": "abs",
    "isnan": "is_missing",
    "ndtr": "normal_cdf",
}

# Whole numbers stay whole numbers in these, and overflow or are cut.
_OF_WHOLE_NUMBERS = frozenset({"negative", "reciprocal", "square"})


def pipeline(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """Pipeline.predict: the steps but the last transform."""
    *before, (_, last) = estimator.steps
    return reading.predict(last, _through(reading, before, columns))


def pipeline_transform(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """Pipeline.transform: every step."""
    return _through(reading, estimator.steps, columns)


def _through(reading: Reading, steps: Any, columns: Columns) -> Columns:
    for _, transformer in steps:
        if transformer is not None and transformer != "passthrough":
            columns = reading.transform(transformer, columns)
    return columns


def column_transformer(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """ColumnTransformer.transform: each transformer's columns, side by side, in the order of its list."""
    weights = estimator.transformer_weights or {}
    found: list[Columns] = []
    for name, transformer, _ in estimator.transformers_:
        given = picked(columns, estimator._transformer_to_input_indices[name])
        if not given or (isinstance(transformer, str) and transformer == "drop"):
            continue
        given = given if isinstance(transformer, str) else reading.transform(transformer, given)
        found.append(_weighted(reading, estimator, given, weights.get(name)))
    return tuple(ref for part in found for ref in part)


def feature_union(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """FeatureUnion.transform: what each transformer gives of all columns, side by side."""
    weights = estimator.transformer_weights or {}
    found: list[Columns] = []
    for name, transformer in estimator.transformer_list:
        if isinstance(transformer, str) and transformer == "drop":
            continue
        given = columns if isinstance(transformer, str) else reading.transform(transformer, columns)
        found.append(_weighted(reading, estimator, given, weights.get(name)))
    return tuple(ref for part in found for ref in part)


def _weighted(reading: Reading, estimator: Any, columns: Columns, weight: Any) -> Columns:
    if weight is None:
        return columns
    if any(reading.graph.is_text(ref) for ref in columns):
        raise NoReader(step(estimator), "a weight is given to text")
    return arithmetic(reading.graph, "multiply", columns, float(weight))


def function_transformer(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """FunctionTransformer.transform, of a function that a program knows."""
    if estimator.validate:
        columns = numbers(reading, estimator, columns, "finite")
    if estimator.func is None:
        return columns
    if estimator.kw_args:
        raise NoReader(step(estimator), "its function takes more arguments")
    function = _known(estimator, estimator.func)
    for ref in columns:
        _refuse_type(reading, estimator, ref, function)
    return _applied(reading.graph, function, columns)


def _refuse_type(reading: Reading, estimator: Any, ref: Ref, function: str) -> None:
    """NumPy's answer depends on the type of an argument that reaches the function as it came."""
    if reading.graph.is_text(ref):
        raise NoReader(step(estimator), "a column of text reaches it")
    if not is_argument(reading, ref) or ref not in reading.arguments:
        return
    type_ = reading.arguments[ref].type
    whole = function in _OF_WHOLE_NUMBERS and type_ in ("INTEGER", "BIGINT")
    if type_ in ("BOOLEAN", "FLOAT") or whole:
        raise NoReader(step(estimator), f"NumPy computes '{function}' of {type_} arguments otherwise")


def _known(estimator: Any, function: Any) -> str:
    name = str(getattr(function, "__name__", repr(function)))
    if not isinstance(function, np.ufunc) or name not in FUNCTIONS:
        raise NoReader(step(estimator), f"its function '{name}' is not known")
    return FUNCTIONS[name]


def _applied(graph: Builder, function: str, columns: Columns) -> Columns:
    if function == "ceil":
        return apply(graph, "negative", apply(graph, "floor", apply(graph, "negative", columns)))
    return apply(graph, function, columns)


def transformed_target(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """TransformedTargetRegressor.predict: the inverse of the target's transformer."""
    graph = reading.graph
    value = reading.predict(estimator.regressor_, columns).value
    if value is None:
        raise NoReader(step(estimator), "its regressor gives no numbers")
    inverse = estimator.transformer_
    name = f"{type(inverse).__module__}.{type(inverse).__qualname__}"
    if name == "sklearn.preprocessing._function_transformer.FunctionTransformer":
        # It validates its numbers only where it was told to.
        value = numbers(reading, inverse, value, "finite") if inverse.validate else value
        if inverse.inverse_func is None:
            return Answers(value=value)
        if inverse.inv_kw_args:
            raise NoReader(step(estimator), "its inverse function takes more arguments")
        return Answers(value=_applied(graph, _known(estimator, inverse.inverse_func), value))
    value = numbers(reading, inverse, value)
    if name == "sklearn.preprocessing._data.StandardScaler":
        value = arithmetic(graph, "multiply", value, inverse.scale_) if inverse.with_std else value
        return Answers(value=arithmetic(graph, "add", value, inverse.mean_) if inverse.with_mean else value)
    if name == "sklearn.preprocessing._data.MinMaxScaler":
        value = arithmetic(graph, "subtract", value, inverse.min_)
        return Answers(value=arithmetic(graph, "divide", value, inverse.scale_))
    if name == "sklearn.preprocessing._data.RobustScaler":
        value = arithmetic(graph, "multiply", value, inverse.scale_) if inverse.with_scaling else value
        return Answers(value=arithmetic(graph, "add", value, inverse.center_) if inverse.with_centering else value)
    raise NoReader(step(estimator), f"the inverse of {step(inverse)} is not known")


def search(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """GridSearchCV and its like: the best estimator's answer."""
    return reading.predict(estimator.best_estimator_, columns)


def search_transform(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """GridSearchCV and its like: what the best estimator transforms."""
    return reading.transform(estimator.best_estimator_, columns)


def frozen(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """FrozenEstimator.predict: the inner estimator's."""
    return reading.predict(estimator.estimator, columns)


def frozen_transform(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """FrozenEstimator.transform: the inner estimator's."""
    return reading.transform(estimator.estimator, columns)


TRANSFORMERS: dict[str, Transforming] = {
    "sklearn.compose._column_transformer.ColumnTransformer": column_transformer,
    "sklearn.frozen._frozen.FrozenEstimator": frozen_transform,
    "sklearn.model_selection._search.GridSearchCV": search_transform,
    "sklearn.model_selection._search.RandomizedSearchCV": search_transform,
    "sklearn.model_selection._search_successive_halving.HalvingGridSearchCV": search_transform,
    "sklearn.model_selection._search_successive_halving.HalvingRandomSearchCV": search_transform,
    "sklearn.pipeline.FeatureUnion": feature_union,
    "sklearn.pipeline.Pipeline": pipeline_transform,
    "sklearn.preprocessing._function_transformer.FunctionTransformer": function_transformer,
}

PREDICTORS: dict[str, Predicting] = {
    "sklearn.compose._target.TransformedTargetRegressor": transformed_target,
    "sklearn.frozen._frozen.FrozenEstimator": frozen,
    "sklearn.model_selection._search.GridSearchCV": search,
    "sklearn.model_selection._search.RandomizedSearchCV": search,
    "sklearn.model_selection._search_successive_halving.HalvingGridSearchCV": search,
    "sklearn.model_selection._search_successive_halving.HalvingRandomSearchCV": search,
    "sklearn.pipeline.Pipeline": pipeline,
}
