"""scikit-learn's kernel machines: sums over the kernel of a row with each of the rows that a model keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from sqlml.models.readers.reading import Answers, Columns, NoReader, Predicting, Reading
from sqlml.models.readers.sklearn_common import (
    apply,
    argmax,
    arithmetic,
    by_probability,
    classes_of,
    combine,
    combine_each,
    complement,
    constant,
    euclidean_squared,
    floats,
    linear,
    numbers,
    only_where,
    pairwise,
    step,
)
from sqlml.models.readers.sklearn_linear import inlier
from sqlml.programs.program import Builder, Distances, Ref

# scikit-learn subtracts squares that are as large as the columns: what is left may hang on the last digits.
_LOST = 2.5e-13


def kernel_matrix(
    reading: Reading, estimator: Any, columns: Columns, points: Any, options: Mapping[str, Any]
) -> Columns:
    """sklearn.metrics.pairwise.pairwise_kernels with the points, of the kernels that products and distances give."""
    graph, held = reading.graph, floats(points)
    gamma = options.get("gamma")
    gamma = 1.0 / held.shape[1] if gamma is None else float(gamma)
    coef0 = 1.0 if options.get("coef0") is None else float(options["coef0"])
    if estimator.kernel == "linear":
        return linear(graph, columns, held.T, 0.0)
    if estimator.kernel == "rbf":
        return _radial(reading, estimator, columns, held, gamma)
    if estimator.kernel not in ("poly", "polynomial", "sigmoid"):
        raise NoReader(step(estimator), f"its kernel {estimator.kernel!r} is not known")
    product = arithmetic(graph, "multiply", linear(graph, columns, held.T, 0.0), gamma)
    raised = arithmetic(graph, "add", product, coef0)
    if estimator.kernel == "sigmoid":
        return apply(graph, "tanh", raised)
    degree = 3.0 if options.get("degree") is None else float(options["degree"])
    return pairwise(graph, "power", raised, constant(graph, [degree]))


def _radial(
    reading: Reading, estimator: Any, columns: Columns, points: Any, gamma: float, *, points_first: bool = False
) -> Columns:
    """exp(-gamma * squared distance), where the distance doesn't hang on the order in which products are added."""
    lost = gamma * float(np.square(floats(points)).sum(axis=1).max()) * 4 * np.finfo(np.float64).eps
    if lost > _LOST:
        raise NoReader(step(estimator), "its squared distances lose digits at the scale of its columns")
    distances = euclidean_squared(reading.graph, columns, points, points_first=points_first)
    return apply(reading.graph, "exp", arithmetic(reading.graph, "multiply", distances, -gamma))


