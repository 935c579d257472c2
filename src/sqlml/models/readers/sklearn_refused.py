"""What scikit-learn has and no program holds, each with the reason that a user reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlml.models.readers.reading import Answers, Columns, NoReader, Predicting, Reading, Transforming
from sqlml.models.readers.sklearn_common import step

_NEIGHBORS = "its neighbours are rows that it keeps, searched for every answer"
_TEXTS = "it takes text apart"
_SOLVES = "it solves a problem for every row"

_REASONS: Mapping[str, str] = {
    "sklearn.decomposition._dict_learning.DictionaryLearning": _SOLVES,
    "sklearn.decomposition._dict_learning.MiniBatchDictionaryLearning": _SOLVES,
    "sklearn.decomposition._dict_learning.SparseCoder": _SOLVES,
    "sklearn.decomposition._lda.LatentDirichletAllocation": _SOLVES,
    "sklearn.decomposition._nmf.MiniBatchNMF": _SOLVES,
    "sklearn.decomposition._nmf.NMF": _SOLVES,
    "sklearn.decomposition._sparse_pca.MiniBatchSparsePCA": _SOLVES,
    "sklearn.decomposition._sparse_pca.SparsePCA": _SOLVES,
    "sklearn.feature_extraction._dict_vectorizer.DictVectorizer": _TEXTS,
    "sklearn.feature_extraction._hash.FeatureHasher": _TEXTS,
    "sklearn.feature_extraction.text.CountVectorizer": _TEXTS,
    "sklearn.feature_extraction.text.HashingVectorizer": _TEXTS,
    "sklearn.feature_extraction.text.TfidfVectorizer": _TEXTS,
    "sklearn.gaussian_process._gpc.GaussianProcessClassifier": "its probabilities are integrals",
    "sklearn.impute._iterative.IterativeImputer": "each column is imputed from the others, in rounds",
    "sklearn.impute._knn.KNNImputer": _NEIGHBORS,
    "sklearn.neighbors._classification.KNeighborsClassifier": _NEIGHBORS,
    "sklearn.neighbors._classification.RadiusNeighborsClassifier": _NEIGHBORS,
    "sklearn.neighbors._lof.LocalOutlierFactor": _NEIGHBORS,
    "sklearn.neighbors._regression.KNeighborsRegressor": _NEIGHBORS,
    "sklearn.neighbors._regression.RadiusNeighborsRegressor": _NEIGHBORS,
}


def refused_transform(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """Raises NoReader with the reason for the transformer's class."""
    raise NoReader(step(estimator), _reason(estimator))


def refused_predict(reading: Reading, estimator: Any, columns: Columns) -> Answers:
    """Raises NoReader with the reason for the estimator's class."""
    raise NoReader(step(estimator), _reason(estimator))


def _reason(estimator: Any) -> str:
    return _REASONS[f"{type(estimator).__module__}.{type(estimator).__qualname__}"]


TRANSFORMERS: dict[str, Transforming] = dict.fromkeys(_REASONS, refused_transform)

PREDICTORS: dict[str, Predicting] = dict.fromkeys(_REASONS, refused_predict)
