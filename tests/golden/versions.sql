-- The generic forms, and two versions in one statement.
SELECT predict('churn', p), predict_score('churn@challenger', p), predict_proba('churn/1', *) FROM people AS p;
-- DuckDB gets:
-- The generic forms, and two versions in one statement.
SELECT (__churn_predict_proba("p"."tenure", "p"."price", "p"."plan", "p"."region")).predict AS "predict('churn', p)", __churn_score("p"."tenure", "p"."price", "p"."plan") AS "predict_score('churn@challenger', p)", (__churn_predict_proba("p"."tenure", "p"."price", "p"."plan", "p"."region")).proba AS "predict_proba('churn/1', *)" FROM people AS p
