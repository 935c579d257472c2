-- Several outputs of one row in one place are one evaluation; another row, or another place, is its own.
SELECT logit(p), logit_score(p), line(p), (SELECT max(logit_score(q)) FROM pairs AS q) FROM pairs AS p;
-- DuckDB gets:
-- Several outputs of one row in one place are one evaluation; another row, or another place, is its own.
SELECT (__logit_predict_score("p"."a", "p"."b")).predict AS "logit(p)", (__logit_predict_score("p"."a", "p"."b")).score AS "logit_score(p)", __line_predict("p"."a", "p"."b") AS "line(p)", (SELECT max(__logit_score("q"."a", "q"."b")) AS "max(logit_score(q))" FROM pairs AS q) AS "(SELECT max(logit_score(q)) FROM pairs AS q)" FROM pairs AS p
-- Spark gets:
-- Several outputs of one row in one place are one evaluation; another row, or another place, is its own.
SELECT `jvm`.`logit`(CAST(`p`.`a` AS DOUBLE), CAST(`p`.`b` AS DOUBLE)) AS `logit(p)`, `jvm`.`logit_score`(CAST(`p`.`a` AS DOUBLE), CAST(`p`.`b` AS DOUBLE)) AS `logit_score(p)`, `jvm`.`line`(CAST(`p`.`a` AS DOUBLE), CAST(`p`.`b` AS DOUBLE)) AS `line(p)`, (SELECT max(`jvm`.`logit_score`(CAST(`q`.`a` AS DOUBLE), CAST(`q`.`b` AS DOUBLE))) AS `max(logit_score(q))` FROM pairs AS q) AS `(SELECT max(logit_score(q)) FROM pairs AS q)` FROM pairs AS p
