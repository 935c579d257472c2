-- A parameter is no constant yet.
SELECT id, grade(carrier, 'Boeing', dist, 4) AS y FROM facts WHERE carrier = ?;
-- does:
-- none of the query: it has parameters
-- DuckDB gets:
-- A parameter is no constant yet.
SELECT id, __grade_predict(carrier, 'Boeing', dist, 4) AS y FROM facts WHERE carrier = $1
