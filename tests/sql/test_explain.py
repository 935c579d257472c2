"""EXPLAIN PREDICT, and the golden files: a statement, then what DuckDB and Spark get for it."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest

import sqlml

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("*.sql"))
_BETWEEN = re.compile("^-- (?:DuckDB|Spark) gets:\n", re.MULTILINE)


def normal(sql: str) -> str:
    """Without the session and the version in a function's hidden name, or the code in a catalog's."""
    hidden = re.sub(r"__sqlml_[0-9a-f]{6}_[0-9a-f]{8}_(\w+?)(_native)?\b", r"__\1", sql)
    return re.sub(r"`sqlml_[0-9a-f]{24}`", "`jvm`", hidden)


def parts(path: Path) -> tuple[str, str, str | None]:
    """The statement, what DuckDB gets, and Spark, where the statement is one of its own."""
    statement, duckdb, *spark = _BETWEEN.split(path.read_text(encoding="utf-8"))
    return statement, duckdb, spark[0] if spark else None


@pytest.fixture(scope="module")
def golden(reader):
    reader.sql("CREATE TABLE left_side AS SELECT a, id FROM pairs; CREATE TABLE right_side AS SELECT b, id FROM pairs")
    return reader


@pytest.mark.parametrize("path", GOLDEN, ids=[path.stem for path in GOLDEN])
def test_what_duckdb_gets(golden, path):
    statement, wanted, _ = parts(path)
    plan = golden.explain(statement)
    assert normal(plan.plain or plan.sql).strip() == wanted.strip()
    # What is printed there is what runs.
    if not statement.strip().casefold().startswith(("update", "create")):
        golden.sql(statement).fetchall()


@pytest.fixture(scope="module")
def golden_spark(spark, world, people, pairs):
    fresh = spark.newSession()
    for name, rows in (("people", people), ("pairs", pairs)):
        fresh.createDataFrame(pa.Table.from_pandas(rows, preserve_index=False)).createOrReplaceTempView(name)
    fresh.sql("CREATE OR REPLACE TEMPORARY VIEW left_side AS SELECT a, id FROM pairs")
    fresh.sql("CREATE OR REPLACE TEMPORARY VIEW right_side AS SELECT b, id FROM pairs")
    with sqlml.connect(fresh, project=world.folder, publish="needed") as db:
        yield db


@pytest.mark.spark
@pytest.mark.parametrize("path", [path for path in GOLDEN if parts(path)[2]], ids=lambda path: path.stem)
def test_what_spark_gets(golden_spark, path):
    statement, _, wanted = parts(path)
    plan = golden_spark.explain(statement)
    assert normal(plan.plain or plan.sql).strip() == wanted.strip()
    if not statement.strip().casefold().startswith("create"):
        golden_spark.sql(statement).collect()


def test_there_are_golden_files():
    assert len(GOLDEN) >= 10
    assert sum(parts(path)[2] is not None for path in GOLDEN) >= 10


def test_explain_predict_prints_the_plan(reader):
    text = "SELECT churn(p), predict_score('churn@champion', *), line(a := 1, b := tenure) FROM people AS p"
    printed = "\n".join(line for (line,) in reader.sql(f"EXPLAIN PREDICT {text}").fetchall())
    for line in (
        "churn: churn version 1 (@champion), its answer",
        "churn: churn version 1, the probability of its last class",
        "  strategy: kernel, for its program was proved to answer as the model does",
        "on_null: propagate",
        "    tenure <- p.tenure",
        "    b <- tenure",
        "columns read: ",
        "engine: duckdb, which gets:",
    ):
        assert line.replace("p.tenure", '"p"."tenure"') in printed
    plan = reader.explain(text)
    assert str(plan) == str(reader.explain(f"EXPLAIN PREDICT {text}"))
    held = plan.to_json()
    assert [call["function"] for call in held["calls"]] == ["churn", "churn", "line"]
    assert held["calls"][2]["arguments"] == {"a": "1", "b": "tenure"}
    assert normal(plan.sql).startswith(
        'SELECT (__churn_predict_score("p"."tenure", "p"."price", "p"."plan", "p"."region")).predict AS "churn(p)"'
    )


def test_explaining_runs_nothing(db):
    for text in (
        "DELETE FROM pairs WHERE line(pairs) > 0",
        "CREATE TABLE t AS SELECT line(1, 2) AS y",
        "DROP TABLE pairs",
    ):
        db.sql(f"EXPLAIN PREDICT {text}").fetchall()
        db.explain(text)
    assert db.sql("SELECT count(*) FROM pairs").fetchall() == [(200,)]
    assert "pairs" in db.tables()
    assert "t" not in db.tables()


def test_a_statement_without_a_call(reader):
    (first,), *_ = reader.sql("EXPLAIN PREDICT SELECT 1").fetchall()
    assert first == "No model is called: the statement goes to the engine as it is."
