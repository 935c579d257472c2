"""Rows a second, in SQL and outside of it, over the demo's flights: `python benchmarks/adhoc.py --write`.

Each path ends in the same sum, and the sums are compared before anything is timed. With n threads DuckDB has n, and so
have the libraries outside of SQL; inside SQL each call of a library has one.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import lightgbm
import mlflow
import numpy as np
from measuring import arguments, medians, publish, table
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import sqlml

THREADS = (1, 2)
SELECTIONS = {
    "Every flight": "true",
    "One flight in a hundred, all over the table": "flight % 100 = 7",
}
NUMBERS = ["month", "weekday", "hour", "distance", "plane_year", "seats", "temp", "humid", "wind_speed", "precip"]
BENCH = ("bench_linear", "bench_trees")


class Case(NamedTuple):
    """A model as a function, as an object and as mlflow's pyfunc."""

    title: str
    call: str
    inputs: list[str]
    own: Callable[[Any], Any]
    pyfunc: Any


def main() -> None:
    options = arguments(__doc__.splitlines()[0])
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    with sqlml.connect(project=options.project) as db, tempfile.TemporaryDirectory() as scratch:
        mlflow.set_tracking_uri(db.settings.registry_uri)
        try:
            cases = [case(scratch, *model) for model in [*demo_models(), *bench_models(db)]]
            parts = [
                f"**{title}.** {measured(db, cases, where, options.repetitions)}" for title, where in SELECTIONS.items()
            ]
        finally:
            for name in {function.name for function in db.functions()} & set(BENCH):
                db.drop(name)
    publish("adhoc", "\n\n".join(parts), options.write)


def demo_models() -> list[tuple[str, str, str, Any, str]]:
    """Title, function, call, model and the model's method of each."""
    risk, delay = (mlflow.sklearn.load_model(f"models:/{name}@champion") for name in ("delay_risk", "arrival_delay"))
    return [
        ("16 inputs one-hot encoded, 100 boosted trees", "delay_risk", "delay_risk_score", risk, "predict_proba"),
        ("the same, a regression", "arrival_delay", "arrival_delay", delay, "predict"),
    ]


def bench_models(db: sqlml.Session) -> list[tuple[str, str, str, Any, str]]:
    """Two models on numbers alone, logged and registered for as long as this runs."""
    wanted = ", ".join(f"CAST({name} AS DOUBLE) AS {name}" for name in NUMBERS)
    rows = db.sql(f"SELECT {wanted}, arr_delay FROM flights_ready WHERE arr_delay IS NOT NULL").df()
    rows = rows.sample(min(50_000, len(rows)), random_state=0)
    late = (rows["arr_delay"] > 15).astype(int)
    linear = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()).fit(rows[NUMBERS], late)
    settings = {"objective": "binary", "verbosity": -1, "num_threads": 1, "seed": 0}
    trees = lightgbm.train(settings, lightgbm.Dataset(rows[NUMBERS], late), num_boost_round=100)
    for name, model in zip(BENCH, (linear, trees), strict=True):
        registry = db.settings.registry_uri
        sqlml.log_model(model, name=name, signature_from=rows[NUMBERS], alias="champion", registry=registry)
        db.register(name, f"models:/{name}@champion", replace=True)
    return [
        ("10 numbers, logistic regression", BENCH[0], f"{BENCH[0]}_score", linear, "predict_proba"),
        ("10 numbers, LightGBM, 100 trees", BENCH[1], f"{BENCH[1]}_score", trees, "predict"),
    ]


def case(scratch: str, title: str, name: str, call: str, model: Any, method: str) -> Case:
    """Save the model once more, so that mlflow's pyfunc answers the probability and not the label."""
    folder = f"{scratch}/{name}"
    signature = mlflow.models.get_model_info(f"models:/{name}@champion").signature
    if isinstance(model, lightgbm.Booster):
        mlflow.lightgbm.save_model(model, folder, signature=signature)
    else:
        mlflow.sklearn.save_model(
            model, folder, signature=signature, pyfunc_predict_fn=method, serialization_format="cloudpickle"
        )
    return Case(title, call, signature.inputs.input_names(), getattr(model, method), mlflow.pyfunc.load_model(folder))


def measured(db: sqlml.Session, cases: list[Case], where: str, repetitions: int) -> str:
    """The table for one selection of the flights."""
    rows = db.sql(f"SELECT count(*) FROM flights_ready WHERE {where}").fetchall()[0][0]
    lines = []
    for held in cases:
        paths = paths_of(db, held, where)
        compare(held, {name: run() for name, run in paths.items()})
        for threads in THREADS:
            db.sql(f"SET threads = {threads}")
            with threadpool_limits(limits=threads):
                seconds = medians(paths, repetitions)
            ours = seconds["sqlml"]
            speeds = [f"{rows / taken / 1000:,.0f}" for taken in seconds.values()]
            ratios = [f"{taken / ours:.2f}" for name, taken in seconds.items() if name != "sqlml"]
            lines.append([held.title, str(threads), *speeds, *ratios])
    names = ["model", "threads", "sqlml", "pandas, then the model", "pandas, then pyfunc"]
    names += ["sqlml : model", "sqlml : pyfunc"]
    return f"{rows:,} rows; thousands of rows a second, and how many times as fast sqlml is.\n\n{table(names, lines)}"


def paths_of(db: sqlml.Session, held: Case, where: str) -> dict[str, Callable[[], float]]:
    """The three ways to one sum, each from the database to a number in Python."""
    types = {name: str(kind) for name, kind in zip(held.pyfunc.metadata.signature.inputs.input_names(),
             held.pyfunc.metadata.signature.inputs.input_types(), strict=True)}  # fmt: skip
    wanted = ", ".join(f"CAST({name} AS DOUBLE) AS {name}" if "double" in types[name] else name for name in held.inputs)

    def rows() -> Any:
        return db.sql(f"SELECT {wanted} FROM flights_ready WHERE {where}").df()

    def total(answers: Any) -> float:
        values = np.asarray(answers)
        return float(values[:, -1].sum() if values.ndim == 2 else values.sum())

    return {
        "sqlml": lambda: db.sql(f"SELECT sum({held.call}(f)) FROM flights_ready AS f WHERE {where}").fetchall()[0][0],
        "model": lambda: total(held.own(rows())),
        "pyfunc": lambda: total(held.pyfunc.predict(rows())),
    }


def compare(held: Case, sums: dict[str, float]) -> None:
    """Stop where the paths don't answer the same."""
    for name, found in sums.items():
        if not np.isclose(found, sums["model"], rtol=1e-9, atol=0):
            raise SystemExit(f"{held.title}: {name} sums to {found!r}, and the model to {sums['model']!r}")


if __name__ == "__main__":
    main()
