-- A category is a small number below the join.
SELECT f.id, tree(f.carrier, f.dist, f.seats, p.maker, p.age, q.zone, q.altitude) AS y FROM facts AS f JOIN planes AS p ON f.tail = p.tail JOIN places AS q ON f.place = q.place;
-- does:
-- tree takes 1 encoded column(s) of 'p', computed once a row of it, in place of 1
-- tree takes 1 encoded column(s) of 'q', computed once a row of it, in place of 1
-- DuckDB gets:
SELECT f.id, __tree_predict(f.carrier, f.dist, f.seats, p.age, q.altitude, "q"."__sqlml_part_0", "p"."__sqlml_part_0") AS y FROM facts AS f JOIN (SELECT *, __tree_predict(p.maker) AS "__sqlml_part_0" FROM planes AS p) AS "p" ON f.tail = p.tail JOIN (SELECT *, __tree_predict(q.zone) AS "__sqlml_part_0" FROM places AS q) AS "q" ON f.place = q.place
