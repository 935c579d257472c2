"""LightGBM models: a Booster's own text, or its scikit-learn classes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np

from sqlml.errors import UnsupportedModel
from sqlml.models.fitted import Fitted
from sqlml.models.readers.sklearn import fitted_estimator, unpickle
from sqlml.models.readers.skops import load_checked


def load(folder: Path, options: Mapping[str, Any], *, trusted: bool, model: str) -> Fitted:
    """Read the `lightgbm` flavour: a Booster's text, skops, or a trusted pickle."""
    path = folder / str(options["data"])
    if path.suffix == ".skops":
        held = load_checked(path, trusted=trusted, model=model)
    elif path.suffix in (".lgb", ".txt"):
        held = lightgbm.Booster(model_file=str(path))
    else:
        held = unpickle(path)
    return fitted_lightgbm(held, model)


def fitted_lightgbm(held: Any, model: str) -> Fitted:
    """A Booster or one of LightGBM's scikit-learn classes."""
    if not isinstance(held, lightgbm.Booster):
        fitted = fitted_estimator(held, model)
        names = [str(name) for name in held.booster_.feature_name()]
        categories = _pandas_categories(held.booster_, names)
        return replace(fitted, library="lightgbm", pandas_categories=categories, takes_matrix=not categories)
    names = [str(name) for name in held.feature_name()]
    categories = _pandas_categories(held, names)
    objective, classes = _objective(held)

    def predict(rows: Any) -> Any:
        return held.predict(rows, num_threads=1)

    def proba(rows: Any) -> Any:
        scores = predict(rows)
        return scores if classes != [0, 1] else np.column_stack([1.0 - scores, scores])

    return Fitted(
        library="lightgbm",
        kind="regressor" if classes is None else "other",
        predict=predict,
        model=held,
        proba=proba if objective in ("binary", "multiclass", "multiclassova") else None,
        classes=classes,
        names=names,
        text_names=frozenset(name for name, seen in categories.items() if isinstance(seen[0], str)),
        categories=categories,
        pandas_categories=categories,
        takes_matrix=not categories,
    )


def _objective(booster: Any) -> tuple[str, list[int] | None]:
    """The objective's name and, where it is one of classes, their numbers."""
    text = booster.model_to_string(num_iteration=1)
    line = next((line for line in text.splitlines() if line.startswith("objective=")), "objective=")
    words = line.removeprefix("objective=").split()
    name = words[0] if words else ""
    if name == "binary":
        return name, [0, 1]
    if name in ("multiclass", "multiclassova"):
        return name, list(range(booster.num_model_per_iteration()))
    return name, None


def _pandas_categories(booster: Any, names: list[str]) -> dict[str, list[Any]]:
    """The values of each category column of the frame it was trained on, which it keeps in column order."""
    held = booster.pandas_categorical or []
    if not held:
        return {}
    parameter = re.search(
        r"^\[categorical_feature: ([0-9,]+)\]", booster.model_to_string(num_iteration=1), re.MULTILINE
    )
    columns = [names[int(index)] for index in parameter[1].split(",")] if parameter else []
    if len(columns) != len(held):
        info = booster.dump_model(num_iteration=1).get("feature_infos", {})
        columns = [name for name in names if info.get(name, {}).get("values")]
    if len(columns) != len(held):
        raise UnsupportedModel(model="the Booster", reason="which of its columns are categories can't be told")
    return dict(zip(columns, ([*values] for values in held), strict=True))
