"""EXPLAIN PREDICT ANALYZE: what a query takes, with its rewrites and without."""

from __future__ import annotations

import json
import re

import pytest

import sqlml

ROWS = 30_000


@pytest.fixture(scope="module")
def always(world, pairs):
    with sqlml.connect(project=world.folder, rewrites="always") as db:
        db.sql(f"CREATE TABLE many AS SELECT p.*, i FROM pairs AS p, range({ROWS // len(pairs)}) AS r(i)")
        assert len(pairs)
        yield db


def test_rows_and_trees_are_counted(always):
    found = always.analyze("SELECT count(*) FROM many AS m WHERE hist(m) > 0 AND i < 10")
    assert found.plain is None or found.plain.rows_scored == found.rewritten.rows_scored
    assert found.rewritten.rows_scored == always.sql("SELECT count(*) FROM many WHERE i < 10").fetchall()[0][0]
    # Groups of rows that the filter excludes are not read.
    rows = always.sql("SELECT count(*) FROM many").fetchall()[0][0]
    assert found.rewritten.rows_scored <= found.rewritten.rows_read <= rows
    assert found.rewritten.trees >= found.rewritten.rows_scored


def test_what_is_computed_once_is_scored_once(always):
    text = "SELECT count(*), avg(logit_score(m)) FROM many AS m WHERE logit_score(m) > 0.5"
    found = always.analyze(text)
    kept = always.sql("SELECT count(*) FROM many AS m WHERE logit_score(m) > 0.5").fetchall()[0][0]
    rows = always.sql("SELECT count(*) FROM many").fetchall()[0][0]
    # The range that the filter implies keeps some from the model.
    assert kept <= found.rewritten.rows_scored <= rows
    assert found.plain.rows_scored == rows + kept
    assert "once a row" in str(always.explain(text))


def test_as_a_statement(always):
    text = "SELECT count(*), avg(logit_score(m)) FROM many AS m WHERE logit_score(m) > 0.5"
    lines = [line for (line,) in always.sql(f"EXPLAIN PREDICT ANALYZE {text}").fetchall()]
    assert lines[:-2] == str(always.explain(text)).splitlines()
    assert re.fullmatch(r"with the rewrites: [\d,]+ rows read, [\d,]+ scored, [\d,]+ trees .* ms", lines[-2])
    assert lines[-1].startswith("without them: ")
    assert json.loads(json.dumps(always.analyze(text).to_json()))["plain"]["rows_scored"] > 0


def test_without_a_model(always):
    found = always.analyze("SELECT count(*) FROM many")
    assert (found.rewritten.rows_scored, found.plain) == (0, None)
    assert str(found).startswith("as it is: ")


@pytest.mark.parametrize("text", ["DROP TABLE many", "CREATE TABLE other AS SELECT logit(m) AS y FROM many AS m"])
def test_what_writes_is_not_run(always, text):
    with pytest.raises(sqlml.SqlmlError, match="EXPLAIN PREDICT alone"):
        always.sql(f"EXPLAIN PREDICT ANALYZE {text}")
    assert "many" in always.tables()
    assert "other" not in always.tables()


@pytest.fixture(scope="module")
def on_spark(spark, world, pairs, tmp_path_factory):
    path = tmp_path_factory.mktemp("analyze") / "pairs.parquet"
    pairs.to_parquet(path)
    fresh = spark.newSession()
    fresh.read.parquet(str(path)).createOrReplaceTempView("pairs")
    with sqlml.connect(fresh, project=world.folder, publish="needed", rewrites="always") as db:
        for strategy in ("kernel", "sql"):
            db.register(f"logit_by_{strategy}", "models:/logit@champion", strategy=strategy, replace=True)
        yield db
        for strategy in ("kernel", "sql"):
            db.drop(f"logit_by_{strategy}")


@pytest.mark.spark
@pytest.mark.parametrize("name", ["logit", "logit_by_kernel"])
def test_spark_s_operators_count(on_spark, pairs, name):
    text = f"SELECT count(*), avg({name}_score(p)) FROM pairs AS p WHERE {name}_score(p) > 0.5"
    found = on_spark.analyze(text)
    kept = on_spark.sql(f"SELECT count(*) FROM pairs AS p WHERE {name}_score(p) > 0.5").collect()[0][0]
    rows = len(pairs)
    assert 0 < kept < rows
    assert found.rewritten.rows_read == rows
    # The range that the filter implies keeps some from the model.
    assert kept <= found.rewritten.rows_scored <= rows
    assert (found.plain.rows_read, found.plain.rows_scored) == (rows, rows + kept)
    assert found.rewritten.trees is None
    assert re.fullmatch(r"with the rewrites: [\d,]+ rows read, [\d,]+ scored, [\d.]+ ms", str(found).splitlines()[0])


@pytest.mark.spark
def test_spark_s_own_expressions_are_not_counted(on_spark):
    with pytest.raises(sqlml.SqlmlError, match="Spark's own"):
        on_spark.sql("EXPLAIN PREDICT ANALYZE SELECT logit_by_sql(p) FROM pairs AS p")
