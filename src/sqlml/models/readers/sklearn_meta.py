"""scikit-learn's estimators around others: votes, stacks, calibration, thresholds, selection."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from sklearn.base import is_classifier, is_regressor

from sqlml.models.readers.reading import Answers, Columns, NoReader, Predicting, Reading
from sqlml.models.readers.sklearn_common import (
    apply,
    argmax,
    arithmetic,
    both,
    by_probability,
    classes_of,
    combine,
    combine_each,
    complement,
    labels_as_numbers,
    numbers,
    pairwise,
    picked,
    softmax,
    step,
)
from sqlml.programs.program import Builder, OneHot, Ref


def value_of(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """The numbers of an inner regressor."""
    value = reading.predict(estimator, columns).value
    if value is None:
        raise NoReader(step(estimator), "it gives no numbers")
    return value


def probabilities_of(estimator: Any, answers: Answers) -> Columns:
    """The probabilities of an inner classifier."""
    if answers.probabilities is None:
        raise NoReader(step(estimator), "its probabilities are not known")
    return answers.probabilities


def decision_of(estimator: Any, answers: Answers) -> Columns:
    """The decision function of an inner estimator."""
    if answers.decision is None:
        raise NoReader(step(estimator), "its decision function is not known")
    return answers.decision


def weighted(graph: Builder, groups: list[Columns], weights: Any) -> Columns:
    """numpy.average of each group's columns: the mean, or the weighted sum over the sum of the weights."""
    if weights is None:
        return combine_each(graph, "mean", groups)
    held = np.asarray(weights, np.float64)
    scaled = [
        tuple(
            ref
            for one, weight in zip(group, held, strict=True)
            for ref in arithmetic(graph, "multiply", (one,), weight)
        )
        for group in groups
    ]
    return arithmetic(graph, "divide", combine_each(graph, "sum", scaled), held.sum())


