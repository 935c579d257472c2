"""scikit-learn's estimators of several copies: one class against others, several outputs, chains, bags."""

from __future__ import annotations

from typing import Any

import numpy as np

from sqlml.models.readers.reading import Answers, Columns, NoReader, Predicting, Reading
from sqlml.models.readers.sklearn_common import (
    argmax,
    arithmetic,
    both,
    by_probability,
    classes_of,
    combine,
    combine_each,
    complement,
    constant,
    labels_as_numbers,
    nearest,
    numbers,
    pairwise,
    picked,
    step,
)
from sqlml.models.readers.sklearn_kernels import votes_and_confidence
from sqlml.models.readers.sklearn_meta import (
    binary_threshold,
    decision_of,
    probabilities_of,
    score_of,
    value_of,
    votes_of,
)
from sqlml.programs.program import Ref


def one_vs_rest(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """OneVsRestClassifier: the class of the largest score; probabilities over their sum."""
    graph = reading.graph
    if estimator.multilabel_:
        raise NoReader(step(estimator), "it answers several labels")
    classes = classes_of(estimator)
    scores = tuple(ref for inner in estimator.estimators_ for ref in score_of(reading, inner, columns))
    if len(scores) == 1:
        label = arithmetic(graph, "greater", scores, binary_threshold(estimator.estimators_[0]))
    else:
        label = argmax(graph, scores)
    probabilities = None
    if hasattr(estimator, "predict_proba"):
        given = [probabilities_of(inner, reading.predict(inner, columns)) for inner in estimator.estimators_]
        raised = tuple(one[1] for one in given)
        raised = both(graph, raised) if len(raised) == 1 else raised
        total = combine(graph, "sum", raised)
        # Probabilities that are all 0 stay so.
        total = pairwise(graph, "sum", total, arithmetic(graph, "equal", total, 0.0))
        probabilities = pairwise(graph, "divide", raised, total)
    decision = scores if hasattr(estimator, "decision_function") else None
    return Answers(label=label, probabilities=probabilities, decision=decision, classes=classes)


def constant_predictor(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """The stand-in of OneVsRestClassifier for a class that every row of the fit had, or none."""
    answer = constant(reading.graph, estimator.y_)
    return Answers(label=answer, probabilities=both(reading.graph, answer), decision=answer, classes=[0, 1])


def one_vs_one(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """OneVsOneClassifier: votes of each pair, with confidence to break ties."""
    graph = reading.graph
    if estimator.pairwise_indices_ is not None:
        raise NoReader(step(estimator), "its estimators take a kernel matrix")
    classes = classes_of(estimator)
    pairs = [(i, j) for i in range(len(classes)) for j in range(i + 1, len(classes))]
    answers = [reading.predict(inner, columns) for inner in estimator.estimators_]
    won = tuple(
        ref
        for inner, one in zip(estimator.estimators_, answers, strict=True)
        for ref in labels_as_numbers(reading, inner, one)
    )
    scores = tuple(ref for inner in estimator.estimators_ for ref in score_of(reading, inner, columns))
    decision = votes_and_confidence(graph, pairs, len(classes), complement(graph, won), won, scores)
    if len(classes) > 2:
        return Answers(label=argmax(graph, decision), decision=decision, classes=classes)
    label = arithmetic(graph, "greater", decision[1:], binary_threshold(estimator.estimators_[0]))
    return Answers(label=label, decision=decision[1:], classes=classes)


def output_code(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """OutputCodeClassifier: the class of the nearest code."""
    scores = tuple(ref for inner in estimator.estimators_ for ref in score_of(reading, inner, columns))
    return Answers(label=nearest(reading.graph, scores, estimator.code_book_), classes=classes_of(estimator))


def several_values(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """MultiOutputRegressor: one regressor an output."""
    return Answers(value=tuple(ref for inner in estimator.estimators_ for ref in value_of(reading, inner, columns)))


def several_labels(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """MultiOutputClassifier: one classifier an output, each of numbers."""
    return Answers(
        value=tuple(
            ref
            for inner in estimator.estimators_
            for ref in labels_as_numbers(reading, inner, reading.predict(inner, columns))
        )
    )


def chain(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """RegressorChain and ClassifierChain: each takes the answers of those before it."""
    columns = numbers(reading, estimator, columns)
    method = getattr(estimator, "chain_method_", "predict")
    found: list[Ref] = []
    features: list[Ref] = []
    for inner in estimator.estimators_:
        answers = reading.predict(inner, columns + tuple(features))
        labels = answers.value if answers.label is None else labels_as_numbers(reading, inner, answers)
        if labels is None or len(labels) != 1:
            raise NoReader(step(estimator), "an estimator of it has no single answer")
        found += labels
        if method == "predict":
            features += labels
        elif method == "predict_proba":
            features += probabilities_of(inner, answers)[1:2]
        elif method == "decision_function":
            features += decision_of(inner, answers)
        else:
            raise NoReader(step(estimator), f"chain_method={method!r} is not known")
    return Answers(value=picked(tuple(found), np.argsort(np.asarray(estimator.order_))))


def bagging_regressor(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """BaggingRegressor: the mean."""
    values = [value_of(reading, inner, given) for inner, given in _bags(estimator, columns)]
    return Answers(value=combine_each(reading.graph, "mean", list(zip(*values, strict=True))))


def bagging_classifier(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """BaggingClassifier: the mean of probabilities, or of votes."""
    graph = reading.graph
    classes = classes_of(estimator)
    found: list[Columns] = []
    decisions: list[Columns] = []
    for inner, given in _bags(estimator, columns):
        answers = reading.predict(inner, given)
        if hasattr(inner, "predict_proba"):
            found.append(_of_every_class(reading, inner, probabilities_of(inner, answers), len(classes)))
        else:
            found.append(votes_of(reading, inner, answers, len(classes)))
        if hasattr(inner, "decision_function") and answers.decision is not None:
            decisions.append(answers.decision)
    decision = None
    if len(decisions) == len(found) and len({len(one) for one in decisions}) == 1:
        decision = combine_each(graph, "mean", list(zip(*decisions, strict=True)))
    means = combine_each(graph, "mean", list(zip(*found, strict=True)))
    return by_probability(reading, estimator, means, decision)


def _bags(estimator: Any, columns: Columns) -> list[tuple[Any, Columns]]:
    return [
        (inner, picked(columns, np.asarray(places)))
        for inner, places in zip(estimator.estimators_, estimator.estimators_features_, strict=True)
    ]


def _of_every_class(reading: Reading, inner: Any, probabilities: Columns, count: int) -> Columns:
    """The probabilities by encoded class, 0 for a class that a bag had no row of."""
    if len(inner.classes_) == count:
        return probabilities
    (zero,) = constant(reading.graph, [0.0])
    held = {int(label): ref for label, ref in zip(inner.classes_, probabilities, strict=True)}
    return tuple(held.get(place, zero) for place in range(count))


PREDICTORS: dict[str, Predicting] = {
    "sklearn.ensemble._bagging.BaggingClassifier": bagging_classifier,
    "sklearn.ensemble._bagging.BaggingRegressor": bagging_regressor,
    "sklearn.multiclass.OneVsOneClassifier": one_vs_one,
    "sklearn.multiclass.OneVsRestClassifier": one_vs_rest,
    "sklearn.multiclass.OutputCodeClassifier": output_code,
    "sklearn.multiclass._ConstantPredictor": constant_predictor,
    "sklearn.multioutput.ClassifierChain": chain,
    "sklearn.multioutput.MultiOutputClassifier": several_labels,
    "sklearn.multioutput.MultiOutputRegressor": several_values,
    "sklearn.multioutput.RegressorChain": chain,
}
