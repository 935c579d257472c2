"""scikit-learn's linear models: weighted sums of the columns, with a link; discriminants and neural networks too."""

from __future__ import annotations

from typing import Any

import numpy as np

from sqlml.models.readers.reading import Answers, Columns, NoReader, Predicting, Reading
from sqlml.models.readers.sklearn_common import (
    apply,
    argmax,
    arithmetic,
    both,
    by_decision,
    by_probability,
    classes_of,
    combine,
    complement,
    constant,
    floats,
    interpolated,
    linear,
    minus,
    normalize,
    numbers,
    only_where,
    pairwise,
    softmax,
    step,
)
from sqlml.programs.program import Builder, Ref


def scores(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """X @ coef + intercept, a column for each row of `coef_`."""
    weights = np.atleast_2d(floats(estimator.coef_))
    intercept = np.ravel(floats(estimator.intercept_))
    return linear(reading.graph, numbers(reading, estimator, columns), weights.T, intercept)


def regression(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """Every linear regressor: its weighted sums."""
    return Answers(value=scores(reading, estimator, columns))


def generalized(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """PoissonRegressor, GammaRegressor, TweedieRegressor: the inverse of the link."""
    raw = scores(reading, estimator, columns)
    link = type(estimator._base_loss.link).__name__
    if link == "IdentityLink":
        return Answers(value=raw)
    if link == "LogLink":
        return Answers(value=apply(reading.graph, "exp", raw))
    raise NoReader(step(estimator), f"its link {link} is not known")


def ransac(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """RANSACRegressor: the estimator of the inliers."""
    return reading.predict(estimator.estimator_, columns)


def partial_least_squares(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """PLSRegression, PLSCanonical, CCA: weighted sums of the centered row."""
    centered = arithmetic(reading.graph, "subtract", numbers(reading, estimator, columns), estimator._x_mean)
    weights = np.atleast_2d(floats(estimator.coef_))
    return Answers(value=linear(reading.graph, centered, weights.T, np.ravel(floats(estimator.intercept_))))


def isotonic(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """IsotonicRegression: interpolated between its thresholds."""
    graph = reading.graph
    x, y = estimator.X_thresholds_, estimator.y_thresholds_
    if len(columns) != 1 or x.dtype != np.float64:
        raise NoReader(step(estimator), "it takes one column of float64")
    (column,) = numbers(reading, estimator, columns, "finite")
    if len(y) == 1:
        return Answers(value=constant(graph, y))
    found = interpolated(graph, (column,), x, y, beyond=estimator.out_of_bounds != "nan")
    if estimator.out_of_bounds != "raise":
        return Answers(value=found)
    above = arithmetic(graph, "greater_equal", (column,), x[0])
    below = complement(graph, arithmetic(graph, "greater", (column,), x[-1]))
    return Answers(value=only_where(graph, found, pairwise(graph, "product", above, below)))


def logistic(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """LogisticRegression: two classes by the sigmoid, more by the softmax or one against the rest."""
    graph = reading.graph
    decision = scores(reading, estimator, columns)
    # Before scikit-learn 1.8 it could be told how to treat more than two classes.
    way = getattr(estimator, "multi_class", "deprecated")
    rest = way in ("ovr", "warn") or (way in ("auto", "deprecated") and estimator.solver == "liblinear")
    if len(decision) == 1 and way != "multinomial":
        return by_decision(reading, estimator, decision, both(graph, apply(graph, "sigmoid", decision)))
    if rest:
        return by_decision(reading, estimator, decision, normalize(graph, apply(graph, "sigmoid", decision)))
    if len(decision) == 1:
        two_sided = apply(graph, "negative", decision) + decision
        return by_decision(reading, estimator, decision, softmax(graph, two_sided))
    return by_decision(reading, estimator, decision, softmax(graph, decision))


def by_margin(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """Perceptron, RidgeClassifier, LinearSVC and their like: the largest score, and no probabilities."""
    classes_of(estimator)
    return by_decision(reading, estimator, scores(reading, estimator, columns))


def ridge_classifier(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """RidgeClassifier: the largest score, of one label."""
    if estimator._label_binarizer.y_type_.startswith("multilabel"):
        raise NoReader(step(estimator), "it answers several labels")
    return by_margin(reading, estimator, columns)


def stochastic_gradient(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """SGDClassifier: probabilities of the losses that have them."""
    graph = reading.graph
    decision = scores(reading, estimator, columns)
    if estimator.loss not in ("log_loss", "modified_huber"):
        return by_decision(reading, estimator, decision)
    if estimator.loss == "log_loss":
        raised = apply(graph, "sigmoid", decision)
    else:
        clipped = arithmetic(graph, "minimum", arithmetic(graph, "maximum", decision, -1.0), 1.0)
        raised = arithmetic(graph, "divide", arithmetic(graph, "add", clipped, 1.0), 2.0)
    probabilities = both(graph, raised) if len(decision) == 1 else normalize(graph, raised)
    return by_decision(reading, estimator, decision, probabilities)


def one_class_sgd(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """SGDOneClassSVM: 1 for an inlier, -1 for an outlier."""
    graph = reading.graph
    weights = np.atleast_2d(floats(estimator.coef_)).T
    decision = linear(graph, numbers(reading, estimator, columns), weights, -np.ravel(floats(estimator.offset_)))
    return Answers(value=inlier(graph, arithmetic(graph, "greater_equal", decision, 0.0)), decision=decision)


def inlier(graph: Builder, yes: Columns) -> Columns:
    """1 for an inlier, -1 for an outlier."""
    return arithmetic(graph, "subtract", arithmetic(graph, "multiply", yes, 2.0), 1.0)


def discriminant(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """LinearDiscriminantAnalysis: the sigmoid of two classes, the softmax of more."""
    decision = scores(reading, estimator, columns)
    if len(decision) > 1:
        return by_decision(reading, estimator, decision, softmax(reading.graph, decision))
    return by_decision(reading, estimator, decision, both(reading.graph, apply(reading.graph, "sigmoid", decision)))


def quadratic_discriminant(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """QuadraticDiscriminantAnalysis: how far the rotated and scaled row is from each class's mean."""
    graph = reading.graph
    columns = numbers(reading, estimator, columns)
    norms: list[Ref] = []
    for mean, rotation, scaling in zip(estimator.means_, estimator.rotations_, estimator.scalings_, strict=True):
        centered = arithmetic(graph, "subtract", columns, mean)
        scaled = linear(graph, centered, rotation * (scaling ** (-0.5)), 0.0)
        norms += combine(graph, "sum", apply(graph, "square", scaled))
    logarithms = np.array([np.sum(np.log(scaling)) for scaling in estimator.scalings_])
    halves = arithmetic(graph, "multiply", arithmetic(graph, "add", tuple(norms), logarithms), -0.5)
    found = arithmetic(graph, "add", halves, np.log(estimator.priors_))
    return by_scores(reading, estimator, found)


def by_scores(reading: Reading, estimator: Any, found: Columns) -> Answers:
    """A score for each class: the largest; of two, the difference decides; probabilities by their logarithms."""
    graph = reading.graph
    above = minus(graph, found, combine(graph, "maximum", found))
    total = apply(graph, "log", combine(graph, "sum", apply(graph, "exp", above)))
    probabilities = apply(graph, "exp", minus(graph, above, total))
    decision = minus(graph, found[1:], found[:1]) if len(found) == 2 else found
    return Answers(
        label=argmax(graph, found), probabilities=probabilities, decision=decision, classes=classes_of(estimator)
    )


_ACTIVATIONS = {"identity": None, "tanh": "tanh", "logistic": "sigmoid", "relu": "relu", "exp": "exp"}


def _network(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """A multi-layer perceptron up to its output's activation."""
    graph = reading.graph
    columns = numbers(reading, estimator, columns)
    last = len(estimator.coefs_) - 1
    for i, (weights, bias) in enumerate(zip(estimator.coefs_, estimator.intercepts_, strict=True)):
        if weights.dtype != np.float64:
            raise NoReader(step(estimator), "it was fitted in float32")
        columns = linear(graph, columns, weights, bias)
        name = estimator.activation if i != last else estimator.out_activation_
        if name == "softmax":
            columns = softmax(graph, columns)
        elif name not in _ACTIVATIONS:
            raise NoReader(step(estimator), f"its activation '{name}' is not known")
        elif (function := _ACTIVATIONS[name]) is not None:
            columns = apply(graph, function, columns)
    return columns


def network_classifier(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """MLPClassifier: the first most probable class; of two, the second above a half."""
    if estimator._label_binarizer.y_type_.startswith("multilabel"):
        raise NoReader(step(estimator), "it answers several labels")
    found = _network(reading, estimator, columns)
    if len(found) > 1:
        return by_probability(reading, estimator, found)
    label = arithmetic(reading.graph, "greater", found, 0.5)
    return Answers(label=label, probabilities=both(reading.graph, found), classes=classes_of(estimator))


def network_regressor(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """MLPRegressor: what its last layer gives."""
    return Answers(value=_network(reading, estimator, columns))


_PLACE = "sklearn.linear_model"

PREDICTORS: dict[str, Predicting] = {
    **{
        f"{_PLACE}.{name}": regression
        for name in (
            "_base.LinearRegression",
            "_bayes.ARDRegression",
            "_bayes.BayesianRidge",
            "_coordinate_descent.ElasticNet",
            "_coordinate_descent.ElasticNetCV",
            "_coordinate_descent.Lasso",
            "_coordinate_descent.LassoCV",
            "_coordinate_descent.MultiTaskElasticNet",
            "_coordinate_descent.MultiTaskElasticNetCV",
            "_coordinate_descent.MultiTaskLasso",
            "_coordinate_descent.MultiTaskLassoCV",
            "_huber.HuberRegressor",
            "_least_angle.Lars",
            "_least_angle.LarsCV",
            "_least_angle.LassoLars",
            "_least_angle.LassoLarsCV",
            "_least_angle.LassoLarsIC",
            "_omp.OrthogonalMatchingPursuit",
            "_omp.OrthogonalMatchingPursuitCV",
            "_passive_aggressive.PassiveAggressiveRegressor",
            "_quantile.QuantileRegressor",
            "_ridge.Ridge",
            "_ridge.RidgeCV",
            "_stochastic_gradient.SGDRegressor",
            "_theil_sen.TheilSenRegressor",
        )
    },
    f"{_PLACE}._glm.glm.GammaRegressor": generalized,
    f"{_PLACE}._glm.glm.PoissonRegressor": generalized,
    f"{_PLACE}._glm.glm.TweedieRegressor": generalized,
    f"{_PLACE}._logistic.LogisticRegression": logistic,
    f"{_PLACE}._logistic.LogisticRegressionCV": logistic,
    f"{_PLACE}._passive_aggressive.PassiveAggressiveClassifier": by_margin,
    f"{_PLACE}._perceptron.Perceptron": by_margin,
    f"{_PLACE}._ransac.RANSACRegressor": ransac,
    f"{_PLACE}._ridge.RidgeClassifier": ridge_classifier,
    f"{_PLACE}._ridge.RidgeClassifierCV": ridge_classifier,
    f"{_PLACE}._stochastic_gradient.SGDClassifier": stochastic_gradient,
    f"{_PLACE}._stochastic_gradient.SGDOneClassSVM": one_class_sgd,
    "sklearn.cross_decomposition._pls.CCA": partial_least_squares,
    "sklearn.cross_decomposition._pls.PLSCanonical": partial_least_squares,
    "sklearn.cross_decomposition._pls.PLSRegression": partial_least_squares,
    "sklearn.discriminant_analysis.LinearDiscriminantAnalysis": discriminant,
    "sklearn.discriminant_analysis.QuadraticDiscriminantAnalysis": quadratic_discriminant,
    "sklearn.isotonic.IsotonicRegression": isotonic,
    "sklearn.neural_network._multilayer_perceptron.MLPClassifier": network_classifier,
    "sklearn.neural_network._multilayer_perceptron.MLPRegressor": network_regressor,
    "sklearn.svm._classes.LinearSVC": by_margin,
    "sklearn.svm._classes.LinearSVR": regression,
}
