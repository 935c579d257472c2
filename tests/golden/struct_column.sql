-- A column that holds a struct is a row.
SELECT line(s), line(s.*), line(x.s) FROM (SELECT {'b': 1, 'a': 2} AS s) AS x;
-- DuckDB gets:
-- A column that holds a struct is a row.
SELECT __line_predict(("s")."a", ("s")."b") AS "line(s)", __line_predict(("s")."a", ("s")."b") AS "line(s.*)", __line_predict(("x"."s")."a", ("x"."s")."b") AS "line(x.s)" FROM (SELECT {'b': 1, 'a': 2} AS s) AS x
