-- Nothing says that there is one partner.
SELECT f.id, grade(f.carrier, 'Boeing', f.dist, 4) AS y FROM facts AS f JOIN planes_free AS p ON f.tail = p.tail;
-- does:
-- grade is pruned by the filter: maker is 'Boeing', altitude is 4; it no longer reads maker, altitude
-- DuckDB gets:
SELECT f.id, __grade_predict(f.carrier, f.dist) AS y FROM facts AS f JOIN planes_free AS p ON f.tail = p.tail
