"""LightGBM, XGBoost, matrices, categories and other types of columns answer as they do in Python."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from parity.asking import arrow, check, check_missing, same
from parity.test_stock import mixed, numbers, target

lightgbm = pytest.importorskip("lightgbm")
xgboost = pytest.importorskip("xgboost")

SMALL = {
    "lightgbm": {"n_estimators": 5, "min_child_samples": 2, "verbose": -1, "num_threads": 1},
    "xgboost": {"n_estimators": 5, "max_depth": 3, "n_jobs": 1},
}


def binary(rows: pd.DataFrame) -> np.ndarray:
    values = target(rows)
    return (values > np.median(values)).astype(int)


def three(rows: pd.DataFrame) -> np.ndarray:
    values = target(rows)
    return np.digitize(values, np.quantile(values, [0.3, 0.6]))


def with_categories() -> pd.DataFrame:
    rows = mixed()
    rows["island"] = pd.Categorical(rows["island"], categories=["Torgersen", "Dream", "Biscoe"])
    return rows


SKLEARN_FACES: dict[str, tuple[Any, Any]] = {
    "LGBMRegressor": (lightgbm.LGBMRegressor(**SMALL["lightgbm"]), target),
    "LGBMClassifier": (lightgbm.LGBMClassifier(**SMALL["lightgbm"]), binary),
    "LGBMClassifier of three": (lightgbm.LGBMClassifier(**SMALL["lightgbm"]), three),
    "LGBMClassifier of texts": (
        lightgbm.LGBMClassifier(**SMALL["lightgbm"]),
        lambda rows: np.array(["adelie", "chinstrap", "gentoo"], dtype=object)[three(rows)],
    ),
    "XGBRegressor": (xgboost.XGBRegressor(**SMALL["xgboost"]), target),
    "XGBRFRegressor": (xgboost.XGBRFRegressor(**SMALL["xgboost"]), target),
    "XGBClassifier": (xgboost.XGBClassifier(**SMALL["xgboost"]), binary),
    "XGBClassifier of three": (xgboost.XGBClassifier(**SMALL["xgboost"]), three),
    "XGBRFClassifier": (xgboost.XGBRFClassifier(**SMALL["xgboost"]), binary),
}
RANKERS = {
    "LGBMRanker": lightgbm.LGBMRanker(**SMALL["lightgbm"]),
    "XGBRanker": xgboost.XGBRanker(**SMALL["xgboost"]),
}
PARAMETERS = {
    "lightgbm": {"verbose": -1, "min_data_in_leaf": 2, "num_leaves": 6, "num_threads": 1},
    "xgboost": {"max_depth": 3, "verbosity": 0, "nthread": 1},
}
BOOSTERS = {
    "lightgbm": ["regression", "poisson", "binary", "multiclass", "multiclassova"],
    "xgboost": [
        "reg:squarederror",
        "count:poisson",
        "binary:logistic",
        "binary:logitraw",
        "binary:hinge",
        "multi:softprob",
        "multi:softmax",
    ],
}


def booster(library: str, objective: str, rows: Any) -> Any:
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows)
    few = "multi" in objective
    values = three(numbers("")) if few else (target if objective[:3] in ("reg", "cou", "poi") else binary)(numbers(""))
    parameters = {**PARAMETERS[library], "objective": objective, **({"num_class": 3} if few else {})}
    if library == "lightgbm":
        return lightgbm.train(parameters, lightgbm.Dataset(rows, values), num_boost_round=5)
    assert len(frame) == len(values)
    return xgboost.train(parameters, xgboost.DMatrix(rows, values, enable_categorical=True), num_boost_round=5)


@pytest.mark.parametrize("name", SKLEARN_FACES)
def test_numbers(registry, name):
    rows = numbers("")
    model, labels = SKLEARN_FACES[name]
    asked = registry.through(model.fit(rows, labels(rows)), rows, name)
    assert asked.description.format == ("skops" if name.startswith("LGBM") else "ubj")
    assert not asked.logged.needs_trust
    check(asked, rows)
    check_missing(asked, rows)
    assert all(argument.missing == "nan" for argument in asked.description.arguments)


@pytest.mark.parametrize("name", SKLEARN_FACES)
def test_categories(registry, name):
    rows = with_categories()
    model, labels = SKLEARN_FACES[name]
    if name.startswith("XGB"):
        model = model.set_params(enable_categorical=True)
    asked = registry.through(model.fit(rows, labels(numbers(""))), rows, f"{name} with categories")
    assert [argument.type for argument in asked.description.arguments] == ["DOUBLE"] * 4 + ["VARCHAR"]
    assert asked.description.arguments[4].missing is not None
    check(asked, rows.assign(island=rows["island"].astype(object)), rows)


@pytest.mark.parametrize("name", SKLEARN_FACES)
def test_pipelines(registry, name):
    rows = mixed()
    model, labels = SKLEARN_FACES[name]
    columns = ColumnTransformer(
        [
            ("numbers", "passthrough", ["length", "width", "height", "weight"]),
            ("texts", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["island"]),
        ]
    )
    asked = registry.through(
        make_pipeline(columns, model).fit(rows, labels(numbers(""))), rows, f"{name} in a pipeline"
    )
    assert not asked.logged.needs_trust
    rows.loc[::5, "island"] = "Anvers"
    check(asked, rows)


@pytest.mark.parametrize("name", RANKERS)
def test_rankers(registry, name):
    rows = numbers("")
    model = RANKERS[name].fit(rows, three(rows), group=[30, 30, 30])
    asked = registry.through(model, rows, name)
    check(asked, rows)
    check_missing(asked, rows)


def booster_says(library: str, model: Any, rows: Any) -> np.ndarray:
    if library == "lightgbm":
        return np.asarray(model.predict(rows))
    return np.asarray(model.predict(xgboost.DMatrix(rows, enable_categorical=True, feature_names=model.feature_names)))


@pytest.mark.parametrize("kind", ["frame", "matrix", "categories"])
@pytest.mark.parametrize(
    ("library", "objective"), [(library, objective) for library, held in BOOSTERS.items() for objective in held]
)
def test_boosters(registry, library, objective, kind):
    rows = with_categories() if kind == "categories" else numbers("")
    given = rows.to_numpy() if kind == "matrix" else rows
    model = booster(library, objective, given)
    asked = registry.through(model, given, f"{library} {objective} {kind}")
    assert asked.description.format == ("lgb" if library == "lightgbm" else "ubj")
    names = [argument.name for argument in asked.description.arguments]
    assert names == (["x0", "x1", "x2", "x3"] if kind == "matrix" else list(rows.columns))
    columns = arrow(rows.assign(island=rows["island"].astype(object)) if kind == "categories" else rows)
    expected = booster_says(library, model, given)
    same(asked.predictor("predict", columns).to_pylist(), expected)
    if objective in ("binary", "binary:logistic"):
        same(asked.predictor("score", columns).to_pylist(), expected)
    if objective in ("multiclass", "multiclassova", "multi:softprob"):
        got = asked.predictor("proba", columns).to_pylist()
        assert [label for label, _ in got[0]] == [0, 1, 2]
        same([[p for _, p in row] for row in got], expected)


MATRICES = {
    "LinearRegression": LinearRegression(),
    "RandomForestRegressor": RandomForestRegressor(n_estimators=5, random_state=0, n_jobs=2),
    "LGBMRegressor": SKLEARN_FACES["LGBMRegressor"][0],
    "XGBRegressor": SKLEARN_FACES["XGBRegressor"][0],
    "KNeighborsClassifier": KNeighborsClassifier(3),
}


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
@pytest.mark.parametrize("name", MATRICES)
def test_fitted_on_a_matrix(registry, name, dtype):
    rows = numbers("")
    given = (rows.to_numpy() * 10).astype(dtype)
    model = MATRICES[name].fit(given, binary(rows) if "Classifier" in name else target(rows))
    asked = registry.through(model, given, f"{name} {dtype}")
    assert [argument.name for argument in asked.description.arguments] == ["x0", "x1", "x2", "x3"]
    # The signature says double, so that what a query has in double is not rounded.
    check(asked, pd.DataFrame(given, columns=["x0", "x1", "x2", "x3"]), given.astype("float64"))


def every_type() -> pd.DataFrame:
    rows = numbers("")
    random = np.random.default_rng(5)
    rows["count"] = random.integers(0, 5, len(rows))
    rows["wet"] = random.integers(0, 2, len(rows)).astype(bool)
    rows["day"] = pd.Timestamp("2013-01-01") + pd.to_timedelta(random.integers(0, 300, len(rows)), "D")
    rows["island"] = random.choice(["Biscoe", "Dream"], len(rows))
    rows["grade"] = pd.Categorical(random.choice([1, 2, 3], len(rows)))
    rows["maybe"] = pd.array(random.integers(0, 9, len(rows)), dtype="Int64")
    return rows


def seconds(rows: pd.DataFrame) -> Any:
    return rows.astype("datetime64[s]").astype("int64")


def test_every_type_of_column(registry):
    rows = every_type()
    columns = ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["length", "width", "height", "weight", "count", "maybe"]),
            ("flags", "passthrough", ["wet"]),
            ("days", make_pipeline(FunctionTransformer(seconds), StandardScaler()), ["day"]),
            ("texts", OneHotEncoder(handle_unknown="ignore"), ["island"]),
            ("grades", OrdinalEncoder(), ["grade"]),
        ]
    )
    asked = registry.through(make_pipeline(columns, LogisticRegression()).fit(rows, binary(numbers(""))), rows, "all")
    assert [argument.type for argument in asked.description.arguments[4:]] == [
        "BIGINT",
        "BOOLEAN",
        "TIMESTAMP",
        "VARCHAR",
        "BIGINT",
        "BIGINT",
    ]
    # A function of the user's own is code.
    assert asked.logged.needs_trust
    check(asked, rows)


def test_categories_of_histogram_boosting(registry):
    rows = with_categories()
    model = HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=2).fit(rows, three(numbers("")))
    asked = registry.through(model, rows, "histograms")
    assert asked.description.arguments[4].categories == ("Torgersen", "Dream", "Biscoe")
    check(asked, rows.assign(island=rows["island"].astype(object)), rows)


def test_lightgbm_after_nothing_keeps_its_categories(registry):
    rows = with_categories()
    model = make_pipeline("passthrough", lightgbm.LGBMClassifier(**SMALL["lightgbm"])).fit(rows, three(numbers("")))
    asked = registry.through(model, rows, "passthrough")
    check(asked, rows.assign(island=rows["island"].astype(object)), rows)


def test_a_frozen_estimator(registry):
    rows = numbers("")
    asked = registry.through(FrozenEstimator(LogisticRegression().fit(rows, binary(rows))), rows, "frozen")
    check(asked, rows)


def test_unfitted_threads_are_left_alone(registry):
    rows = numbers("")
    model = RandomForestRegressor(n_estimators=3, n_jobs=2).fit(rows, target(rows))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        registry.through(model, rows, "threads")
    assert model.n_jobs == 2
