"""scikit-learn's naive Bayes classifiers, and the dummies that only count."""

from __future__ import annotations

from typing import Any

import numpy as np

from sqlml.models.readers.reading import Answers, Columns, NoReader, Predicting, Reading
from sqlml.models.readers.sklearn_common import (
    apply,
    argmax,
    arithmetic,
    classes_of,
    combine_each,
    constant,
    floats,
    from_logarithms,
    linear,
    numbers,
    step,
)
from sqlml.programs.program import Encode


def _by_likelihood(reading: Reading, estimator: Any, likelihood: Columns) -> Answers:
    """The class of the largest joint log likelihood; probabilities less their logarithmic sum."""
    graph = reading.graph
    return Answers(
        label=argmax(graph, likelihood),
        probabilities=from_logarithms(graph, likelihood),
        classes=classes_of(estimator),
    )


def gaussian(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """GaussianNB: the density of each column in each class."""
    graph = reading.graph
    columns = numbers(reading, estimator, columns)
    means, variances = floats(estimator.theta_), floats(estimator.var_)
    classes, width = means.shape
    centered = arithmetic(graph, "subtract", columns * classes, means.ravel())
    scaled = arithmetic(graph, "divide", apply(graph, "square", centered), variances.ravel())
    groups = [scaled[i * width : (i + 1) * width] for i in range(classes)]
    halves = arithmetic(graph, "multiply", combine_each(graph, "sum", groups), -0.5)
    spread = [-0.5 * np.sum(np.log(2.0 * np.pi * variances[i, :])) for i in range(classes)]
    densities = arithmetic(graph, "add", halves, spread)
    with np.errstate(divide="ignore"):
        prior = np.log(estimator.class_prior_)
    return _by_likelihood(reading, estimator, arithmetic(graph, "add", densities, prior))


def multinomial(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """MultinomialNB: counts times the logarithms of their probabilities."""
    columns = numbers(reading, estimator, columns)
    found = linear(reading.graph, columns, floats(estimator.feature_log_prob_).T, estimator.class_log_prior_)
    return _by_likelihood(reading, estimator, found)


def complement(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """ComplementNB: as MultinomialNB, with no prior but where there is one class."""
    columns = numbers(reading, estimator, columns)
    prior = estimator.class_log_prior_ if len(estimator.classes_) == 1 else 0.0
    found = linear(reading.graph, columns, floats(estimator.feature_log_prob_).T, prior)
    return _by_likelihood(reading, estimator, found)


def bernoulli(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """BernoulliNB: whether each column is above the threshold."""
    graph = reading.graph
    columns = numbers(reading, estimator, columns)
    if estimator.binarize is not None:
        columns = arithmetic(graph, "greater", columns, float(estimator.binarize))
    log_probability = floats(estimator.feature_log_prob_)
    negative = np.log(1 - np.exp(log_probability))
    bias = estimator.class_log_prior_ + negative.sum(axis=1)
    return _by_likelihood(reading, estimator, linear(graph, columns, (log_probability - negative).T, bias))


def categorical(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """CategoricalNB: the logarithm of each column's category in each class, added up column by column."""
    graph = reading.graph
    columns = numbers(reading, estimator, columns, "finite")
    terms: list[Columns] = []
    for column, table in zip(columns, estimator.feature_log_prob_, strict=True):
        if not np.isfinite(table).all():
            raise NoReader(step(estimator), "alpha=0 gives some categories no probability")
        # A category beyond the table, or below 0, raises; what is between whole numbers is cut, as to an integer.
        keys = np.arange(table.shape[1], dtype=np.float64)
        whole = apply(graph, "trunc", (column,))
        terms.append(
            tuple(
                graph.add(Encode(inputs=whole, keys=keys, codes=floats(row), missing=None, unknown=None))[0]
                for row in table
            )
        )
    sums = combine_each(graph, "sum", list(zip(*terms, strict=True)))
    return _by_likelihood(reading, estimator, arithmetic(graph, "add", sums, estimator.class_log_prior_))


def dummy_classifier(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """DummyClassifier: the same class in every row."""
    graph = reading.graph
    classes = classes_of(estimator)
    prior = floats(estimator.class_prior_)
    if estimator._strategy in ("stratified", "uniform"):
        raise NoReader(step(estimator), f"strategy='{estimator._strategy}' answers at random")
    place = int(prior.argmax())
    if estimator._strategy == "constant":
        place = classes.index(np.ravel(estimator.constant).tolist()[0])
    probabilities = prior if estimator._strategy == "prior" else np.eye(len(classes))[place]
    return Answers(label=constant(graph, [float(place)]), probabilities=constant(graph, probabilities), classes=classes)


def dummy_regressor(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """DummyRegressor: the same numbers in every row."""
    return Answers(value=constant(reading.graph, estimator.constant_))


PREDICTORS: dict[str, Predicting] = {
    "sklearn.dummy.DummyClassifier": dummy_classifier,
    "sklearn.dummy.DummyRegressor": dummy_regressor,
    "sklearn.naive_bayes.BernoulliNB": bernoulli,
    "sklearn.naive_bayes.CategoricalNB": categorical,
    "sklearn.naive_bayes.ComplementNB": complement,
    "sklearn.naive_bayes.GaussianNB": gaussian,
    "sklearn.naive_bayes.MultinomialNB": multinomial,
}
