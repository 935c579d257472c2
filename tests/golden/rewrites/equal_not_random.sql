-- Rows that would be others the next time are asked for once.
SELECT id, near(seats, seats) AS y FROM many WHERE random() < 0.5;
-- does:
-- DuckDB gets:
-- Rows that would be others the next time are asked for once.
SELECT id, __near_predict(seats, seats) AS y FROM many WHERE random() < 0.5
