-- A branch keeps rows from a model that may refuse them.
SELECT id, CASE WHEN seats > 5 THEN near(seats, seats) END AS y FROM many;
-- does:
-- DuckDB gets:
-- A branch keeps rows from a model that may refuse them.
SELECT id, CASE WHEN seats > 5 THEN __near_predict(seats, seats) END AS y FROM many
