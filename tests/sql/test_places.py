"""A call may stand wherever an expression may: each statement gives what it gives over a table of the model's answers."""

from __future__ import annotations

import duckdb
import pytest

from sql.asking import answers
from sql.conftest import fill

# Each runs twice: over `people` with calls, and over `scored`, where the model's own answers are columns.
# {t} is the table, {L} the label of `p`, {S} its score, {M} its probabilities; {o.L} those of `o`.
STATEMENTS = {
    "select": "SELECT {L}, {S}, {M} FROM {t} AS p ORDER BY p.id",
    "expression": "SELECT round(100 * {S} + length({L}), 6) FROM {t} AS p ORDER BY p.id",
    "where": "SELECT id FROM {t} AS p WHERE {S} > 0.5 AND {L} = 'yes' ORDER BY id",
    "where in": "SELECT id FROM {t} AS p WHERE {L} IN ('yes', 'maybe') ORDER BY id",
    "between": "SELECT id FROM {t} AS p WHERE {S} BETWEEN 0.2 AND 0.6 ORDER BY id",
    "group by": "SELECT {L} AS l, count(*) FROM {t} AS p GROUP BY {L} ORDER BY l",
    "group by alias": "SELECT {L} AS l, avg({S}) FROM {t} AS p GROUP BY l ORDER BY l",
    "group by all": "SELECT plan, {L} AS l, max({S}) FROM {t} AS p GROUP BY ALL ORDER BY ALL",
    "having": "SELECT plan, sum({S}) FROM {t} AS p GROUP BY plan HAVING avg({S}) > 0.4 ORDER BY plan",
    "filter": "SELECT count(*) FILTER ({L} = 'no'), count(*) FILTER (WHERE {S} > 0.3) FROM {t} AS p",
    "order by": "SELECT id FROM {t} AS p ORDER BY {S} DESC, id LIMIT 17",
    "order by aggregate": "SELECT list(id ORDER BY {S}, id) FROM {t} AS p",
    "limit": "SELECT {S} FROM {t} AS p ORDER BY id LIMIT 5 OFFSET 3",
    "no rows": "SELECT {L}, {S}, {M} FROM {t} AS p WHERE false",
    "distinct": "SELECT DISTINCT {L} AS l FROM {t} AS p ORDER BY l",
    "distinct on": "SELECT DISTINCT ON ({L}) {L} AS l, id FROM {t} AS p ORDER BY l, id",
    "case": "SELECT CASE WHEN {L} = 'yes' THEN {S} WHEN plan = 'pro' THEN -{S} ELSE 0 END FROM {t} AS p ORDER BY id",
    "coalesce": "SELECT COALESCE(NULLIF({L}, 'no'), 'none') FROM {t} AS p ORDER BY id",
    "cast": "SELECT {S}::DECIMAL(9, 6), CAST({L} AS BLOB) FROM {t} AS p ORDER BY id",
    "list": "SELECT [{S}, 1 - {S}], {{'s': {S}, 'l': {L}}} FROM {t} AS p ORDER BY id",
    "lambda": "SELECT list_transform([1, 2], lambda x: x * {S}) FROM {t} AS p ORDER BY id",
    "map entry": "SELECT {M}['yes'], {M}['no'], map_keys({M}) FROM {t} AS p ORDER BY id",
    "window": "SELECT id, rank() OVER (PARTITION BY plan ORDER BY {S}, id) FROM {t} AS p ORDER BY id",
    "window argument": "SELECT id, lag({S}) OVER (ORDER BY id), first({L}) OVER w FROM {t} AS p WINDOW w AS (ORDER BY id) ORDER BY id",
    "named window": "SELECT id, row_number() OVER w FROM {t} AS p WINDOW w AS (PARTITION BY {L} ORDER BY {S}, id) ORDER BY id",
    "qualify": "SELECT id FROM {t} AS p QUALIFY row_number() OVER (PARTITION BY plan ORDER BY {S} DESC, id) <= 3 ORDER BY id",
    "from first": "FROM {t} AS p SELECT id, {L} WHERE {S} < 0.5 ORDER BY id",
    "from only": "FROM (SELECT id, {L} AS l FROM {t} AS p) ORDER BY id",
    "cte": "WITH q AS (SELECT id, {S} AS s FROM {t} AS p) SELECT * FROM q WHERE s > 0.5 ORDER BY id",
    "materialized cte": "WITH q AS MATERIALIZED (SELECT id, {S} AS s FROM {t} AS p) SELECT sum(s) FROM q",
    "call over a cte": "WITH p AS (FROM {t}) SELECT {L} FROM p ORDER BY id",
    "call over a second cte": "WITH q AS (FROM {t}), p AS (FROM q WHERE id < 50) SELECT {L} FROM p ORDER BY id",
    "cte in a subquery": "SELECT * FROM (WITH p AS (FROM {t}) SELECT id, {L} FROM p) ORDER BY id",
    "recursive cte": """
        WITH RECURSIVE walk(n, s) AS (
            SELECT 0, {S} FROM {t} AS p WHERE id = 0
            UNION ALL
            SELECT n + 1, w.s + {S} FROM walk AS w, {t} AS p WHERE p.id = w.n + 1 AND n < 20
        )
        SELECT n, s FROM walk ORDER BY n
    """,
    "subquery in from": "SELECT avg(s) FROM (SELECT {S} AS s FROM {t} AS p)",
    "call over a subquery": "SELECT id, {L} FROM (SELECT * FROM {t} WHERE id % 2 = 0) AS p ORDER BY id",
    "scalar subquery": "SELECT (SELECT max({S}) FROM {t} AS p)",
    "in subquery": "SELECT id FROM {t} WHERE id IN (SELECT id FROM {t} AS p WHERE {L} = 'yes') ORDER BY id",
    "exists": "SELECT id FROM {t} AS p WHERE EXISTS (SELECT 1 FROM range(3) r(i) WHERE {S} * i > 1) ORDER BY id",
    "correlated": "SELECT p.id, (SELECT count(*) FROM {t} AS o WHERE o.plan = p.plan AND {o.S} > {S}) FROM {t} AS p WHERE p.id < 20 ORDER BY 1",
    "correlated call": "SELECT p.id, (SELECT {L} || q.x FROM (SELECT '!' AS x) AS q) FROM {t} AS p ORDER BY 1",
    "lateral": "SELECT p.id, q.s FROM {t} AS p, LATERAL (SELECT {S} * 2 AS s) AS q ORDER BY 1",
    "lateral rows": "SELECT p.id, q.s FROM {t} AS p, LATERAL (SELECT {S} + i AS s FROM range(2) r(i)) AS q ORDER BY ALL",
    "lateral alias": "SELECT id, {S} AS s, s * 2 AS d FROM {t} AS p ORDER BY id",
    "join on": "SELECT p.id, o.id FROM {t} AS p JOIN {t} AS o ON p.id + 1 = o.id AND {L} = {o.L} ORDER BY ALL",
    "join on score": "SELECT count(*) FROM {t} AS p JOIN (SELECT * FROM {t} LIMIT 40) AS o ON {S} < {o.S}",
    "left join": "SELECT p.id, o.id, {L} FROM {t} AS p LEFT JOIN {t} AS o ON p.id = o.id + 290 ORDER BY ALL",
    "cross join": "SELECT sum({S} * {o.S}) FROM (FROM {t} LIMIT 20) AS p, (FROM {t} LIMIT 20) AS o",
    "positional join": "SELECT p.id, {L} FROM {t} AS p POSITIONAL JOIN range(10) r(i) WHERE p.id IS NOT NULL ORDER BY 1",
    "semi join": "SELECT id, {L} FROM {t} AS p SEMI JOIN range(10) r(i) ON p.id = r.i ORDER BY 1",
    "asof join": "SELECT p.id, {S} FROM {t} AS p ASOF JOIN range(0, 300, 7) r(i) ON p.id >= r.i ORDER BY 1",
    "union": "SELECT {L} FROM {t} AS p WHERE id < 5 UNION SELECT {L} || '!' FROM {t} AS p WHERE id > 200 ORDER BY 1",
    "union all by name": "SELECT {L} AS l, id FROM {t} AS p UNION ALL BY NAME SELECT id, {S} AS s FROM {t} AS p ORDER BY ALL",
    "except": "SELECT id, {L} FROM {t} AS p EXCEPT SELECT id, 'yes' FROM {t} ORDER BY 1",
    "values": "SELECT * FROM (VALUES ((SELECT sum({S}) FROM {t} AS p)), (1)) ORDER BY ALL",
    "pivot": "PIVOT (SELECT plan, {L} AS l, id FROM {t} AS p) ON l USING count(id) GROUP BY plan ORDER BY plan",
    "unpivot": "UNPIVOT (SELECT id, {S} AS s, 1 - {S} AS r FROM {t} AS p) ON s, r INTO NAME n VALUE v ORDER BY ALL",
    "grouping sets": "SELECT plan, {L} AS l, count(*) FROM {t} AS p GROUP BY ROLLUP (plan, {L}) ORDER BY ALL",
    "sample of all": "SELECT count(*) FROM (SELECT {L} FROM {t} AS p USING SAMPLE 100 PERCENT (bernoulli))",
    "summarize": "SELECT column_name, count FROM (SUMMARIZE SELECT id, {L} AS l FROM {t} AS p) ORDER BY 1",
    "describe": "DESCRIBE SELECT id, {L} AS l, {S} AS s, {M} AS m FROM {t} AS p",
    "collate": "SELECT id FROM {t} AS p WHERE {L} COLLATE NOCASE = 'YES' ORDER BY id",
    "columns": "SELECT COLUMNS(lambda c: c LIKE 'i%'), {L} FROM {t} AS p ORDER BY id",
    "brackets": "((SELECT {L} FROM {t} AS p ORDER BY id))",
    "two levels": "SELECT (SELECT max(s) FROM (SELECT {S} AS s FROM {t} AS p WHERE p.plan = x.plan)) FROM (SELECT DISTINCT plan FROM {t}) AS x ORDER BY 1",
    "alias in quotes": 'SELECT {"my p".L} FROM {t} AS "my p" ORDER BY "my p".id',
    "unicode alias": "SELECT {größe.L} FROM {t} AS größe ORDER BY größe.id",
    "emoji alias": 'SELECT {"😀".S} FROM {t} AS "😀" ORDER BY "😀".id',
    "quote in an alias": 'SELECT {"a""b".S} FROM {t} AS "a""b" ORDER BY "a""b".id',
    "reserved alias": 'SELECT {"select".S} FROM {t} AS "select" ORDER BY "select".id',
    "alias before": "SELECT {L} FROM p: {t} ORDER BY id",
    "trailing commas": "SELECT id, {L}, FROM {t} AS p ORDER BY id",
}  # fmt: skip


