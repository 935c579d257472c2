"""scikit-learn models, and everything that has its interface: any estimator or Pipeline with predict."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
from sklearn.base import is_classifier, is_clusterer, is_regressor

from sqlml.errors import UnsupportedModel
from sqlml.models.description import Kind
from sqlml.models.fitted import Fitted
from sqlml.models.parts import parts
from sqlml.models.readers.skops import load_checked

UNKNOWN_CATEGORY = re.compile(r"Found unknown categories \[(?P<values>.*?)\] in column (?P<column>\d+)")


def load(folder: Path, options: Mapping[str, Any], *, trusted: bool, model: str) -> Fitted:
    """Read the `sklearn` flavour: skops as data; pickle and cloudpickle where that is trusted."""
    path = folder / str(options["pickled_model"])
    estimator = load_checked(path, trusted=trusted, model=model) if path.suffix == ".skops" else unpickle(path)
    return fitted_estimator(estimator, model)


def unpickle(path: Path) -> Any:
    """Load a pickle, which runs its code; the caller has asked for trust."""
    with path.open("rb") as stream:
        return cloudpickle.load(stream) if hasattr(cloudpickle, "load") else pickle.load(stream)


def fitted_estimator(estimator: Any, model: str) -> Fitted:
    """Any fitted estimator with the scikit-learn interface, made to run on one thread a call.

    Raises:
        UnsupportedModel: it has no predict.
    """
    if not hasattr(estimator, "predict"):
        raise UnsupportedModel(model=model, reason=f"a {type(estimator).__name__} has no predict on new rows")
    run_on_one_thread(estimator)
    names = getattr(estimator, "feature_names_in_", None)
    categories = _seen_categories(estimator, None if names is None else [str(name) for name in names])
    return Fitted(
        library="sklearn",
        kind=kind_of(estimator),
        predict=estimator.predict,
        model=estimator,
        proba=estimator.predict_proba if hasattr(estimator, "predict_proba") else None,
        classes=_classes(estimator),
        names=None if names is None else [str(name) for name in names],
        text_names=frozenset(name for name, seen in categories.items() if any(isinstance(v, str) for v in seen)),
        categories=categories,
        unknown_category=UNKNOWN_CATEGORY,
    )


def kind_of(estimator: Any) -> Kind:
    """Which kind of model an estimator is; an outlier detector answers labels but has no classes."""
    if is_classifier(estimator):
        return "classifier"
    if is_regressor(estimator):
        return "regressor"
    if is_clusterer(estimator):
        return "clusterer"
    return "other"


def run_on_one_thread(estimator: Any) -> None:
    """Set `n_jobs` to 1 on an estimator and on all that it holds: the engine runs the calls side by side."""
    for part in parts(estimator):
        # None is one thread to scikit-learn, but every core to LightGBM.
        if getattr(part, "n_jobs", 1) != 1:
            part.n_jobs = 1


def _classes(estimator: Any) -> list[Any] | None:
    if not is_classifier(estimator):
        return None
    classes = getattr(estimator, "classes_", None)
    # A model of several outputs keeps a list of arrays; its answer is a list, and has no one set of classes.
    if classes is None or isinstance(classes, list) or np.ndim(classes) != 1:
        return None
    return list(np.asarray(classes).tolist())


def _seen_categories(estimator: Any, names: list[str] | None) -> dict[str, list[Any]]:
    """The categories that encoders were fitted with, by input column, where a ColumnTransformer tells which."""
    found: dict[str, list[Any]] = {}
    for part in parts(estimator):
        for _, transformer, columns in getattr(part, "transformers_", ()):
            if not isinstance(columns, (list, np.ndarray)) or isinstance(transformer, str):
                continue
            encoders = [p for p in parts(transformer) if getattr(p, "categories_", None) is not None]
            if not encoders:
                continue
            labels = [_column_name(column, names) for column in columns]
            for label, seen in zip(labels, encoders[0].categories_, strict=False):
                if label is not None:
                    found[label] = [value for value in np.asarray(seen).tolist() if value == value]
    return found


def _column_name(column: Any, names: list[str] | None) -> str | None:
    if isinstance(column, str):
        return column
    if names is not None and isinstance(column, (int, np.integer)) and int(column) < len(names):
        return names[int(column)]
    return None
