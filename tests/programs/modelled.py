"""Small fitted models of several kinds, read once, and the rows to ask their programs about."""

from __future__ import annotations

import warnings
from functools import cache

import lightgbm
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.linear_model import GammaRegressor, LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from programs.sklearn_asking import arguments_of, column, penguins
from sqlml.models.readers.program import read_program
from sqlml.programs.program import Program

TEXTS, LENGTHS = ["island"], ["year", "bill_length_mm", "body_mass_kg"]
HOT = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
STRICT = OneHotEncoder(sparse_output=False)
ORDINAL = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)

# The model, what it predicts, and how it takes its texts (None: as they are).
MODELS = {
    "logistic": (LogisticRegression(), "male", HOT),
    "multinomial": (LogisticRegression(), "species", STRICT),
    "gamma": (GammaRegressor(), "flipper_length_mm", HOT),
    "tree": (DecisionTreeClassifier(max_depth=5), "male", ORDINAL),
    "forest": (RandomForestClassifier(12, max_depth=6, random_state=1), "male", HOT),
    "histogram": (HistGradientBoostingClassifier(max_iter=8, categorical_features=[0]), "male", None),
    "ordinal": (HistGradientBoostingRegressor(max_iter=6, loss="poisson"), "flipper_length_mm", ORDINAL),
    "boosting": (GradientBoostingClassifier(n_estimators=8, random_state=1), "male", ORDINAL),
    "layers": (MLPClassifier((5,), max_iter=40, random_state=1), "species", HOT),
    "lightgbm": (lightgbm.LGBMClassifier(n_estimators=8, min_child_samples=5, verbose=-1), "species", "category"),
    "two_classes": (lightgbm.LGBMClassifier(n_estimators=8, min_child_samples=5, verbose=-1), "male", "category"),
}


@cache
def modelled(name) -> tuple[Program, pd.DataFrame]:
    """A model's program as its reader makes it, and rows with missing and unknown values among them."""
    model, target, encoder = MODELS[name]
    known = penguins().dropna().reset_index(drop=True)
    known["male"] = (known["sex"] == "male").astype(int)
    given = known[[*TEXTS, *LENGTHS]]
    if encoder not in (None, "category"):
        model = make_pipeline(make_column_transformer((encoder, TEXTS), (StandardScaler(), LENGTHS)), model)
    trained = given.assign(island=given["island"].astype("category")) if encoder == "category" else given
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(trained, known[target])
    odd = given.iloc[:40].copy()
    odd.loc[odd.index[:5], "island"] = "Atlantis"
    odd.loc[odd.index[5:12], "island"] = None
    for place, length in enumerate(LENGTHS):
        odd[length] = odd[length].astype(float)
        odd.loc[odd.index[13 + 4 * place : 15 + 4 * place], length] = np.nan
        odd.loc[odd.index[30 + place], length] = np.inf
    return read_program(model, arguments_of(given)), pd.concat([given, odd], ignore_index=True)


def columns_of(program: Program, rows: pd.DataFrame):
    """The arguments' columns."""
    return [column(rows[node.name].astype(object if node.text else float), node.text) for node in program.inputs]
