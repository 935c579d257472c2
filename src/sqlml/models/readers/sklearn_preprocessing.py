"""scikit-learn's transformers of numbers: scalers, powers, quantiles, bins, polynomials and splines."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from sqlml.models.readers.reading import Columns, NoReader, Reading, Transforming
from sqlml.models.readers.sklearn_common import (
    apply,
    arithmetic,
    combine,
    combine_each,
    complement,
    constant,
    floats,
    interpolated,
    minus,
    numbers,
    only_where,
    pairwise,
    picked,
    step,
)
from sqlml.models.readers.sklearn_encoding import one_hot
from sqlml.programs.program import Builder, Piecewise, Ref, Replace


def standard_scaler(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """StandardScaler: (x - mean) / scale."""
    columns = numbers(reading, estimator, columns)
    if estimator.with_mean:
        columns = arithmetic(reading.graph, "subtract", columns, estimator.mean_)
    return arithmetic(reading.graph, "divide", columns, estimator.scale_) if estimator.with_std else columns


def min_max_scaler(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """MinMaxScaler: x * scale + min, then clipped."""
    columns = arithmetic(reading.graph, "multiply", numbers(reading, estimator, columns), estimator.scale_)
    columns = arithmetic(reading.graph, "add", columns, estimator.min_)
    return _clipped(reading.graph, columns, *estimator.feature_range) if estimator.clip else columns


def max_abs_scaler(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """MaxAbsScaler: x / scale, then clipped."""
    columns = arithmetic(reading.graph, "divide", numbers(reading, estimator, columns), estimator.scale_)
    return _clipped(reading.graph, columns, -1.0, 1.0) if getattr(estimator, "clip", False) else columns


def robust_scaler(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """RobustScaler: (x - center) / scale."""
    columns = numbers(reading, estimator, columns)
    if estimator.with_centering:
        columns = arithmetic(reading.graph, "subtract", columns, estimator.center_)
    return arithmetic(reading.graph, "divide", columns, estimator.scale_) if estimator.with_scaling else columns


def _clipped(graph: Builder, columns: Columns, low: float, high: float) -> Columns:
    return arithmetic(graph, "minimum", arithmetic(graph, "maximum", columns, low), high)


def binarizer(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """Binarizer: 1 above the threshold, else 0."""
    return arithmetic(reading.graph, "greater", numbers(reading, estimator, columns), float(estimator.threshold))


def normalizer(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """Normalizer: the row over its norm; over 1 where the norm is nearly 0."""
    graph = reading.graph
    columns = numbers(reading, estimator, columns)
    if estimator.norm == "l2":
        norm = apply(graph, "sqrt", combine(graph, "sum", apply(graph, "square", columns)))
    else:
        norm = combine(graph, "sum" if estimator.norm == "l1" else "maximum", apply(graph, "abs", columns))
    counts = arithmetic(graph, "greater_equal", norm, 10 * np.finfo(np.float64).eps)
    kept = pairwise(graph, "sum", pairwise(graph, "product", norm, counts), complement(graph, counts))
    return pairwise(graph, "divide", columns, kept)


def power_transformer(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """PowerTransformer, as scipy computes either method, then standardized."""
    columns = numbers(reading, estimator, columns)
    power = _yeo_johnson if estimator.method == "yeo-johnson" else _box_cox
    found = tuple(
        power(reading.graph, column, float(lmbda))[0] if np.isfinite(lmbda) else _no_power(estimator)
        for column, lmbda in zip(columns, estimator.lambdas_, strict=True)
    )
    return reading.transform(estimator._scaler, found) if estimator.standardize else found


def _no_power(estimator: Any) -> Any:
    raise NoReader(step(estimator), "a column was missing in every row that it was fitted on")


def _yeo_johnson(graph: Builder, column: Ref, lmbda: float) -> Columns:
    """Either branch is 0 at 0, so that their sum over the positive and the negative part is the branch itself."""
    positive = apply(graph, "log1p", arithmetic(graph, "maximum", (column,), 0.0))
    negative = apply(graph, "log1p", apply(graph, "negative", arithmetic(graph, "minimum", (column,), 0.0)))
    if abs(lmbda) >= np.finfo(np.float64).eps:
        positive = apply(graph, "expm1", arithmetic(graph, "multiply", positive, lmbda))
        positive = arithmetic(graph, "divide", positive, lmbda)
    if abs(lmbda - 2) > np.finfo(np.float64).eps:
        negative = apply(graph, "expm1", arithmetic(graph, "multiply", negative, 2 - lmbda))
        negative = arithmetic(graph, "divide", apply(graph, "negative", negative), 2 - lmbda)
    else:
        negative = apply(graph, "negative", negative)
    return pairwise(graph, "sum", positive, negative)


def _box_cox(graph: Builder, column: Ref, lmbda: float) -> Columns:
    """Of positive numbers alone: others are refused, as the model raises for them."""
    positive = arithmetic(graph, "greater", (column,), 0.0)
    taken = pairwise(graph, "maximum", positive, apply(graph, "is_missing", (column,)))
    logarithm = only_where(graph, apply(graph, "log", (column,)), taken)
    if abs(lmbda) < 1e-19:
        return logarithm
    raised = arithmetic(graph, "multiply", logarithm, lmbda)
    # Beyond it scipy computes the power otherwise, so that it doesn't overflow.
    small = complement(graph, arithmetic(graph, "greater_equal", raised, 709.78))
    raised = only_where(graph, raised, small)
    return arithmetic(graph, "divide", apply(graph, "expm1", raised), lmbda)


def quantile_transformer(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """QuantileTransformer to the uniform distribution: the mean of interpolating upwards and downwards."""
    if estimator.output_distribution != "uniform":
        raise NoReader(step(estimator), "the quantile function of the normal distribution is not known")
    graph = reading.graph
    found: list[Ref] = []
    for column, quantiles in zip(numbers(reading, estimator, columns), estimator.quantiles_.T, strict=True):
        if np.isnan(quantiles).any():
            raise NoReader(step(estimator), "a column was missing in every row that it was fitted on")
        up = interpolated(graph, (column,), quantiles, estimator.references_)
        flipped = apply(graph, "negative", (column,))
        down = interpolated(graph, flipped, -quantiles[::-1], -estimator.references_[::-1])
        middle = arithmetic(graph, "multiply", minus(graph, up, down), 0.5)
        # Repeated quantiles at an end would give the middle of them.
        last = arithmetic(graph, "greater_equal", (column,), quantiles[-1])
        above = arithmetic(graph, "greater", (column,), quantiles[0])
        middle = pairwise(graph, "maximum", middle, last)
        at_least = pairwise(graph, "maximum", above, apply(graph, "is_missing", (column,)))
        found += pairwise(graph, "minimum", middle, at_least)
    return tuple(found)


def polynomial_features(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """PolynomialFeatures: products of a lower degree's terms with one column, in scikit-learn's order."""
    graph = reading.graph
    columns = numbers(reading, estimator, columns)
    terms: list[Ref] = list(constant(graph, [1.0])) if estimator.include_bias else []
    first = len(terms)
    least, most = estimator._min_degree, estimator._max_degree
    if most == 0:
        return tuple(terms)
    terms += columns
    index = [*range(first, len(terms)), len(terms)]
    for _ in range(2, most + 1):
        starts: list[int] = []
        groups: list[Columns] = []
        end = index[-1]
        for feature, column in enumerate(columns):
            start = index[feature]
            starts.append(len(terms) + len(groups))
            if estimator.interaction_only:
                start += index[feature + 1] - index[feature]
            if end <= start:
                break
            groups += [(term, column) for term in terms[start:end]]
        index = [*starts, len(terms) + len(groups)]
        terms += combine_each(graph, "product", groups)
    kept = estimator.n_output_features_ - first
    return tuple(terms[:first] + terms[len(terms) - kept :]) if least > 1 else tuple(terms)


def bins(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """KBinsDiscretizer: how many inner edges are at or below, then one-hot."""
    if estimator.dtype is not None and np.dtype(estimator.dtype) != np.float64:
        raise NoReader(step(estimator), "it bins in float32")
    columns = numbers(reading, estimator, columns)
    found: list[Ref] = []
    for column, edges in zip(columns, estimator.bin_edges_, strict=True):
        inner = floats(edges[1:-1])
        codes = np.arange(len(inner) + 1, dtype=np.float64).reshape(-1, 1, 1)
        piece = Piecewise(inputs=(column,), edges=inner, origins=np.zeros(len(codes)), coefficients=codes)
        found += reading.graph.add(piece)
    return tuple(found) if estimator.encode == "ordinal" else one_hot(reading, estimator._encoder, tuple(found))


def splines(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """SplineTransformer: its basis as polynomials between the knots."""
    if estimator.extrapolation == "periodic":
        raise NoReader(step(estimator), "extrapolation='periodic' takes a remainder")
    if estimator.degree == 0:
        raise NoReader(step(estimator), "degree=0 is no polynomial")
    if estimator.degree == 1 and estimator.extrapolation == "linear" and len(columns) > 1:
        # scikit-learn counts the degree up at the first column, and takes other knots from the second on.
        raise NoReader(step(estimator), "extrapolation='linear' of degree 1 is another for each column")
    graph = reading.graph
    zeros = getattr(estimator, "handle_missing", "error") == "zeros"
    columns = numbers(reading, estimator, columns, "finite_or_missing" if zeros else "finite")
    found: list[Columns] = []
    for column, spline in zip(columns, estimator.bsplines_, strict=True):
        edges, origins, coefficients = _pieces(spline, estimator.extrapolation, int(estimator.degree))
        part = graph.add(Piecewise(inputs=(column,), edges=edges, origins=origins, coefficients=coefficients))
        if estimator.extrapolation == "error":
            low, high = spline.t[spline.k], spline.t[-spline.k - 1]
            above = arithmetic(graph, "greater_equal", (column,), low)
            below = complement(graph, arithmetic(graph, "greater", (column,), high))
            inside = pairwise(graph, "product", above, below)
            part = only_where(graph, part, pairwise(graph, "maximum", inside, apply(graph, "is_missing", (column,))))
        if zeros:
            part = graph.add(Replace(inputs=part, old=float("nan"), new=np.zeros(len(part))))
        found.append(part if estimator.include_bias else part[:-1])
    return tuple(itertools.chain.from_iterable(found))


def _pieces(spline: Any, extrapolation: str, degree: int) -> tuple[Any, Any, Any]:
    """Edges, origins and coefficients of a basis, with what lies beyond the outermost knots."""
    knots = np.unique(spline.t[spline.k : len(spline.t) - spline.k])
    width = spline.c.shape[1]
    powers = [spline(knots[:-1], nu=power) / math.factorial(power) for power in range(spline.k + 1)]
    inner = np.stack(powers, axis=2)
    low, high = inner[0], inner[-1]
    origins = np.concatenate([knots[:1], knots[:-1], knots[-2:-1]])
    if extrapolation in ("constant", "linear"):
        low, high = np.zeros_like(low), np.zeros_like(high)
        low[:, 0], high[:, 0] = spline(knots[0]), spline(knots[-1])
        if extrapolation == "constant":
            low[degree:, 0], high[: width - degree, 0] = 0.0, 0.0
        else:
            reach = degree + 1 if degree <= 1 else degree
            low[:, 1], high[:, 1] = spline(knots[0], nu=1), spline(knots[-1], nu=1)
            low[reach:], high[: width - reach] = 0.0, 0.0
        origins[-1] = knots[-1]
    return knots, origins, np.concatenate([low[None], inner, high[None]])


def selected(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """Every selector of features: the columns of its support."""
    columns = numbers(reading, estimator, columns)
    return picked(columns, np.asarray(estimator.get_support(), bool))


_PLACE = "sklearn.preprocessing._data"
_SELECTION = "sklearn.feature_selection"

TRANSFORMERS: dict[str, Transforming] = {
    f"{_PLACE}.StandardScaler": standard_scaler,
    f"{_PLACE}.MinMaxScaler": min_max_scaler,
    f"{_PLACE}.MaxAbsScaler": max_abs_scaler,
    f"{_PLACE}.RobustScaler": robust_scaler,
    f"{_PLACE}.Binarizer": binarizer,
    f"{_PLACE}.Normalizer": normalizer,
    f"{_PLACE}.PowerTransformer": power_transformer,
    f"{_PLACE}.QuantileTransformer": quantile_transformer,
    "sklearn.preprocessing._polynomial.PolynomialFeatures": polynomial_features,
    "sklearn.preprocessing._polynomial.SplineTransformer": splines,
    "sklearn.preprocessing._discretization.KBinsDiscretizer": bins,
    f"{_SELECTION}._from_model.SelectFromModel": selected,
    f"{_SELECTION}._rfe.RFE": selected,
    f"{_SELECTION}._rfe.RFECV": selected,
    f"{_SELECTION}._sequential.SequentialFeatureSelector": selected,
    f"{_SELECTION}._univariate_selection.GenericUnivariateSelect": selected,
    f"{_SELECTION}._univariate_selection.SelectFdr": selected,
    f"{_SELECTION}._univariate_selection.SelectFpr": selected,
    f"{_SELECTION}._univariate_selection.SelectFwe": selected,
    f"{_SELECTION}._univariate_selection.SelectKBest": selected,
    f"{_SELECTION}._univariate_selection.SelectPercentile": selected,
    f"{_SELECTION}._variance_threshold.VarianceThreshold": selected,
}
