-- A CTE's columns; an inner star means the inner FROM.
WITH q AS (SELECT b, a FROM pairs) SELECT line(q), (SELECT max(line(*)) FROM pairs) FROM q;
-- DuckDB gets:
-- A CTE's columns; an inner star means the inner FROM.
WITH q AS (SELECT b, a FROM pairs) SELECT __line_predict("q"."a", "q"."b") AS "line(q)", (SELECT max(__line_predict("pairs"."a", "pairs"."b")) AS "max(line(*))" FROM pairs) AS "(SELECT max(line(*)) FROM pairs)" FROM q
-- Spark gets:
-- A CTE's columns; an inner star means the inner FROM.
WITH q AS (SELECT b, a FROM pairs) SELECT `jvm`.`line`(CAST(`q`.`a` AS DOUBLE), CAST(`q`.`b` AS DOUBLE)) AS `line(q)`, (SELECT max(`jvm`.`line`(CAST(`pairs`.`a` AS DOUBLE), CAST(`pairs`.`b` AS DOUBLE))) AS `max(line(*))` FROM pairs) AS `(SELECT max(line(*)) FROM pairs)` FROM q
