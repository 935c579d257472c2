"""Statements that write, prepare, join and read from elsewhere; and names that only look like calls."""

from __future__ import annotations

import duckdb
import pandas as pd
import pytest

import sqlml
from sql.asking import answers, same

NO_CALLS = [
    "SELECT 42",
    "FROM range(3)",
    "SELECT * FROM pairs WHERE a > 1 ORDER BY ALL",
    "PIVOT pairs ON id % 2 USING count(*)",
    "SELECT [x * 2 FOR x IN [1, 2, 3] IF x > 1]",
    "SELECT list_transform([1, 2], lambda x: x + 1)",
    "SELECT 'churn(' || 'p)', $$churn(p)$$, E'\\'churn(1'",
    'SELECT 1 AS "churn(p)"',
    "SELECT TRY_CAST('x' AS INT), 1_000, 0xFF, 1e3, .5, 5 // 2, 2 ** 3, 'xy' ^@ 'x'",
    "PRAGMA version",
    "SHOW TABLES",
    "DESCRIBE pairs",
    "SET threads = 2",
    "EXPLAIN SELECT 1",
    "VALUES (1, 'a'), (2, 'b')",
    "TABLE pairs LIMIT 1",
    "SELECT a: 1, b: 2",
    "SELECT COLUMNS('a|b') FROM pairs LIMIT 2",
    "WITH churn AS (SELECT 1 AS line) SELECT churn.line FROM churn",
    "SELECT line FROM (SELECT 5 AS line) AS churn",
    "SELECT * FROM (SELECT 5, 6) AS line(a, b)",
    "CREATE TABLE line (a INT, churn INT); INSERT INTO line (a, churn) VALUES (1, 2); SELECT churn FROM line",
    "CREATE TABLE churn (id INT PRIMARY KEY); CREATE TABLE x (i INT REFERENCES churn (id)); SELECT 1",
    "CREATE TABLE tier (a INT); COPY tier (a) TO '{folder}/tier.csv'; COPY tier (a) FROM '{folder}/tier.csv'",
    "CREATE TABLE predict (a INT); INSERT INTO predict (a) VALUES (1); FROM predict",
    "CREATE VIEW spend (a) AS SELECT 1; FROM spend",
    "CREATE TABLE logit (a INT); CREATE INDEX i ON logit (a); ALTER TABLE logit ADD COLUMN square INT; FROM logit",
    "WITH line (a, b) AS (SELECT 1, 2) SELECT a + b FROM line",
    "CREATE MACRO twice(x) AS x * 2; SELECT twice(3); DROP MACRO twice",
    "CREATE FUNCTION thrice(x) AS x * 3; SELECT thrice(3)",
    "CREATE MACRO gone(x) AS x; DROP FUNCTION gone; SELECT 1",
    ";",
    "",
    "-- churn(p)",
]


@pytest.mark.parametrize("text", NO_CALLS)
def test_what_holds_no_call_is_duckdb_s(reader, pairs, tmp_path, text):
    """The answer of DuckDB alone to the very text, column names and types included."""
    text = text.replace("{folder}", str(tmp_path))
    with duckdb.connect() as con:
        con.sql("CREATE TABLE pairs AS FROM pairs")
        con.sql("CREATE TABLE people (id INT)")
        reader.sql("BEGIN")
        try:
            wanted, found = con.sql(text), reader.sql(text)
            assert (found is None) == (wanted is None)
            if wanted is not None:
                assert (found.columns, found.types) == (wanted.columns, wanted.types)
                # Without ORDER BY the rows are in no order, as those of PIVOT.
                assert sorted(map(repr, found.fetchall())) == sorted(map(repr, wanted.fetchall()))
        finally:
            found = None
            reader.sql("ROLLBACK")


@pytest.mark.parametrize("text", [text for text in NO_CALLS if ";" not in text])
def test_its_text_is_untouched(reader, text):
    assert reader.explain(text).sql == text


@pytest.mark.parametrize(
    "text", ["SELEC 1", "SELECT 'abc", "SELECT 1 +", "FROM nowhere", "SELECT ¿", "DROP TABLE nope", "SELECT (1"]
)
def test_duckdb_s_own_complaints(reader, text):
    with duckdb.connect() as con, pytest.raises(duckdb.Error) as wanted:
        con.sql(text)
    with pytest.raises(sqlml.SqlmlError) as found:
        reader.sql(text)
    assert str(found.value).splitlines()[0] == str(wanted.value).splitlines()[0]


