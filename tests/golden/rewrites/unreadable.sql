-- What would be written back otherwise stays as it is.
SELECT id, hist(dist, delay, seats, fuel, price) AS y FROM facts USING SAMPLE 10 ROWS;
-- does:
-- none of the query: sqlglot would write 'reservoir' otherwise
-- DuckDB gets:
-- What would be written back otherwise stays as it is.
SELECT id, __hist_predict(dist, delay, seats, fuel, price) AS y FROM facts USING SAMPLE 10 ROWS
