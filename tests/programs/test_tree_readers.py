"""Programs read from trees answer as the models do: labels, leaves and sums to the last bit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import tree
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression

from programs.tree_asking import PREDICTORS, asked, at_the_edges, near, numbers, program_of, quiet, refuses, same
from sqlml.models.readers.reading import Answers, NoReader
from sqlml.programs.program import Piecewise

RANDOM = np.random.default_rng(3)
X = RANDOM.normal(size=(160, 4))
X[:, 3] = np.round(X[:, 3] * 2)
X[::9, 2] = 0.0
Y = X[:, 0] + X[:, 1] * X[:, 2] + (X[:, 3] == 0)
HOLED = np.where(RANDOM.random(X.shape) < 0.12, np.nan, X)
TWO = (Y > 0.3).astype(int)
TEXT = np.array(["a", "b", "c"])[np.digitize(Y, [-0.5, 0.7])]
BOTH = np.column_stack([Y, -Y * Y])
WEIGHTS = RANDOM.random(len(X))

REGRESSORS = {
    "stump": (tree.DecisionTreeRegressor(max_depth=1), X, Y),
    "one leaf": (tree.DecisionTreeRegressor(), X, np.full(len(X), 3.25)),
    "tree": (tree.DecisionTreeRegressor(), X, Y),
    "tree of missing values": (tree.DecisionTreeRegressor(max_depth=7), HOLED, Y),
    "tree of two outputs": (tree.DecisionTreeRegressor(max_depth=4), X, BOTH),
    "pruned tree": (tree.DecisionTreeRegressor(ccp_alpha=0.01), X, Y),
    "extra tree": (tree.ExtraTreeRegressor(random_state=0), X, Y),
    "forest": (RandomForestRegressor(7, random_state=0), X, Y),
    "forest of missing values": (RandomForestRegressor(5, random_state=0), HOLED, Y),
    "forest of two outputs": (RandomForestRegressor(5, max_depth=3, random_state=0), X, BOTH),
    "absolute error": (RandomForestRegressor(5, max_depth=3, criterion="absolute_error"), X, Y),
    "extra trees": (ExtraTreesRegressor(5, random_state=0), HOLED, Y),
    "ada": (AdaBoostRegressor(n_estimators=12, random_state=0), X, Y),
    "ada of one": (AdaBoostRegressor(n_estimators=1, random_state=0), X, Y),
    "ada of deep trees": (AdaBoostRegressor(tree.ExtraTreeRegressor(), n_estimators=9, random_state=0), X, Y),
    "ada of forests": (AdaBoostRegressor(RandomForestRegressor(2, max_depth=3), n_estimators=3, random_state=0), X, Y),
    "boosting": (GradientBoostingRegressor(n_estimators=100, max_depth=2), X, Y),
    "huber": (GradientBoostingRegressor(loss="huber", n_estimators=20, subsample=0.5), X, Y),
    "quantile": (GradientBoostingRegressor(loss="quantile", alpha=0.2, n_estimators=20), X, Y),
    "absolute": (GradientBoostingRegressor(loss="absolute_error", n_estimators=20, init="zero"), X, Y),
    "stops early": (GradientBoostingRegressor(n_estimators=90, n_iter_no_change=2, tol=0.01), X, Y),
    "after a forest": (GradientBoostingRegressor(n_estimators=9, init=RandomForestRegressor(3, max_depth=2)), X, Y),
    "histograms": (HistGradientBoostingRegressor(max_iter=30, min_samples_leaf=4), X, Y),
    "histograms of missing values": (HistGradientBoostingRegressor(max_iter=9, min_samples_leaf=3), HOLED, Y),
    "poisson": (HistGradientBoostingRegressor(max_iter=9, loss="poisson"), HOLED, np.abs(Y)),
    "gamma": (HistGradientBoostingRegressor(max_iter=9, loss="gamma"), HOLED, np.abs(Y) + 0.1),
    "quantile of histograms": (HistGradientBoostingRegressor(max_iter=9, loss="quantile", quantile=0.3), X, Y),
    "early histograms": (HistGradientBoostingRegressor(max_iter=50, early_stopping=True, n_iter_no_change=2), X, Y),
}
CLASSIFIERS = {
    "stump": (tree.DecisionTreeClassifier(max_depth=1), X, TWO),
    "one class": (tree.DecisionTreeClassifier(), X, np.ones(len(X))),
    "tree": (tree.DecisionTreeClassifier(max_depth=4), X, TEXT),
    "tree of missing values": (tree.DecisionTreeClassifier(min_samples_leaf=3), HOLED, TEXT),
    "monotone tree": (tree.DecisionTreeClassifier(max_depth=4, monotonic_cst=[1, 0, 0, 0]), X, TWO),
    "extra tree": (tree.ExtraTreeClassifier(max_depth=5, random_state=0), HOLED, TEXT),
    "forest": (RandomForestClassifier(7, max_depth=4, random_state=0), X, TEXT),
    "forest of missing values": (RandomForestClassifier(4, random_state=0, class_weight="balanced"), HOLED, TWO),
    "many trees": (RandomForestClassifier(100, max_depth=3, random_state=0), X, TWO),
    "extra trees": (ExtraTreesClassifier(6, max_depth=4, random_state=0), X, TEXT),
    "ada": (AdaBoostClassifier(n_estimators=15), X, TWO),
    "ada of three": (AdaBoostClassifier(n_estimators=15), X, TEXT),
    "ada of deep trees": (
        AdaBoostClassifier(tree.DecisionTreeClassifier(max_depth=3), n_estimators=9, learning_rate=0.3),
        X,
        TEXT,
    ),
    "ada of forests": (AdaBoostClassifier(RandomForestClassifier(3, max_depth=2), n_estimators=3), X, TEXT),
    "boosting": (GradientBoostingClassifier(n_estimators=30), X, TWO),
    "boosting of three": (GradientBoostingClassifier(n_estimators=12), X, TEXT),
    "exponential": (GradientBoostingClassifier(n_estimators=12, loss="exponential"), X, TWO),
    "from zero": (GradientBoostingClassifier(n_estimators=12, init="zero"), X, TWO),
    "from a dummy": (GradientBoostingClassifier(n_estimators=9, init=DummyClassifier(strategy="prior")), X, TEXT),
    "histograms": (HistGradientBoostingClassifier(max_iter=20, min_samples_leaf=4), X, TWO),
    "histograms of three": (HistGradientBoostingClassifier(max_iter=9, min_samples_leaf=4), HOLED, TEXT),
}


def fitted(model, rows, labels, name):
    weighed = "ada of forests" not in name and "one" not in name
    return quiet(lambda given: model.fit(given, labels, sample_weight=WEIGHTS if weighed else None), rows)


def kept(program, call, rows):
    """The answers in the rows that aren't refused, which are those that the model takes."""
    heads, refused = asked(program, rows)
    for place in np.flatnonzero(refused)[:30]:
        assert refuses(call, rows[place : place + 1])
    assert refused.all() or not refuses(call, rows[~refused])
    return {name: held[~refused] for name, held in heads.items()}, rows[~refused]


