-- A struct literal is bound by its fields' names.
SELECT line({'b': 2, 'more': 'x', 'a': 1});
-- DuckDB gets:
-- A struct literal is bound by its fields' names.
SELECT __line_predict(1, 2) AS "line({'b': 2, 'more': 'x', 'a': 1})"
