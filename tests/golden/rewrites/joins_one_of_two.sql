-- One dimension is read, the other is not.
SELECT f.id, plane(p.maker, p.age, p.weight) AS y FROM facts AS f JOIN planes AS p ON f.tail = p.tail JOIN places AS q ON q.place = f.place;
-- does:
-- the join with 'q' is gone: nothing of it is read, and each row has one partner at most
-- plane takes 1 encoded column(s) of 'p', computed once a row of it, in place of 1
-- DuckDB gets:
SELECT f.id, __plane_predict(p.age, p.weight, "p"."__sqlml_part_0") AS y FROM facts AS f JOIN (SELECT *, __plane_predict(p.maker) AS "__sqlml_part_0" FROM planes AS p) AS "p" ON f.tail = p.tail
