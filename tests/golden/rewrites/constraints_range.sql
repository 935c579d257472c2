-- A range leaves the branches that it reaches, and NaN above an open one.
SELECT id, hist(dist, delay, 3, 50, 10) FROM facts WHERE dist BETWEEN 100 AND 300 AND delay > 2;
-- does:
-- hist is pruned by the filter: age is 3, weight is 50, altitude is 10, dist is at least 100 and at most 300 and not NULL, delay is at least # or NULL; it no longer reads delay, age, weight, altitude
-- DuckDB gets:
SELECT id, __hist_predict(dist) AS "hist(dist, delay, 3, 50, 10)" FROM facts WHERE dist BETWEEN 100 AND 300 AND delay > 2
