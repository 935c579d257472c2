-- The table's least and largest values, which are looked at again as the query runs.
SELECT tail, boost(age, age, weight, age) AS y FROM planes;
-- does:
-- boost is pruned by the table's statistics: dist is at least 0 and at most 35 and not NULL, age is at least 0 and at most 35 and not NULL, altitude is at least 7.24 and at most 398.67 and not NULL; it no longer reads dist
-- DuckDB gets:
SELECT tail, __boost_predict(age, weight) AS y FROM planes WHERE CAST((SELECT CASE WHEN CAST(s0['min'] AS DOUBLE) >= 0.0 AND CAST(s0['max'] AS DOUBLE) <= 35.0 AND NOT CAST(s0['has_null'] AS BOOLEAN) AND CAST(s1['min'] AS DOUBLE) >= 7.24 AND CAST(s1['max'] AS DOUBLE) <= 398.67 AND NOT CAST(s1['has_null'] AS BOOLEAN) THEN 'true' ELSE 'planes has changed since the statement was planned: run it again' END FROM (SELECT stats("age") AS s0, stats("weight") AS s1 FROM planes LIMIT 1)) AS BOOLEAN) IS NOT FALSE