@pytest.fixture
def score(models):
    return dict(enumerate(answers(models["churn"], "score")))


def check(db, query, score):
    rows = dict(db.sql(query).fetchall())
    assert rows
    same(list(rows.values()), [score[number] for number in rows])


def test_statements_that_write(db, models, score, tmp_path):
    db.sql("CREATE TABLE s AS SELECT id, churn_score(p) AS s FROM people AS p")
    check(db, "FROM s", score)
    assert db.sql("SELECT count(*) FROM s").fetchall() == [(300,)]
    db.sql("DELETE FROM s")
    db.sql("INSERT INTO s SELECT id, churn_score(*) FROM people")
    check(db, "FROM s", score)
    db.sql("DELETE FROM s")
    db.sql("INSERT INTO s BY NAME SELECT churn_score(p) AS s, id FROM people AS p")
    check(db, "FROM s", score)
    db.sql("ALTER TABLE people ADD COLUMN s DOUBLE")
    db.sql("UPDATE people SET s = churn_score(people)")
    check(db, "SELECT id, s FROM people", score)
    db.sql("UPDATE people AS p SET s = -1 WHERE churn(p) = 'yes'")
    wanted = [number for number, label in enumerate(answers(models["churn"])) if label == "yes"]
    assert db.sql("SELECT id FROM people WHERE s = -1 ORDER BY 1").fetchall() == [(number,) for number in wanted]
    db.sql(
        "MERGE INTO s USING people AS p ON s.id = p.id WHEN MATCHED AND churn(p) = 'yes' THEN UPDATE SET s = churn_score(p) + 1"
    )
    assert db.sql("SELECT id FROM s WHERE s > 1 ORDER BY 1").fetchall() == [(number,) for number in wanted]
    for form in ("parquet", "csv"):
        db.sql(f"COPY (SELECT id, churn_score(p) AS s FROM people AS p) TO '{tmp_path}/s.{form}'")
        check(db, f"FROM '{tmp_path}/s.{form}'", score)
    gone = db.sql("DELETE FROM people WHERE churn(people) = 'yes' RETURNING id").fetchall()
    assert sorted(gone) == [(number,) for number in wanted]
    assert db.sql("SELECT count(*) FROM people WHERE churn(people) = 'yes'").fetchall() == [(0,)]


def test_prepared_statements_and_parameters(db, models):
    one = pd.DataFrame({"a": [1.0, 2.0], "b": [2.0, 1.0]})
    first, second = answers(models["line"], rows=one)
    for text, params, wanted in (
        ("SELECT line(?, ?)", [1, 2], first),
        ("SELECT line(b := ?, a := ?)", [2, 1], first),
        ("SELECT line($2, $1)", [1, 2], second),
        ("SELECT line({'b': ?, 'a': ?})", (1, 2), second),
        ("SELECT line(b := $b, a := $a)", {"a": 1, "b": 2}, first),
        ("SELECT line(a := $x, b := $x + 1)", {"x": 1}, first),
        ("SELECT line(p) FROM (SELECT ? AS b, ? AS a) AS p", [2, 1], first),
        ("SELECT line(* REPLACE (? AS b)) FROM (SELECT 1 AS b, ? AS a) LIMIT ?", [2, 1, 1], first),
        ("SELECT 1; SELECT line(?, ?)", [1, 2], first),
    ):
        ((value,),) = db.sql(text, params).fetchall()
        same([value], [wanted])
    assert db.sql("SELECT '?', line(?, 2) IS NULL -- ?", [None]).fetchall() == [("?", True)]
    db.sql("PREPARE q AS SELECT line(b := $1, a := $2)")
    ((value,),) = db.sql("EXECUTE q(2, 1)").fetchall()
    same([value], [first])
    db.sql("PREPARE r AS SELECT churn(p) FROM people AS p WHERE churn_score(p) > ? ORDER BY id")
    wanted = [x for x, s in zip(answers(models["churn"]), answers(models["churn"], "score"), strict=True) if s > 0.4]
    same([value for (value,) in db.sql("EXECUTE r(0.4)").fetchall()], wanted)


