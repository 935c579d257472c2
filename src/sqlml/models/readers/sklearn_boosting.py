"""scikit-learn's gradient boosting as programs: one kind compares float32, the one over histograms float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sqlml.models.readers.reading import Answers, Columns, NoReader, Predicting, Reading, Transforming
from sqlml.models.readers.sklearn_tree_arrays import guarded, tree_of, values
from sqlml.models.readers.tree_arrays import Tree, joined, numbered
from sqlml.programs.program import Apply, Arithmetic, Builder, Combine, Encode, Guard, Link, Ref


def boosting_regressor(reading: Reading, model: Any, columns: Columns) -> Answers:
    """GradientBoostingRegressor: its losses all answer the sum itself."""
    return Answers(value=_boosted(reading, model, columns))


def boosting_classifier(reading: Reading, model: Any, columns: Columns) -> Answers:
    """GradientBoostingClassifier: of two classes, the second where the sum is at least 0."""
    return _classified(reading.graph, model, _boosted(reading, model, columns), "greater_equal")


def _classified(graph: Builder, model: Any, raw: Columns, op: str) -> Answers:
    """What both kinds of classifiers make of their sums; `op` compares with 0 where there is one."""
    classes = np.asarray(model.classes_).tolist()
    if len(classes) < 2:
        raise NoReader(type(model).__name__, "one class")
    if len(raw) > 1:
        every = np.arange(len(raw), dtype=np.int32)[None]
        label = graph.add(Combine(inputs=raw, op="argmax", groups=every))
        probabilities = graph.add(Link(inputs=raw, function="softmax"))
    else:
        label = graph.add(Arithmetic(inputs=raw, op=op, operand=np.zeros(1)))
        second = _linked(graph, model, raw)
        negative = graph.add(Apply(inputs=second, function="negative"))
        probabilities = (*graph.add(Arithmetic(inputs=negative, op="add", operand=np.ones(1))), *second)
    return Answers(label=label, probabilities=probabilities, decision=raw, classes=classes)


def _linked(graph: Builder, model: Any, raw: Columns) -> Columns:
    link = type(model._loss.link).__name__
    if link not in _LINKS:
        raise NoReader(type(model).__name__, f"the link '{link}'")
    return _LINKS[link](graph, raw)


def _half_logit(graph: Builder, raw: Columns) -> Columns:
    doubled = graph.add(Arithmetic(inputs=raw, op="multiply", operand=np.array([2.0])))
    return graph.add(Apply(inputs=doubled, function="sigmoid"))


_LINKS: Mapping[str, Callable[[Builder, Columns], Columns]] = {
    "IdentityLink": lambda graph, raw: raw,
    "LogLink": lambda graph, raw: graph.add(Apply(inputs=raw, function="exp")),
    "LogitLink": lambda graph, raw: graph.add(Apply(inputs=raw, function="sigmoid")),
    "HalfLogitLink": _half_logit,
}


def _boosted(reading: Reading, model: Any, columns: Columns) -> Columns:
    """The first guess and the scaled leaves, added up tree by tree."""
    graph, rate = reading.graph, float(model.learning_rate)
    # The init estimator is given float32 too.
    held = guarded(graph, model, columns)
    trees = [
        tree_of(tree, lambda arrays, places: rate * values(arrays, places), output)
        for stage in model.estimators_
        for output, tree in enumerate(stage)
    ]
    if isinstance(model.init_, str) or _is_constant(model.init_):
        base = model._raw_predict_init(np.zeros((1, model.n_features_in_), np.float32))[0]
        return graph.add(joined(trees, held, base, every_column=True, compare="float32"))
    return _from_trees(reading, model, trees, held)


def _is_constant(init: Any) -> bool:
    """Whether an init estimator answers every row alike."""
    name = type(init).__name__
    return type(init).__module__ == "sklearn.dummy" and (
        name == "DummyRegressor" or (name == "DummyClassifier" and init.strategy in _CONSTANT)
    )


_CONSTANT = ("prior", "most_frequent", "constant")


def _from_trees(reading: Reading, model: Any, trees: list[Tree], columns: Columns) -> Columns:
    """The sum that starts at what other trees answer."""
    # Others compute in float32 here, and of a classifier's answers a logarithm is taken: neither to the last bit.
    if not type(model.init_).__module__.startswith(_OF_TREES) or hasattr(model, "classes_"):
        raise NoReader(type(model).__name__, f"it starts from a {type(model.init_).__name__}")
    first = reading.predict(model.init_, columns).value
    assert first is not None
    apart = [replace(tree, output=place) for place, tree in enumerate(trees)]
    leaves = reading.graph.add(joined(apart, columns, np.zeros(len(apart)), compare="float32"))
    groups = np.arange(len(leaves) + 1, dtype=np.int32)[None]
    return reading.graph.add(Combine(inputs=(*first, *leaves), op="sum", groups=groups))


_OF_TREES = ("sklearn.tree.", "sklearn.ensemble.")


def hist_regressor(reading: Reading, model: Any, columns: Columns) -> Answers:
    """HistGradientBoostingRegressor: the exponential of the sum for poisson and gamma."""
    raw = _histograms(reading.graph, model, columns)
    return Answers(value=_linked(reading.graph, model, raw))


def hist_classifier(reading: Reading, model: Any, columns: Columns) -> Answers:
    """HistGradientBoostingClassifier: of two classes, the second where the sum is above 0."""
    return _classified(reading.graph, model, _histograms(reading.graph, model, columns), "greater")


def _histograms(graph: Builder, model: Any, columns: Columns) -> Columns:
    trees = [
        _histogram_tree(predictor, output) for stage in model._predictors for output, predictor in enumerate(stage)
    ]
    base = np.asarray(model._baseline_prediction, np.float64).reshape(-1)
    return graph.add(joined(trees, _encoded(graph, model, columns), base))


def _members(words: npt.NDArray[np.uint32]) -> list[int]:
    bits = np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little")
    found: list[int] = np.flatnonzero(bits).tolist()
    return found


def _histogram_tree(predictor: Any, output: int) -> Tree:
    nodes = predictor.nodes
    inner = nodes["is_leaf"] == 0
    left, right = nodes["left"].astype(np.int64), nodes["right"].astype(np.int64)
    found = numbered(np.where(inner, left, -1), np.where(inner, right, -1))
    held = nodes[found.splits]
    categorical = held["is_categorical"] == 1
    sets = {
        place: _members(predictor.raw_left_cat_bitsets[held["bitset_idx"][place]])
        for place in np.flatnonzero(categorical).tolist()
    }
    return Tree(
        feature=held["feature_idx"].astype(np.int64),
        threshold=np.where(categorical, 0.0, held["num_threshold"]),
        left=found.left,
        right=found.right,
        missing_left=held["missing_go_to_left"] == 1,
        leaves=nodes["value"][found.leaves, None],
        output=output,
        sets=sets,
    )


def _encoded(graph: Builder, model: Any, columns: Columns) -> Columns:
    """The columns as its trees see them: categories first, as their numbers, then the others."""
    preprocessor = getattr(model, "_preprocessor", None)
    if preprocessor is None:
        if any(graph.is_text(ref) for ref in columns):
            raise NoReader(type(model).__name__, "text that is no category")
        return columns
    categorical = np.flatnonzero(model.is_categorical_).tolist()
    encoder = preprocessor.named_transformers_["encoder"]
    codes = [
        _ordinal(graph, columns[place], list(seen))
        for place, seen in zip(categorical, encoder.categories_, strict=True)
    ]
    rest = [ref for place, ref in enumerate(columns) if place not in categorical]
    if any(graph.is_text(ref) for ref in rest):
        raise NoReader(type(model).__name__, "text that is no category")
    return (*codes, *rest)


def _ordinal(graph: Builder, ref: Ref, seen: list[Any]) -> Ref:
    """The place of a value among those seen; NaN for another, and for a missing one."""
    present = [(value, place) for place, value in enumerate(seen) if value is not None and value == value]
    text = graph.is_text(ref)
    if any(isinstance(value, str) != text for value, _ in present):
        raise NoReader("OrdinalEncoder", "a category column of text and numbers")
    keys = tuple(value for value, _ in present) if text else np.array([value for value, _ in present], np.float64)
    codes = np.array([place for _, place in present], np.float64)
    if not text:
        # The encoder refuses it.
        (ref,) = graph.add(Guard(inputs=(ref,), rule="finite_or_missing"))
    (code,) = graph.add(Encode(inputs=(ref,), keys=keys, codes=codes, missing=math.nan, unknown=math.nan))
    return code


TRANSFORMERS: dict[str, Transforming] = {}
PREDICTORS: dict[str, Predicting] = {
    "sklearn.ensemble._gb.GradientBoostingClassifier": boosting_classifier,
    "sklearn.ensemble._gb.GradientBoostingRegressor": boosting_regressor,
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier": hist_classifier,
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingRegressor": hist_regressor,
}
