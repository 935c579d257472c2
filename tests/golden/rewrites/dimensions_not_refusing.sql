-- A category that no fact has must not be refused.
SELECT f.id, strict(f.carrier, p.maker, 'north', f.dist) AS y FROM facts AS f JOIN planes AS p ON f.tail = p.tail;
-- does:
-- strict is pruned by the filter: zone is 'north'; it no longer reads zone
-- DuckDB gets:
SELECT f.id, __strict_predict(f.carrier, p.maker, f.dist) AS y FROM facts AS f JOIN planes AS p ON f.tail = p.tail
