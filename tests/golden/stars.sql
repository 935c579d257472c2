-- A star, with columns changed on the way.
SELECT churn(*), churn(* REPLACE (price * 1.1 AS price)), line(l.* EXCLUDE (c) RENAME (x AS a))
FROM people CROSS JOIN (SELECT 1 AS x, 2 AS b, 3 AS c) AS l;
-- DuckDB gets:
-- A star, with columns changed on the way.
SELECT __churn_predict("people"."tenure", "people"."price", "people"."plan", "people"."region") AS "churn(*)", __churn_predict("people"."tenure", price * 1.1, "people"."plan", "people"."region") AS "churn(* REPLACE (price * 1.1 AS price))", __line_predict("l"."x", "l"."b") AS "line(l.* EXCLUDE (c) RENAME (x AS a))"
FROM people CROSS JOIN (SELECT 1 AS x, 2 AS b, 3 AS c) AS l
