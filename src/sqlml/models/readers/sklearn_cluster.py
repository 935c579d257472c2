"""scikit-learn's clusterers, mixtures and centroids: which of a few points, or ellipses, a row is nearest to."""

from __future__ import annotations

from typing import Any

import numpy as np

from sqlml.models.readers.reading import Answers, Columns, NoReader, Predicting, Reading
from sqlml.models.readers.sklearn_common import (
    apply,
    argmax,
    arithmetic,
    classes_of,
    combine,
    complement,
    constant,
    euclidean_squared,
    floats,
    linear,
    nearest,
    numbers,
    pairwise,
    step,
)
from sqlml.models.readers.sklearn_linear import by_scores, inlier
from sqlml.programs.program import Encode, Ref


def nearest_center(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """KMeans, MiniBatchKMeans, MeanShift, AffinityPropagation: the number of the nearest center."""
    centers = floats(estimator.cluster_centers_)
    columns = numbers(reading, estimator, columns)
    if not len(centers):
        # AffinityPropagation that did not converge.
        return Answers(value=constant(reading.graph, [-1.0]))
    return Answers(value=nearest(reading.graph, columns, centers))


def birch(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """Birch: the cluster of the nearest subcluster."""
    place = nearest(reading.graph, numbers(reading, estimator, columns), estimator.subcluster_centers_)
    codes = floats(estimator.subcluster_labels_)
    keys = np.arange(len(codes), dtype=np.float64)
    return Answers(value=reading.graph.add(Encode(inputs=place, keys=keys, codes=codes, missing=None, unknown=None)))


def bisecting(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """BisectingKMeans: down a tree of pairs of centers."""
    graph = reading.graph
    columns = numbers(reading, estimator, columns)
    shift = getattr(estimator, "_X_mean", 0.0)

    def label(node: Any) -> Columns:
        if node.left is None:
            return constant(graph, [float(node.label)])
        right = nearest(graph, columns, np.vstack((node.left.center, node.right.center)) + shift)
        taken = pairwise(graph, "product", label(node.left), complement(graph, right))
        return pairwise(graph, "sum", taken, pairwise(graph, "product", label(node.right), right))

    return Answers(value=label(estimator._bisecting_tree))


def mixture(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """GaussianMixture and BayesianGaussianMixture: the most probable component."""
    graph = reading.graph
    columns = numbers(reading, estimator, columns)
    means, held = floats(estimator.means_), floats(estimator.precisions_cholesky_)
    if estimator.covariance_type in ("diag", "spherical"):
        whole = [np.diag(np.broadcast_to(one, means.shape[1:])) for one in held]
    else:
        whole = list(held) if estimator.covariance_type == "full" else [held] * len(means)
    norms: list[Ref] = []
    for mean, precision in zip(means, whole, strict=True):
        norms += combine(graph, "sum", apply(graph, "square", linear(graph, columns, precision, -(mean @ precision))))
    # What a component adds whatever the row: the same method gives it where the row is the mean itself.
    at_means = np.diag(estimator._estimate_weighted_log_prob(means))
    return Answers(
        value=argmax(graph, arithmetic(graph, "add", arithmetic(graph, "multiply", tuple(norms), -0.5), at_means))
    )


def ellipse(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """EllipticEnvelope: 1 within a Mahalanobis distance, -1 beyond."""
    graph = reading.graph
    centered = arithmetic(graph, "subtract", numbers(reading, estimator, columns), estimator.location_)
    turned = linear(graph, centered, estimator.get_precision(), 0.0)
    distance = combine(graph, "sum", pairwise(graph, "product", turned, centered))
    decision = arithmetic(graph, "subtract", apply(graph, "negative", distance), estimator.offset_)
    return Answers(value=inlier(graph, arithmetic(graph, "greater_equal", decision, 0.0)), decision=decision)


def nearest_centroid(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """NearestCentroid: by distance alone where the classes are as likely, else by the discriminant scores."""
    if estimator.metric != "euclidean":
        raise NoReader(step(estimator), f"metric={estimator.metric!r} is not Euclidean")
    graph = reading.graph
    classes = classes_of(estimator)
    columns = numbers(reading, estimator, columns)
    centers = floats(estimator.centroids_)
    spread = np.where(estimator.within_class_std_dev_ != 0, estimator.within_class_std_dev_, 1.0)
    scaled = arithmetic(graph, "divide", columns, spread)
    distances = euclidean_squared(graph, scaled, centers / spread)
    # The distance, squared again, as it is there.
    squared = apply(graph, "negative", apply(graph, "square", apply(graph, "sqrt", distances)))
    answers = by_scores(reading, estimator, arithmetic(graph, "add", squared, 2.0 * np.log(estimator.class_prior_)))
    if not np.isclose(estimator.class_prior_, 1 / len(classes)).all():
        return answers
    label = nearest(graph, columns, centers)
    return Answers(label=label, probabilities=answers.probabilities, decision=answers.decision, classes=classes)


PREDICTORS: dict[str, Predicting] = {
    "sklearn.cluster._affinity_propagation.AffinityPropagation": nearest_center,
    "sklearn.cluster._birch.Birch": birch,
    "sklearn.cluster._bisect_k_means.BisectingKMeans": bisecting,
    "sklearn.cluster._kmeans.KMeans": nearest_center,
    "sklearn.cluster._kmeans.MiniBatchKMeans": nearest_center,
    "sklearn.cluster._mean_shift.MeanShift": nearest_center,
    "sklearn.covariance._elliptic_envelope.EllipticEnvelope": ellipse,
    "sklearn.mixture._bayesian_mixture.BayesianGaussianMixture": mixture,
    "sklearn.mixture._gaussian_mixture.GaussianMixture": mixture,
    "sklearn.neighbors._nearest_centroid.NearestCentroid": nearest_centroid,
}
