-- What is equal in an inner join has one domain.
SELECT f.id, grade(f.note, p.maker, f.dist, 4) AS y FROM facts AS f JOIN planes AS p ON f.note = p.maker WHERE p.maker = 'Boeing';
-- does:
-- grade is pruned by the filter: altitude is 4, carrier is 'Boeing', maker is 'Boeing'; it no longer reads carrier, maker, altitude
-- DuckDB gets:
SELECT f.id, __grade_predict(f.dist) AS y FROM facts AS f JOIN planes AS p ON f.note = p.maker WHERE p.maker = 'Boeing'
