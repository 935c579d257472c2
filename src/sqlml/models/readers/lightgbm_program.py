"""LightGBM's models as programs, from a Booster's own text, which has every number to the last bit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# With it comes the library itself, which is there where one of its models is.
from sqlml.models.readers.lightgbm import _pandas_categories
from sqlml.models.readers.reading import Answers, Columns, NoReader, Predicting, Reading, Transforming
from sqlml.models.readers.tree_arrays import Tree, joined
from sqlml.programs.program import Apply, Arithmetic, Builder, Combine, Encode, Floats, Link, Piecewise

# LightGBM's kZeroThreshold, a float: what is no larger is 0 to it, before any split looks at it.
_ZERO = float(np.float32(1e-35))
_CATEGORICAL, _DEFAULT_LEFT = 1, 2
_MISSING_ZERO, _MISSING_NAN = 1, 2


@dataclass(frozen=True)
class _Model:
    """A Booster's text, taken apart."""

    trees: Sequence[Mapping[str, str]]
    outputs: int
    objective: Sequence[str]
    average: bool


def booster(reading: Reading, model: Any, columns: Columns) -> Answers:
    """A raw Booster: its numbers, which are probabilities where its objective is one of classes."""
    read = _read(model)
    value = _linked(reading.graph, read, _margins(reading, model, read, columns))
    name = read.objective[0] if read.objective else ""
    if name == "binary":
        return Answers(value=value, probabilities=_both(reading.graph, value), classes=[0, 1])
    if name in ("multiclass", "multiclassova"):
        return Answers(value=value, probabilities=value, classes=list(range(read.outputs)))
    return Answers(value=value)


def regressor(reading: Reading, model: Any, columns: Columns) -> Answers:
    """LGBMRegressor and LGBMRanker: what their Booster answers."""
    _check(model)
    read = _read(model.booster_)
    return Answers(value=_linked(reading.graph, read, _margins(reading, model.booster_, read, columns)))


def classifier(reading: Reading, model: Any, columns: Columns) -> Answers:
    """LGBMClassifier: the probabilities of its Booster, and the first largest of them."""
    _check(model)
    graph, read, classes = reading.graph, _read(model.booster_), np.asarray(model.classes_).tolist()
    name = read.objective[0] if read.objective else ""
    if name not in ("binary", "multiclass", "multiclassova", "cross_entropy"):
        raise NoReader(type(model).__name__, f"a classifier with the objective '{name or 'custom'}'")
    margins = _margins(reading, model.booster_, read, columns)
    linked = _linked(graph, read, margins)
    if read.outputs > 1:
        if len(classes) != read.outputs:
            raise NoReader(type(model).__name__, "more outputs than classes")
        label = graph.add(Combine(inputs=linked, op="argmax", groups=np.arange(len(linked), dtype=np.int32)[None]))
        return Answers(label=label, probabilities=linked, decision=margins, classes=classes)
    least = np.array([_least_of_one(_sigmoid_of(read))])
    label = graph.add(Arithmetic(inputs=margins, op="greater_equal", operand=least))
    return Answers(label=label, probabilities=_both(graph, linked), decision=margins, classes=classes)


def _check(model: Any) -> None:
    if callable(getattr(model, "_objective", None)):
        raise NoReader(type(model).__name__, "a custom objective")
    # Of the parameters that reach `predict` too, this one changes what it answers.
    if model.get_params().get("pred_early_stop"):
        raise NoReader(type(model).__name__, "prediction stops early")


def _read(model: Any) -> _Model:
    """Take the text apart: a header, then a paragraph for each tree, of the iterations that `predict` uses."""
    text = model.model_to_string()
    head, *rest = text.partition("\nend of trees")[0].split("\nTree=")
    header = _pairs(head)
    trees = [_pairs(paragraph) for paragraph in rest]
    if any(tree.get("is_linear", "0") != "0" for tree in trees):
        raise NoReader(type(model).__name__, "linear trees")
    return _Model(
        trees=trees,
        outputs=int(header.get("num_tree_per_iteration", "1")),
        objective=header.get("objective", "").split(),
        average="average_output" in head.splitlines(),
    )


