-- A function of one dimension alone is that dimension's.
SELECT f.id, plane_hist(p.weight, p.weight) AS y FROM facts AS f JOIN planes AS p ON f.tail = p.tail;
-- does:
-- plane_hist is computed once a row of 'p'
-- DuckDB gets:
SELECT f.id, "p"."__sqlml_part_0" AS y FROM facts AS f JOIN (SELECT *, __plane_hist_predict(p.weight, p.weight) AS "__sqlml_part_0" FROM planes AS p) AS "p" ON f.tail = p.tail
-- Spark gets:
-- plane_hist is computed once a row of 'p'
SELECT f.id, `p`.`__sqlml_part_0` AS y FROM facts AS f JOIN (SELECT *, `jvm`.`plane_hist`(coalesce(CAST(p.weight AS DOUBLE), power(-1e0, 5e-1)), coalesce(CAST(p.weight AS DOUBLE), power(-1e0, 5e-1))) AS `__sqlml_part_0` FROM planes AS p) AS `p` ON f.tail = p.tail
