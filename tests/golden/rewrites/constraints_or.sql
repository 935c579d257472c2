-- One of two values of one column; NOT and two columns say nothing.
SELECT id, grade(carrier, 'Boeing', dist, 4) AS y FROM facts WHERE (carrier = 'AA' OR carrier = 'UA') AND NOT (note = 'x' OR dist > 3) AND (seats = 1 OR fuel = 2);
-- does:
-- grade is pruned by the filter: maker is 'Boeing', altitude is 4, carrier is 'AA' or 'UA'; it no longer reads maker, altitude
-- DuckDB gets:
SELECT id, __grade_predict(carrier, dist) AS y FROM facts WHERE (carrier = 'AA' OR carrier = 'UA') AND NOT (note = 'x' OR dist > 3) AND (seats = 1 OR fuel = 2)
