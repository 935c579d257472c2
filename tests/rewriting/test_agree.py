"""Statements whose rewritten form once answered otherwise, or easily might: each pass alone, and all of them."""

from __future__ import annotations

import pytest

from rewriting.comparing import agree

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
}  # fmt: skip


@pytest.mark.parametrize("text", STATEMENTS.values(), ids=STATEMENTS)
def test_the_answers_are_the_same(reader, text):
    agree(reader, text)
