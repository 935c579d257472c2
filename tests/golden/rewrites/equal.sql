-- A slow model is asked once for each combination of what it is given.
SELECT id, near(seats, seats) AS y FROM many;
-- does:
-- near is asked once for each combination of seats
-- DuckDB gets:
SELECT id, "__sqlml_equal_0"."__sqlml_answer" AS y FROM many LEFT JOIN (SELECT "__sqlml_key_0", __near_predict("__sqlml_key_0", "__sqlml_key_0") AS "__sqlml_answer" FROM (SELECT DISTINCT seats AS "__sqlml_key_0" FROM many) AS there) AS "__sqlml_equal_0" ON seats IS NOT DISTINCT FROM "__sqlml_equal_0"."__sqlml_key_0"
-- Spark gets:
-- near is asked once for each combination of seats
SELECT id, `__sqlml_equal_0`.`__sqlml_answer` AS y FROM many LEFT JOIN (SELECT `__sqlml_key_0`, __near_predict(`__sqlml_key_0`, `__sqlml_key_0`) AS `__sqlml_answer` FROM (SELECT DISTINCT seats AS `__sqlml_key_0` FROM many) AS there) AS `__sqlml_equal_0` ON seats IS NOT DISTINCT FROM `__sqlml_equal_0`.`__sqlml_key_0`
