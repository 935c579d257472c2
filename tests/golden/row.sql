-- A row is taken apart: the columns in the model's order, and no others.
SELECT id, churn(p) FROM people AS p WHERE churn_score(p) > 0.5;
-- DuckDB gets:
-- A row is taken apart: the columns in the model's order, and no others.
SELECT id, (__churn_predict_score("p"."tenure", "p"."price", "p"."plan", "p"."region")).predict AS "churn(p)" FROM people AS p WHERE (__churn_predict_score("p"."tenure", "p"."price", "p"."plan", "p"."region")).score > 0.5
-- Spark gets:
-- A row is taken apart: the columns in the model's order, and no others.
SELECT id, `jvm`.`churn`(CAST(coalesce(try_cast(`p`.`tenure` AS DOUBLE), CASE WHEN `p`.`tenure` IS NOT NULL THEN CAST(raise_error(concat('sqlml.errors.BadCast: \'churn\': the argument \'tenure\' takes BIGINT, and ', 'the text \'', CAST(`p`.`tenure` AS STRING), '\' is no number.')) AS DOUBLE) END) AS DOUBLE), CAST(`p`.`price` AS DOUBLE), CAST(`p`.`plan` AS STRING), CAST(`p`.`region` AS STRING)) AS `churn(p)` FROM people AS p WHERE `jvm`.`churn_score`(CAST(coalesce(try_cast(`p`.`tenure` AS DOUBLE), CASE WHEN `p`.`tenure` IS NOT NULL THEN CAST(raise_error(concat('sqlml.errors.BadCast: \'churn\': the argument \'tenure\' takes BIGINT, and ', 'the text \'', CAST(`p`.`tenure` AS STRING), '\' is no number.')) AS DOUBLE) END) AS DOUBLE), CAST(`p`.`price` AS DOUBLE), CAST(`p`.`plan` AS STRING), CAST(`p`.`region` AS STRING)) > 0.5
