"""How a function runs changes no answer: each strategy, by each way into the engine, beside the model itself."""

from __future__ import annotations

import subprocess
import sys

import duckdb
import numpy as np
import pytest

import sqlml
from sql.asking import answers, same
from sql.conftest import fill
from sql.test_threads import environment
from sqlml.errors import CannotPublish, UnknownFunction
from sqlml.models.compiled import Compiled


@pytest.fixture(scope="module")
def strategies(world, tmp_path_factory):
    """A project in which `logit`, `line` and `churn` are there once by each strategy."""
    folder = world.copy(tmp_path_factory.mktemp("strategies"))
    with sqlml.connect(project=folder) as session:
        for name in ("logit", "line", "churn"):
            for strategy in ("kernel", "sql", "python"):
                session.register(f"{name}_by_{strategy}", f"models:/{name}@champion", strategy=strategy)
    return folder


@pytest.fixture(params=["auto", "off"])
def doors(request, strategies, people, pairs):
    with sqlml.connect(project=strategies, native=request.param) as session:
        fill(session, people=people, pairs=pairs)
        yield session


@pytest.mark.parametrize("strategy", ["kernel", "sql", "python"])
@pytest.mark.parametrize(("name", "table"), [("logit", "pairs"), ("line", "pairs"), ("churn", "people")])
def test_each_strategy_answers_as_the_model_does(doors, models, people, pairs, name, table, strategy):
    rows = {"people": people, "pairs": pairs}[table]
    function, held = f"{name}_by_{strategy}", models[name]
    found = doors.sql(f"SELECT {function}(t) FROM {table} AS t ORDER BY id").fetchall()
    same([value for (value,) in found], answers(held, "predict", rows))
    plan = doors.explain(f"SELECT {function}(t) FROM {table} AS t")
    assert plan.calls[0].target.strategy == strategy
    if "score" in doors.function(function).outputs:
        text = f"SELECT {function}_score(t), {function}_proba(t) FROM {table} AS t ORDER BY id"
        scores, chances = zip(*doors.sql(text).fetchall(), strict=True)
        same(scores, answers(held, "score", rows))
        same(chances, answers(held, "proba", rows))


def holed(rows, columns):
    rows = rows.copy()
    for place, column in enumerate(columns):
        rows.loc[rows.index % 7 == place, column] = None
    return rows


@pytest.mark.parametrize(("name", "table"), [("logit", "pairs"), ("churn", "people")])
@pytest.mark.parametrize("row", ["t", "struct_pack({})"])
def test_outputs_asked_together_are_those_asked_alone(doors, people, pairs, name, table, row):
    rows = {"people": people, "pairs": pairs}[table]
    row = row.format(", ".join(f"{column} := {column}" for column in rows.columns))
    fill(doors, holed_rows=holed(rows, list(rows.columns[1:3])))
    calls = [f"{name}_by_kernel{suffix}({row})" for suffix in ("", "_score", "_proba")]
    calls += [f"predict_score('{name}_by_python', t)"]
    together = f"SELECT {', '.join(calls)} FROM holed_rows AS t ORDER BY id"
    assert all(len(call.shared) == 3 for call in doors.explain(together).calls[:3])
    alone = [doors.sql(f"SELECT {call} FROM holed_rows AS t ORDER BY id").fetchall() for call in calls]
    found = list(zip(*doors.sql(together).fetchall(), strict=True))
    assert found == [tuple(value for (value,) in column) for column in alone]
    assert None in found[0]
    same(found[1], list(found[3]))
    predicted = doors.sql(f"FROM ML.PREDICT(MODEL {name}_by_kernel, TABLE holed_rows) ORDER BY id").fetchall()
    assert [values[-2] for values in predicted] == list(found[0])


@pytest.mark.parametrize("name", ["logit", "line", "churn"])
def test_a_null_is_the_same_to_each(doors, people, pairs, name):
    table = holed(people, ["tenure", "plan"]) if name == "churn" else holed(pairs, ["a", "b"])
    shown = []
    fill(doors, holed_rows=table)
    for strategy in ("kernel", "sql", "python"):
        shown.append(doors.sql(f"SELECT {name}_by_{strategy}(t) FROM holed_rows AS t ORDER BY id").fetchall())
    first = [value for (value,) in shown[0]]
    for others in shown[1:]:
        same([value for (value,) in others], first)


