-- NOT says nothing.
SELECT place FROM places WHERE NOT (odd("Wet Days", altitude, altitude) > 700);
-- does:
-- DuckDB gets:
-- NOT says nothing.
SELECT place FROM places WHERE NOT (__odd_predict("Wet Days", altitude, altitude) > 700)
