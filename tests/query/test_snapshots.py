"""What a statement reads of prediction tables is found, and gives way to what stands for it; the rest stays."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlml.errors import SyntaxMistake
from sqlml.query.snapshots import At, normalized, references, with_snapshots

DIALECTS = ("duckdb", "spark")
both = pytest.mark.parametrize("dialect", DIALECTS)

NOISE = st.lists(st.sampled_from([" ", "\n", "\t", "/* AS ; ' */", "-- KEY ( ' ;\n"]), min_size=1, max_size=3)
QUERY_WORDS = ["SELECT", "a", ".", "x", ",", "'It; -- X'", "FROM", "predictions", ".", "a", "WHERE", "x", ">=", "1.5"]


@given(st.data(), st.sampled_from(DIALECTS))
def test_layout_leaves_a_query_what_it_is(data, dialect):
    text = "".join(data.draw(NOISE))
    for word in QUERY_WORDS:
        other = word if word.startswith("'") else data.draw(st.sampled_from([word, word.lower(), word.upper()]))
        text += other + "".join(data.draw(NOISE))
    assert normalized(text, dialect) == normalized(" ".join(QUERY_WORDS), dialect)
    assert references(text, dialect) == ("a",)


@pytest.mark.parametrize(
    ("one_text", "other"),
    [
        ("SELECT 'a'", "SELECT 'A'"),
        ("SELECT 'a  b'", "SELECT 'a b'"),
        ('SELECT "a"', 'SELECT "A"'),
        ('SELECT "a"', "SELECT a"),
        ("SELECT ab", "SELECT a b"),
        ("SELECT a >= 1", "SELECT a > 1"),
        ("SELECT 'a' -- x", "SELECT '-- x'"),
        ("SELECT $$a$$", "SELECT $$A$$"),
        ("SELECT 'unclosed", "SELECT 'Unclosed"),
    ],
)
def test_queries_that_differ(one_text, other):
    assert normalized(one_text, "duckdb") != normalized(other, "duckdb")


def test_queries_that_differ_in_layout_alone():
    assert normalized("SELECT a\nGROUP\n BY b", "duckdb") == normalized("select A group /* x */ by B -- y", "duckdb")
    assert normalized("SELECT 1L", "spark") == "select 1l"
    assert normalized("SELECT 1L", "spark") != normalized("SELECT 1 L", "spark")


def shown(name: str, at: At | None) -> str:
    return f"s_{name}" if at is None else f"{at.kind}_of({name}, '{at.value}')"


# A statement, and what it becomes; the same in both dialects.
REPLACED = [
    ("SELECT x.a FROM predictions.x", "SELECT x.a FROM s_x AS x"),
    ("SELECT a FROM PREDICTIONS . X WHERE a", "SELECT a FROM s_x AS X WHERE a"),
    ("SELECT a FROM predictions.x AS r", "SELECT a FROM s_x AS r"),
    ("SELECT a FROM predictions.x r", "SELECT a FROM s_x r"),
    ("SELECT a FROM predictions.x -- so\n r, t", "SELECT a FROM s_x -- so\n r, t"),
    ("SELECT a FROM predictions /* a */ . -- b\n x;", "SELECT a FROM s_x AS x;"),
    ("SELECT * FROM predictions.date", "SELECT * FROM s_date AS {date}"),
    ("SELECT * FROM predictions.x VERSION AS OF 12", "SELECT * FROM version_of(x, '12') AS x"),
    ("SELECT * FROM predictions.x FOR VERSION AS OF '12' r", "SELECT * FROM version_of(x, '12') r"),
    ("SELECT * FROM predictions.x FOR SYSTEM_VERSION AS OF 1", "SELECT * FROM version_of(x, '1') AS x"),
    (
        "SELECT * FROM predictions.x timestamp AS /* so */ OF '2024-01-31' AS r",
        "SELECT * FROM timestamp_of(x, '2024-01-31') AS r",
    ),
    (
        "SELECT * FROM predictions.x FOR TIMESTAMP AS OF TIMESTAMP '2024-01-31' JOIN t",
        "SELECT * FROM timestamp_of(x, '2024-01-31') AS x JOIN t",
    ),
    (
        "SELECT * FROM predictions.x FOR SYSTEM_TIME AS OF DATE '2024-01-31', predictions.x AS now",
        "SELECT * FROM timestamp_of(x, '2024-01-31') AS x, s_x AS now",
    ),
    ("SELECT version FROM predictions.x version", "SELECT version FROM s_x version"),
    (
        "SELECT x.a FROM t, predictions.x LEFT JOIN predictions.y ON x.a = y.a, predictions.z",
        "SELECT x.a FROM t, s_x AS x LEFT JOIN s_y AS y ON x.a = y.a, s_z AS z",
    ),
    ("SELECT 1 FROM (predictions.x r JOIN predictions.y ON true)", "SELECT 1 FROM (s_x r JOIN s_y AS y ON true)"),
    (
        "SELECT (SELECT max(a) FROM predictions.x) FROM f(1, 2), t",
        "SELECT (SELECT max(a) FROM s_x AS x) FROM f(1, 2), t",
    ),
    (
        "WITH q AS (SELECT * FROM predictions.x) SELECT * FROM q WHERE a IN (SELECT a FROM predictions.y)",
        "WITH q AS (SELECT * FROM s_x AS x) SELECT * FROM q WHERE a IN (SELECT a FROM s_y AS y)",
    ),
    (
        "SELECT predictions.x.a, max(Predictions.X.b) FROM predictions.x ORDER BY predictions.x.a, predictions.y.c",
        "SELECT x.a, max(X.b) FROM s_x AS x ORDER BY x.a, predictions.y.c",
    ),
    ("SELECT 1 FROM predictions.x UNION TABLE predictions.y", "SELECT 1 FROM s_x AS x UNION SELECT * FROM s_y AS y"),
    ("TABLE predictions.x ORDER BY a LIMIT 1", "SELECT * FROM s_x AS x ORDER BY a LIMIT 1"),
    ("SELECT * FROM (TABLE predictions.x) AS q", "SELECT * FROM (SELECT * FROM s_x AS x) AS q"),
    ("SELECT * FROM ML.PREDICT(MODEL f, TABLE predictions.x)", "SELECT * FROM ML.PREDICT(MODEL f, TABLE s_x)"),
    ("SELECT * FROM f(TABLE(predictions.x))", "SELECT * FROM f(TABLE(s_x))"),
    ("CREATE VIEW v AS SELECT * FROM predictions.x", "CREATE VIEW v AS SELECT * FROM s_x AS x"),
    ("CREATE TABLE t AS SELECT * FROM predictions.x", "CREATE TABLE t AS SELECT * FROM s_x AS x"),
    ("INSERT INTO predictions.y SELECT * FROM predictions.x", "INSERT INTO predictions.y SELECT * FROM s_x AS x"),
    ("INSERT INTO t TABLE predictions.x", "INSERT INTO t SELECT * FROM s_x AS x"),
    ("INSERT INTO t (a, b) TABLE predictions.x", "INSERT INTO t (a, b) SELECT * FROM s_x AS x"),
    ("EXPLAIN SELECT * FROM predictions.x", "EXPLAIN SELECT * FROM s_x AS x"),
    ("DESCRIBE predictions.x", "DESCRIBE SELECT * FROM s_x AS x"),
    (
        "MERGE INTO predictions.y USING predictions.x ON x.a = y.a WHEN MATCHED THEN UPDATE SET b = x.b",
        "MERGE INTO predictions.y USING s_x AS x ON x.a = y.a WHEN MATCHED THEN UPDATE SET b = x.b",
    ),
    ("UPDATE t SET a = y.a FROM predictions.y", "UPDATE t SET a = y.a FROM s_y AS y"),
    *(
        (f"SELECT a FROM predictions.x {behind}", f"SELECT a FROM s_x AS x {behind}")
        for behind in (
            *(
                "WHERE a",
                "GROUP BY a",
                "GROUP /* so */ BY a",
                "HAVING a",
                "ORDER BY a",
                "LIMIT 1",
                "OFFSET 1",
                "EXCEPT",
            ),
            *(
                "CROSS JOIN t",
                "NATURAL JOIN t",
                "FULL JOIN t",
                "SEMI JOIN t",
                "ANTI JOIN t",
                "PIVOT (sum(b) FOR a IN (1))",
            ),
            *("WINDOW w AS ()", "QUALIFY a", "LATERAL VIEW explode(a)", "UNION ALL", "|> WHERE a", "SORT BY a"),
        )
    ),
]


@both
@pytest.mark.parametrize(("text", "replaced"), REPLACED)
def test_a_table_gives_way(dialect, text, replaced):
    quoted_date = {"duckdb": '"date"', "spark": "`date`"}[dialect]
    assert with_snapshots(text, dialect, shown) == replaced.replace("{date}", quoted_date)
    assert with_snapshots(text, dialect, lambda name, at: None) == text
    assert references(text, dialect)


@pytest.mark.parametrize(
    ("dialect", "text", "replaced"),
    [
        ("duckdb", 'FROM "predictions"."x" SELECT a', 'FROM s_x AS "x" SELECT a'),
        ("duckdb", 'SELECT 1 FROM predictions.x "my r"', 'SELECT 1 FROM s_x "my r"'),
        ("duckdb", "FROM r: predictions.x, predictions.y", "FROM r: s_x, s_y AS y"),
        ("duckdb", "FROM predictions.x TABLESAMPLE 10%", "FROM s_x AS x TABLESAMPLE 10%"),
        ("duckdb", "FROM predictions.x POSITIONAL JOIN t", "FROM s_x AS x POSITIONAL JOIN t"),
        ("duckdb", "PIVOT predictions.x ON a USING sum(b)", "PIVOT s_x AS x ON a USING sum(b)"),
        ("duckdb", "SUMMARIZE predictions.x", "SUMMARIZE SELECT * FROM s_x AS x"),
        ("duckdb", "COPY predictions.x TO 'a.csv'", "COPY (SELECT * FROM s_x AS x) TO 'a.csv'"),
        ("spark", "SELECT 1 FROM `predictions`.`x`", "SELECT 1 FROM s_x AS `x`"),
        ("spark", "SELECT 1 FROM predictions.x TABLESAMPLE (1 ROWS)", "SELECT 1 FROM s_x TABLESAMPLE (1 ROWS) AS x"),
        (
            "spark",
            "SELECT 1 FROM predictions.x TABLESAMPLE (1 ROWS) REPEATABLE (3) r",
            "SELECT 1 FROM s_x TABLESAMPLE (1 ROWS) REPEATABLE (3) r",
        ),
        ("spark", "SELECT 1 FROM predictions.x MINUS SELECT 1", "SELECT 1 FROM s_x AS x MINUS SELECT 1"),
        ("spark", "INSERT OVERWRITE TABLE t TABLE predictions.x", "INSERT OVERWRITE TABLE t SELECT * FROM s_x AS x"),
    ],
)
def test_a_table_gives_way_in_one_dialect(dialect, text, replaced):
    assert with_snapshots(text, dialect, shown) == replaced


@both
@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'FROM predictions.x', 1 -- FROM predictions.x\n/* FROM predictions.x */",
        "SELECT 1 FROM other.predictions.x",
        "SELECT 1 FROM predictions.x.y",
        "SELECT predictions.risk, predictions.x FROM t AS predictions WHERE predictions.x > 1",
        "SELECT a FROM t AS predictions ORDER BY a, predictions.x",
        "SELECT a FROM t AS predictions GROUP /* so */ BY a, predictions.x",
        "SELECT extract(year FROM predictions.x), trim(BOTH ' ' FROM predictions.y) FROM t AS predictions",
        "SELECT a IS DISTINCT FROM predictions.x, f(1, predictions.x) FROM t AS predictions",
        "SELECT 1 FROM t JOIN predictions ON t.a = predictions.x",
        "SELECT 1 FROM predictions",
        "SELECT 1 FROM predictions.f(1)",
        "CREATE TABLE predictions.x (a INT)",
        "INSERT INTO predictions.x VALUES (1)",
        "INSERT INTO TABLE predictions.x VALUES (1)",
        "DELETE FROM predictions.x WHERE a = 1",
        "UPDATE predictions.x SET a = 1",
        "DROP TABLE IF EXISTS predictions.x",
        "ALTER TABLE predictions.x ADD COLUMN b INT",
        "TRUNCATE TABLE predictions.x",
        "SHOW COLUMNS FROM predictions.x",
        "COPY predictions.x FROM 'a.csv'",
        "SELECT 1 FROM predictions.x WHERE 'unclosed",
        "SELECT 1 FROM predictions.'x'",
        "SELECT )) 1",
        "predictions",
        "",
    ],
)
def test_what_reads_no_prediction_table(dialect, text):
    assert references(text, dialect) == ()
    assert with_snapshots(text, dialect, shown) == text


def test_references_come_in_order_and_once_each():
    text = 'SELECT 1 FROM predictions.b, predictions.A JOIN "Predictions"."B" AS r ON (SELECT 1 FROM predictions.c)'
    assert references(text, "duckdb") == ("b", "a", "c")


def test_a_column_in_full_stays_where_the_table_has_an_alias():
    text = "SELECT predictions.x.a FROM t AS predictions, predictions.x AS r"
    assert with_snapshots(text, "duckdb", shown) == "SELECT predictions.x.a FROM t AS predictions, s_x AS r"


def test_some_tables_give_way_and_some_stay():
    text = "SELECT predictions.x.a, predictions.y.a FROM predictions.x, predictions.y VERSION AS OF later"
    replaced = "SELECT x.a, predictions.y.a FROM s_x AS x, predictions.y VERSION AS OF later"
    assert with_snapshots(text, "duckdb", lambda name, at: "s_x" if name == "x" else None) == replaced


@pytest.mark.parametrize(
    ("as_of", "message"),
    [
        ("VERSION AS OF latest", "expected a version such as 12, found 'latest'."),
        ("VERSION AS OF -1", "expected a version such as 12, found '-'."),
        ("VERSION AS OF", "expected a version such as 12, found the end of the statement."),
        ("TIMESTAMP AS OF now()", "expected a timestamp such as '2024-01-31 12:00', found 'now'."),
        ("FOR SYSTEM_TIME AS OF 12", "expected a timestamp such as '2024-01-31 12:00', found '12'."),
    ],
)
@both
def test_as_of_nothing_in_particular(dialect, as_of, message):
    with pytest.raises(SyntaxMistake) as raised:
        with_snapshots(f"SELECT 1 FROM predictions.X {as_of}", dialect, shown)
    assert str(raised.value) == f"In predictions.x: {message}"


@pytest.mark.parametrize(
    "text",
    [
        "SELECT predictions.x.a, y.b FROM predictions.x, predictions.y WHERE x.a = y.a ORDER BY x.a, predictions.y.b",
        "FROM r: predictions.x SELECT r.a",
        "FROM (predictions.x AS p JOIN predictions.y AS q USING (a))",
        "WITH q AS (FROM predictions.x) SELECT q.a FROM q ANTI JOIN predictions.y ON q.a = y.b",
        "TABLE predictions.x UNION ALL TABLE predictions.y ORDER BY a",
        "PIVOT predictions.x ON a USING sum(b)",
        "SELECT * FROM predictions.x PIVOT (sum(b) FOR a IN (1, 2))",
        "SELECT p.n FROM predictions.x p(n, m), LATERAL (SELECT p.n + 1) ORDER BY ALL",
        "SUMMARIZE predictions.x",
        "DESCRIBE predictions.x",
        "SELECT a IS DISTINCT FROM predictions.b FROM predictions.x AS predictions",
        "SELECT a FROM predictions.x QUALIFY row_number() OVER (ORDER BY a) = 1",
        "SELECT a FROM predictions.x POSITIONAL JOIN predictions.y AS q(c, d)",
    ],
)
def test_what_took_the_place_answers_the_same(text):
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA predictions")
        for name in ("x", "y"):
            connection.execute(f"CREATE TABLE predictions.{name} AS SELECT i AS a, i * 2 AS b FROM range(4) AS r(i)")
            connection.execute(f"CREATE TABLE s_{name} AS FROM predictions.{name}")
        before = connection.sql(text)
        after = connection.sql(with_snapshots(text, "duckdb", shown))
        assert after.columns == before.columns
        assert after.fetchall() == before.fetchall()
