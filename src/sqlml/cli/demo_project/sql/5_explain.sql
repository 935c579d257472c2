-- What would a query do, and which version would answer it? Nothing runs.
EXPLAIN PREDICT
SELECT species(p), count(*) FROM penguins AS p GROUP BY ALL;
