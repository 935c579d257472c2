-- An answer beyond a bound needs a column that is.
SELECT place, odd("Wet Days", altitude, altitude) AS y FROM places WHERE odd("Wet Days", altitude, altitude) > 700;
-- does:
-- odd can't come there unless say "hi" is at least 2486.72, which the scan looks at first
-- odd is computed once a row, for all places that name it
-- DuckDB gets:
SELECT place, "places"."__sqlml_once_0" AS y FROM (SELECT *, __odd_predict_once("Wet Days", altitude, altitude) AS "__sqlml_once_0" FROM places WHERE altitude >= # AND CAST((SELECT CASE WHEN CAST(s0['min'] AS DOUBLE) >= 6.0 AND CAST(s0['max'] AS DOUBLE) <= 296.0 AND NOT CAST(s0['has_null'] AS BOOLEAN) AND CAST(s1['min'] AS DOUBLE) >= 135.0 AND CAST(s1['max'] AS DOUBLE) <= 2871.6 AND NOT CAST(s1['has_null'] AS BOOLEAN) THEN 'true' ELSE 'places has changed since the statement was planned: run it again' END FROM (SELECT stats("wet days") AS s0, stats("altitude") AS s1 FROM places LIMIT 1)) AS BOOLEAN) IS NOT FALSE) AS "places" WHERE "places"."__sqlml_once_0" > 700
