-- ROLLUP makes NULL of what was filtered.
SELECT maker, max(age), plane(maker, 3, 4) AS y FROM planes WHERE maker = 'Boeing' GROUP BY ROLLUP (maker);
-- does:
-- plane is pruned by the filter: age is 3, weight is 4; it no longer reads age, weight
-- DuckDB gets:
SELECT maker, MAX(age), __plane_predict(maker) AS y FROM planes WHERE maker = 'Boeing' GROUP BY ROLLUP (maker)
-- Spark gets:
-- plane is pruned by the filter: age is 3, weight is 4; it no longer reads age, weight
SELECT maker, MAX(age), `jvm`.`plane`(CAST(maker AS STRING)) AS y FROM planes WHERE maker = 'Boeing' GROUP BY ROLLUP (maker)
