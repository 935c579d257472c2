-- USING makes one column of two.
SELECT hist(*), line(l.a, r.b) FROM left_side AS l FULL JOIN right_side AS r USING (id);
-- DuckDB gets:
-- USING makes one column of two.
SELECT __hist_predict("l"."a", "r"."b") AS "hist(*)", __line_predict(l.a, r.b) AS "line(l.a, r.b)" FROM left_side AS l FULL JOIN right_side AS r USING (id)
