"""Models of other libraries, asked in SQL through every strategy that they have."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import sqlml
from sql.conftest import fill
from sql.fitted import customers
from sql.test_threads import environment

PEOPLE = customers(200)
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


def same(got, expected, answered):
    for one, own, there in zip(got, expected, answered, strict=True):
        assert (one is not None) == there
        if there:
            assert one == (own if isinstance(own, str) else pytest.approx(own, rel=1e-9))


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
            same(asked(db, f"cat_{strategy}(t)"), labels, answered)
            same(asked(db, f"cat_{strategy}_score(t)"), proba[:, 1], answered)
            same(asked(db, f"cat_{strategy}_proba(t)['no']"), proba[:, 0], answered)
        db.sql("CREATE FUNCTION cat USING MODEL 'models:/cat/1'")
    program = f"""
import sys, sqlml
with sqlml.connect(project={str(folder)!r}) as db:
    text = "SELECT cat_score(tenure := 3, price := 20.5, plan := 'pro', region := 'north')"
    print(db.sql(text).fetchall()[0][0], sorted({{'mlflow', 'pandas', 'sklearn', 'catboost'}} & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment(), check=True
    )
    one = pd.DataFrame({"tenure": [3], "price": [20.5], "plan": ["pro"], "region": ["north"]})
    shown, _, imported = done.stdout.strip().partition(" ")
    assert float(shown) == pytest.approx(model.predict_proba(one)[0, 1], rel=1e-9)
    assert imported == "[]"
