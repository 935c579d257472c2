-- A row is taken apart: the columns in the model's order, and no others.
SELECT id, churn(p) FROM people AS p WHERE churn_score(p) > 0.5;
-- DuckDB gets:
-- A row is taken apart: the columns in the model's order, and no others.
SELECT id, (__churn_predict_score("p"."tenure", "p"."price", "p"."plan", "p"."region")).predict AS "churn(p)" FROM people AS p WHERE (__churn_predict_score("p"."tenure", "p"."price", "p"."plan", "p"."region")).score > 0.5
