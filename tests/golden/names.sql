-- Names in any order and case; both signs.
SELECT line(B := 2, a := id), line(b => 1, a => 0) FROM pairs;
-- DuckDB gets:
-- Names in any order and case; both signs.
SELECT __line_predict(id, 2) AS "line(B := 2, a := id)", __line_predict(0, 1) AS "line(b => 1, a => 0)" FROM pairs