def _pairs(paragraph: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in paragraph.splitlines() if "=" in line)


def _margins(reading: Reading, model: Any, read: _Model, columns: Columns) -> Columns:
    """The sums of the leaves, which an averaging ensemble divides by its number of iterations."""
    encoded = _encoded(reading.graph, model, columns)
    # A split that takes zeros as missing looks at a column of its own, in which they are.
    nan_for_zero: dict[int, int] = {}
    trees = [_tree(tree, place % read.outputs, len(columns), nan_for_zero) for place, tree in enumerate(read.trees)]
    for feature in nan_for_zero:
        encoded = (*encoded, *_zero_missing(reading.graph, encoded[feature : feature + 1]))
    divisor = float(len(trees) // read.outputs) if read.average else 1.0
    return reading.graph.add(joined(trees, encoded, np.zeros(read.outputs), divisor=divisor))


def _tree(text: Mapping[str, str], output: int, width: int, nan_for_zero: dict[int, int]) -> Tree:
    def numbers(name: str, dtype: type[Any]) -> Any:
        return np.array(text.get(name, "").split(), dtype)

    feature, threshold = numbers("split_feature", np.int64), numbers("threshold", np.float64)
    kinds = numbers("decision_type", np.int64)
    categorical, default_left = (kinds & _CATEGORICAL) > 0, (kinds & _DEFAULT_LEFT) > 0
    missing = kinds >> 2
    boundaries, words = numbers("cat_boundaries", np.int64), numbers("cat_threshold", np.uint32)
    sets = {}
    for place in np.flatnonzero(categorical):
        kind = int(threshold[place])
        bits = np.unpackbits(
            words[boundaries[kind] : boundaries[kind + 1]].astype("<u4").view(np.uint8), bitorder="little"
        )
        sets[int(place)] = np.flatnonzero(bits).tolist()
    zero = (missing == _MISSING_ZERO) & ~categorical
    for one in np.unique(feature[zero]).tolist():
        nan_for_zero.setdefault(one, width + len(nan_for_zero))
    thresholds = _beside_zero(threshold)
    # Where a split has no missing values, NaN is 0 to it; a category that is missing goes right.
    missing_left = np.where(missing == 0, thresholds >= 0.0, default_left) & ~categorical
    return Tree(
        feature=np.array([nan_for_zero[f] if z else f for f, z in zip(feature.tolist(), zero, strict=True)], np.int64),
        threshold=np.where(categorical, 0.0, thresholds),
        left=numbers("left_child", np.int64),
        right=numbers("right_child", np.int64),
        missing_left=missing_left,
        leaves=numbers("leaf_value", np.float64)[:, None],
        output=output,
        sets=sets,
    )


def _beside_zero(thresholds: Floats) -> Floats:
    """Thresholds for columns as they are, of those for columns in which tiny numbers became 0."""
    below = (thresholds >= -_ZERO) & (thresholds < 0.0)
    above = (thresholds >= 0.0) & (thresholds <= _ZERO)
    return np.where(below, np.nextafter(-_ZERO, -np.inf), np.where(above, _ZERO, thresholds))


def _zero_missing(graph: Builder, column: Columns) -> Columns:
    """The column, NaN where it is 0 to LightGBM."""
    keep, drop = [0.0, 1.0], [np.nan, 0.0]
    return graph.add(
        Piecewise(
            inputs=column,
            edges=np.array([-_ZERO, np.nextafter(_ZERO, np.inf)]),
            origins=np.zeros(3),
            coefficients=np.array([keep, drop, keep])[:, None, :],
        )
    )


def _encoded(graph: Builder, model: Any, columns: Columns) -> Columns:
    """The columns, those of a pandas category as the codes that it had when the model was fitted."""
    if not model.pandas_categorical:
        if any(graph.is_text(ref) for ref in columns):
            raise NoReader(type(model).__name__, "text that is no category")
        return columns
    names = [str(name) for name in model.feature_name()]
    categories = _pandas_categories(model, names)
    return tuple(
        ref if name not in categories else _codes(graph, ref, categories[name])
        for name, ref in zip(names, columns, strict=True)
    )


def _codes(graph: Builder, ref: tuple[int, int], values: Sequence[Any]) -> tuple[int, int]:
    """A value that wasn't there when the model was fitted is missing."""
    text = graph.is_text(ref)
    if any(isinstance(value, str) != text for value in values):
        raise NoReader("Booster", "a category column of text and numbers")
    keys = tuple(values) if text else np.array(values, np.float64)
    codes = np.arange(len(values), dtype=np.float64)
    (code,) = graph.add(Encode(inputs=(ref,), keys=keys, codes=codes, missing=math.nan, unknown=math.nan))
    return code


def _linked(graph: Builder, read: _Model, margins: Columns) -> Columns:
    name = read.objective[0] if read.objective else ""
    link = _LINKS.get(name)
    if link is None:
        raise NoReader("Booster", f"the objective '{name}'")
    return link(graph, read, margins)


def _identity(graph: Builder, read: _Model, margins: Columns) -> Columns:
    if "sqrt" not in read.objective:
        return margins
    size = graph.add(Apply(inputs=margins, function="abs"))
    return graph.add(Combine(inputs=(*size, *margins), op="product", groups=np.array([[0, 1]], np.int32)))


def _exp(graph: Builder, read: _Model, margins: Columns) -> Columns:
    return graph.add(Apply(inputs=margins, function="exp"))


def _log1p_exp(graph: Builder, read: _Model, margins: Columns) -> Columns:
    return graph.add(Apply(inputs=_exp(graph, read, margins), function="log1p"))


def _sigmoid(graph: Builder, read: _Model, margins: Columns) -> Columns:
    factor = _sigmoid_of(read)
    if factor != 1.0:
        margins = graph.add(Arithmetic(inputs=margins, op="multiply", operand=np.full(len(margins), factor)))
    return graph.add(Apply(inputs=margins, function="sigmoid"))


def _softmax(graph: Builder, read: _Model, margins: Columns) -> Columns:
    return graph.add(Link(inputs=margins, function="softmax"))


_LINKS: Mapping[str, Callable[[Builder, _Model, Columns], Columns]] = {
    **dict.fromkeys(("", "custom", "regression", "regression_l1", "huber", "fair", "quantile", "mape"), _identity),
    **dict.fromkeys(("lambdarank", "rank_xendcg"), _identity),
    **dict.fromkeys(("poisson", "gamma", "tweedie"), _exp),
    **dict.fromkeys(("binary", "multiclassova", "cross_entropy"), _sigmoid),
    "cross_entropy_lambda": _log1p_exp,
    "multiclass": _softmax,
}


def _sigmoid_of(read: _Model) -> float:
    given = [word.removeprefix("sigmoid:") for word in read.objective if word.startswith("sigmoid:")]
    return float(given[0]) if given else 1.0


def _both(graph: Builder, one: Columns) -> Columns:
    """The probabilities of two classes, of that of the second: 1 - p, as a sum with -p."""
    negative = graph.add(Apply(inputs=one, function="negative"))
    return (*graph.add(Arithmetic(inputs=negative, op="add", operand=np.ones(1))), *one)


def _least_of_one(factor: float) -> float:
    """The least margin at which p > 1 - p, so that a label doesn't hang on how exp rounds: bisected to the bit."""

    def second(margin: float) -> bool:
        p = 1.0 / (1.0 + math.exp(-factor * margin))
        return p > 1.0 - p

    low, high = 0.0, 1.0 / factor
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (low, middle) if second(middle) else (middle, high)
    return high


TRANSFORMERS: dict[str, Transforming] = {}
PREDICTORS: dict[str, Predicting] = {
    "lightgbm.basic.Booster": booster,
    "lightgbm.sklearn.LGBMClassifier": classifier,
    "lightgbm.sklearn.LGBMModel": regressor,
    "lightgbm.sklearn.LGBMRanker": regressor,
    "lightgbm.sklearn.LGBMRegressor": regressor,
}