def test_the_engine_s_own_sql_takes_the_same_way(strategies, models, pairs):
    with duckdb.connect() as con, sqlml.connect(con, project=strategies):
        con.register("rows", pairs)
        con.execute("CREATE TABLE pairs AS FROM rows").fetchall()
        for call in (
            "logit_by_kernel_score(a, b)",
            "logit_by_kernel_score(b := b, a := a)",
            "logit_by_kernel_score(pairs)",
        ):
            found = con.sql(f"SELECT {call} FROM pairs ORDER BY id").fetchall()
            same([value for (value,) in found], answers(models["logit"], "score", pairs))


def test_kernels_on_two_threads(strategies, models, pairs):
    with sqlml.connect(project=strategies) as db:
        fill(db, pairs=pairs)
        db.sql("SET threads = 2")
        text = "SELECT sum(logit_by_kernel_score(p)) FROM (FROM pairs, range(200)) AS p"
        found = db.sql(text).fetchall()[0][0]
    assert found == pytest.approx(200 * np.sum(answers(models["logit"], "score", pairs)), rel=1e-9)


def test_a_cold_process_imports_no_model_library(strategies):
    program = f"""
import sys, sqlml
with sqlml.connect(project={str(strategies)!r}) as db:
    assert db.sql("SELECT logit_by_kernel(a := 1.0, b := 2.0)").fetchall()[0][0] is not None
of_extras = {{'mlflow', 'sklearn', 'pandas', 'skops', 'numba', 'lightgbm', 'threadpoolctl', 'yaml'}}
print(sorted(of_extras & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment(), check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_published_function_needs_no_sqlml(strategies, models, pairs, tmp_path):
    pairs.to_parquet(tmp_path / "pairs.parquet")
    with sqlml.connect(project=strategies) as db:
        assert len(db.publish("logit_by_sql", str(tmp_path / "made.duckdb"))) == 3
        assert "CREATE OR REPLACE FUNCTION" in db.statements("logit_by_sql", "spark")[0]
        db.register("hist_one", "models:/hist@champion", strategy="python")
        with pytest.raises(CannotPublish, match="'hist_one'"):
            db.publish("hist_one", str(tmp_path / "none.duckdb"))
        with pytest.raises(UnknownFunction):
            db.publish("nobody", str(tmp_path / "none.duckdb"))
    program = """
import sys, duckdb
with duckdb.connect("made.duckdb") as con:
    text = "SELECT logit_by_sql_score(t) FROM 'pairs.parquet' AS t ORDER BY id"
    print([value for (value,) in con.sql(text).fetchall()], "sqlml" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=True)
    shown, _, imported = done.stdout.strip().rpartition(" ")
    assert imported == "False"
    same([float(value) for value in shown.strip("[]").split(", ")], answers(models["logit"], "score", pairs))


def test_verify_compares_on_your_rows(strategies, people, monkeypatch):
    with sqlml.connect(project=strategies, native="off") as db:
        fill(db, people=people)
        told = []
        found = db.verify("churn_by_kernel", "people", told.append)
        assert (found.rows, found.label_mismatches, found.differing) == (len(people), 0, ())
        assert told == [len(people)]
        assert {proof.strategy for proof in db.prove("churn_by_kernel")} >= {"kernel", "python"}
    answer = Compiled.together

    def first(self, outputs, given):
        return [array.take([0] * len(given[0])) for array in answer(self, outputs, given)]

    monkeypatch.setattr(Compiled, "together", first)
    with sqlml.connect(project=strategies, native="off") as db:
        fill(db, people=people)
        found = db.verify("churn_by_kernel", "people")
        assert found.label_mismatches > 0
        assert len(found.differing) == 5
        assert {"tenure", "the model's", "the function's"} <= set(found.differing[0])


def test_models_of_one_program_are_each_proved_by_their_own_labels(world):
    """The same weights, other labels: what one model answered must not stand for the other."""
    with sqlml.connect(project=world.folder) as db:
        names = ("logit", "int_label", "bool_label", "null_label")
        targets = [db._target(name) for name in names]
        assert len({target.description.program for target in targets}) == 1
        for target in targets:
            compiled = db._backing.answerer(target).compiled()
            assert db._backing.answerer(target).refuted(compiled) is None
