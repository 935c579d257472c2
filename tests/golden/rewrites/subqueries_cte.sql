-- The subquery is a CTE.
WITH answered AS (SELECT id, boost(dist, seats, price, seats) AS y FROM facts) SELECT id, y FROM answered WHERE y IS NOT NULL;
-- does:
-- the filter over boost is looked at within the subquery
-- boost is pruned by the table's statistics: dist is at least 0.5 and at most 1999.1 and not NULL, age is at least 2 and at most 399 and not NULL, altitude is at least # and at most # and not NULL
-- boost is computed once a row, for all places that name it
-- DuckDB gets:
WITH answered AS (SELECT id, "facts"."__sqlml_once_0" AS y FROM (SELECT *, __boost_predict_once(dist, seats, price) AS "__sqlml_once_0" FROM facts WHERE CAST((SELECT CASE WHEN CAST(s0['min'] AS DOUBLE) >= 0.5 AND CAST(s0['max'] AS DOUBLE) <= 1999.1 AND NOT CAST(s0['has_null'] AS BOOLEAN) AND CAST(s1['min'] AS DOUBLE) >= 2.0 AND CAST(s1['max'] AS DOUBLE) <= 399.0 AND NOT CAST(s1['has_null'] AS BOOLEAN) AND CAST(s2['min'] AS DOUBLE) >= # AND CAST(s2['max'] AS DOUBLE) <= # AND NOT CAST(s2['has_null'] AS BOOLEAN) THEN 'true' ELSE 'facts has changed since the statement was planned: run it again' END FROM (SELECT stats("dist") AS s0, stats("seats") AS s1, stats("price") AS s2 FROM facts LIMIT 1)) AS BOOLEAN) IS NOT FALSE) AS "facts" WHERE NOT "facts"."__sqlml_once_0" IS NULL) SELECT id, y FROM answered
