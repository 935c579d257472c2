-- A CTE is not the table by whose name it goes.
WITH planes AS (SELECT * FROM planes UNION ALL SELECT * FROM planes) SELECT f.id, grade(f.carrier, 'Boeing', f.dist, 4) AS y FROM facts AS f LEFT JOIN planes AS p ON f.tail = p.tail;
-- does:
-- grade is pruned by the filter: maker is 'Boeing', altitude is 4; it no longer reads maker, altitude
-- DuckDB gets:
WITH planes AS (SELECT * FROM planes UNION ALL SELECT * FROM planes) SELECT f.id, __grade_predict(f.carrier, f.dist) AS y FROM facts AS f LEFT JOIN planes AS p ON f.tail = p.tail