def test_several_statements_in_one_text(db):
    text = "CREATE TABLE z AS SELECT ';' AS s, line(1, 2) AS y; /* ; */ INSERT INTO z VALUES ('--', line(2, 1)); FROM z; -- ;"
    found = db.sql(text).fetchall()
    assert [text for text, _ in found] == [";", "--"]
    assert found[0][1] == pytest.approx(2.0)
    assert found[1][1] == pytest.approx(6.0)


SPLIT = "CREATE TABLE l AS SELECT a, id FROM pairs; CREATE TABLE r AS SELECT id, b FROM pairs"
JOINS = [
    "l JOIN r USING (id)",
    "l NATURAL JOIN r",
    "l FULL JOIN r USING (id)",
    "l RIGHT JOIN r USING (id)",
    "l, r WHERE l.id = r.id",
    "(l JOIN r USING (id))",
    "(SELECT * FROM l JOIN r USING (id)) AS x",
    "l JOIN r USING (id) LEFT JOIN people USING (id)",
    "pairs SEMI JOIN l USING (id)",
    "l JOIN r ON l.id = r.id, LATERAL (SELECT l.id + 1 AS more) AS q",
    "pairs AS p JOIN LATERAL (SELECT p.id AS same) AS q ON true",
]


@pytest.mark.parametrize("join", JOINS)
def test_a_star_over_a_join(db, models, join):
    db.sql(SPLIT)
    order = "l.id" if "l.id" in join else "id"
    found = db.sql(f"SELECT line(*) FROM {join} ORDER BY {order}").fetchall()
    same([value for (value,) in found], answers(models["line"]))


def test_the_columns_that_a_full_join_makes_one_of_two(db, models):
    db.sql(
        "CREATE TABLE l AS SELECT a FROM pairs WHERE id < 5; CREATE TABLE r AS SELECT a, b FROM pairs WHERE id IN (3, 4, 5, 6)"
    )
    found = db.sql("SELECT line(*), line(a, b) FROM l FULL JOIN r USING (a)").fetchall()
    wanted = {round(value, 9) for number, value in enumerate(answers(models["line"])) if number in (3, 4, 5, 6)}
    assert {None if value is None else round(value, 9) for value, _ in found} == wanted | {None}
    assert all(one == other for one, other in found)


def test_lateral_rows(db, models):
    held = models["line"].rows
    wanted = answers(models["line"], rows=held.assign(b=held.a * 2))
    for call in ("line(u)", "line(u.*)"):
        text = f"SELECT {call} FROM pairs AS p, LATERAL (SELECT p.a AS a, p.a * 2 AS b) AS u ORDER BY p.id"
        same([value for (value,) in db.sql(text).fetchall()], wanted)


def test_excluding_one_table_s_columns(db, models):
    text = "SELECT line(* EXCLUDE (q.a, q.b)) FROM pairs AS p JOIN pairs AS q USING (id) ORDER BY id"
    same([value for (value,) in db.sql(text).fetchall()], answers(models["line"]))


def test_where_the_rows_come_from(db, models, pairs, tmp_path):
    wanted = answers(models["line"])
    setup = f"""
        CREATE SCHEMA s; CREATE TABLE s.t AS FROM pairs;
        ATTACH ':memory:' AS other; CREATE TABLE other.main.t AS FROM pairs;
        COPY pairs TO '{tmp_path}/rows.csv'; COPY pairs TO '{tmp_path}/rows.parquet';
        CREATE VIEW v AS FROM pairs; CREATE TEMP TABLE tt AS FROM pairs
    """
    db.sql(setup)
    frame = pairs
    for call, source in (
        ("t", "s.t"),
        ("s.t", "s.t"),
        ("t.*", "s.t"),
        ("*", "other.t"),
        ("t", "other.main.t"),
        ("a := other.main.t.a, b := t.b", "other.main.t"),
        ("*", f"'{tmp_path}/rows.csv'"),
        ("rows", f"'{tmp_path}/rows.csv'"),
        ("* REPLACE (b + 0 AS b)", f"'{tmp_path}/rows.parquet'"),
        ("p", f"read_parquet('{tmp_path}/rows.parquet') AS p"),
        ("*", "frame"),
        ("f.*", "frame AS f"),
        ("v", "v"),
        ("*", "tt"),
        ("*", "query_table('pairs')"),
        ("x", "(SELECT b, a, id FROM pairs) AS x(b, a, id)"),
    ):
        found = db.sql(f"SELECT line({call}) FROM {source} ORDER BY id").fetchall()
        same([value for (value,) in found], wanted)
    found = db.sql("SELECT line(p) FROM read_parquet(?) AS p ORDER BY id", [f"{tmp_path}/rows.parquet"]).fetchall()
    same([value for (value,) in found], wanted)
    assert len(frame) == 200


