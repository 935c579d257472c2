-- One condition can't go into it; those on columns do, and those on predictions stay behind it.
SELECT id, y FROM (SELECT id, seats, upper(note) AS upper, dist * 2 AS twice, boost(dist, seats, price, seats) AS y FROM facts) AS q WHERE y IS NOT NULL AND upper = 'X' AND twice > 100 AND seats = 5;
-- does:
-- the filter over boost is looked at within the subquery
-- boost is pruned by the filter: age is 5; it no longer reads age
-- DuckDB gets:
SELECT id, y FROM (SELECT id, seats, UPPER(note) AS upper, dist * 2 AS twice, __boost_predict(dist, price) AS y FROM facts WHERE (("facts".dist * 2) > 100) AND ("facts".seats = 5)) AS q WHERE NOT y IS NULL AND upper = 'X'
