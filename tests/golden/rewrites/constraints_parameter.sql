-- A parameter is no constant yet.
SELECT id, grade(carrier, 'Boeing', dist, 4) AS y FROM facts WHERE carrier = ?;
-- does:
-- none of the query: the engine refused it: Invalid Input Error: Values were not provided for the following parameters: 1
-- DuckDB gets:
-- A parameter is no constant yet.
SELECT id, __grade_predict(carrier, 'Boeing', dist, 4) AS y FROM facts WHERE carrier = $1
