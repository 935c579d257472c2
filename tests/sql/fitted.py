"""The models of these tests: each fitted estimator, the rows it was fitted on, and the name of what it predicts.

Their answers to the same rows are what every query is compared with.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

PLANS = ["basic", "plus", "pro"]


@dataclass(frozen=True)
class Fitted:
    """One estimator and its rows; `options` are those that its function is made with."""

    model: Any
    rows: pd.DataFrame
    label: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


def customers(count: int = 300, seed: int = 0) -> pd.DataFrame:
    """Texts and numbers, whole and broken."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "tenure": random.integers(0, 60, count),
            "price": np.round(random.uniform(5, 120, count), 2),
            "plan": random.choice(PLANS, count),
            "region": random.choice(["north", "süd", "o'hare"], count),
        }
    )


def numbers(count: int = 200, seed: int = 1) -> pd.DataFrame:
    """Two columns of numbers."""
    random = np.random.default_rng(seed)
    return pd.DataFrame({"a": random.normal(size=count), "b": random.normal(size=count)})


def encoder() -> ColumnTransformer:
    return ColumnTransformer(
        [
            ("n", StandardScaler(), ["tenure", "price"]),
            ("c", OneHotEncoder(handle_unknown="ignore"), ["plan", "region"]),
        ]
    )


def _churned(rows: pd.DataFrame) -> np.ndarray:
    wants = (rows.tenure < 25) ^ (rows.plan == "pro") ^ (rows.price > 90)
    return np.where(wants, "yes", "no")


def odd_names() -> pd.DataFrame:
    """Columns that must be in quotes, or that mean something else without them."""
    names = [
        "two words", "a.b", "UPPER", 'say "hi"', "it's", "select", "from", "group", "semi;colon", "da--sh",
        "😀", "größe", "1st", "x:=1", "{brace}", "null", "*", "?", "$1", "/* no */",
    ]  # fmt: skip
    random = np.random.default_rng(3)
    return pd.DataFrame(random.normal(size=(100, len(names))), columns=names)


def all_models() -> dict[str, Fitted]:
    """Every model by the name of its function."""
    people, pairs = customers(), numbers()
    half = pairs.a + 0.5 * pairs.b
    odd = odd_names()
    random = np.random.default_rng(4)
    wide = pd.DataFrame(random.normal(size=(60, 1000)), columns=[f"f{i}" for i in range(1000)])
    cased = numbers().rename(columns={"a": "x", "b": "X"})
    holed = pairs.where(random.random(pairs.shape) > 0.2)
    labels = {
        "null_label": np.where(half > 0, "NULL", ""),
        "bool_label": (half > 0).to_numpy(),
        "int_label": np.where(half > 0, 7, -2),
    }
    typed = pd.DataFrame(
        {
            "d": random.normal(size=80),
            "f": random.normal(size=80).astype("float32"),
            "i": random.integers(-50, 50, 80).astype("int32"),
            "n": random.integers(-1000, 1000, 80),
            "b": random.random(80) > 0.5,
            "s": random.choice(["1", "2.5", "true", "2020-01-02"], 80),
        }
    )
    typing = ColumnTransformer([("c", OneHotEncoder(handle_unknown="ignore"), ["s"])], remainder="passthrough")
    texts = pd.DataFrame({"code": random.choice(["1", "2", "30"], 60)})
    found = {
        "churn": Fitted(
            make_pipeline(encoder(), LogisticRegression(max_iter=500)).fit(people, _churned(people)), people, "churned"
        ),
        "spend": Fitted(make_pipeline(encoder(), Ridge()).fit(people, people.price * people.tenure), people, "spend"),
        "tier": Fitted(
            make_pipeline(encoder(), DecisionTreeClassifier(max_depth=4, random_state=0)).fit(
                people, np.array(["low", "mid", "top"])[np.digitize(people.price, [40, 80])]
            ),
            people,
            "tier",
        ),
        "logit": Fitted(LogisticRegression().fit(pairs, np.where(half > 0, "up", "down")), pairs, "way"),
        "line": Fitted(LinearRegression().fit(pairs, 3 * pairs.a - pairs.b + 1), pairs, "y"),
        "square": Fitted(LinearRegression().fit(pairs[["a"]], pairs.a * 2), pairs[["a"]]),
        "hist": Fitted(HistGradientBoostingRegressor(max_iter=5).fit(holed, half), holed, "y"),
        "odd": Fitted(Ridge().fit(odd, odd.sum(axis=1)), odd),
        "cased": Fitted(LinearRegression().fit(cased, cased.x - 10 * cased.X), cased),
        "wide": Fitted(make_pipeline(SimpleImputer(), Ridge()).fit(wide, wide.f0), wide),
        "typed": Fitted(make_pipeline(typing, Ridge()).fit(typed, typed.d + typed.i), typed),
        "strict": Fitted(LogisticRegression().fit(pairs, half > 0), pairs, options={"on_null": "error"}),
        "passing": Fitted(LogisticRegression().fit(pairs, half > 0), pairs, options={"on_null": "pass"}),
        "coded": Fitted(
            make_pipeline(OneHotEncoder(), LogisticRegression()).fit(people[["plan"]], _churned(people)),
            people[["plan"]],
        ),
        "texts": Fitted(DecisionTreeClassifier().fit(texts.to_numpy(object), (texts.code == "30")), texts),
    }
    for name, label in labels.items():
        found[name] = Fitted(LogisticRegression().fit(pairs, label), pairs, "label")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lightgbm

        light = lightgbm.LGBMClassifier(n_estimators=10, min_child_samples=2, verbose=-1, num_threads=2)
        found["light"] = Fitted(light.fit(people[["tenure", "price"]], _churned(people)), people[["tenure", "price"]])
    return found


def second_churn() -> Fitted:
    """A second version of `churn`, which answers otherwise."""
    people = customers()
    model = make_pipeline(encoder(), DecisionTreeClassifier(max_depth=3, random_state=0)).fit(people, _churned(people))
    return Fitted(model, people, "churned")
