"""Programs read from LightGBM and XGBoost: margins and labels to the last bit, linked outputs within a bound."""

from __future__ import annotations

import numpy as np
import pytest

from programs.test_tree_readers import BOTH, EFFECT, HOLED, ISLANDS, KINDS, TEXT, TWO, WEIGHTS, X, Y, unseen
from programs.tree_asking import asked, at_the_edges, near, numbers, program_of, quiet, same
from sqlml.models.readers.reading import NoReader

lightgbm = pytest.importorskip("lightgbm")
xgboost = pytest.importorskip("xgboost")

THREE = np.digitize(Y, [-0.5, 0.7])
POSITIVE = np.abs(Y) + 0.1
# One float32 step of a probability, of exp or of a quotient that rounds another way.
SINGLE = 2.5e-7

LIGHT = {"verbose": -1, "num_threads": 1, "num_leaves": 9, "min_data_in_leaf": 3}
LIGHT_MODELS = {
    "regression": ({}, Y, 40),
    "one tree": ({"objective": "regression", "num_leaves": 2}, Y, 1),
    "no split": ({"objective": "regression"}, np.ones(len(X)), 3),
    "regression_l1": ({}, Y, 9),
    "sqrt": ({"objective": "regression", "reg_sqrt": True}, Y, 9),
    "huber": ({}, Y, 9),
    "fair": ({}, Y, 9),
    "quantile": ({"alpha": 0.3}, Y, 9),
    "mape": ({}, POSITIVE, 9),
    "poisson": ({}, POSITIVE, 9),
    "gamma": ({}, POSITIVE, 9),
    "tweedie": ({}, POSITIVE, 9),
    "binary": ({}, TWO, 100),
    "binary of another slope": ({"objective": "binary", "sigmoid": 0.7, "is_unbalance": True}, TWO, 9),
    "cross_entropy": ({}, TWO, 9),
    "cross_entropy_lambda": ({}, TWO, 9),
    "multiclass": ({"num_class": 3}, THREE, 9),
    "multiclassova": ({"num_class": 3}, THREE, 9),
    "rf": ({"objective": "regression", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, Y, 9),
    "rf binary": ({"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, TWO, 9),
    "dart": ({"objective": "binary", "boosting": "dart"}, TWO, 20),
    "goss": ({"objective": "regression", "data_sample_strategy": "goss"}, Y, 20),
    "categories": ({"objective": "regression", "categorical_feature": [3], "min_data_per_group": 2}, Y, 9),
    "extra trees": ({"objective": "regression", "extra_trees": True, "max_bin": 15}, Y, 9),
}


def light(name, rows, **more):
    options, labels, rounds = LIGHT_MODELS[name]
    given = {"objective": name, **LIGHT, **options, **more}
    columns = np.where(np.arange(4) == 3, np.abs(rows), rows) if "categorical_feature" in options else rows
    data = lightgbm.Dataset(columns, labels, weight=None if "sqrt" in name else WEIGHTS)
    return quiet(lambda data: lightgbm.train(given, data, rounds), data), columns


@pytest.mark.parametrize("missing", ["none", "nan", "zero"])
@pytest.mark.parametrize("name", LIGHT_MODELS)
def test_lightgbm(name, missing):
    model, rows = light(name, X if missing == "none" else HOLED, zero_as_missing=missing == "zero")
    program = program_of(model, numbers())
    rows = at_the_edges(program, rows, 25)
    heads, refused = asked(program, rows)
    assert not refused.any()
    raw = model.predict(rows, raw_score=True)
    same(heads["raw"], raw / 9 if name.startswith("rf") else raw)
    near(heads["value"], model.predict(rows))
    assert ("probabilities" in heads) == (
        name.split()[0] in ("binary", "multiclass", "multiclassova", "dart") or "rf b" in name
    )


def test_lightgbm_that_was_trained_on():
    """One feature's zeros are missing to some trees and numbers to others."""
    first, _ = light("regression", HOLED, zero_as_missing=True)
    model = lightgbm.train(
        {"objective": "regression", **LIGHT}, lightgbm.Dataset(HOLED, Y, free_raw_data=False), 5, init_model=first
    )
    loaded = lightgbm.Booster(model_str=model.model_to_string())
    program = program_of(loaded, numbers())
    rows = at_the_edges(program, HOLED)
    same(asked(program, rows)[0]["raw"], loaded.predict(rows, raw_score=True))


def island_effect(kind):
    values = np.asarray(EFFECT, float)
    return {"value": values, "two": values > 0.5, "three": np.array(["p", "q", "r"])[np.digitize(values, [0, 1])]}[kind]


@pytest.mark.parametrize("kind", ["value", "two", "three"])
def test_lightgbm_categories(kind):
    face = lightgbm.LGBMRegressor if kind == "value" else lightgbm.LGBMClassifier
    options = {"n_estimators": 12, "min_child_samples": 2, "num_leaves": 9, "verbose": -1, "n_jobs": 1}
    model = face(**options, min_data_per_group=2, cat_smooth=0.1).fit(ISLANDS, island_effect(kind))
    assert "cat_threshold" in model.booster_.model_to_string()
    program = program_of(model, KINDS)
    plain, given = unseen(ISLANDS)
    heads, refused = asked(program, plain)
    assert not refused.any()
    same(heads["raw"], model.predict(given, raw_score=True))
    if kind == "value":
        same(heads["value"], model.predict(given))
    else:
        same(np.asarray(model.classes_)[heads["label"].astype(int)], model.predict(given))
        near(heads["probabilities"], model.predict_proba(given))
    raw = program_of(lightgbm.Booster(model_str=model.booster_.model_to_string()), KINDS)
    same(asked(raw, plain)[0]["raw"], heads["raw"])


@pytest.mark.parametrize("labels", [TWO, TEXT, THREE * 10])
@pytest.mark.parametrize("options", [{}, {"objective": "multiclassova"}, {"boosting_type": "rf", "subsample": 0.5}])
def test_lightgbm_classifiers(labels, options):
    if "objective" in options and labels is TWO:
        options = {"objective": "cross_entropy"}
    options = {**options, "subsample_freq": 1, "n_estimators": 30, "min_child_samples": 2, "verbose": -1, "n_jobs": 1}
    model = lightgbm.LGBMClassifier(**options)
    early = {"callbacks": [lightgbm.early_stopping(2, verbose=False)]}
    held_out = (HOLED[120:], labels[120:])
    quiet(lambda rows: model.fit(rows, labels[:120], eval_set=[held_out], **early), HOLED[:120])
    program = program_of(model, numbers())
    rows = at_the_edges(program, HOLED)
    heads, _ = asked(program, rows)
    same(model.classes_[heads["label"].astype(int)], quiet(model.predict, rows))
    near(heads["probabilities"], quiet(model.predict_proba, rows))
    if "boosting_type" not in options:
        same(heads["raw"], quiet(lambda given: model.predict(given, raw_score=True), rows))


def test_lightgbm_labels_where_a_half_rounds():
    """A margin so small that p is 1/2 once rounded is of the first class."""
    model = lightgbm.LGBMClassifier(n_estimators=1, min_child_samples=2, verbose=-1, n_jobs=1).fit(X, TWO)
    text = model.booster_.model_to_string()
    line = next(line for line in text.splitlines() if line.startswith("leaf_value="))
    tiny = [5e-17, 1e-16, 1.2e-16, 2.2e-16, 2.3e-16, 3.4e-16, 4.5e-16, -1e-16, 0.0, -5e-17]
    leaves = [repr(tiny[i % len(tiny)]) for i in range(len(line.split()))]
    model._Booster = lightgbm.Booster(model_str=text.replace(line, "leaf_value=" + " ".join(leaves)))
    program = program_of(model, numbers())
    heads, _ = asked(program, X)
    assert 0 < heads["label"].sum() < len(X)
    same(heads["label"], quiet(model.predict, X))


def test_lightgbm_ranker():
    model = lightgbm.LGBMRanker(n_estimators=9, min_child_samples=2, verbose=-1, n_jobs=1)
    model.fit(HOLED, THREE, group=[80, 80])
    rows = at_the_edges(program_of(model, numbers()), HOLED)
    same(asked(program_of(model, numbers()), rows)[0]["value"], quiet(model.predict, rows))


def half_squares(labels, margins):
    return margins - labels, np.ones(len(labels))


def test_lightgbm_without_a_reader():
    linear = lightgbm.train({**LIGHT, "linear_tree": True}, lightgbm.Dataset(X, Y), 2)
    own = lightgbm.LGBMRegressor(objective=half_squares, n_estimators=2, verbose=-1, n_jobs=1).fit(X, Y)
    early = lightgbm.LGBMClassifier(n_estimators=2, pred_early_stop=True, verbose=-1, n_jobs=1).fit(X, TWO)
    for model, reason in ((linear, "linear trees"), (own, "custom objective"), (early, "stops early")):
        with pytest.raises(NoReader, match=reason):
            program_of(model, numbers())
    with pytest.raises(NoReader, match="text"):
        program_of(light("regression", X)[0], [("x0", True), *numbers()[1:]])


def test_a_booster_of_a_custom_objective_is_raw():
    model = lightgbm.train(
        {**LIGHT, "objective": lambda margins, data: half_squares(Y, margins)}, lightgbm.Dataset(X, Y), 4
    )
    same(asked(program_of(model, numbers()), X)[0]["value"], model.predict(X))


BOOST = {"nthread": 1, "max_depth": 4}
BOOST_MODELS = {
    "reg:squarederror": ({}, Y, 100),
    "one tree": ({"objective": "reg:squarederror", "max_depth": 1}, Y, 1),
    "no split": ({"objective": "reg:squarederror", "gamma": 1e9}, Y, 2),
    "exact": ({"objective": "reg:squarederror", "tree_method": "exact", "base_score": 0.3}, Y, 9),
    "pruned": ({"objective": "reg:squarederror", "tree_method": "exact", "gamma": 1.0}, Y, 9),
    "dart": ({"objective": "reg:squarederror", "booster": "dart", "rate_drop": 0.4}, Y, 20),
    "dart of three": ({"objective": "multi:softprob", "num_class": 3, "booster": "dart", "rate_drop": 0.4}, THREE, 9),
    "parallel": ({"objective": "reg:squarederror", "num_parallel_tree": 3, "subsample": 0.5}, Y, 5),
    "leafwise": ({"objective": "reg:squarederror", "grow_policy": "lossguide", "max_leaves": 7, "max_depth": 0}, Y, 9),
    "reg:absoluteerror": ({}, Y, 9),
    "reg:pseudohubererror": ({}, Y, 9),
    "reg:squaredlogerror": ({}, POSITIVE, 9),
    "reg:quantileerror": ({"quantile_alpha": [0.1, 0.5, 0.9]}, Y, 9),
    "reg:logistic": ({}, TWO, 9),
    "reg:gamma": ({}, POSITIVE, 9),
    "reg:tweedie": ({}, POSITIVE, 9),
    "count:poisson": ({}, POSITIVE, 9),
    "survival:cox": ({}, POSITIVE, 9),
    "binary:logistic": ({}, TWO, 40),
    "base score": ({"objective": "binary:logistic", "base_score": 0.7, "scale_pos_weight": 2.0}, TWO, 9),
    "binary:logitraw": ({}, TWO, 9),
    "binary:hinge": ({}, TWO, 9),
    "multi:softmax": ({"num_class": 3}, THREE, 9),
    "multi:softprob": ({"num_class": 3}, THREE, 20),
    "two outputs": ({"objective": "reg:squarederror"}, BOTH, 9),
    "trees of two": ({"objective": "reg:squarederror", "multi_strategy": "multi_output_tree"}, BOTH, 9),
}


def boost(name, rows):
    options, labels, rounds = BOOST_MODELS[name]
    matrix = xgboost.DMatrix(rows, labels, weight=WEIGHTS, nthread=1)
    return xgboost.train({"objective": name, **BOOST, **options}, matrix, rounds)


@pytest.mark.parametrize("holed", [False, True])
@pytest.mark.parametrize("name", BOOST_MODELS)
def test_xgboost(name, holed):
    model = boost(name, HOLED if holed else X)
    program = program_of(model, numbers())
    rows = at_the_edges(program, HOLED if holed else X, 25)
    heads, refused = asked(program, rows)
    for row in np.flatnonzero(refused)[:20]:
        with pytest.raises(xgboost.core.XGBoostError, match="inf"):
            xgboost.DMatrix(rows[row : row + 1])
    matrix = xgboost.DMatrix(rows[~refused], nthread=1)
    raw = model.predict(matrix, output_margin=True)
    same(heads["raw"][~refused], raw)
    near(heads["value"][~refused], model.predict(matrix), SINGLE)


FACES = {
    "regressor": (xgboost.XGBRegressor, {}, Y),
    "dart": (xgboost.XGBRegressor, {"booster": "dart", "rate_drop": 0.4, "base_score": 0.3}, Y),
    "dart of three": (xgboost.XGBClassifier, {"booster": "dart", "rate_drop": 0.4}, THREE),
    "missing is a number": (xgboost.XGBRegressor, {"missing": 1.0}, Y),
    "missing is no float32": (xgboost.XGBRegressor, {"missing": 0.1}, Y),
    "missing is zero": (xgboost.XGBRegressor, {"missing": 0}, Y),
    "forest": (xgboost.XGBRFRegressor, {}, Y),
    "forest of classes": (xgboost.XGBRFClassifier, {}, TWO),
    "two": (xgboost.XGBClassifier, {}, TWO),
    "three": (xgboost.XGBClassifier, {}, THREE),
    "softmax": (xgboost.XGBClassifier, {"objective": "multi:softmax"}, THREE),
    "hinge": (xgboost.XGBClassifier, {"objective": "binary:hinge"}, TWO),
    "logitraw": (xgboost.XGBClassifier, {"objective": "binary:logitraw"}, TWO),
    "two outputs": (xgboost.XGBRegressor, {}, BOTH),
}


@pytest.mark.parametrize("name", FACES)
def test_xgboost_faces(name):
    face, options, labels = FACES[name]
    model = face(n_estimators=12, max_depth=3, n_jobs=1, **options).fit(HOLED, labels, sample_weight=WEIGHTS)
    program = program_of(model, numbers())
    rows = at_the_edges(program, HOLED)
    heads, refused = asked(program, rows)
    assert not refused.any()
    raw = heads["raw"]
    same(raw, model.predict(rows, output_margin=True))
    if face in (xgboost.XGBClassifier, xgboost.XGBRFClassifier):
        same(heads["label"], model.predict(rows))
        # Where it takes 1 - p of a p that is nearly 1, or of a margin, a step of p is more than that of the result.
        np.testing.assert_allclose(heads["probabilities"], model.predict_proba(rows), rtol=SINGLE, atol=6e-8)
    else:
        same(heads["value"], model.predict(rows))


def test_xgboost_stops_early():
    model = xgboost.XGBClassifier(n_estimators=60, max_depth=3, n_jobs=1, early_stopping_rounds=2)
    model.fit(HOLED[:110], TWO[:110], eval_set=[(HOLED[110:], TWO[110:])], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    heads, _ = asked(program_of(model, numbers()), HOLED)
    same(heads["raw"], model.predict(HOLED, output_margin=True))
    # A raw Booster answers with every tree.
    heads, _ = asked(program_of(model.get_booster(), numbers()), HOLED)
    same(heads["raw"], model.get_booster().predict(xgboost.DMatrix(HOLED), output_margin=True))


def test_xgboost_ranker():
    model = xgboost.XGBRanker(n_estimators=9, max_depth=3, n_jobs=1).fit(HOLED, THREE, group=[80, 80])
    same(asked(program_of(model, numbers()), HOLED)[0]["value"], model.predict(HOLED))


@pytest.mark.parametrize("onehot", [1, 99])
@pytest.mark.parametrize("kind", ["value", "two"])
def test_xgboost_categories(kind, onehot):
    face = xgboost.XGBRegressor if kind == "value" else xgboost.XGBClassifier
    options = {"enable_categorical": True, "max_cat_to_onehot": onehot, "n_estimators": 9, "max_depth": 4}
    model = face(**options, n_jobs=1).fit(ISLANDS, island_effect(kind))
    booster = model.get_booster()
    program = program_of(model, KINDS)
    assert any(node.kind == "trees" and len(node.set_members) for node in program.nodes)
    for strange in (False, True):
        plain, given = unseen(ISLANDS, strange)
        heads, refused = asked(program, plain)
        # What it doesn't know it answers in a way of its own, or raises.
        assert refused.tolist() == ((plain["island"] == "new") | (plain["grade"] == 2)).tolist()
        given = given[~refused]
        same(heads["raw"][~refused], model.predict(given, output_margin=True))
        matrix = xgboost.DMatrix(given, enable_categorical=True, nthread=1)
        raw = asked(program_of(booster, KINDS), plain)[0]["raw"][~refused]
        same(raw, booster.predict(matrix, output_margin=True))


def test_xgboost_category_numbers():
    """Categories that it was given as numbers of a matrix: what is no member, or no category at all, goes left."""
    rows = X.copy()
    rows[:, 3] = np.abs(rows[:, 3])
    kinds = ["q", "q", "q", "c"]
    model = xgboost.train(
        {**BOOST, "objective": "reg:squarederror", "max_cat_to_onehot": 1},
        xgboost.DMatrix(rows, Y, feature_types=kinds, enable_categorical=True),
        9,
    )
    program = program_of(model, numbers())
    rows = at_the_edges(program, rows)
    heads, refused = asked(program, rows)
    matrix = xgboost.DMatrix(rows[~refused], feature_types=kinds, enable_categorical=True)
    same(heads["raw"][~refused], model.predict(matrix, output_margin=True))


def test_xgboost_without_a_reader():
    linear = xgboost.train({"booster": "gblinear", "nthread": 1}, xgboost.DMatrix(X, Y), 2)
    own = xgboost.XGBRegressor(objective=half_squares, n_estimators=2, n_jobs=1).fit(X, Y)
    many = xgboost.XGBClassifier(n_estimators=2, n_jobs=1).fit(X, np.column_stack([TWO, 1 - TWO, TWO]))
    for model, reason in ((linear, "gblinear"), (own, "custom objective"), (many, "more than one label")):
        with pytest.raises(NoReader, match=reason):
            program_of(model, numbers())
