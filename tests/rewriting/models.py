"""The models of these tests: small ones of every kind, over the columns of a fact table and of two dimensions."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from rewriting.tables import joined

TEXTS = ("carrier", "maker", "zone")


@dataclass(frozen=True)
class Fitted:
    """One estimator and its rows.

    Args:
        model: it.
        rows: what it was fitted on, which names what it is given.
        exact: its answers don't depend on the order in which numbers are added.
        options: those that its function is made with.
        typed: it is logged with MLflow's own signature, which knows FLOAT, INTEGER and BOOLEAN.
    """

    model: Any
    rows: pd.DataFrame
    exact: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    typed: bool = False

    @property
    def columns(self) -> list[str]:
        return list(self.rows.columns)

    @property
    def classes(self) -> list[Any]:
        """Its labels; none where it answers with a number."""
        return list(getattr(self.model, "classes_", []))


def _encoded(columns: list[str], unknown: str = "ignore") -> ColumnTransformer:
    numbers = [name for name in columns if name not in TEXTS]
    texts = [name for name in columns if name in TEXTS]
    one_hot = OneHotEncoder(handle_unknown=unknown)
    return ColumnTransformer([("n", StandardScaler(), numbers), ("c", one_hot, texts)])


def _trees(columns: list[str]) -> ColumnTransformer:
    texts = [name for name in columns if name in TEXTS]
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return ColumnTransformer([("c", one_hot, texts)], remainder="passthrough")


def all_models() -> dict[str, Fitted]:
    """Every model by the name of its function."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(_models())


def _models() -> Iterator[tuple[str, Fitted]]:
    rows = joined()
    random = np.random.default_rng(5)
    hidden = (
        (rows.dist / 500 - 2)
        + (rows.carrier == "AA") * 1.5
        - (rows.maker == "Boeing") * 0.8
        + (rows.zone == "north") * 0.7
        + rows.altitude / 800
        - rows.age / 15
        + random.normal(0, 0.4, len(rows))
    )
    late = np.where(hidden > 0, "late", "on time")
    grade = np.array(["low", "mid", "top"])[np.digitize(hidden, [-1, 1])]
    holed = rows.copy()
    for name in ("dist", "delay", "age", "weight", "altitude"):
        holed[name] = holed[name].astype(float).where(random.random(len(rows)) > 0.15)

    wide = ["carrier", "dist", "seats", "maker", "age", "zone", "altitude"]
    yield (
        "risk",
        Fitted(make_pipeline(_encoded(wide), LogisticRegression(max_iter=300)).fit(rows[wide], late), rows[wide]),
    )
    hard = ["carrier", "maker", "zone", "dist"]
    yield (
        "strict",
        Fitted(
            make_pipeline(_encoded(hard, "error"), LogisticRegression(max_iter=300)).fit(rows[hard], late), rows[hard]
        ),
    )
    some = ["carrier", "maker", "dist", "altitude"]
    yield (
        "grade",
        Fitted(make_pipeline(_encoded(some), LogisticRegression(max_iter=300)).fit(rows[some], grade), rows[some]),
    )
    tree = DecisionTreeClassifier(max_depth=7, random_state=0)
    yield "tree", Fitted(make_pipeline(_trees(wide), tree).fit(rows[wide], grade), rows[wide], exact=True)
    forest = RandomForestClassifier(10, max_depth=6, random_state=0)
    mixed = ["carrier", "zone", "dist", "price", "age", "night"]
    yield "forest", Fitted(make_pipeline(_trees(mixed), forest).fit(rows[mixed], late), rows[mixed], exact=True)
    numbers = ["dist", "delay", "age", "weight", "altitude"]
    boosted = HistGradientBoostingRegressor(max_iter=20, random_state=0)
    yield "hist", Fitted(boosted.fit(holed[numbers], hidden), holed[numbers], exact=True)
    cost = ["maker", "zone", "dist", "price", "night", "fuel"]
    yield "cost", Fitted(make_pipeline(_encoded(cost), LinearRegression()).fit(rows[cost], hidden * 100), rows[cost])
    boost = ["dist", "age", "altitude", "seats"]
    yield (
        "boost",
        Fitted(
            GradientBoostingRegressor(n_estimators=15, random_state=0).fit(rows[boost], hidden), rows[boost], exact=True
        ),
    )
    net = ["dist", "age", "altitude"]
    network = MLPRegressor(hidden_layer_sizes=(6,), max_iter=200, random_state=0)
    yield "net", Fitted(make_pipeline(StandardScaler(), network).fit(rows[net], hidden), rows[net])
    near = ["dist", "age"]
    yield "near", Fitted(KNeighborsClassifier(3).fit(rows[near], late), rows[near], exact=True)
    plain = LogisticRegression(max_iter=300)
    yield (
        "careful",
        Fitted(
            make_pipeline(StandardScaler(), plain).fit(rows[["dist", "altitude"]], late),
            rows[["dist", "altitude"]],
            options={"on_null": "error"},
        ),
    )
    passed = HistGradientBoostingClassifier(max_iter=10, random_state=0)
    yield "passing", Fitted(passed.fit(holed[numbers], late), holed[numbers], exact=True, options={"on_null": "pass"})
    # All that it is given is one dimension's.
    plane = ["maker", "age", "weight"]
    yield (
        "plane",
        Fitted(
            make_pipeline(_trees(plane), DecisionTreeClassifier(max_depth=5, random_state=0)).fit(rows[plane], grade),
            rows[plane],
            exact=True,
        ),
    )
    holes = ["age", "weight"]
    yield (
        "plane_hist",
        Fitted(
            HistGradientBoostingRegressor(max_iter=10, random_state=0).fit(holed[holes], hidden),
            holed[holes],
            exact=True,
        ),
    )
    typed = rows[["delay", "seats", "fuel", "night", "carrier"]].assign(
        delay=rows.delay.astype("float32"), seats=rows.seats.astype("int32"), fuel=rows.fuel.astype("int64")
    )
    yield (
        "typed",
        Fitted(
            make_pipeline(_trees(list(typed.columns)), DecisionTreeClassifier(max_depth=8, random_state=0)).fit(
                typed, grade
            ),
            typed,
            exact=True,
            typed=True,
        ),
    )
    odd = rows[["Wet Days", 'say "hi"', "altitude"]]
    yield "odd", Fitted(LinearRegression().fit(odd, hidden), odd)

    import lightgbm

    light = lightgbm.LGBMClassifier(n_estimators=15, min_child_samples=5, verbose=-1, num_threads=1)
    yield "light", Fitted(light.fit(holed[numbers], late), holed[numbers], exact=True)
