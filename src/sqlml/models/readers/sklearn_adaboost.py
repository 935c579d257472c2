"""scikit-learn's AdaBoost as programs: votes of classifiers, and the weighted median of regressors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sqlml.models.readers.reading import Answers, Columns, NoReader, Predicting, Reading, Transforming
from sqlml.models.readers.sklearn_tree_arrays import Leaves, guarded, shares, tree_of, values
from sqlml.models.readers.tree_arrays import joined
from sqlml.programs.program import Apply, Arithmetic, Builder, Combine, Floats, Guard, Link, Median, Piecewise


def ada_classifier(reading: Reading, model: Any, columns: Columns) -> Answers:
    """AdaBoostClassifier: each estimator adds its weight to its class, and takes a share of it from the others."""
    graph, count = reading.graph, int(model.n_classes_)
    if count < 2:
        raise NoReader(type(model).__name__, "one class")
    weights, whole = model.estimator_weights_, float(model.estimator_weights_.sum())
    scores = [np.where(np.eye(count) == 1.0, weight, -1 / (count - 1) * weight) for weight in weights]
    pairs = list(zip(model.estimators_, scores, strict=False))
    if all(_is_tree(estimator, "Classifier") for estimator, _ in pairs):
        votes = _tree_votes(graph, model, pairs, whole, columns)
    else:
        votes = _any_votes(reading, model, pairs, whole, columns)
    if count > 2:
        softened = graph.add(Arithmetic(inputs=votes, op="divide", operand=np.full(count, count - 1.0)))
        return _ada(graph, model, votes, _largest(graph, votes), softened)
    first = graph.add(Apply(inputs=votes[:1], function="negative"))
    decision = graph.add(Combine(inputs=(*first, votes[1]), op="sum", groups=np.array([[0, 1]], np.int32)))
    label = graph.add(Arithmetic(inputs=decision, op="greater", operand=np.zeros(1)))
    opposite = graph.add(Apply(inputs=decision, function="negative"))
    halves = graph.add(Arithmetic(inputs=(*opposite, *decision), op="divide", operand=np.full(2, 2.0)))
    return _ada(graph, model, decision, label, halves)


def _ada(graph: Builder, model: Any, decision: Columns, label: Columns, softened: Columns) -> Answers:
    probabilities = graph.add(Link(inputs=softened, function="softmax"))
    classes = np.asarray(model.classes_).tolist()
    return Answers(label=label, probabilities=probabilities, decision=decision, classes=classes)


def _is_tree(estimator: Any, kind: str) -> bool:
    return f"{type(estimator).__module__}.{type(estimator).__qualname__}" in (
        f"sklearn.tree._classes.DecisionTree{kind}",
        f"sklearn.tree._classes.ExtraTree{kind}",
    )


def _places(model: Any, estimator: Any) -> npt.NDArray[np.int64]:
    """Where the estimator's classes are among the model's."""
    places = {value: place for place, value in enumerate(np.asarray(model.classes_).tolist())}
    return np.array([places[value] for value in np.asarray(estimator.classes_).tolist()], np.int64)


def _tree_votes(graph: Builder, model: Any, pairs: list[tuple[Any, Floats]], whole: float, columns: Columns) -> Columns:
    def leaves(estimator: Any, score: Floats) -> Leaves:
        own = score[_places(model, estimator)]
        return lambda held, places: own[shares(held, places).argmax(axis=1)]

    held = guarded(graph, model, columns)
    trees = [tree_of(estimator, leaves(estimator, score)) for estimator, score in pairs]
    base = np.zeros(int(model.n_classes_))
    return graph.add(joined(trees, held, base, every_column=True, divisor=whole, compare="float32"))


def _any_votes(
    reading: Reading, model: Any, pairs: list[tuple[Any, Floats]], whole: float, columns: Columns
) -> Columns:
    graph, count = reading.graph, int(model.n_classes_)
    scored: list[Columns] = []
    held = _finite(graph, model, columns)
    for estimator, score in pairs:
        label = reading.predict(estimator, held).label
        if label is None:
            raise NoReader(type(model).__name__, f"a {type(estimator).__name__} gives no label")
        own = score[_places(model, estimator)]
        # A table: the piece of a label is its place.
        edges, origins = np.arange(0.5, len(own) - 1.0), np.zeros(len(own))
        scored.append(
            graph.add(Piecewise(inputs=label, edges=edges, origins=origins, coefficients=own[:, :, None].copy()))
        )
    groups = np.arange(len(scored) * count, dtype=np.int32).reshape(len(scored), count).T
    inputs = tuple(ref for columns_ in scored for ref in columns_)
    total = graph.add(Combine(inputs=inputs, op="sum", groups=groups.copy()))
    return graph.add(Arithmetic(inputs=total, op="divide", operand=np.full(count, whole)))


def ada_regressor(reading: Reading, model: Any, columns: Columns) -> Answers:
    """AdaBoostRegressor: the weighted median of its estimators."""
    graph, estimators = reading.graph, model.estimators_
    if all(_is_tree(estimator, "Regressor") for estimator in estimators):
        held = guarded(graph, model, columns)
        trees = [tree_of(estimator, values, place) for place, estimator in enumerate(estimators)]
        found = graph.add(joined(trees, held, np.zeros(len(trees)), every_column=True, compare="float32"))
    else:
        finite = _finite(graph, model, columns)
        answers = [reading.predict(estimator, finite).value for estimator in estimators]
        found = tuple(answer[0] for answer in answers if answer is not None and len(answer) == 1)
        if len(found) != len(answers):
            raise NoReader(type(model).__name__, "an estimator gives no number")
    weights = np.asarray(model.estimator_weights_, np.float64)[: len(estimators)]
    return Answers(value=graph.add(Median(inputs=found, weights=weights)))


def _finite(graph: Builder, model: Any, columns: Columns) -> Columns:
    """The columns as AdaBoost itself lets them through to estimators that are no trees."""
    if any(graph.is_text(ref) for ref in columns):
        raise NoReader(type(model).__name__, "a column of text reaches it")
    return graph.add(Guard(inputs=columns, rule="finite"))


def _largest(graph: Builder, columns: Columns) -> Columns:
    return graph.add(Combine(inputs=columns, op="argmax", groups=np.arange(len(columns), dtype=np.int32)[None]))


TRANSFORMERS: dict[str, Transforming] = {}
PREDICTORS: dict[str, Predicting] = {
    "sklearn.ensemble._weight_boosting.AdaBoostClassifier": ada_classifier,
    "sklearn.ensemble._weight_boosting.AdaBoostRegressor": ada_regressor,
}
