"""Every stock scikit-learn estimator answers through the registry as it does in Python."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from parity.asking import check, check_missing
from parity.estimators import stock

STOCK = stock()
CLASSIFIERS = [name for name, make in STOCK.items() if is_classifier(make())]
TWO_OUTPUTS = {
    "ClassifierChain",
    "MultiOutputClassifier",
    "MultiOutputRegressor",
    "MultiTaskElasticNet",
    "MultiTaskElasticNetCV",
    "MultiTaskLasso",
    "MultiTaskLassoCV",
    "RegressorChain",
}

NO_STRING_LABELS = {
    "MultiOutputClassifier": "its labels are a matrix, tried with numbers",
    "ClassifierChain": "its labels are a matrix of 0 and 1",
}
NO_PIPELINE = {
    "CategoricalNB": "it takes whole numbers alone, not what an imputer and an encoder give",
    "IsotonicRegression": "it takes one column",
}


# One of each family: what they all have in common is tried in every run, the others by `make test-long`.
FAMILIES = {
    "DecisionTreeClassifier",
    "GaussianNB",
    "GradientBoostingRegressor",
    "HistGradientBoostingClassifier",
    "KMeans",
    "KNeighborsRegressor",
    "LinearRegression",
    "LogisticRegression",
    "MLPClassifier",
    "MultiOutputRegressor",
    "RandomForestClassifier",
    "SVC",
    "StackingClassifier",
    "VotingRegressor",
}


def families(names: Iterable[str]) -> list[Any]:
    """Names to try, those that are of no new family in the long run alone."""
    return [pytest.param(name, marks=[] if name in FAMILIES else pytest.mark.long) for name in names]


def numbers(name: str) -> pd.DataFrame:
    random = np.random.default_rng(7)
    if name == "CategoricalNB":
        return pd.DataFrame(random.integers(0, 3, (90, 3)), columns=["island", "year", "sex"])
    width = 1 if name == "IsotonicRegression" else 4
    return pd.DataFrame(random.uniform(0, 3, (90, width)), columns=["length", "width", "height", "weight"][:width])


def target(rows: pd.DataFrame) -> np.ndarray:
    random = np.random.default_rng(11)
    return rows.to_numpy()[:, :2].sum(axis=1) + random.normal(0, 0.1, len(rows)) + 1


def fitted(name: str, rows: pd.DataFrame, labels: tuple[Any, ...] | None = None, model: Any = None) -> Any:
    made = STOCK[name]() if model is None else model
    values: Any = target(rows if model is None else numbers(""))
    if name in CLASSIFIERS:
        place = np.digitize(values, np.quantile(values, np.linspace(0, 1, len(labels or (0, 1)) + 1)[1:-1]))
        values = np.array(labels or (0, 1), dtype=object if labels else int)[place]
    if name in TWO_OUTPUTS:
        values = np.column_stack([values, values[::-1]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return made.fit(rows, values)


@pytest.mark.parametrize("name", families(STOCK))
def test_numbers(registry, name):
    rows = numbers(name)
    asked = registry.through(fitted(name, rows), rows, name)
    assert asked.logged.needs_trust == (name == "Birch")
    check(asked, rows)
    check_missing(asked, rows)


@pytest.mark.parametrize("name", families(name for name in CLASSIFIERS if name not in NO_STRING_LABELS))
def test_string_labels(registry, name):
    rows = numbers(name)
    binary_only = name in {"FixedThresholdClassifier", "TunedThresholdClassifierCV"}
    labels = ("no", "yes") if binary_only else ("adelie", "chinstrap", "gentoo")
    asked = registry.through(fitted(name, rows, labels), rows, name)
    check(asked, rows)


def mixed() -> pd.DataFrame:
    rows = numbers("")
    rows["island"] = np.random.default_rng(3).choice(["Biscoe", "Dream", "Torgersen"], len(rows))
    rows.loc[::9, "length"] = np.nan
    rows.loc[4::9, "island"] = None
    return rows


def prepared(model: Any) -> Any:
    texts = make_pipeline(
        SimpleImputer(strategy="most_frequent"),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    )
    columns = ColumnTransformer(
        [("numbers", SimpleImputer(), ["length", "width", "height", "weight"]), ("texts", texts, ["island"])]
    )
    return make_pipeline(columns, model)


@pytest.mark.long
@pytest.mark.parametrize("name", families(name for name in STOCK if name not in NO_PIPELINE))
def test_pipeline_with_texts(registry, name):
    rows = mixed()
    asked = registry.through(fitted(name, rows, model=prepared(STOCK[name]())), rows, f"{name} after texts")
    unknown = rows.copy()
    unknown.loc[::5, "island"] = "Anvers"
    check(asked, unknown)
    check_missing(asked, rows.dropna())
