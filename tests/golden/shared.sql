-- Several outputs of one row in one place are one evaluation; another row, or another place, is its own.
SELECT logit(p), logit_score(p), line(p), (SELECT max(logit_score(q)) FROM pairs AS q) FROM pairs AS p;
-- DuckDB gets:
-- Several outputs of one row in one place are one evaluation; another row, or another place, is its own.
SELECT (__logit_predict_score("p"."a", "p"."b")).predict, (__logit_predict_score("p"."a", "p"."b")).score, __line_predict("p"."a", "p"."b"), (SELECT max(__logit_score("q"."a", "q"."b")) FROM pairs AS q) FROM pairs AS p
