-- A comparison with NULL is never true, NOT IN is true of other values, IS NOT TRUE of NULL.
SELECT id, tree(carrier, dist, seats, maker, age, zone, altitude) AS y FROM facts, planes, places WHERE carrier = NULL AND maker NOT IN ('Boeing') AND (dist > 5) IS NOT TRUE;
-- does:
-- tree takes 1 encoded column(s) of 'planes', computed once a row of it, in place of 1
-- tree takes 1 encoded column(s) of 'places', computed once a row of it, in place of 1
-- DuckDB gets:
SELECT id, __tree_predict(carrier, dist, seats, age, altitude, "places"."__sqlml_part_0", "planes"."__sqlml_part_0") AS y FROM facts, (SELECT *, __tree_predict(maker) AS "__sqlml_part_0" FROM planes) AS "planes", (SELECT *, __tree_predict(zone) AS "__sqlml_part_0" FROM places) AS "places" WHERE carrier = NULL AND NOT maker IN ('Boeing') AND NOT (dist > 5) IS TRUE