def test_macros_and_views_that_call(db, models):
    db.sql(
        "CREATE VIEW v AS SELECT id, churn_score(p) AS s, churn(*) AS l, predict('churn', p.*) AS m FROM people AS p"
    )
    ids, scores, labels, again = zip(*db.sql("FROM v ORDER BY id").fetchall(), strict=True)
    assert len(ids) == 300
    same(scores, answers(models["churn"], "score"))
    same(labels, answers(models["churn"]))
    assert labels == again
    db.sql("CREATE OR REPLACE TEMP MACRO risk(p, q) AS line(b := q, a := p)")
    db.sql("CREATE MACRO risks() AS TABLE SELECT line(p) AS y FROM pairs AS p ORDER BY id")
    same([value for (value,) in db.sql("SELECT risk(a, b) FROM pairs ORDER BY id").fetchall()], answers(models["line"]))
    same([value for (value,) in db.sql("FROM risks()").fetchall()], answers(models["line"]))


def test_names_that_are_also_functions(db, models):
    wanted = answers(models["line"], rows=pd.DataFrame({"a": [5.0], "b": [6.0]}))
    for text in (
        "WITH line AS (SELECT 5 AS a, 6 AS b) SELECT line(line) FROM line",
        "WITH line(a, b) AS (SELECT 5, 6) SELECT line(a, b) FROM line",
        "SELECT line(line) FROM (SELECT 5, 6) AS line(a, b)",
        "SELECT line(line.*) FROM (SELECT 5 AS a, 6 AS b) AS line",
        "SELECT line(churn, line) FROM (SELECT 5 AS churn, 6 AS line)",
        "SELECT 'line(1, 2, 3)' IS NULL OR line(5, 6) < 0 OR NULL, line(5, 6) -- line(\n /* churn( */",
    ):
        same([db.sql(text).fetchall()[0][-1]], wanted)


def test_explain_analyze_and_summarize(db):
    kind, plan = db.sql("EXPLAIN ANALYZE SELECT churn(p) FROM people AS p").fetchall()[0]
    assert kind == "analyzed_plan"
    assert "300" in plan
    found = db.sql("SUMMARIZE SELECT churn(p) AS l FROM people AS p").fetchall()
    assert found[0][:4] == ("l", "VARCHAR", "no", "yes")


STORED = [
    "CREATE TABLE d (x INT, y DOUBLE DEFAULT (line(1, 2)))",
    "CREATE TABLE g (x INT, y DOUBLE GENERATED ALWAYS AS (line(x, 2)))",
    "CREATE TABLE c (x INT CHECK (line(a := x, b := 0) > 0))",
    "CREATE VIEW v AS SELECT line(a := 1, b := 2) AS y, line({'b': 2, 'a': 1}) AS z",
    "CREATE MACRO m(x) AS line(x, 2)",
]


def test_what_a_file_keeps_is_there_for_the_next_session(world, tmp_path):
    """Functions are kept by their public names: those of one session mean nothing to the next."""
    path = str(tmp_path / "kept.duckdb")
    with sqlml.connect(path, project=world.folder) as db:
        for statement in STORED:
            db.sql(statement)
    with duckdb.connect(path) as con:
        kept = con.sql(
            "SELECT sql FROM duckdb_tables() UNION ALL SELECT sql FROM duckdb_views() WHERE NOT internal"
        ).fetchall()
        assert len(kept) == 4
        assert not [sql for (sql,) in kept if "__sqlml" in sql]
    with sqlml.connect(path, project=world.folder) as db:
        db.sql("INSERT INTO d (x) VALUES (1); INSERT INTO g (x) VALUES (1); INSERT INTO c VALUES (1)")
        for text in ("SELECT y FROM d", "SELECT y FROM g", "SELECT y FROM v", "SELECT z FROM v", "SELECT m(1)"):
            ((value,),) = db.sql(text).fetchall()
            assert value == pytest.approx(2.0)
        with pytest.raises(sqlml.SqlmlError, match="Constraint"):
            db.sql("INSERT INTO c VALUES (-1)")
