"""CatBoost models answer as they do in Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from parity.asking import arrow, check, check_missing, same
from parity.test_stock import mixed, numbers, target
from sqlml.errors import PredictionFailed

catboost = pytest.importorskip("catboost")

SMALL = {"iterations": 9, "depth": 3, "verbose": 0, "allow_writing_files": False, "thread_count": 1}


def binary(rows: pd.DataFrame) -> np.ndarray:
    values = target(rows)
    return (values > np.median(values)).astype(int)


def three(rows: pd.DataFrame) -> np.ndarray:
    values = target(rows)
    return np.digitize(values, np.quantile(values, [0.3, 0.6]))


def texts(rows: pd.DataFrame) -> np.ndarray:
    return np.array(["adelie", "chinstrap", "gentoo"], dtype=object)[three(rows)]


def positive(rows: pd.DataFrame) -> np.ndarray:
    return np.round(np.abs(target(rows)))


def two(rows: pd.DataFrame) -> np.ndarray:
    return np.column_stack([target(rows), -target(rows)])


FACES: dict[str, tuple[Any, Any, Any]] = {
    "CatBoostRegressor": (catboost.CatBoostRegressor, {}, target),
    "CatBoostRegressor of counts": (catboost.CatBoostRegressor, {"loss_function": "Poisson"}, positive),
    "CatBoostRegressor of two": (catboost.CatBoostRegressor, {"loss_function": "MultiRMSE"}, two),
    "CatBoostClassifier": (catboost.CatBoostClassifier, {}, binary),
    "CatBoostClassifier of booleans": (catboost.CatBoostClassifier, {}, lambda rows: binary(rows).astype(bool)),
    "CatBoostClassifier of floats": (catboost.CatBoostClassifier, {}, lambda rows: binary(rows) * 2.5),
    "CatBoostClassifier of three": (catboost.CatBoostClassifier, {}, three),
    "CatBoostClassifier of texts": (catboost.CatBoostClassifier, {}, texts),
    "CatBoostClassifier, Lossguide": (catboost.CatBoostClassifier, {"grow_policy": "Lossguide"}, texts),
    "CatBoost": (catboost.CatBoost, {"loss_function": "RMSE"}, target),
    "CatBoost of a probability": (catboost.CatBoost, {"loss_function": "Logloss"}, binary),
}


def made(name: str, **more: Any) -> Any:
    face, options, _ = FACES[name]
    given = {**SMALL, **options, **more}
    return face(given) if face is catboost.CatBoost else face(**given)


def checked(asked: Any, rows: pd.DataFrame) -> None:
    """`check`, with the probabilities of a raw CatBoost where it has no predict_proba."""
    if type(asked.model) is not catboost.CatBoost:
        check(asked, rows)
        return
    for found in asked.answers("predict", arrow(rows)):
        same(found, asked.model.predict(rows))
    if "score" in asked.description.outputs():
        for found in asked.answers("score", arrow(rows)):
            same(found, asked.model.predict(rows, prediction_type="Probability")[:, 1])


@pytest.mark.long
@pytest.mark.parametrize("name", FACES)
def test_numbers(registry, name):
    rows = numbers("")
    rows.loc[::9, "width"] = np.nan
    labels = FACES[name][2]
    asked = registry.through(made(name).fit(rows, labels(numbers(""))), rows, name)
    assert (asked.description.format, asked.description.flavour) == ("cb", "catboost")
    assert not asked.logged.needs_trust
    assert asked.compiled is not None, asked.description.no_program
    checked(asked, rows)
    check_missing(asked, rows)
    assert all(argument.missing == "nan" for argument in asked.description.taken)
    assert ("score" in asked.description.outputs()) == (labels is binary or "oleans" in name or "floats" in name)


@pytest.mark.parametrize("most", [1, 9])
@pytest.mark.parametrize("name", ["CatBoostRegressor", "CatBoostClassifier", "CatBoostClassifier of texts", "CatBoost"])
def test_categories(registry, name, most):
    """Encoded one by one they compile; encoded by their statistics they don't."""
    rows = mixed().assign(island=mixed().island.fillna("none"))
    rows["year"] = np.arange(len(rows)) % 3 + 2007
    shifted = numbers("").add((rows.island == "Dream") * 3.0 + (rows.year == 2008), axis=0)
    model = made(name, cat_features=["island", "year"], one_hot_max_size=most).fit(rows, FACES[name][2](shifted))
    asked = registry.through(model, rows, f"{name} with categories {most}")
    taken = {argument.name: argument for argument in asked.description.arguments}
    assert (taken["island"].type, taken["year"].type) == ("VARCHAR", "BIGINT")
    # CatBoost takes neither None nor NaN for a category.
    assert taken["island"].missing is None
    assert taken["year"].missing is None
    if most == 9:
        assert asked.compiled is not None, asked.description.no_program
    else:
        assert "statistics of the target" in asked.description.no_program
    checked(asked, rows)
    checked(asked, rows.assign(island=np.where(rows.index % 4, rows.island, "Anvers"), year=rows.year + rows.index % 5))
    holed = rows.assign(island=rows.island.where(rows.index != 3))
    for found in asked.answers("predict", arrow(holed)):
        assert found[3] is None
        assert found.count(None) == 1
    passing = type(asked.predictor)("f", asked.description, asked.predictor.fitted, "pass")
    with pytest.raises(PredictionFailed):
        passing("predict", arrow(holed))


def test_fitted_on_a_matrix(registry):
    given = numbers("").to_numpy()
    model = catboost.CatBoostRegressor(**SMALL).fit(given, target(numbers("")))
    asked = registry.through(model, given, "catboost of a matrix")
    assert [argument.name for argument in asked.description.arguments] == ["x0", "x1", "x2", "x3"]
    check(asked, pd.DataFrame(given, columns=["x0", "x1", "x2", "x3"]), given)


def test_a_ranker(registry):
    rows = numbers("")
    groups = np.arange(len(rows)) // 30
    model = catboost.CatBoostRanker(**SMALL, loss_function="PairLogit").fit(rows, three(rows), group_id=groups)
    check(registry.through(model, rows, "CatBoostRanker"), rows)


def test_several_labels_a_row(registry):
    rows = numbers("")
    labels = np.column_stack([binary(rows), 1 - binary(rows)])
    model = catboost.CatBoostClassifier(**SMALL, loss_function="MultiLogloss").fit(rows, labels)
    asked = registry.through(model, rows, "several labels")
    assert asked.description.outputs() == ("predict",)
    same(asked.predictor("predict", arrow(rows)).to_pylist(), model.predict(rows))
