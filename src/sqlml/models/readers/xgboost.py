"""XGBoost models: JSON or UBJSON, as a Booster or one of its scikit-learn classes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

from sqlml.models.fitted import Fitted
from sqlml.models.readers.sklearn import fitted_estimator, unpickle
from sqlml.models.readers.skops import load_checked

# The flavour names the class; only these are made, so that an artifact can't name another one.
_CLASSES: Mapping[str, str] = {
    "xgboost.core.Booster": "Booster",
    "xgboost.sklearn.XGBModel": "XGBModel",
    "xgboost.sklearn.XGBClassifier": "XGBClassifier",
    "xgboost.sklearn.XGBRegressor": "XGBRegressor",
    "xgboost.sklearn.XGBRanker": "XGBRanker",
    "xgboost.sklearn.XGBRFClassifier": "XGBRFClassifier",
    "xgboost.sklearn.XGBRFRegressor": "XGBRFRegressor",
}


def load(folder: Path, options: Mapping[str, Any], *, trusted: bool, model: str) -> Fitted:
    """Read the `xgboost` flavour: the library's own formats, skops, or a trusted pickle."""
    path = folder / str(options["data"])
    if path.suffix == ".skops":
        held = load_checked(path, trusted=trusted, model=model)
    elif path.suffix in (".json", ".ubj", ".xgb", ".txt"):
        held = getattr(xgboost, _CLASSES[str(options.get("model_class", "xgboost.core.Booster"))])()
        held.load_model(path)
    else:
        held = unpickle(path)
    return fitted_xgboost(held, model)


def fitted_xgboost(held: Any, model: str) -> Fitted:
    """A Booster or one of XGBoost's scikit-learn classes."""
    booster = held if isinstance(held, xgboost.Booster) else held.get_booster()
    booster.set_param({"nthread": 1})
    names = [str(name) for name in booster.feature_names or []] or None
    # 'c' marks a category column; XGBoost keeps its values itself and looks new rows' values up in them.
    kinds = booster.feature_types or []
    marked = {name for name, kind in zip(names or [], kinds, strict=False) if kind == "c"}
    categories = {name: values for name, values in _categories(booster).items() if name in marked}
    pandas_categories = categories
    if not isinstance(held, xgboost.Booster):
        fitted = fitted_estimator(held, model)
        return replace(
            fitted,
            library="xgboost",
            names=names,
            text_names=frozenset(name for name, seen in categories.items() if any(isinstance(v, str) for v in seen)),
            categories=categories,
            pandas_categories=pandas_categories,
            takes_matrix=not marked,
        )
    classes = _classes(booster)

    def predict(rows: Any) -> Any:
        matrix = xgboost.DMatrix(rows, feature_names=names, enable_categorical=bool(marked), nthread=1)
        return booster.predict(matrix)

    def proba(rows: Any) -> Any:
        scores = predict(rows)
        return scores if scores.ndim == 2 else np.column_stack([np.float32(1.0) - scores, scores])

    return Fitted(
        library="xgboost",
        kind="regressor" if classes is None else "other",
        predict=predict,
        model=booster,
        proba=None if classes is None else proba,
        classes=classes,
        names=names,
        text_names=frozenset(name for name, seen in categories.items() if any(isinstance(v, str) for v in seen)),
        categories=categories,
        pandas_categories=pandas_categories,
        takes_matrix=not marked,
    )


def _classes(booster: Any) -> list[int] | None:
    learner = json.loads(booster.save_config())["learner"]
    objective = learner["objective"]["name"]
    if objective == "binary:logistic":
        return [0, 1]
    if objective == "multi:softprob":
        return list(range(int(learner["learner_model_param"]["num_class"])))
    return None


def _categories(booster: Any) -> dict[str, list[Any]]:
    get = getattr(booster, "get_categories", None)
    held = get(export_to_arrow=True) if get else None
    arrays = held.to_arrow() if held is not None else None
    return {} if not arrays else {name: array.to_pylist() for name, array in arrays if array is not None}
