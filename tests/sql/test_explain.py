"""EXPLAIN PREDICT, and the golden files: a statement, then what DuckDB gets for it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("*.sql"))
_BETWEEN = "-- DuckDB gets:\n"


def normal(sql: str) -> str:
    """Without the session and the version in a function's hidden name."""
    return re.sub(r"__sqlml_[0-9a-f]{6}_[0-9a-f]{8}_(\w+?)(_native)?\b", r"__\1", sql)


@pytest.fixture(scope="module")
def golden(reader):
    reader.sql("CREATE TABLE left_side AS SELECT a, id FROM pairs; CREATE TABLE right_side AS SELECT b, id FROM pairs")
    return reader


@pytest.mark.parametrize("path", GOLDEN, ids=[path.stem for path in GOLDEN])
def test_what_duckdb_gets(golden, path):
    statement, wanted = path.read_text(encoding="utf-8").split(_BETWEEN)
    plan = golden.explain(statement)
    assert normal(plan.sql).strip() == wanted.strip()
    # What is printed there is what runs.
    if not statement.strip().casefold().startswith(("update", "create")):
        golden.sql(statement).fetchall()


def test_there_are_golden_files():
    assert len(GOLDEN) >= 10


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
