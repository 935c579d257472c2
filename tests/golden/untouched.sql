-- Texts, comments, columns and tables that look like calls stay as they are.
WITH line(a, b) AS (SELECT 1, 2)
SELECT 'churn(p)' AS churn, /* line(a) */ line.a, line(line) -- line(
FROM line;
-- DuckDB gets:
-- Texts, comments, columns and tables that look like calls stay as they are.
WITH line(a, b) AS (SELECT 1, 2)
SELECT 'churn(p)' AS churn, /* line(a) */ line.a, __line_predict("line"."a", "line"."b") AS "line(line)" -- line(
FROM line
-- Spark gets:
-- Texts, comments, columns and tables that look like calls stay as they are.
WITH line(a, b) AS (SELECT 1, 2)
SELECT 'churn(p)' AS churn, /* line(a) */ line.a, `jvm`.`line`(CAST(`line`.`a` AS DOUBLE), CAST(`line`.`b` AS DOUBLE)) AS `line(line)` -- line(
FROM line
