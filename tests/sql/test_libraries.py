"""Models of other libraries, asked in SQL through every strategy that they have."""

from __future__ import annotations

import subprocess
import sys

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import sqlml
from sql.conftest import fill
from sql.fitted import customers
from sql.test_threads import environment
from sqlml.models import registry

PEOPLE = customers(200)
# The bounds of a probability that is made in float32.
FLOAT32 = {"rel": 2e-6, "abs": 2e-7}
LEFT = np.where((PEOPLE.tenure < 25) ^ (PEOPLE.plan == "pro"), "yes", "no")
HOLED = PEOPLE.assign(
    tenure=PEOPLE.tenure.where(PEOPLE.index % 7 != 1).astype("Int64"),
    price=PEOPLE.price.where(PEOPLE.index % 5 != 2),
    plan=PEOPLE.plan.where(PEOPLE.index % 6 != 3).mask(PEOPLE.index % 6 == 4, "never seen"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("libraries")
    (made / "sqlml.toml").write_text("[sqlml]\n")
    return made


def asked(db, call):
    """A call's answers to the rows, those with a category as missing as the model takes it."""
    return [value for (value,) in db.sql(f"SELECT {call} FROM holed AS t ORDER BY id").fetchall()]


def same(got, expected, answered, **bounds):
    for one, own, there in zip(got, expected, answered, strict=True):
        assert (one is not None) == there
        if there:
            assert one == (own if isinstance(own, str) else pytest.approx(own, **(bounds or {"rel": 1e-9})))


@pytest.mark.long
def test_catboost(folder):
    catboost = pytest.importorskip("catboost")
    options = {"iterations": 20, "depth": 4, "verbose": 0, "allow_writing_files": False, "thread_count": 1}
    model = catboost.CatBoostClassifier(**options, cat_features=["plan", "region"], one_hot_max_size=5)
    model.fit(PEOPLE, LEFT)
    sqlml.log_model(model, name="cat", signature_from=PEOPLE, label="left", registry=f"sqlite:///{folder}/mlflow.db")
    answered = HOLED.plan.notna()
    rows = HOLED.assign(plan=HOLED.plan.fillna(""))
    labels, proba = model.predict(rows), model.predict_proba(rows)
    with sqlml.connect(project=folder) as db:
        fill(db, holed=HOLED.assign(id=HOLED.index))
        for strategy in ("kernel", "python"):
            db.sql(f"CREATE FUNCTION cat_{strategy} USING MODEL 'models:/cat/1' OPTIONS (strategy = '{strategy}')")
            assert db.function(f"cat_{strategy}").strategy == strategy
            same(asked(db, f"cat_{strategy}(t)"), labels, answered)
            same(asked(db, f"cat_{strategy}_score(t)"), proba[:, 1], answered)
            same(asked(db, f"cat_{strategy}_proba(t)['no']"), proba[:, 0], answered)
        db.sql("CREATE FUNCTION cat USING MODEL 'models:/cat/1'")
    one = {"tenure": 3, "price": 20.5, "plan": "pro", "region": "north"}
    assert cold(folder, "cat_score", one) == pytest.approx(model.predict_proba(pd.DataFrame([one]))[0, 1], rel=1e-9)


def cold(folder, call, row):
    """A call's answer in a process of its own, which imports no library of models for it."""
    arguments = ", ".join(f"{name} := {value!r}" for name, value in row.items())
    program = f"""
import sys, sqlml
with sqlml.connect(project={str(folder)!r}) as db:
    print(db.sql("SELECT {call}({arguments})").fetchall()[0][0])
print(sorted({{'mlflow', 'pandas', 'sklearn', 'catboost', 'onnx', 'onnxruntime'}} & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment(), check=True
    )
    answer, imported = done.stdout.splitlines()
    assert imported == "[]"
    return float(answer)


def test_onnx(folder):
    skl2onnx = pytest.importorskip("skl2onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    mlflow_onnx = pytest.importorskip("mlflow.onnx")
    narrow = PEOPLE.assign(price=PEOPLE.price.astype(np.float32), tenure=PEOPLE.tenure.astype(np.float32))
    columns = ColumnTransformer(
        [
            ("n", make_pipeline(SimpleImputer(), StandardScaler()), ["tenure", "price"]),
            ("c", OneHotEncoder(handle_unknown="ignore"), ["plan", "region"]),
        ]
    )
    forest = make_pipeline(columns, RandomForestClassifier(20, max_depth=5, random_state=0)).fit(narrow, LEFT)
    model = skl2onnx.to_onnx(forest, narrow[:1])
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    try:
        kinds = {"tenure": "double", "price": "double", "plan": "string", "region": "string"}
        inputs = Schema([ColSpec(kind, name) for name, kind in kinds.items()])
        mlflow_onnx.save_model(model, str(folder / "onnx"), signature=ModelSignature(inputs), pip_requirements=[])
        made = registry.publish(f"sqlite:///{folder}/mlflow.db", folder / "onnx", name="graph", tags={}, alias=None)
    finally:
        mlflow.set_tracking_uri(None)
    answered = HOLED.plan.notna()
    rows = HOLED.assign(plan=HOLED.plan.fillna(""), tenure=HOLED.tenure.astype(float))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    types = {"tenure": np.float32, "price": np.float32, "plan": object, "region": object}
    labels, proba = session.run(None, {name: rows[name].to_numpy(type_)[:, None] for name, type_ in types.items()})
    with sqlml.connect(project=folder) as db:
        fill(db, holed=HOLED.assign(id=HOLED.index))
        for strategy in ("kernel", "python"):
            db.sql(f"CREATE FUNCTION g_{strategy} USING MODEL 'models:/graph/{made}' OPTIONS (strategy = '{strategy}')")
            assert db.function(f"g_{strategy}").strategy == strategy
            same(asked(db, f"g_{strategy}(t)"), labels, answered)
            same(asked(db, f"g_{strategy}_score(t)"), [row["yes"] for row in proba], answered, **FLOAT32)
            same(asked(db, f"g_{strategy}_proba(t)['no']"), [row["no"] for row in proba], answered, **FLOAT32)
    one = {"tenure": 3.0, "price": 20.5, "plan": "pro", "region": "north"}
    feeds = {name: np.array([[one[name]]], type_) for name, type_ in types.items()}
    assert cold(folder, "g_kernel_score", one) == pytest.approx(session.run(None, feeds)[1][0]["yes"], **FLOAT32)
