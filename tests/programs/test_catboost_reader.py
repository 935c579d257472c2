"""Programs read from CatBoost: margins and labels to the last bit, linked outputs within a bound."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from programs.test_tree_readers import BOTH, HOLED, TEXT, TWO, WEIGHTS, X, Y
from programs.tree_asking import asked, at_the_edges, near, numbers, program_of, same
from sqlml.models.description import Argument
from sqlml.models.readers.program import read_program
from sqlml.models.readers.reading import NoReader

catboost = pytest.importorskip("catboost")
catboost_program = pytest.importorskip("sqlml.models.readers.catboost_program")

THREE = np.digitize(Y, [-0.5, 0.7])
POSITIVE = np.abs(Y) + 0.1
GROUPS = np.arange(len(X)) // 20
FIT = {"iterations": 40, "depth": 4, "verbose": 0, "allow_writing_files": False, "thread_count": 1}
# Its exp and that of the C library differ by a unit or two of the last place.
LINKED = 1e-13

REGRESSORS = {
    "RMSE": ({}, Y),
    "one tree": ({"iterations": 1, "depth": 1}, Y),
    "no split": ({"iterations": 3, "allow_const_label": True, "bootstrap_type": "No"}, np.full(len(X), 2.5)),
    "three trees": ({"iterations": 3}, Y),
    "deep": ({"iterations": 9, "depth": 9}, Y),
    "many": ({"iterations": 300}, Y),
    "Depthwise": ({"grow_policy": "Depthwise"}, Y),
    "Lossguide": ({"grow_policy": "Lossguide", "max_leaves": 7}, Y),
    "Lossguide of two": ({"grow_policy": "Lossguide", "loss_function": "MultiRMSE"}, BOTH),
    "NaN is most": ({"nan_mode": "Max"}, Y),
    "NaN is most, Depthwise": ({"nan_mode": "Max", "grow_policy": "Depthwise"}, Y),
    "few borders": ({"border_count": 3}, Y),
    "MAE": ({"loss_function": "MAE"}, Y),
    "Quantile": ({"loss_function": "Quantile:alpha=0.3"}, Y),
    "MAPE": ({"loss_function": "MAPE"}, POSITIVE),
    "LogLinQuantile": ({"loss_function": "LogLinQuantile"}, POSITIVE),
    "Huber": ({"loss_function": "Huber:delta=1"}, Y),
    "LogCosh": ({"loss_function": "LogCosh"}, Y),
    "Expectile": ({"loss_function": "Expectile:alpha=0.3"}, Y),
    "Poisson": ({"loss_function": "Poisson"}, np.round(POSITIVE)),
    "Tweedie": ({"loss_function": "Tweedie:variance_power=1.5"}, POSITIVE),
    "Cox": ({"loss_function": "Cox"}, Y),
    "RMSEWithUncertainty": ({"loss_function": "RMSEWithUncertainty"}, Y),
    "MultiRMSE": ({"loss_function": "MultiRMSE"}, BOTH),
    "MultiQuantile": ({"loss_function": "MultiQuantile:alpha=0.1,0.5"}, Y),
}
CLASSIFIERS = {
    "Logloss": ({}, TWO),
    "texts": ({}, np.where(TWO, "yes", "no")),
    "booleans": ({}, TWO.astype(bool)),
    "floats": ({}, TWO - 0.5),
    "balanced": ({"auto_class_weights": "Balanced"}, TWO),
    "Depthwise": ({"grow_policy": "Depthwise"}, TWO),
    "CrossEntropy": ({"loss_function": "CrossEntropy"}, TWO),
    "Focal": ({"loss_function": "Focal:focal_alpha=0.5;focal_gamma=2"}, TWO),
    "MultiClass": ({}, THREE),
    "MultiClass of texts": ({}, TEXT),
    "MultiClass of two": ({"loss_function": "MultiClass"}, TWO),
    "MultiClass, Lossguide": ({"grow_policy": "Lossguide"}, TEXT),
    "MultiClassOneVsAll": ({"loss_function": "MultiClassOneVsAll"}, THREE),
}


def read(model, columns=None):
    return program_of(model, columns or numbers(), catboost_program.PREDICTORS)


def raw(model, rows):
    return model.predict(rows, prediction_type="RawFormulaVal", thread_count=1)


def margins(model, rows):
    """What the trees alone add up to: the program's `raw` is before the scale and the bias."""
    scale, bias = model.get_scale_and_bias()
    model.set_scale_and_bias(1.0, np.zeros_like(bias).tolist() if np.ndim(bias) else 0.0)
    found = raw(model, rows)
    model.set_scale_and_bias(scale, bias)
    return found


