-- A row that finds no partner has NULL, which no statistics know of.
SELECT f.id, boost(3, p.age, p.age, p.age) AS y FROM facts AS f LEFT JOIN planes AS p ON f.note = p.note;
-- does:
-- boost is pruned by the filter: dist is 3; it no longer reads dist
-- DuckDB gets:
SELECT f.id, __boost_predict(p.age, p.age) AS y FROM facts AS f LEFT JOIN planes AS p ON f.note = p.note
