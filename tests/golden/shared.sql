-- Several outputs of one row in one place are one evaluation; another row, or another place, is its own.
SELECT logit(p), logit_score(p), line(p), (SELECT max(logit_score(q)) FROM pairs AS q) FROM pairs AS p;
-- DuckDB gets:
-- Several outputs of one row in one place are one evaluation; another row, or another place, is its own.
SELECT (__logit_predict_score("p"."a", "p"."b")).predict AS "logit(p)", (__logit_predict_score("p"."a", "p"."b")).score AS "logit_score(p)", __line_predict("p"."a", "p"."b") AS "line(p)", (SELECT max(__logit_score("q"."a", "q"."b")) AS "max(logit_score(q))" FROM pairs AS q) AS "(SELECT max(logit_score(q)) FROM pairs AS q)" FROM pairs AS p