@pytest.mark.parametrize("name", REGRESSORS)
def test_sklearn_regressors(name):
    model, rows, labels = REGRESSORS[name]
    fitted(model, rows, labels, name)
    program = program_of(model, numbers())
    heads, rows = kept(program, model.predict, at_the_edges(program, rows))
    expected = quiet(model.predict, rows)
    if name in ("poisson", "gamma"):
        same(heads["raw"], model._raw_predict(rows)[:, 0])
        near(heads["value"], expected)
    else:
        same(heads["value"], expected)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_sklearn_classifiers(name):
    model, rows, labels = CLASSIFIERS[name]
    fitted(model, rows, labels, name)
    program = program_of(model, numbers())
    heads, rows = kept(program, model.predict, at_the_edges(program, rows))
    same(np.asarray(model.classes_)[heads["label"].astype(int)], quiet(model.predict, rows))
    expected = quiet(model.predict_proba, rows)
    if hasattr(model, "decision_function"):
        same(heads["decision"], quiet(model.decision_function, rows))
        near(heads["probabilities"], expected)
    else:
        same(heads["probabilities"].reshape(expected.shape), expected)


@pytest.mark.parametrize("options", [{}, {"max_features": 2}, {"contamination": 0.2}, {"max_samples": 1}])
def test_isolation_forest(options):
    model = IsolationForest(n_estimators=20, random_state=0, **options).fit(X)
    program = program_of(model, numbers())
    rows = at_the_edges(program, HOLED, 8)
    heads, refused = asked(program, rows)
    assert not refused.any()
    same(heads["value"], quiet(model.predict, rows))


