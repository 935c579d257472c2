-- A row stops at the tree after which it can't reach the bound.
SELECT id FROM facts WHERE hist(dist, delay, seats, fuel, price) > 0.8;
-- does:
-- hist is pruned by the table's statistics: dist is at least 0.5 and at most 1999.1 and not NULL, delay is at least -22.75 and at most 26 and not NULL, age is at least 2 and at most 399 and not NULL, weight is at least 316281 and at most 999483234 and not NULL, altitude is at least # and at most # and not NULL; it no longer reads weight
-- hist stops at the tree after which a row can no longer come above 0.8
-- DuckDB gets:
SELECT id FROM facts WHERE __hist_predict(dist, delay, seats, price) > 0.8 AND CAST((SELECT CASE WHEN CAST(s0['min'] AS DOUBLE) >= 0.5 AND CAST(s0['max'] AS DOUBLE) <= 1999.1 AND NOT CAST(s0['has_null'] AS BOOLEAN) AND CAST(s1['min'] AS DOUBLE) >= -22.75 AND CAST(s1['max'] AS DOUBLE) <= 26.0 AND NOT CAST(s1['has_null'] AS BOOLEAN) AND CAST(s2['min'] AS DOUBLE) >= 2.0 AND CAST(s2['max'] AS DOUBLE) <= 399.0 AND NOT CAST(s2['has_null'] AS BOOLEAN) AND CAST(s3['min'] AS DOUBLE) >= 316281.0 AND CAST(s3['max'] AS DOUBLE) <= 999483234.0 AND NOT CAST(s3['has_null'] AS BOOLEAN) AND CAST(s4['min'] AS DOUBLE) >= # AND CAST(s4['max'] AS DOUBLE) <= # AND NOT CAST(s4['has_null'] AS BOOLEAN) THEN 'true' ELSE 'facts has changed since the statement was planned: run it again' END FROM (SELECT stats("dist") AS s0, stats("delay") AS s1, stats("seats") AS s2, stats("fuel") AS s3, stats("price") AS s4 FROM facts LIMIT 1)) AS BOOLEAN) IS NOT FALSE
-- Spark gets:
-- hist is pruned by the table's statistics: dist is at least 0.5 and at most 1999.1 or NULL, delay is at least -22.75 and at most 26 or NULL, age is at least 2 and at most 399 and not NULL, weight is at least 316281 and at most 999483234 and not NULL, altitude is at least # and at most # and not NULL; it no longer reads weight
-- hist stops at the tree after which a row can no longer come above 0.8
SELECT id FROM facts WHERE __hist_predict(dist, delay, seats, price) > 0.8 AND (SELECT sqlml_files.once.unchanged('facts ...') FROM VALUES (1))
