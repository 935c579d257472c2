"""scikit-learn's trees and the ensembles of whole trees as programs: they compare float32 and add up float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from sqlml.models.readers import sklearn_adaboost, sklearn_boosting
from sqlml.models.readers.reading import Answers, Columns, NoReader, Predicting, Reading, Transforming
from sqlml.models.readers.sklearn_tree_arrays import Leaves, guarded, shares, tree_of, values
from sqlml.models.readers.tree_arrays import joined
from sqlml.programs.program import Arithmetic, Combine, Floats


def _one_output(estimator: Any) -> None:
    if estimator.n_outputs_ != 1:
        raise NoReader(type(estimator).__name__, "a classifier of several outputs")


def tree_regressor(reading: Reading, model: Any, columns: Columns) -> Answers:
    """DecisionTreeRegressor and ExtraTreeRegressor."""
    return _forest_of(reading, [model], values, model.n_outputs_, columns)


def forest_regressor(reading: Reading, model: Any, columns: Columns) -> Answers:
    """RandomForestRegressor and ExtraTreesRegressor: the mean of the trees."""
    return _forest_of(reading, model.estimators_, values, model.n_outputs_, columns)


def tree_classifier(reading: Reading, model: Any, columns: Columns) -> Answers:
    """DecisionTreeClassifier and ExtraTreeClassifier: the shares in the leaf, and the first largest."""
    _one_output(model)
    return _voted(reading, model, [model], columns)


def forest_classifier(reading: Reading, model: Any, columns: Columns) -> Answers:
    """RandomForestClassifier and ExtraTreesClassifier: the mean shares, and the first largest."""
    _one_output(model)
    return _voted(reading, model, model.estimators_, columns)


def _forest_of(reading: Reading, trees: Any, leaves: Leaves, width: int, columns: Columns) -> Answers:
    held = guarded(reading.graph, trees[0], columns)
    arrays = [tree_of(tree, leaves, 0 if width == 1 else -1) for tree in trees]
    node = joined(
        arrays, held, np.zeros(width), every_column=True, divisor=float(len(trees)), compare="float32", total="float64"
    )
    return Answers(value=reading.graph.add(node))


def _voted(reading: Reading, model: Any, trees: Any, columns: Columns) -> Answers:
    probabilities = _forest_of(reading, trees, shares, int(model.n_classes_), columns).value
    assert probabilities is not None
    every = np.arange(len(probabilities), dtype=np.int32)[None]
    label = reading.graph.add(Combine(inputs=probabilities, op="argmax", groups=every))
    return Answers(label=label, probabilities=probabilities, classes=np.asarray(model.classes_).tolist())


def isolation_forest(reading: Reading, model: Any, columns: Columns) -> Answers:
    """IsolationForest: 1, or -1 for an outlier, which a row is whose paths are short on the whole."""
    if any(reading.graph.is_text(ref) for ref in columns):
        raise NoReader(type(model).__name__, "a column of text reaches it")

    def depths(tree: int) -> Leaves:
        # As `_parallel_compute_tree_depths` adds them up.
        found: Floats = model._decision_path_lengths[tree] + model._average_path_length_per_tree[tree] - 1.0
        return lambda _, places: found[places][:, None]

    pairs = zip(model.estimators_, model.estimators_features_, strict=True)
    trees = [tree_of(tree, depths(place), 0, features) for place, (tree, features) in enumerate(pairs)]
    graph = reading.graph
    depth = graph.add(joined(trees, columns, np.zeros(1), compare="float32"))
    inlier = graph.add(Arithmetic(inputs=depth, op="greater_equal", operand=np.array([_least_inlier(model)])))
    doubled = graph.add(Arithmetic(inputs=inlier, op="multiply", operand=np.array([2.0])))
    return Answers(value=graph.add(Arithmetic(inputs=doubled, op="subtract", operand=np.ones(1))))


def _least_inlier(model: Any) -> float:
    """The least sum of path lengths that is no outlier's: a score falls as it grows, so it is bisected to the bit."""
    whole = len(model.estimators_) * np.array([_average_path(int(model._max_samples))])

    def inlier(depth: float) -> bool:
        depths = np.array([depth])
        score = 2 ** (-np.divide(depths, whole, out=np.ones_like(depths), where=whole != 0))
        return bool((-score - model.offset_ >= 0)[0])

    low, high = 0.0, float(np.finfo(np.float64).max)
    if inlier(low):
        return -np.inf
    if not inlier(high):
        return np.inf
    while (middle := low + (high - low) / 2) not in (low, high):
        low, high = (low, middle) if inlier(middle) else (middle, high)
    return high


def _average_path(rows: int) -> float:
    """The average path in an isolation tree of so many rows, as `_average_path_length` computes it."""
    if rows <= 2:
        return float(rows == 2)
    return float(2.0 * (np.log(rows - 1.0) + np.euler_gamma) - 2.0 * (rows - 1.0) / rows)


TRANSFORMERS: dict[str, Transforming] = {}
# Of all of scikit-learn's trees.
PREDICTORS: dict[str, Predicting] = {
    **sklearn_adaboost.PREDICTORS,
    **sklearn_boosting.PREDICTORS,
    "sklearn.ensemble._forest.ExtraTreesClassifier": forest_classifier,
    "sklearn.ensemble._forest.ExtraTreesRegressor": forest_regressor,
    "sklearn.ensemble._forest.RandomForestClassifier": forest_classifier,
    "sklearn.ensemble._forest.RandomForestRegressor": forest_regressor,
    "sklearn.ensemble._iforest.IsolationForest": isolation_forest,
    "sklearn.tree._classes.DecisionTreeClassifier": tree_classifier,
    "sklearn.tree._classes.DecisionTreeRegressor": tree_regressor,
    "sklearn.tree._classes.ExtraTreeClassifier": tree_classifier,
    "sklearn.tree._classes.ExtraTreeRegressor": tree_regressor,
}
