-- BigQuery's table function.
SELECT id, predicted_churned FROM ML.PREDICT(MODEL churn, TABLE people, STRUCT(0.7 AS threshold));
-- DuckDB gets:
-- BigQuery's table function.
SELECT id, predicted_churned FROM (SELECT __sqlml_row.*, CASE WHEN (__churn_probs_score("__sqlml_row"."tenure", "__sqlml_row"."price", "__sqlml_row"."plan", "__sqlml_row"."region")).score >= 0.7 THEN 'yes' WHEN (__churn_probs_score("__sqlml_row"."tenure", "__sqlml_row"."price", "__sqlml_row"."plan", "__sqlml_row"."region")).score IS NOT NULL THEN 'no' END AS "predicted_churned", (__churn_probs_score("__sqlml_row"."tenure", "__sqlml_row"."price", "__sqlml_row"."plan", "__sqlml_row"."region")).probs AS "predicted_churned_probs" FROM people AS __sqlml_row)
