-- The row of the table that is updated.
UPDATE people SET region = churn(people) WHERE churn_score(people) > 0.9;
-- DuckDB gets:
-- The row of the table that is updated.
UPDATE people SET region = (__churn_predict_score("people"."tenure", "people"."price", "people"."plan", "people"."region")).predict WHERE (__churn_predict_score("people"."tenure", "people"."price", "people"."plan", "people"."region")).score > 0.9
