-- The row of the table that is updated.
UPDATE people SET region = churn(people) WHERE churn_score(people) > 0.9;
-- DuckDB gets:
-- The row of the table that is updated.
UPDATE people SET region = __churn_predict("people"."tenure", "people"."price", "people"."plan", "people"."region") WHERE __churn_score("people"."tenure", "people"."price", "people"."plan", "people"."region") > 0.9