def island_rows():
    rows = pd.DataFrame(HOLED[:, :3], columns=["x0", "x1", "x2"])
    rows["island"] = pd.Categorical(RANDOM.choice(list("zyxwv"), len(X)), categories=list("vwxyz"))
    rows["grade"] = pd.Categorical(RANDOM.choice([7, -1, 40, 3], len(X)))
    rows.loc[::8, "island"] = None
    rows.loc[::11, "grade"] = None
    return rows[["x0", "island", "x1", "grade", "x2"]]


ISLANDS = island_rows()
KINDS = [("x0", False), ("island", True), ("x1", False), ("grade", False), ("x2", False)]
EFFECT = Y + (ISLANDS["island"] == "x") * 2.0 - (ISLANDS["grade"] == 7) * 1.5 + ISLANDS["island"].isna()


def unseen(rows, strange=True):
    """Rows with values that no model has seen, as text and numbers and as the categories that they are fed as."""
    plain = rows.astype({"island": object, "grade": float})
    if strange:
        plain.loc[::6, "island"] = "new"
        plain.loc[::7, "grade"] = 2.0
    given = plain.copy()
    for name in ("island", "grade"):
        known = list(rows[name].cat.categories)
        more = [type(known[0])(value) for value in sorted(set(plain[name].dropna()) - set(known))]
        given[name] = pd.Categorical(plain[name], categories=[*known, *more])
    return plain, given


@pytest.mark.parametrize("few", [False, True])
def test_categories_of_histograms(few):
    options = {"max_iter": 12, "min_samples_leaf": 3, "categorical_features": ["island"] if few else "from_dtype"}
    rows = ISLANDS.astype({"grade": float}) if few else ISLANDS
    model = HistGradientBoostingRegressor(**options).fit(rows, EFFECT)
    assert any(p.nodes["is_categorical"].any() for stage in model._predictors for p in stage)
    program = program_of(model, KINDS)
    plain, given = unseen(ISLANDS)
    heads, refused = asked(program, plain)
    assert not refused.any()
    same(heads["value"], model.predict(given.astype({"grade": float}) if few else given))


def test_categories_of_histograms_in_a_matrix():
    model = HistGradientBoostingClassifier(max_iter=12, min_samples_leaf=3, categorical_features=[3]).fit(HOLED, TEXT)
    assert any(p.nodes["is_categorical"].any() for stage in model._predictors for p in stage)
    program = program_of(model, numbers())
    heads, rows = kept(program, model.predict, at_the_edges(program, HOLED))
    same(heads["raw"], model._raw_predict(rows))


def test_ada_of_other_classifiers():
    """A base estimator that is no tree answers through its own reader."""

    class Sign(tree.DecisionTreeClassifier):
        pass

    def sign(reading, estimator, columns):
        threshold = float(estimator.tree_.threshold[0])
        left, right = estimator.tree_.value[1:3, 0].argmax(axis=1)
        column = columns[int(estimator.tree_.feature[0])]
        edges = np.array([np.nextafter(threshold, np.inf)])
        table = np.array([[[left]], [[right]]], float)
        node = Piecewise(inputs=(column,), edges=edges, origins=np.zeros(2), coefficients=table)
        return Answers(label=reading.graph.add(node))

    model = AdaBoostClassifier(Sign(max_depth=1), n_estimators=6).fit(X, TEXT)
    name = f"{Sign.__module__}.{Sign.__qualname__}"
    program = program_of(model, numbers(), {**PREDICTORS, name: sign})
    heads, refused = asked(program, X)
    assert not refused.any()
    same(heads["decision"], model.decision_function(X))


WITHOUT = {
    "several labels": (tree.DecisionTreeClassifier().fit(X, np.column_stack([TWO, TWO])), "several outputs"),
    "after a line": (GradientBoostingRegressor(n_estimators=2, init=LinearRegression()).fit(X, Y), "LinearRegression"),
    "at random": (
        GradientBoostingClassifier(n_estimators=2, init=DummyClassifier(strategy="uniform")).fit(X, TWO),
        "DummyClassifier",
    ),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_what_has_no_reader(name):
    model, reason = WITHOUT[name]
    with pytest.raises(NoReader, match=reason):
        program_of(model, numbers())


def test_text_is_refused():
    with pytest.raises(NoReader, match="text"):
        program_of(REGRESSORS["tree"][0].fit(X, Y), [("x0", True), *numbers()[1:]])