def voting_regressor(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """VotingRegressor: the weighted mean."""
    values = [value_of(reading, inner, columns) for inner in estimator.estimators_]
    group = tuple(ref for value in values for ref in value)
    return Answers(value=weighted(reading.graph, [group], estimator._weights_not_none))


def voting_classifier(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """VotingClassifier: the weighted mean of probabilities, or the most votes."""
    graph, weights = reading.graph, estimator._weights_not_none
    classes = classes_of(estimator)
    given = [reading.predict(inner, columns) for inner in estimator.estimators_]
    if estimator.voting == "soft":
        found = [probabilities_of(inner, one) for inner, one in zip(estimator.estimators_, given, strict=True)]
        means = weighted(graph, list(zip(*found, strict=True)), weights)
        return by_probability(reading, estimator, means)
    votes = [
        votes_of(reading, inner, one, len(classes)) for inner, one in zip(estimator.estimators_, given, strict=True)
    ]
    groups: list[Columns] = list(zip(*votes, strict=True))
    # The votes themselves, not their mean, which could round two counts to one.
    held = 1.0 if weights is None else np.asarray(weights, np.float64)
    scaled = [arithmetic(graph, "multiply", tuple(group), held) for group in groups]
    return Answers(label=argmax(graph, combine_each(graph, "sum", scaled)), classes=classes)


def votes_of(reading: Reading, estimator: Any, answers: Answers, count: int) -> Columns:
    """1 for the class that an inner classifier, of whole numbers below `count`, answers."""
    labels = labels_as_numbers(reading, estimator, answers)
    return reading.graph.add(OneHot(inputs=labels, codes=np.arange(count, dtype=np.float64)))


def _stacked(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """What the final estimator is given: an answer of each estimator, then the columns themselves."""
    found: list[Ref] = []
    for inner, method in zip(estimator.estimators_, estimator.stack_method_, strict=True):
        answers = reading.predict(inner, columns)
        if method == "predict_proba":
            probabilities = probabilities_of(inner, answers)
            # Of two classes the first's is 1 less the second's, and is left out.
            found += probabilities[1:] if len(estimator.classes_) == 2 else probabilities
        elif method == "decision_function":
            found += decision_of(inner, answers)
        elif answers.label is not None:
            found += labels_as_numbers(reading, inner, answers)
        else:
            found += value_of(reading, inner, columns) if answers.value is None else answers.value
    return tuple(found) + (columns if estimator.passthrough else ())


def stacking_regressor(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """StackingRegressor: the final estimator over the others' answers."""
    return reading.predict(estimator.final_estimator_, _stacked(reading, estimator, columns))


def stacking_classifier(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """StackingClassifier: the final estimator over the others' answers, of encoded labels."""
    classes = classes_of(estimator)
    final = reading.predict(estimator.final_estimator_, _stacked(reading, estimator, columns))
    if final.label is None or list(final.classes or ()) != list(range(len(classes))):
        raise NoReader(step(estimator), "its final estimator has other classes")
    return Answers(label=final.label, probabilities=final.probabilities, decision=final.decision, classes=classes)


def calibrated(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """CalibratedClassifierCV: the mean of its calibrated classifiers."""
    count = len(classes_of(estimator))
    found = [_calibrated(reading, one, columns, count) for one in estimator.calibrated_classifiers_]
    return by_probability(reading, estimator, combine_each(reading.graph, "mean", list(zip(*found, strict=True))))


def _calibrated(reading: Reading, held: Any, columns: Columns, count: int) -> Columns:
    graph, inner = reading.graph, held.estimator
    answers = reading.predict(inner, columns)
    by_decision = hasattr(inner, "decision_function")
    scores = decision_of(inner, answers) if by_decision else probabilities_of(inner, answers)
    if held.method == "temperature":
        return _at_most_one(graph, _tempered(reading, held, scores, by_decision, count))
    if not by_decision and count == 2:
        scores = scores[1:]
    if len(inner.classes_) != len(held.classes):
        raise NoReader("CalibratedClassifierCV", "a fold lacks a class")
    raised = tuple(
        ref
        for score, calibrator in zip(scores, held.calibrators, strict=True)
        for ref in _calibrate(reading, calibrator, score)
    )
    if count == 2:
        return _at_most_one(graph, both(graph, raised))
    total = combine(graph, "sum", raised)
    empty = arithmetic(graph, "equal", total, 0.0)
    # 1 for each where all are 0: their sum is then their number.
    shared = pairwise(graph, "sum", raised, empty)
    sums = pairwise(graph, "sum", total, arithmetic(graph, "multiply", empty, float(count)))
    return _at_most_one(graph, pairwise(graph, "divide", shared, sums))


def _calibrate(reading: Reading, calibrator: Any, score: Ref) -> Columns:
    if type(calibrator).__name__ != "_SigmoidCalibration":
        return value_of(reading, calibrator, (score,))
    graph = reading.graph
    raw = arithmetic(graph, "multiply", (score,), float(calibrator.a_))
    raw = arithmetic(graph, "add", raw, float(calibrator.b_))
    return apply(graph, "sigmoid", apply(graph, "negative", raw))


def _tempered(reading: Reading, held: Any, scores: Columns, by_decision: bool, count: int) -> Columns:
    """Logits, times the inverse temperature, through the softmax."""
    graph = reading.graph
    if len(scores) == 1:
        logits = apply(graph, "negative", scores) + scores
    elif by_decision:
        logits = scores
    else:
        # Of two classes scikit-learn takes the first's as 1 less the second's.
        scores = both(graph, scores[1:]) if count == 2 else scores
        logits = apply(graph, "log", arithmetic(graph, "add", scores, 1e-12))
    return softmax(graph, arithmetic(graph, "multiply", logits, float(held.calibrators[0].beta_)))


def _at_most_one(graph: Builder, columns: Columns) -> Columns:
    """What is above 1 by rounding, as 1."""
    return arithmetic(graph, "minimum", columns, 1.0)


def threshold(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """FixedThresholdClassifier: the positive class at or above a threshold."""
    inner = getattr(estimator, "estimator_", estimator.estimator)
    return _thresholded(reading, estimator, inner, columns, estimator.pos_label, estimator.threshold)


def tuned_threshold(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """TunedThresholdClassifierCV: the positive class at or above the best threshold."""
    positive = estimator._curve_scorer._get_pos_label()
    return _thresholded(reading, estimator, estimator.estimator_, columns, positive, estimator.best_threshold_)


def _thresholded(
    reading: Reading, estimator: Any, inner: Any, columns: Columns, positive: Any, limit: float | Literal["auto"]
) -> Answers:
    graph = reading.graph
    classes = classes_of(estimator)
    answers = reading.predict(inner, columns)
    place = len(classes) - 1 if positive is None else classes.index(positive)
    methods = estimator._get_response_method()
    wanted = [methods] if isinstance(methods, str) else list(methods)
    used = next(method for method in wanted if hasattr(inner, method))
    if used == "predict_proba":
        score = probabilities_of(inner, answers)[place : place + 1]
    else:
        score = decision_of(inner, answers)
        score = score if place == 1 else apply(graph, "negative", score)
    least = (0.5 if used == "predict_proba" else 0.0) if limit == "auto" else float(limit)
    above = arithmetic(graph, "greater_equal", score, least)
    label = above if place == 1 else complement(graph, above)
    return Answers(label=label, probabilities=answers.probabilities, decision=answers.decision, classes=classes)


def self_training(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """SelfTrainingClassifier: the estimator that it trained."""
    return reading.predict(estimator.estimator_, numbers(reading, estimator, columns))


def recursive_elimination(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """RFE and RFECV: the estimator over the columns that are left."""
    left = picked(numbers(reading, estimator, columns), np.asarray(estimator.get_support(), bool))
    return reading.predict(estimator.estimator_, left)


def score_of(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """The score of a binary classifier: its decision, else the second class's probability; a regressor's answer."""
    answers = reading.predict(estimator, columns)
    if is_regressor(estimator):
        return value_of(reading, estimator, columns) if answers.value is None else answers.value
    if hasattr(estimator, "decision_function"):
        return decision_of(estimator, answers)
    return probabilities_of(estimator, answers)[1:2]


def binary_threshold(estimator: Any) -> float:
    """Above what the score of a binary classifier is its second class."""
    return 0.0 if hasattr(estimator, "decision_function") and is_classifier(estimator) else 0.5


PREDICTORS: dict[str, Predicting] = {
    "sklearn.calibration.CalibratedClassifierCV": calibrated,
    "sklearn.ensemble._stacking.StackingClassifier": stacking_classifier,
    "sklearn.ensemble._stacking.StackingRegressor": stacking_regressor,
    "sklearn.ensemble._voting.VotingClassifier": voting_classifier,
    "sklearn.ensemble._voting.VotingRegressor": voting_regressor,
    "sklearn.feature_selection._rfe.RFE": recursive_elimination,
    "sklearn.feature_selection._rfe.RFECV": recursive_elimination,
    "sklearn.model_selection._classification_threshold.FixedThresholdClassifier": threshold,
    "sklearn.model_selection._classification_threshold.TunedThresholdClassifierCV": tuned_threshold,
    "sklearn.semi_supervised._self_training.SelfTrainingClassifier": self_training,
}