def kernel_ridge(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """KernelRidge: kernel @ dual_coef."""
    columns = numbers(reading, estimator, columns)
    if estimator.kernel_params:
        raise NoReader(step(estimator), "its kernel is a function")
    options = {"gamma": estimator.gamma, "degree": estimator.degree, "coef0": estimator.coef0}
    kernel = kernel_matrix(reading, estimator, columns, estimator.X_fit_, options)
    weights = floats(estimator.dual_coef_)
    return Answers(value=linear(reading.graph, kernel, weights.reshape(len(weights), -1), 0.0))


def _support(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """Libsvm's kernel with the support vectors."""
    graph = reading.graph
    columns = numbers(reading, estimator, columns)
    if estimator.kernel not in ("linear", "rbf", "poly", "sigmoid"):
        raise NoReader(step(estimator), f"its kernel {estimator.kernel!r} is not known")
    points = floats(estimator.support_vectors_)
    if not len(points):
        raise NoReader(step(estimator), "it has no support vectors")
    gamma, coef0 = float(estimator._gamma), float(estimator.coef0)
    if estimator.kernel == "linear":
        return linear(graph, columns, points.T, 0.0)
    if estimator.kernel == "rbf":
        distances = graph.add(Distances(inputs=columns, points=points))
        return apply(graph, "exp", arithmetic(graph, "multiply", distances, -gamma))
    product = arithmetic(graph, "multiply", linear(graph, columns, points.T, 0.0), gamma)
    raised = arithmetic(graph, "add", product, coef0)
    if estimator.kernel == "sigmoid":
        return apply(graph, "tanh", raised)
    if int(estimator.degree) == 0:
        return arithmetic(graph, "add", arithmetic(graph, "multiply", raised, 0.0), 1.0)
    return combine_each(graph, "product", [(ref,) * int(estimator.degree) for ref in raised])


def support_regressor(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """SVR and NuSVR: the sum over the support vectors."""
    kernel = _support(reading, estimator, columns)
    weights, bias = floats(estimator._dual_coef_), floats(estimator._intercept_)
    return Answers(value=linear(reading.graph, kernel, weights.T, bias))


def one_class(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """OneClassSVM: 1 where the sum is above 0, else -1."""
    decision = support_regressor(reading, estimator, columns).value
    assert decision is not None
    return Answers(value=inlier(reading.graph, arithmetic(reading.graph, "greater", decision, 0.0)), decision=decision)


def support_classifier(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """SVC and NuSVC: each pair of classes votes; the first class of most votes is the answer."""
    if hasattr(estimator, "predict_proba"):
        raise NoReader(step(estimator), "its probabilities are found by iterating")
    graph = reading.graph
    kernel = _support(reading, estimator, columns)
    classes = classes_of(estimator)
    pairs = [(i, j) for i in range(len(classes)) for j in range(i + 1, len(classes))]
    weights = _pair_weights(estimator, pairs)
    found = linear(graph, kernel, weights, np.ravel(floats(estimator._intercept_)))
    first = arithmetic(graph, "greater", found, 0.0)
    if len(pairs) == 1:
        return Answers(label=complement(graph, first), decision=apply(graph, "negative", found), classes=classes)
    second = complement(graph, first)
    votes = combine_each(graph, "sum", by_class(pairs, len(classes), first, second))
    decision = found
    if estimator.decision_function_shape == "ovr":
        # As scikit-learn has it: a pair is won by the second class where its score is below 0.
        lost = complement(graph, arithmetic(graph, "greater_equal", found, 0.0))
        decision = votes_and_confidence(
            graph, pairs, len(classes), complement(graph, lost), lost, apply(graph, "negative", found)
        )
    label = argmax(graph, decision if estimator.break_ties else votes)
    return Answers(label=label, decision=decision, classes=classes)


def by_class(pairs: list[tuple[int, int]], count: int, first: Columns, second: Columns) -> list[Columns]:
    """For each class, what each pair that it is in says of it, in the order of the pairs."""
    groups: list[list[Ref]] = [[] for _ in range(count)]
    for (i, j), of_first, of_second in zip(pairs, first, second, strict=True):
        groups[i].append(of_first)
        groups[j].append(of_second)
    return [tuple(group) for group in groups]


def votes_and_confidence(
    graph: Builder, pairs: list[tuple[int, int]], count: int, first: Columns, second: Columns, confidence: Columns
) -> Columns:
    """Votes plus the sum of confidences (of the second of a pair), squeezed below a third of a vote."""
    votes = combine_each(graph, "sum", by_class(pairs, count, first, second))
    total = combine_each(graph, "sum", by_class(pairs, count, apply(graph, "negative", confidence), confidence))
    scale = arithmetic(graph, "multiply", arithmetic(graph, "add", apply(graph, "abs", total), 1.0), 3.0)
    return pairwise(graph, "sum", votes, pairwise(graph, "divide", total, scale))


def _pair_weights(estimator: Any, pairs: list[tuple[int, int]]) -> Any:
    """Libsvm's coefficients, by support vector and pair: of a class's vectors, one set for each other class."""
    held, counts = floats(estimator._dual_coef_), estimator._n_support
    starts = np.concatenate([[0], np.cumsum(counts)])
    weights = np.zeros((held.shape[1], len(pairs)))
    for place, (i, j) in enumerate(pairs):
        of_first, of_second = slice(starts[i], starts[i + 1]), slice(starts[j], starts[j + 1])
        weights[of_first, place] = held[j - 1, of_first]
        weights[of_second, place] = held[i, of_second]
    return weights


def label_propagation(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """LabelPropagation and LabelSpreading: the labels of the fitted rows, weighted by the kernel."""
    if estimator.kernel != "rbf":
        raise NoReader(step(estimator), "k nearest neighbours keep their rows")
    graph = reading.graph
    columns = numbers(reading, estimator, columns)
    kernel = _radial(reading, estimator, columns, estimator.X_, float(estimator.gamma), points_first=True)
    found = linear(graph, kernel, estimator.label_distributions_, 0.0)
    total = combine(graph, "sum", found)
    # Far from every row the weights are all 0, and the answer is NaN.
    total = only_where(graph, total, arithmetic(graph, "greater", total, 0.0))
    return by_probability(reading, estimator, pairwise(graph, "divide", found, total))


def gaussian_process(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """GaussianProcessRegressor: the mean of the posterior."""
    graph = reading.graph
    columns = numbers(reading, estimator, columns)
    if not hasattr(estimator, "X_train_"):
        raise NoReader(step(estimator), "it was not fitted")
    kernel = _process_kernel(reading, estimator, estimator.kernel_, columns)
    weights = floats(estimator.alpha_)
    mean = linear(graph, kernel, weights.reshape(len(weights), -1), 0.0)
    mean = arithmetic(graph, "multiply", mean, estimator._y_train_std)
    return Answers(value=arithmetic(graph, "add", mean, estimator._y_train_mean))


def _process_kernel(reading: Reading, estimator: Any, kernel: Any, columns: Columns) -> Columns:
    graph, name = reading.graph, type(kernel).__name__
    points = floats(estimator.X_train_)
    if name in ("Sum", "Product"):
        left = _process_kernel(reading, estimator, kernel.k1, columns)
        right = _process_kernel(reading, estimator, kernel.k2, columns)
        return pairwise(graph, "sum" if name == "Sum" else "product", left, right)
    if name == "ConstantKernel":
        return constant(graph, np.full(len(points), kernel.constant_value))
    if name == "WhiteKernel":
        # Noise is of a row with itself alone.
        return constant(graph, np.zeros(len(points)))
    if name == "DotProduct":
        return linear(graph, columns, points.T, kernel.sigma_0**2)
    if name == "RBF":
        scaled = arithmetic(graph, "divide", columns, kernel.length_scale)
        distances = graph.add(Distances(inputs=scaled, points=np.ascontiguousarray(points / kernel.length_scale)))
        return apply(graph, "exp", arithmetic(graph, "multiply", distances, -0.5))
    raise NoReader(step(estimator), f"its kernel {name} is not known")


_SUPPORT: dict[str, Callable[[Reading, Any, Columns], Answers]] = {
    "NuSVC": support_classifier,
    "NuSVR": support_regressor,
    "OneClassSVM": one_class,
    "SVC": support_classifier,
    "SVR": support_regressor,
}

PREDICTORS: dict[str, Predicting] = {
    **{f"sklearn.svm._classes.{name}": reader for name, reader in _SUPPORT.items()},
    "sklearn.gaussian_process._gpr.GaussianProcessRegressor": gaussian_process,
    "sklearn.kernel_ridge.KernelRidge": kernel_ridge,
    "sklearn.semi_supervised._label_propagation.LabelPropagation": label_propagation,
    "sklearn.semi_supervised._label_propagation.LabelSpreading": label_propagation,
}
