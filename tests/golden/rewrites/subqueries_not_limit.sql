-- The subquery takes the first rows before the filter does.
SELECT id, y FROM (SELECT id, boost(dist, seats, price, seats) AS y FROM facts ORDER BY id LIMIT 5) AS q WHERE y > 0;
-- does:
-- boost is pruned by the table's statistics: dist is at least 0.5 and at most 1999.1 and not NULL, age is at least 2 and at most 399 and not NULL, altitude is at least # and at most # and not NULL
-- DuckDB gets:
SELECT id, y FROM (SELECT id, __boost_predict(dist, seats, price) AS y FROM facts WHERE CAST((SELECT CASE WHEN CAST(s0['min'] AS DOUBLE) >= 0.5 AND CAST(s0['max'] AS DOUBLE) <= 1999.1 AND NOT CAST(s0['has_null'] AS BOOLEAN) AND CAST(s1['min'] AS DOUBLE) >= 2.0 AND CAST(s1['max'] AS DOUBLE) <= 399.0 AND NOT CAST(s1['has_null'] AS BOOLEAN) AND CAST(s2['min'] AS DOUBLE) >= # AND CAST(s2['max'] AS DOUBLE) <= # AND NOT CAST(s2['has_null'] AS BOOLEAN) THEN 'true' ELSE 'facts has changed since the statement was planned: run it again' END FROM (SELECT stats("dist") AS s0, stats("seats") AS s1, stats("price") AS s2 FROM facts LIMIT 1)) AS BOOLEAN) IS NOT FALSE ORDER BY id LIMIT 5) AS q WHERE y > 0
