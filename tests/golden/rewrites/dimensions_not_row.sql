-- The dimension's row is asked for, and is to have its own columns alone.
SELECT plane(p.maker, p.age, p.weight) AS y, to_json(p) AS p FROM facts AS f JOIN planes AS p ON f.tail = p.tail;
-- does:
-- DuckDB gets:
-- The dimension's row is asked for, and is to have its own columns alone.
SELECT __plane_predict(p.maker, p.age, p.weight) AS y, to_json(p) AS p FROM facts AS f JOIN planes AS p ON f.tail = p.tail
