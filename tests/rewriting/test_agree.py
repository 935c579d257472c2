"""Statements whose rewritten form once answered otherwise, or easily might: each pass alone, and all of them."""

from __future__ import annotations

import pytest

from rewriting.comparing import agree, error_of
from rewriting.world import rewriting
from sqlml.query.passes import equal, limits, statistics

STATEMENTS = {
    # Conditions that don't hold where the call is evaluated.
    "a window in a branch": "SELECT id, CASE WHEN carrier = 'AA' THEN sum(forest_score(carrier, 'north', dist, price, 5, night)) OVER () END FROM facts",
    "an order in a branch": "SELECT id, CASE WHEN carrier = 'AA' THEN row_number() OVER (ORDER BY forest_score(carrier, 'north', dist, price, 5, night), id) END FROM facts",
    "an aggregate in a branch": "SELECT carrier, CASE WHEN carrier IS NULL THEN max(light_score(dist, delay, seats, fuel, price)) END FROM facts_holed GROUP BY ROLLUP (carrier)",
    "a branch in an aggregate": "SELECT sum(CASE WHEN carrier = 'AA' THEN forest_score(carrier, 'north', dist, price, 5, night) END) FROM facts",
    "a branch after another": "SELECT id, CASE WHEN carrier <> 'AA' THEN 'no' ELSE forest(carrier, 'north', dist, price, 5, night) END FROM facts",
    "a cube": "SELECT age, hist(500, 1, age, 3, 4), count(*) FROM planes WHERE age < 10 GROUP BY CUBE (age)",
    "a rollup": "SELECT maker, grade('AA', maker, 1, 2), count(*) FROM planes WHERE maker = 'Boeing' GROUP BY ROLLUP (maker)",
    "grouping sets": "SELECT age, hist(500, 1, age, 3, 4), count(*) FROM planes GROUP BY GROUPING SETS ((age), ())",
    # Rows that LEFT JOIN adds, and rows that a name stands for.
    "a dimension's function of missing values": "SELECT f.id, plane_hist(p.age, p.weight) FROM facts AS f LEFT JOIN planes AS p ON f.tail = p.tail AND p.age > 20",
    "a dimension's function of NULLs": "SELECT f.id, plane_hist(p.age, p.weight) FROM facts_holed AS f LEFT JOIN planes_holed AS p ON f.tail = p.tail",
    "a dimension's function that wants all": "SELECT f.id, plane(p.maker, p.age, p.weight) FROM facts AS f LEFT JOIN planes AS p ON f.tail = p.tail AND p.age > 20",
    "parts of two dimensions that may be missing": "SELECT f.id, risk_score(f.carrier, f.dist, f.seats, p.maker, p.age, q.zone, q.altitude) FROM facts_free AS f LEFT JOIN planes_free AS p ON f.tail = p.tail AND p.age > 20 LEFT JOIN places_free AS q USING (place)",
    "a dimension's row as JSON": "SELECT f.id, risk_score(f.carrier, f.dist, f.seats, p.maker, p.age, q.zone, q.altitude), to_json(p) FROM facts AS f JOIN planes AS p ON f.tail = p.tail JOIN places AS q ON f.place = q.place",
    "a dimension's row as a number": "SELECT risk_score(f.carrier, f.dist, f.seats, p.maker, p.age, q.zone, q.altitude), hash(q) FROM facts AS f JOIN planes AS p ON f.tail = p.tail JOIN places AS q ON f.place = q.place",
    "different rows of a dimension": "SELECT max(risk_score(f.carrier, f.dist, f.seats, p.maker, p.age, q.zone, q.altitude)), count(DISTINCT p) FROM facts AS f JOIN planes AS p ON f.tail = p.tail JOIN places AS q ON f.place = q.place",
    "a table's row as JSON": "SELECT to_json(f), boost(dist, 3, 4, 3) FROM facts AS f WHERE boost(dist, 3, 4, 3) > 0",
    "a table's row by its name": "SELECT to_json(facts), boost(dist, 3, 4, 3) FROM facts WHERE boost(dist, 3, 4, 3) > 0",
    "columns by what they are like, in a filter": "SELECT f.id, net(f.dist, 3, 4) FROM facts_holed AS f LEFT JOIN planes_holed AS p ON f.tail = p.tail WHERE COLUMNS(*) IS NOT NULL",
    "columns by a pattern, in a filter": "SELECT f.id, net(f.dist, 3, 4) FROM facts_holed AS f LEFT JOIN planes_holed AS p ON f.tail = p.tail WHERE COLUMNS('age|weight') IS NOT NULL",
    "columns beside what is asked once": "SELECT id, net(dist, 3, 4) FROM facts_holed WHERE net(dist, 3, 4) IS NULL AND COLUMNS('s.*') IS NOT NULL",
    "a star in a function": "SELECT concat_ws(',', *COLUMNS(*)), boost(dist, 3, 4, 3) FROM facts WHERE boost(dist, 3, 4, 3) > 0",
    "a star": "SELECT *, boost(dist, 3, 4, 3) AS y FROM facts WHERE boost(dist, 3, 4, 3) > 0",
    "a star of one table": "SELECT f.*, count(*) OVER (), boost(dist, 3, 4, 3) AS y FROM facts AS f WHERE boost(dist, 3, 4, 3) > 0",
    "a star without a column": "SELECT * EXCLUDE (dist), boost(dist, 3, 4, 3) AS y FROM facts WHERE boost(dist, 3, 4, 3) > 0",
    "a star of a dimension": "SELECT p.*, risk_score(f.carrier, f.dist, f.seats, p.maker, p.age, q.zone, q.altitude) AS y FROM facts AS f JOIN planes AS p ON f.tail = p.tail JOIN places AS q ON f.place = q.place",
    "a star above": "SELECT * FROM (SELECT p.maker, risk_score(f.carrier, f.dist, f.seats, p.maker, p.age, q.zone, q.altitude) AS y FROM facts AS f JOIN planes AS p ON f.tail = p.tail JOIN places AS q ON f.place = q.place) AS s WHERE y > 0.5",
    # A CTE by the name of a table.
    "a CTE with rows twice": "WITH planes AS (SELECT * FROM planes UNION ALL SELECT * FROM planes) SELECT f.id, net(f.dist, 3, 4) FROM facts AS f LEFT JOIN planes AS p ON f.tail = p.tail",
    "a CTE in capitals": "WITH PLANES AS (SELECT * FROM planes UNION ALL SELECT * FROM planes) SELECT f.id, net(f.dist, 3, 4) FROM facts AS f LEFT JOIN planes ON f.tail = planes.tail",
    "a CTE without rows": "WITH planes AS (SELECT * FROM planes WHERE age > 20) SELECT f.id, net(f.dist, 3, 4) FROM facts AS f JOIN planes AS p ON f.tail = p.tail",
    "a CTE with other numbers": "WITH planes AS (SELECT * REPLACE (age * 100 AS age) FROM planes) SELECT tail, boost(3, age, age, age) FROM planes",
    "a CTE of other types": "WITH facts AS (SELECT id, carrier AS dist, dist AS carrier FROM facts WHERE boost(dist, 3, 4, seats) > 0) SELECT count(dist), max(boost(carrier, 3, 4, 3)) FROM facts",
    "a CTE over a CTE": "WITH a AS (SELECT * FROM facts WHERE carrier = 'AA'), facts AS (SELECT * FROM a UNION ALL SELECT * FROM a) SELECT count(*), max(boost(f.dist, p.age, 4, 3)) FROM facts AS f JOIN planes AS p ON f.tail = p.tail",
    "a CTE that asks": "WITH y AS (SELECT id, carrier, boost(dist, 3, 4, seats) AS y FROM facts) SELECT carrier, max(y) FROM y WHERE y > 0 GROUP BY carrier",
    "a recursive CTE": "WITH RECURSIVE facts AS (SELECT 1 AS i, 5000.0::DOUBLE AS dist UNION ALL SELECT i + 1, dist / 2 FROM facts WHERE i < 9) SELECT i, boost(dist, 3, 4, 3) FROM facts",
    "a CTE in a subquery": "SELECT * FROM (WITH planes AS (SELECT * FROM planes UNION ALL SELECT * FROM planes) SELECT f.id, net(f.dist, 3, 4) FROM facts AS f LEFT JOIN planes AS p ON f.tail = p.tail) AS s",
    # Literals as they are given.
    "texts for numbers": "SELECT max(boost('5', '3', dist, seats)), max(hist('1e2', NULL, '7', 3, 4)) FROM facts",
    "a float that is none": "SELECT id, typed(0.1, seats, fuel, true, carrier), typed(1e-50, seats, fuel, 1, carrier) FROM facts",
    "a double for a float": "SELECT id, typed(dist, seats, fuel, night, carrier) FROM facts WHERE dist BETWEEN 10.1 AND 500.3",
    # Calls that fail for rows which a branch keeps from them.
    "a branch in a filter": "SELECT id, careful(dist, 3) FROM facts_holed WHERE CASE WHEN dist IS NOT NULL AND NOT isnan(dist) THEN careful(dist, 3) = 'late' ELSE false END",
    "a filter with OR": "SELECT id, CASE WHEN dist IS NOT NULL AND NOT isnan(dist) THEN careful(dist, 3) END FROM facts_holed WHERE dist IS NULL OR isnan(dist) OR careful(dist, 3) = 'late'",
    "a category that the model refuses": "SELECT id, CASE WHEN carrier IN ('AA', 'UA') THEN strict(carrier, 'Boeing', 'north', dist) END FROM facts_holed WHERE carrier IN ('AA', 'UA') AND strict(carrier, 'Boeing', 'north', dist) = 'late'",
    "a model in a branch": "SELECT maker, CASE WHEN age IS NOT NULL THEN careful(age, age) END FROM planes_holed",
    "an answer under another name": "SELECT upper(near(age, age)) AS answer, answer || '!' AS loud FROM planes",
    # Everywhere else.
    "NULLS LAST": "SELECT id, boost(dist, 3, dist, seats) AS y FROM facts ORDER BY y DESC NULLS LAST, id",
    "DISTINCT ON": "SELECT DISTINCT ON (carrier) carrier, boost(dist, 3, dist, seats) AS y FROM facts WHERE carrier <> 'x' ORDER BY carrier, y, id",
    "a correlated subquery with a filter": "SELECT f.id, (SELECT max(plane(p.maker, p.age, p.weight)) FROM planes p WHERE p.tail = f.tail AND p.maker = 'Boeing') FROM facts f",
    "a call of an outer column": "SELECT f.id, (SELECT max(boost(f.dist, p.age, 3, 4)) FROM planes p WHERE p.tail = f.tail) FROM facts f WHERE f.dist > 300",
    "a call in EXISTS": "SELECT f.id FROM facts f WHERE EXISTS (SELECT 1 FROM planes p WHERE p.tail = f.tail AND boost(f.dist, p.age, 3, 4) > 0.3)",
    "a call in a join's condition": "SELECT f.id, grade(f.carrier, p.maker, f.dist, 3) FROM facts f JOIN planes p ON f.tail = p.tail AND grade(f.carrier, p.maker, f.dist, 3) = 'top'",
    "a FULL join": "SELECT f.id, boost(f.dist, p.age, 3, 4) FROM facts f FULL JOIN planes p ON f.tail = p.tail WHERE p.age > 3",
    "an ANTI join": "SELECT f.id, boost(f.dist, f.seats, 3, 4) FROM facts f ANTI JOIN (SELECT * FROM planes WHERE age > 9) p ON f.tail = p.tail",
    "a NATURAL join": "SELECT f.id, boost(f.dist, f.seats, 3, 4) FROM facts f NATURAL JOIN places q",
    "a POSITIONAL join": "SELECT f.id, boost(f.dist, f.seats, 3, 4) FROM facts f POSITIONAL JOIN places q WHERE f.dist > 100",
    "an ASOF join": "SELECT f.id, boost(f.dist, f.seats, q.altitude, 4) FROM facts f ASOF JOIN places q ON f.dist >= q.altitude",
    "joins in brackets": "SELECT f.id, cost(p.maker, q.zone, f.dist, f.price, f.night, f.fuel) FROM (facts f JOIN planes p USING (tail)) JOIN places q USING (place)",
    "a group by a dimension's function": "SELECT count(*) FROM facts f JOIN planes p USING (tail) GROUP BY plane(p.maker, p.age, p.weight)",
    "a group by a dimension's columns": "SELECT plane(p.maker, p.age, p.weight), count(*) FROM facts f JOIN planes p USING (tail) GROUP BY p.maker, p.age, p.weight",
    "a star that replaces a column": "SELECT id, y FROM (SELECT * REPLACE (dist * 2 AS dist), boost(dist, seats, price, seats) AS y FROM facts) WHERE y IS NOT NULL AND dist > 900",
    "a column by another's name": "SELECT id, y FROM (SELECT id, price AS dist, boost(dist, seats, price, seats) AS y FROM facts) WHERE y IS NOT NULL AND dist > 900",
    "two columns of a name": "SELECT id, y FROM (SELECT *, price AS dist, boost(dist, seats, price, seats) AS y FROM facts) WHERE y IS NOT NULL AND dist > 900",
    "a filter over a CTE": "WITH c AS (SELECT f.id, p.age, plane(p.maker, p.age, p.weight) AS y FROM facts f LEFT JOIN planes p USING (tail)) SELECT count(*), max(id) FROM c WHERE y = 'x' OR age IS NULL OR age > 12",
    "a filter over a CTE that is read twice": "WITH c AS (SELECT id, boost(dist, seats, price, seats) AS y FROM facts) SELECT count(*) FROM c WHERE y > 0 AND id IN (SELECT id FROM c WHERE y < 1)",
    "a filter over a subquery's first rows": "SELECT id, y FROM (SELECT id, boost(dist, seats, price, seats) AS y FROM facts ORDER BY id LIMIT 50) WHERE y > 0",
    "a filter over a subquery's groups": "SELECT y, n FROM (SELECT boost(dist, seats, price, seats) AS y, count(*) AS n FROM facts GROUP BY y) WHERE y > 0 AND n > 0",
    "a filter over two subqueries": "SELECT y FROM (SELECT y, id FROM (SELECT *, boost(dist, seats, price, seats) AS y FROM facts) AS q WHERE q.id > 5) AS r WHERE y > 0 AND r.id < 900",
    "a number drawn in a subquery": "SELECT min(y) > 0 FROM (SELECT boost(random() * 2000, 3, 4, 5) AS y FROM facts) WHERE y > 0",
    "a sample of what a filter leaves": "SELECT count(*) FROM (SELECT id, y FROM (SELECT id, boost(dist, 3, 4, seats) AS y FROM facts) AS q WHERE y > 0 USING SAMPLE reservoir(200 ROWS) REPEATABLE (3))",
    "a sample of what is filtered": "SELECT count(*) FROM (SELECT id, near(dist, seats) AS y FROM facts WHERE near(dist, seats) = 'late' AND seats > 200 USING SAMPLE reservoir(300 ROWS) REPEATABLE (3))",
    "groups by what is no position": "SELECT near(dist, 3) AS y FROM facts GROUP BY 1, 1.5",
    "an aggregate that sqlglot does not know": "SELECT * FROM (SELECT fsum(dist) AS e, 1 AS one, near(1, 2) AS y FROM facts) WHERE one > 3",
    "a table by the name of a CTE": "WITH c AS (SELECT id, boost(dist, 3, 4, seats) AS y FROM facts) SELECT (SELECT count(*) FROM query_table('c')), count(*) FROM c WHERE y > 0",
    "row ids": "SELECT f.id, f.rowid, plane(p.maker, p.age, p.weight), p.rowid FROM facts f JOIN planes p USING (tail)",
    "a schema's name": "SELECT f.id, plane(planes.maker, planes.age, planes.weight) FROM main.facts f JOIN main.planes USING (tail)",
    "a table twice": "SELECT a.id, b.id, boost(a.dist, 3, b.dist, 4) FROM facts a JOIN facts b ON a.id = b.id + 1 WHERE a.carrier='AA' AND b.dist < 100",
}  # fmt: skip