@pytest.mark.parametrize("holed", [False, True])
@pytest.mark.parametrize("name", REGRESSORS)
def test_regressors(name, holed):
    options, labels = REGRESSORS[name]
    rows = HOLED if holed else X
    weights = None if name == "Cox" else WEIGHTS
    model = catboost.CatBoostRegressor(**{**FIT, **options}).fit(rows, labels, sample_weight=weights)
    program = read(model)
    rows = at_the_edges(program, rows, 25)
    heads, refused = asked(program, rows)
    assert not refused.any()
    same(heads["raw"], margins(model, rows))
    linked = name in ("Poisson", "Tweedie", "RMSEWithUncertainty")
    (near if linked else same)(heads["value"], model.predict(rows), **({"relative": LINKED} if linked else {}))


@pytest.mark.parametrize("holed", [False, True])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers(name, holed):
    options, labels = CLASSIFIERS[name]
    rows = HOLED if holed else X
    model = catboost.CatBoostClassifier(**{**FIT, **options}).fit(rows, labels, sample_weight=WEIGHTS)
    program = read(model)
    rows = at_the_edges(program, rows, 25)
    heads, refused = asked(program, rows)
    assert not refused.any()
    same(heads["decision"], raw(model, rows))
    same(model.classes_[heads["label"].astype(int)], model.predict(rows).reshape(-1))
    near(heads["probabilities"], model.predict_proba(rows), LINKED)


@pytest.mark.parametrize("loss", ["RMSE", "Poisson", "Logloss", "MultiClass", "MultiClassOneVsAll", "QueryRMSE"])
def test_a_raw_catboost(loss):
    labels = {"Poisson": np.round(POSITIVE), "Logloss": TWO}.get(loss, THREE if "Class" in loss else Y)
    model = catboost.CatBoost({**FIT, "loss_function": loss}).fit(
        X, labels, **({"group_id": GROUPS} if loss == "QueryRMSE" else {})
    )
    program = read(model)
    rows = at_the_edges(program, HOLED, 25)
    heads, _ = asked(program, rows)
    same(heads["value"], model.predict(rows))
    assert ("probabilities" in heads) == (loss in ("Logloss", "MultiClass", "MultiClassOneVsAll"))
    if "probabilities" in heads:
        near(heads["probabilities"], model.predict(rows, prediction_type="Probability"), LINKED)


def test_a_ranker():
    model = catboost.CatBoostRanker(**{**FIT, "loss_function": "PairLogit"}).fit(X, THREE, group_id=GROUPS)
    heads, _ = asked(read(model), HOLED)
    same(heads["value"], model.predict(HOLED))


def test_a_scale_and_a_bias():
    model = catboost.CatBoostRegressor(**FIT).fit(X, Y)
    model.set_scale_and_bias(0.3, 1.7)
    same(asked(read(model), HOLED)[0]["value"], model.predict(HOLED))


def test_a_sum_of_models():
    first = catboost.CatBoostRegressor(**FIT).fit(X, Y)
    second = catboost.CatBoostRegressor(**{**FIT, "depth": 2}).fit(X, -Y)
    model = catboost.sum_models([first, second], weights=[0.25, 0.75])
    same(asked(read(model), HOLED)[0]["value"], model.predict(HOLED))


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.123, 0.999])
def test_a_label_at_its_threshold(threshold):
    model = catboost.CatBoostClassifier(**{**FIT, "iterations": 1}).fit(X, TWO)
    model.set_probability_threshold(threshold)
    near_it = [-np.log(1 / threshold - 1)]
    for _ in range(4):
        near_it = [np.nextafter(near_it[0], -9), *near_it, np.nextafter(near_it[-1], 9)]
    found = []
    for bias in [*near_it, 0.0, 5e-324, -5e-324, 1e-17]:
        model.set_scale_and_bias(0.0, [bias])
        heads, _ = asked(read(model), X[:1])
        same(heads["label"], model.predict(X[:1]))
        found.append(heads["label"][0])
    assert set(found) == {0.0, 1.0}


