"""scikit-learn's linear maps: a row less a mean, times a matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from sqlml.models.readers.reading import Columns, NoReader, Reading, Transforming
from sqlml.models.readers.sklearn_common import apply, arithmetic, floats, linear, numbers, step
from sqlml.models.readers.sklearn_kernels import kernel_matrix


def pca(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """PCA: projected, then centered, then scaled."""
    weights = floats(estimator.components_).T
    columns = numbers(reading, estimator, columns)
    found = linear(reading.graph, columns, weights, -(floats(estimator.mean_) @ weights))
    if not estimator.whiten:
        return found
    scale = np.sqrt(floats(estimator.explained_variance_))
    return arithmetic(reading.graph, "divide", found, np.maximum(scale, np.finfo(np.float64).eps))


def projected(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """TruncatedSVD, random projections, NeighborhoodComponentsAnalysis: x @ components."""
    return linear(reading.graph, numbers(reading, estimator, columns), floats(estimator.components_).T, 0.0)


def fast_ica(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """FastICA: centered where it whitens, then projected."""
    columns = numbers(reading, estimator, columns)
    if estimator.whiten:
        columns = arithmetic(reading.graph, "subtract", columns, estimator.mean_)
    return linear(reading.graph, columns, floats(estimator.components_).T, 0.0)


def factor_analysis(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """FactorAnalysis: the expected factors of a centered row."""
    components = floats(estimator.components_)
    weighted = components / estimator.noise_variance_
    covariance = np.linalg.inv(np.eye(len(components)) + weighted @ components.T)
    columns = arithmetic(reading.graph, "subtract", numbers(reading, estimator, columns), estimator.mean_)
    return linear(reading.graph, linear(reading.graph, columns, weighted.T, 0.0), covariance, 0.0)


def discriminants(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """LinearDiscriminantAnalysis.transform: the directions that part the classes best."""
    if estimator.solver == "lsqr":
        raise NoReader(step(estimator), "solver='lsqr' has no transform")
    columns = numbers(reading, estimator, columns)
    if estimator.solver == "svd":
        columns = arithmetic(reading.graph, "subtract", columns, estimator.xbar_)
    return linear(reading.graph, columns, floats(estimator.scalings_)[:, : estimator._max_components], 0.0)


def partial_least_squares(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """PLSRegression.transform and its like: the scores of a scaled row."""
    columns = arithmetic(reading.graph, "subtract", numbers(reading, estimator, columns), estimator._x_mean)
    columns = arithmetic(reading.graph, "divide", columns, estimator._x_std)
    return linear(reading.graph, columns, estimator.x_rotations_, 0.0)


def rbf_sampler(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """RBFSampler: cosines of random projections."""
    columns = numbers(reading, estimator, columns)
    weights = floats(estimator.random_weights_)
    angles = linear(reading.graph, columns, weights, estimator.random_offset_)
    return arithmetic(reading.graph, "multiply", apply(reading.graph, "cos", angles), (2.0 / weights.shape[1]) ** 0.5)


def nystroem(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """Nystroem: the kernel with some of the fitted rows, normalized."""
    columns = numbers(reading, estimator, columns)
    if callable(estimator.kernel) or estimator.kernel_params:
        raise NoReader(step(estimator), "its kernel is a function")
    options = {"gamma": estimator.gamma, "degree": estimator.degree, "coef0": estimator.coef0}
    kernel = kernel_matrix(reading, estimator, columns, floats(estimator.components_), options)
    return linear(reading.graph, kernel, floats(estimator.normalization_).T, 0.0)


_DECOMPOSITION = "sklearn.decomposition"

TRANSFORMERS: dict[str, Transforming] = {
    "sklearn.cross_decomposition._pls.CCA": partial_least_squares,
    "sklearn.cross_decomposition._pls.PLSCanonical": partial_least_squares,
    "sklearn.cross_decomposition._pls.PLSRegression": partial_least_squares,
    f"{_DECOMPOSITION}._factor_analysis.FactorAnalysis": factor_analysis,
    f"{_DECOMPOSITION}._fastica.FastICA": fast_ica,
    f"{_DECOMPOSITION}._incremental_pca.IncrementalPCA": pca,
    f"{_DECOMPOSITION}._pca.PCA": pca,
    f"{_DECOMPOSITION}._truncated_svd.TruncatedSVD": projected,
    "sklearn.discriminant_analysis.LinearDiscriminantAnalysis": discriminants,
    "sklearn.kernel_approximation.Nystroem": nystroem,
    "sklearn.kernel_approximation.RBFSampler": rbf_sampler,
    "sklearn.neighbors._nca.NeighborhoodComponentsAnalysis": projected,
    "sklearn.random_projection.GaussianRandomProjection": projected,
    "sklearn.random_projection.SparseRandomProjection": projected,
}
