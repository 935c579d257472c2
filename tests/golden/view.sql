-- A view keeps the public name, and is bound again by whoever reads it.
CREATE VIEW risks AS SELECT id, churn_score(*) AS risk, line(1, 2) AS y FROM people;
-- DuckDB gets:
-- A view keeps the public name, and is bound again by whoever reads it.
CREATE VIEW risks AS SELECT id, "churn_score"(struct_pack("tenure" := "people"."tenure", "price" := "people"."price", "plan" := "people"."plan", "region" := "people"."region")) AS risk, "line"(1, 2) AS y FROM people
