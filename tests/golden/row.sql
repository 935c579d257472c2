-- A row is taken apart: the columns in the model's order, and no others.
SELECT id, churn(p) FROM people AS p WHERE churn_score(p) > 0.5;
-- DuckDB gets:
-- A row is taken apart: the columns in the model's order, and no others.
SELECT id, __churn_predict("p"."tenure", "p"."price", "p"."plan", "p"."region") FROM people AS p WHERE __churn_score("p"."tenure", "p"."price", "p"."plan", "p"."region") > 0.5
