"""CatBoost models: CatBoost's own binary, as a raw CatBoost or one of its scikit-learn classes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import catboost
import numpy as np
import pandas as pd

from sqlml.errors import UnsupportedModel
from sqlml.models.description import Kind
from sqlml.models.fitted import Fitted
from sqlml.models.readers.reading import NoReader

# The flavour names the class; only these are made, so that an artifact can't name another one.
_CLASSES: Mapping[str, Kind] = {
    "CatBoost": "other",
    "CatBoostClassifier": "classifier",
    "CatBoostRanker": "regressor",
    "CatBoostRegressor": "regressor",
}
# The losses of one label a row, whose probabilities are those of its classes.
_OF_CLASSES = ("Logloss", "CrossEntropy", "Focal", "MultiClass", "MultiClassOneVsAll")


def load(folder: Path, options: Mapping[str, Any], *, trusted: bool, model: str) -> Fitted:
    """Read the `catboost` flavour: CatBoost's binary, or its JSON; both are data."""
    name, stored_as = str(options.get("model_type", "CatBoost")), str(options.get("save_format", "cbm"))
    if name not in _CLASSES or stored_as not in ("cbm", "json"):
        raise UnsupportedModel(model=model, reason=f"CatBoost can't load a {name} that was saved as '{stored_as}'")
    held = getattr(catboost, name)()
    held.load_model(str(folder / str(options["data"])), format=stored_as)
    return fitted_catboost(held)


def fitted_catboost(held: Any) -> Fitted:
    """A raw CatBoost or one of its scikit-learn classes."""
    own = [str(name) for name in held.feature_names_]
    # Fitted on a matrix it counts its columns, and takes no others' names.
    unnamed = own == [str(place) for place in range(len(own))]

    def rows_of(rows: Any) -> Any:
        return rows.set_axis(own, axis=1) if unnamed and isinstance(rows, pd.DataFrame) else rows

    def predict(rows: Any) -> Any:
        return held.predict(rows_of(rows), thread_count=1)

    def proba(rows: Any) -> Any:
        return held.predict(rows_of(rows), prediction_type="Probability", thread_count=1)

    texts = {*held.get_cat_feature_indices(), *held.get_text_feature_indices()}
    few = loss_of(held) in _OF_CLASSES
    return Fitted(
        library="catboost",
        kind=_CLASSES.get(type(held).__name__, "other"),
        predict=predict,
        model=held,
        proba=proba if few else None,
        classes=np.asarray(held.classes_).tolist() if few else None,
        names=None if unnamed else own,
        text_names=frozenset(own[place] for place in texts),
        takes_matrix=not texts,
    )


def loss_of(held: Any) -> str:
    """The name of the loss that it was fitted with, without its parameters."""
    return str(held.get_all_params().get("loss_function", "")).partition(":")[0]


def exported(held: Any) -> Any:
    """The model as CatBoost's own JSON has it.

    Raises:
        NoReader: the model holds what JSON can't: text features, embeddings.
    """
    with tempfile.TemporaryDirectory(prefix="sqlml-") as scratch:
        path = Path(scratch) / "model.json"
        try:
            held.save_model(str(path), format="json")
        except catboost.CatBoostError as error:
            raise NoReader(type(held).__name__, "CatBoost can't write it as JSON") from error
        return json.loads(path.read_text(encoding="utf-8"))


def place_of(held: Any, category: str, feature: int) -> int:
    """The place of a category among those that splits of a feature are made for; their number where it is none.

    CatBoost keeps hashes of the texts alone, and tells no other way which text is which.
    """
    return int(held._object._calc_cat_feature_perfect_hash(category, feature))
