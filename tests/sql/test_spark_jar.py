"""A function in a jar: Spark alone answers as the model does, and whoever has no JVM says so."""

from __future__ import annotations

import itertools

import pyarrow as pa
import pytest

import sqlml
from sql.asking import answers, same
from sqlml.errors import CannotPublish, EngineError
from sqlml.planner import most_in_jvm

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def jar(spark, world, tmp_path_factory):
    """`churn` in a jar, and what was said of it."""
    path = tmp_path_factory.mktemp("jar") / "churn.jar"
    with sqlml.connect(spark.newSession(), project=world.folder, publish="needed") as db:
        return path, db.publish("churn", str(path))


def test_spark_alone_answers_as_the_model_does(spark, jar, models, people):
    fresh, (path, (add, setting, *_)) = spark.newSession(), jar
    assert add == f"ADD JAR '{path}'"
    for statement in (add, setting):
        fresh.sql(statement)
    fresh.createDataFrame(pa.Table.from_pandas(people)).createOrReplaceTempView("people")
    names = ", ".join(models["churn"].rows.columns)
    text = f"SELECT sqlml.churn({names}) AS l, sqlml.churn_score({names}) AS s FROM people ORDER BY id"
    found = fresh.sql(text).collect()
    same([row.l for row in found], answers(models["churn"]))
    same([row.s for row in found], answers(models["churn"], "score"))
    plan = fresh.sql(text)._jdf.queryExecution().executedPlan().toString()
    assert "Python" not in plan


def test_who_can_t_write_one(spark, world, tmp_path):
    with (
        sqlml.connect(project=world.folder, publish="needed") as db,
        pytest.raises(CannotPublish, match="made by Spark"),
    ):
        db.publish("churn", str(tmp_path / "x.jar"))
    with sqlml.connect(spark.newSession(), project=world.folder, publish="needed") as db:
        for name, why in (("strict", "on_null"), ("coded", "category")):
            with pytest.raises(CannotPublish, match=why):
                db.publish(name, str(tmp_path / "x.jar"))
    assert list(tmp_path.iterdir()) == []


def test_auto_takes_the_jvm_where_that_is_cheaper(spark, world, models):
    fresh = spark.newSession()
    fresh.createDataFrame(pa.Table.from_pandas(models["logit"].rows)).createOrReplaceTempView("pairs")
    with sqlml.connect(fresh, project=world.folder, publish="needed") as db:
        target = db.explain("SELECT logit(p) FROM pairs p").calls[0].target
        assert (target.strategy, target.description.estimates["kernel"] <= most_in_jvm(2)) == ("jvm", True)
        refused = db.explain("SELECT strict(p) FROM pairs p").calls[0].target
        assert (refused.strategy, "on_null is 'error'" in refused.reason) == ("kernel", True)


def test_a_class_that_answers_wrongly_is_refused(spark, world, models, monkeypatch, tmp_path):
    """The proof is made in Spark, of what Spark itself will run."""
    monkeypatch.setenv("SQLML_CACHE", str(tmp_path))
    from sqlml.engines import spark_jvm

    real = spark_jvm.java_of

    def broken(publication, output):
        java = real(publication, output)
        name = java.class_name.rpartition(".")[2]

        def renamed(text):
            # Spark may hold the right class already, by its name.
            return text.replace(name, f"{name}_broken")

        held = {renamed(place): bytearray(data) for place, data in java.resources.items()}
        for data in held.values():
            data[-1] ^= 1
        source = renamed(java.source if held else java.source.replace("0.0", "0.5", 1))
        return type(java)(renamed(java.class_name), source, {place: bytes(data) for place, data in held.items()})

    monkeypatch.setattr(spark_jvm, "java_of", broken)
    fresh = spark.newSession()
    rows = models["churn"].rows
    fresh.createDataFrame(pa.Table.from_pandas(rows.assign(id=range(len(rows))))).createOrReplaceTempView("people")
    with sqlml.connect(fresh, project=world.folder, publish="needed") as db:
        seen = [db.explain(f"SELECT {name}(p) FROM people p").calls[0].target for name in ("churn", "spend", "tier")]
        assert {target.strategy for target in seen} <= {"jvm", "kernel"}
        assert any(target.strategy == "kernel" and "the JVM can't" in target.reason for target in seen)
        found = db.sql("SELECT churn(p), spend(p), tier(p) FROM people p ORDER BY id").collect()
        for name, place in zip(("churn", "spend", "tier"), itertools.count(), strict=False):
            same([row[place] for row in found], answers(models[name]))


def test_a_bad_row_is_an_error_that_names_it(spark, world):
    text = "SELECT logit(CAST('inf' AS DOUBLE), 1)"
    with sqlml.connect(spark.newSession(), project=world.folder, publish="needed") as db:
        assert db.explain(text).calls[0].target.strategy == "jvm"
        with pytest.raises(Exception) as raised:  # noqa: PT011
            db.sql(text).collect()
        error = raised.value if isinstance(raised.value, sqlml.SqlmlError) else db.engine_error(raised.value)
        assert isinstance(error, EngineError)
        assert "infinite" in str(error)


@pytest.mark.long
def test_an_expression_that_answers_wrongly_is_refused(spark, world, models, people, monkeypatch, tmp_path):
    """It was proved in DuckDB, which says nothing of what Spark makes of it."""
    monkeypatch.setenv("SQLML_CACHE", str(tmp_path))
    from sqlml.engines import spark as engine

    real = engine.macro_body
    monkeypatch.setattr(engine, "macro_body", lambda *args: f"nullif({real(*args)}, 1e300)")
    with sqlml.connect(spark.newSession(), project=world.folder, publish="needed") as db:
        db.register("line_by_sql", "models:/line@champion", strategy="sql", replace=True)
        text = "SELECT line_by_sql(a := 1, b := 2)"
        assert db.explain(text).calls[0].target.strategy == "sql", "the same answers"
        right = db.sql(text).collect()[0][0]
    monkeypatch.setattr(engine, "macro_body", lambda *args: f"1e-3 + {real(*args)}")
    with sqlml.connect(spark.newSession(), project=world.folder) as db:
        for _ in range(2):
            target = db.explain(text).calls[0].target
            assert (target.strategy, "an expression can't: " in target.reason) == ("kernel", True)
        same([db.sql(text).collect()[0][0]], [right])
        same([db._engine.session.sql("SELECT line_by_sql(1, 2)").collect()[0][0]], [right])
        db.drop("line_by_sql")