def written(statement: str, calls: bool) -> str:
    """The statement with calls, or with the columns that hold the model's answers."""
    import re

    def put(match: re.Match[str]) -> str:
        alias, output = match["alias"] or "p", match["output"]
        if calls:
            return {"L": "churn", "S": "churn_score", "M": "churn_proba"}[output] + f"({alias})"
        return f"{alias}.{ {'L': 'label', 'S': 'score', 'M': 'proba'}[output] }"

    text = re.sub(r"\{((?P<alias>[^{}]+)\.)?(?P<output>[LSM])\}", put, statement)
    return text.replace("{t}", "people" if calls else "scored").replace("{{", "{").replace("}}", "}")


@pytest.fixture(scope="module")
def oracle(world):
    """DuckDB alone, over the model's answers."""
    held = world.models["churn"]
    rows = held.rows.assign(id=range(len(held.rows)), label=answers(held), score=answers(held, "score"))
    con = duckdb.connect()
    fill(con, scored=rows)
    con.sql("ALTER TABLE scored ADD COLUMN proba MAP(VARCHAR, DOUBLE)")
    con.sql("UPDATE scored SET proba = MAP {'no': 1 - score, 'yes': score}")
    con.sql("CREATE OR REPLACE TABLE scored AS SELECT * FROM scored ORDER BY id")
    yield con
    con.close()


@pytest.mark.parametrize("place", STATEMENTS)
def test_a_call_in_its_place(reader, oracle, place):
    found = reader.sql(written(STATEMENTS[place], calls=True))
    wanted = oracle.sql(written(STATEMENTS[place], calls=False))
    assert found.types == wanted.types
    equal(found.fetchall(), wanted.fetchall())


def equal(found: object, wanted: object) -> None:
    """The same values at every depth, floats nearly."""
    if isinstance(wanted, list | tuple):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            equal(one, other)
    elif isinstance(wanted, dict):
        assert list(found) == list(wanted)
        equal(list(found.values()), list(wanted.values()))
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    else:
        assert found == wanted