@pytest.mark.parametrize("text", STATEMENTS.values(), ids=STATEMENTS)
def test_the_answers_are_the_same(reader, text):
    agree(reader, text)


REFUSED = {
    "no truth value": "SELECT max(typed(delay, seats, fuel, 2, carrier)) FROM facts",
    "half a truth value": "SELECT max(typed(delay, seats, fuel, 0.5, carrier)) FROM facts",
    "no whole number": "SELECT max(typed(delay, 2.5, fuel, night, carrier)) FROM facts",
    "no whole number of a long": "SELECT max(boost(dist, 2.5, dist, seats)) FROM facts",
    "an integer too large": "SELECT max(typed(delay, 3000000000, fuel, night, carrier)) FROM facts",
    "a text": "SELECT max(boost('x', 3, dist, seats)) FROM facts",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_refused_rewritten(reader, text):
    """A constant that the argument's type can't hold is an error, though nothing of the model depends on it."""
    assert error_of(reader, text, "none") is not None
    assert error_of(reader, text, "all") == error_of(reader, text, "none")


def test_a_key_with_a_collation_has_several_partners(db):
    db.sql("CREATE TABLE loose (tail VARCHAR COLLATE NOCASE PRIMARY KEY)")
    db.sql("INSERT INTO loose VALUES ('n001'), ('N001'), ('N002')")
    plan = agree(
        db, "SELECT f.id, boost(f.dist, f.seats, 4, 4) FROM facts AS f LEFT JOIN loose AS l ON f.tail = l.tail"
    )
    assert "join" not in str(plan.rewrites)


def test_a_text_is_equal_to_others_under_a_collation(db):
    text = "SELECT id, grade(carrier, 'Boeing', dist, 4) FROM facts WHERE carrier = 'aa'"
    assert "carrier is 'aa'" in str(agree(db, text).rewrites)
    db.sql("SET default_collation = 'NOCASE'")
    assert "carrier" not in str(agree(db, text).rewrites)
    db.sql("RESET default_collation")


@pytest.fixture
def eager(monkeypatch):
    """Small tables are worth every pass."""
    for held in ((limits, "_SAMPLE", 10), (equal, "_FEWER", 0.1), (equal, "_SLOW", 0), (statistics, "_WORTH", 1.0)):
        monkeypatch.setattr(*held)


FIRST = "hist(dist, delay, seats, fuel, price)"


@pytest.mark.parametrize(
    "text",
    [
        f"SELECT {FIRST} AS y FROM facts WHERE random() < 0.01 ORDER BY y DESC LIMIT 3",
        f"SELECT {FIRST} AS y FROM (SELECT * FROM facts LIMIT 300) AS s ORDER BY y DESC LIMIT 3",
        f"SELECT {FIRST} AS y FROM (SELECT * FROM facts WHERE random() < 0.5) AS s ORDER BY y DESC LIMIT 3",
        f"WITH s AS (SELECT * FROM facts WHERE random() < 0.5) SELECT {FIRST} AS y FROM s ORDER BY y DESC LIMIT 3",
        f"SELECT {FIRST} AS y FROM facts TABLESAMPLE 10 PERCENT (bernoulli) ORDER BY y DESC LIMIT 3",
        "SELECT near(seats, seats) FROM facts WHERE random() < 0.5",
    ],
)
def test_rows_that_differ_when_they_are_asked_for_again_are_asked_for_once(reader, eager, text):
    with rewriting(reader, "limits, equal") as db:
        plan = db.explain(text)
        assert "stops at the tree" not in str(plan)
        assert "once for each" not in str(plan)
        assert all(row[0] is not None for row in db.sql(text).fetchall())


def test_the_first_rows_are_the_first(reader, eager):
    text = f"SELECT {FIRST} AS y, id FROM facts WHERE dist > 10 ORDER BY y DESC, id LIMIT 5"
    assert "stops at the tree" in str(agree(reader, text, "limits", ordered=True))


def test_a_python_model_is_asked_once_for_each_combination(reader, eager):
    text = "SELECT id, near(seats, seats) FROM facts WHERE id < 500"
    assert "once for each combination" in str(agree(reader, text, "equal"))
    for text in (
        "SELECT id, CASE WHEN seats > 5 THEN careful(seats, seats) END FROM facts_holed",
        "SELECT id, careful(seats, seats) FROM facts_holed WHERE net(dist, seats, 3) IS NOT NULL",
    ):
        assert "once for each combination" not in str(agree(reader, text, "equal"))


@pytest.mark.parametrize(
    "text",
    [
        # As a column 100 is an INTEGER, beside a TINYINT it would be one.
        "SELECT count(*) FROM (SELECT t, 100 AS k, near(a, a) AS y FROM tiny) WHERE t + k > 150 AND y IS NOT NULL",
        # A field of a struct, and not a column of the alias s.
        "SELECT count(*) FROM (SELECT *, near(a, a) AS y FROM tiny) AS s WHERE s.s.a > 3 AND y IS NOT NULL",
        # DuckDB's own name for the second of two columns.
        "SELECT count(*) FROM (SELECT *, near(x.a, x.a) AS y FROM tiny AS x JOIN tiny AS z USING (t)) WHERE a_1 > 3",
        # A window in a macro.
        "SELECT id, r FROM (SELECT a AS id, rn(a) AS r, near(a, a) AS y FROM tiny) WHERE y = 'late'",
    ],
)
def test_names_and_types_of_a_subquery_are_kept(db, text):
    db.sql("CREATE TABLE tiny AS SELECT (i % 100)::TINYINT AS t, i AS a, {'a': 1} AS s FROM range(1000) AS r(i)")
    db.sql("CREATE MACRO rn(x) AS row_number() OVER (ORDER BY x)")
    agree(db, text)
