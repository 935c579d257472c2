-- The filter and the list ask the same.
SELECT id, tree('AA', dist, seats, 'Boeing', seats, 'north', price) AS y FROM facts WHERE tree('AA', dist, seats, 'Boeing', seats, 'north', price) = 'top' AND seats > 3;
-- does:
-- tree is pruned by the filter: carrier is 'AA', maker is 'Boeing', zone is 'north', seats is at least 3 and not NULL, age is at least 3 and not NULL; it no longer reads carrier, maker, zone
-- tree is pruned by the table's statistics: dist is at least 0.5 and at most 1999.1 and not NULL, seats is at least 2 and at most 399 and not NULL, age is at least 2 and at most 399 and not NULL, altitude is at least # and at most # and not NULL
-- tree is computed once a row, for all places that name it
-- DuckDB gets:
SELECT id, "facts"."__sqlml_once_0" AS y FROM (SELECT *, __tree_predict_once(dist, seats, seats, price) AS "__sqlml_once_0" FROM facts WHERE seats > 3 AND CAST((SELECT CASE WHEN CAST(s0['min'] AS DOUBLE) >= 0.5 AND CAST(s0['max'] AS DOUBLE) <= 1999.1 AND NOT CAST(s0['has_null'] AS BOOLEAN) AND CAST(s1['min'] AS DOUBLE) >= 2.0 AND CAST(s1['max'] AS DOUBLE) <= 399.0 AND NOT CAST(s1['has_null'] AS BOOLEAN) AND CAST(s2['min'] AS DOUBLE) >= # AND CAST(s2['max'] AS DOUBLE) <= # AND NOT CAST(s2['has_null'] AS BOOLEAN) THEN 'true' ELSE 'facts has changed since the statement was planned: run it again' END FROM (SELECT stats("dist") AS s0, stats("seats") AS s1, stats("price") AS s2 FROM facts LIMIT 1)) AS BOOLEAN) IS NOT FALSE) AS "facts" WHERE "facts"."__sqlml_once_0" = 'top'
