"""Every stock estimator that answers new rows, each as a function that makes one, unfitted."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

from sklearn import linear_model, naive_bayes, svm, tree
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import all_estimators

Make = Callable[[], Any]

_SMALL = {"n_estimators": 5, "random_state": 0}
_SETTINGS: dict[str, dict[str, Any]] = {
    "HistGradientBoostingClassifier": {"max_iter": 5},
    "HistGradientBoostingRegressor": {"max_iter": 5},
    "MLPClassifier": {"max_iter": 20, "hidden_layer_sizes": (5,)},
    "MLPRegressor": {"max_iter": 20, "hidden_layer_sizes": (5,)},
    "KMeans": {"n_clusters": 3, "n_init": 1},
    "MiniBatchKMeans": {"n_clusters": 3, "n_init": 1},
    "BisectingKMeans": {"n_clusters": 3},
    "Birch": {"n_clusters": 3},
    "GaussianMixture": {"n_components": 2},
    "BayesianGaussianMixture": {"n_components": 2},
    "LocalOutlierFactor": {"novelty": True},
    "CCA": {"n_components": 1},
    "PLSCanonical": {"n_components": 1},
    "PLSRegression": {"n_components": 2},
    "QuadraticDiscriminantAnalysis": {"reg_param": 0.1},
    "RANSACRegressor": {"min_samples": 20},
    "RadiusNeighborsClassifier": {"radius": 100.0},
    "RadiusNeighborsRegressor": {"radius": 100.0},
    "NuSVC": {"nu": 0.2},
}


def _meta(name: str, kind: str) -> dict[str, Any] | None:
    """The estimators that the meta estimator of that name is made over."""
    logistic, ridge = linear_model.LogisticRegression(), linear_model.Ridge()
    inner = logistic if kind == "classifier" else ridge
    two = [("a", inner), ("b", tree.DecisionTreeClassifier(max_depth=3) if kind == "classifier" else svm.SVR())]
    return {
        "ClassifierChain": {"estimator": logistic},
        "RegressorChain": {"estimator": ridge},
        "FixedThresholdClassifier": {"estimator": logistic, "threshold": 0.3},
        "TunedThresholdClassifierCV": {"estimator": logistic, "cv": 2},
        "FrozenEstimator": None,
        "GridSearchCV": {"estimator": svm.SVC(), "param_grid": {"C": [0.1, 1.0]}, "cv": 2},
        "RandomizedSearchCV": {
            "estimator": svm.SVR(),
            "param_distributions": {"C": [0.1, 1.0]},
            "n_iter": 2,
            "cv": 2,
        },
        "HalvingGridSearchCV": {"estimator": logistic, "param_grid": {"C": [0.1, 1.0]}, "cv": 2},
        "HalvingRandomSearchCV": {"estimator": logistic, "param_distributions": {"C": [0.1, 1.0]}, "cv": 2},
        "MultiOutputClassifier": {"estimator": logistic},
        "MultiOutputRegressor": {"estimator": ridge},
        "OneVsOneClassifier": {"estimator": svm.LinearSVC()},
        "OneVsRestClassifier": {"estimator": logistic},
        "OutputCodeClassifier": {"estimator": logistic, "random_state": 0},
        "RFE": {"estimator": logistic, "n_features_to_select": 2},
        "RFECV": {"estimator": logistic, "cv": 2},
        "SelfTrainingClassifier": {"estimator": logistic},
        "StackingClassifier": {"estimators": two, "cv": 2},
        "StackingRegressor": {"estimators": two, "cv": 2},
        "VotingClassifier": {"estimators": two, "voting": "soft"},
        "VotingRegressor": {"estimators": two},
        "Pipeline": {"steps": [("scale", StandardScaler()), ("model", logistic)]},
        "TransformedTargetRegressor": {"regressor": ridge},
    }.get(name, {})


def stock() -> dict[str, Make]:
    """Each by its class's name, with more of the combinations that people use."""
    found: dict[str, Make] = {}
    for name, cls in all_estimators():
        if not hasattr(cls, "predict") and name not in ("GridSearchCV", "Pipeline"):
            continue
        kind = "classifier" if "Classif" in name or "SVC" in name else "regressor"
        if _meta(name, kind) is None:
            continue
        found[name] = lambda name=name, cls=cls, kind=kind: _made(name, cls, kind)
    found["IsolationForest in a pipeline"] = lambda: make_pipeline(
        StandardScaler(), dict(all_estimators())["IsolationForest"](n_estimators=5, random_state=0)
    )
    found["GridSearchCV of a pipeline"] = lambda: GridSearchCV(
        make_pipeline(StandardScaler(), linear_model.LogisticRegression()), {"logisticregression__C": [0.1, 1]}, cv=2
    )
    found["RandomizedSearchCV of a classifier"] = lambda: RandomizedSearchCV(
        naive_bayes.GaussianNB(), {"var_smoothing": [1e-9, 1e-3]}, n_iter=2, cv=2, random_state=0
    )
    found["SVC with probabilities"] = lambda: dict(all_estimators())["CalibratedClassifierCV"](
        svm.SVC(), cv=2, ensemble=False
    )
    found["VotingClassifier, hard"] = lambda: dict(all_estimators())["VotingClassifier"](
        [("a", linear_model.LogisticRegression()), ("b", naive_bayes.GaussianNB())]
    )
    return found


def _made(name: str, cls: type, kind: str) -> Any:
    accepted = inspect.signature(cls).parameters
    small = {key: value for key, value in _SMALL.items() if key in accepted}
    wanted = {**small, **_SETTINGS.get(name, {}), **(_meta(name, kind) or {})}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cls(**wanted)
