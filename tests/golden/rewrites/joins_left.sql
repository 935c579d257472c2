-- The filter frees a column, and its join goes.
SELECT f.id, grade(f.carrier, 'Boeing', f.dist, 4) AS y FROM facts AS f LEFT JOIN planes AS p ON f.tail = p.tail;
-- does:
-- grade is pruned by the filter: maker is 'Boeing', altitude is 4; it no longer reads maker, altitude
-- the join with 'p' is gone: nothing of it is read, and each row has one partner at most
-- DuckDB gets:
SELECT f.id, __grade_predict(f.carrier, f.dist) AS y FROM facts AS f