def test_stopped_early():
    model = catboost.CatBoostClassifier(**{**FIT, "iterations": 200, "early_stopping_rounds": 2})
    model.fit(X[:110], TWO[:110], eval_set=(X[110:], TWO[110:]))
    assert model.tree_count_ < 200
    same(asked(read(model), HOLED)[0]["decision"], raw(model, HOLED))


RANDOM = np.random.default_rng(4)
ISLANDS = pd.DataFrame(
    {
        "length": HOLED[:, 0],
        "island": RANDOM.choice(["Torgersen", "Dream", "Biscoe", ""], len(X)),
        "grade": RANDOM.choice([1, 2, 30, -4], len(X)),
        "wet": RANDOM.random(len(X)) < 0.4,
        "width": X[:, 1],
    }
)
EFFECT = np.nan_to_num(HOLED[:, 0]) + (ISLANDS.island == "Dream") * 2 + (ISLANDS.grade == 30) - ISLANDS.wet * 1.5
KINDS = ("island", "grade", "wet")


def arguments(**changed):
    types = {"length": "DOUBLE", "island": "VARCHAR", "grade": "BIGINT", "wet": "BOOLEAN", "width": "DOUBLE"}
    known = {"island": ("Biscoe", "Dream", "Torgersen", ""), "grade": (-4, 1, 2, 30), **changed}
    return [
        Argument(name, type_, missing=None if name in KINDS else "nan", categories=known.get(name))
        for name, type_ in types.items()
    ]


def unseen(rows):
    """Rows with categories that the model has never seen among those that it has."""
    return rows.assign(
        island=np.where(RANDOM.random(len(rows)) < 0.2, "Anvers", rows.island),
        grade=np.where(RANDOM.random(len(rows)) < 0.2, 17, rows.grade),
    )


@pytest.mark.parametrize("policy", ["SymmetricTree", "Depthwise", "Lossguide"])
def test_categories(policy):
    options = {**FIT, "grow_policy": policy, "cat_features": KINDS, "one_hot_max_size": 9}
    model = catboost.CatBoostRegressor(**options).fit(ISLANDS, EFFECT)
    program = read_program(model, arguments())
    assert any(node.kind == "trees" and len(node.set_members) for node in program.nodes)
    for rows in (ISLANDS, unseen(ISLANDS)):
        heads, refused = asked(program, rows)
        assert not refused.any()
        same(heads["value"], model.predict(rows))


def test_a_category_that_only_its_hash_is_known_of():
    options = {**FIT, "cat_features": KINDS, "one_hot_max_size": 9}
    model = catboost.CatBoostRegressor(**options).fit(ISLANDS, EFFECT)
    for changed in ({"island": ("Biscoe", "Torgersen")}, {"grade": None}):
        with pytest.raises(NoReader, match="hashes"):
            read_program(model, arguments(**changed))


def test_without_a_reader():
    statistics = catboost.CatBoostRegressor(**{**FIT, "cat_features": KINDS}).fit(ISLANDS, EFFECT)
    with pytest.raises(NoReader, match="statistics of the target"):
        read_program(statistics, arguments())
    words = pd.DataFrame({"said": RANDOM.choice(["a b", "b c", "c d e"], 160), "x": X[:, 0]})
    texts = catboost.CatBoostRegressor(**FIT, text_features=["said"]).fit(words, Y)
    with pytest.raises(NoReader):
        read_program(texts, [Argument("said", "VARCHAR"), Argument("x", "DOUBLE")])
    many = catboost.CatBoostClassifier(**{**FIT, "loss_function": "MultiLogloss"}).fit(X, np.c_[TWO, 1 - TWO, TWO])
    with pytest.raises(NoReader, match="MultiLogloss"):
        read(many)
    with pytest.raises(NoReader, match="text that is no category"):
        read(catboost.CatBoostRegressor(**FIT).fit(X, Y), [("x0", True), *numbers()[1:]])


def test_json_has_every_bit(tmp_path):
    model = catboost.CatBoostRegressor(**FIT).fit(X, Y)
    model.save_model(str(tmp_path / "m.json"), format="json")
    leaves = [
        leaf
        for tree in json.loads((tmp_path / "m.json").read_text())["oblivious_trees"]
        for leaf in tree["leaf_values"]
    ]
    same(np.array(leaves), model.get_leaf_values())
