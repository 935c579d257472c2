-- Calls in calls, and in a REPLACE.
SELECT line(a := square(p), b := square(a := line(*))), line(* REPLACE (square(a) AS b)) FROM pairs AS p;
-- DuckDB gets:
-- Calls in calls, and in a REPLACE.
SELECT __line_predict(__square_predict("p"."a"), __square_predict(__line_predict("p"."a", "p"."b"))) AS "line(a := square(p), b := square(a := line(*)))", __line_predict("p"."a", __square_predict(a)) AS "line(* REPLACE (square(a) AS b))" FROM pairs AS p
