"""Which queries answer each row by itself, and what DuckDB is given of them."""

from __future__ import annotations

import pytest

from sqlml.query.rowlocal import NotRowLocal, batched, row_local

NAMES = {"__f_score", "__f_predict_score"}


@pytest.mark.parametrize(
    ("text", "table", "wanted"),
    [
        ("SELECT id, (__f_predict_score(`t`.`x y`)).score AS `f(t)` FROM parquet.`/a b` AS t WHERE t.x > 3",
         "parquet.`/a b`",
         'SELECT id, (__f_predict_score("t"."x y")).score AS "f(t)" FROM __sqlml_source AS "t" WHERE t.x > 3'),
        ("SELECT *, __f_score(x) * 2 AS s FROM db.tab", "db.tab",
         'SELECT *, __f_score(x) * 2 AS s FROM __sqlml_source AS "tab"'),
        ("SELECT CASE WHEN __f_score(x) > 0.5 THEN 'it\\'s' END AS c FROM t", "t",
         "SELECT CASE WHEN __f_score(x) > 0.5 THEN 'it''s' END AS c FROM __sqlml_source AS \"t\""),
    ],
)  # fmt: skip
def test_a_row_by_itself(text, table, wanted):
    found = row_local(text, "spark", NAMES)
    assert (found.table, found.text) == (table, wanted)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SELECT count(*) FROM t", "COUNT"),
        ("SELECT sum(__f_score(x)) FROM t", "SUM"),
        ("SELECT x FROM t LIMIT 3", "LIMIT"),
        ("SELECT DISTINCT x FROM t", "DISTINCT"),
        ("SELECT x FROM t, u", "join"),
        ("SELECT x FROM t TABLESAMPLE (10 ROWS)", "TABLESAMPLE"),
        ("SELECT x / 2 FROM t", "DIV"),
        ("SELECT rand() FROM t", "RAND"),
        ("SELECT mine(x) FROM t", "mine"),
        ("SELECT row_number() OVER (ORDER BY x) FROM t", "WINDOW"),
        ("SELECT (SELECT max(x) FROM u) FROM t", "subquery"),
        ("SELECT x FROM t UNION ALL SELECT x FROM t", "no SELECT"),
        ("WITH q AS (SELECT 1) SELECT x FROM t", "WITH"),
        ("SELECT x FROM range(10)", "range"),
        ("INSERT INTO t SELECT x FROM t", "no SELECT"),
        ("SELECT explode(x) FROM t", "EXPLODE"),
        ("SELECT 1", "one table"),
        ("SELECT (", "read"),
    ],
)
def test_rows_that_need_others(text, reason):
    with pytest.raises(NotRowLocal, match=reason):
        row_local(text, "spark", NAMES)


def test_calls_that_are_left_to_the_reader():
    found = batched("SELECT id, __f(x, y + 1) AS s FROM t JOIN u USING (id) WHERE x > 3 LIMIT 5", "duckdb", {"__f"})
    assert (found.names, found.calls) == (("id", "s"), {1: "__f"})
    assert found.text == (
        "SELECT id AS \"c0\", {'a0': x, 'a1': y + 1} AS \"c1\" FROM t JOIN u USING (id) WHERE x > 3 LIMIT 5"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SELECT 1 + __f(x) AS s FROM t", "inside an expression"),
        ("SELECT __f(x) AS s FROM t WHERE __f(x) > 1", "inside an expression"),
        ("SELECT *, __f(x) AS s FROM t", "star"),
        ("SELECT DISTINCT __f(x) AS s FROM t", "DISTINCT"),
        ("SELECT __f(x) AS s FROM t ORDER BY s", "ORDER BY"),
        ("SELECT __f(x) AS s, count(*) FROM t GROUP BY s", "GROUP BY"),
        ("FROM t", "inside an expression|star|SELECT"),
    ],
)
def test_calls_that_are_not(text, reason):
    with pytest.raises(NotRowLocal, match=reason):
        batched(text, "duckdb", {"__f"})
