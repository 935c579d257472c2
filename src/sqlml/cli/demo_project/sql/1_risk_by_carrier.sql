-- Which airlines are the likeliest to be late, and which were?
SELECT
    a.name AS airline,
    count(*) AS flights,
    round(avg(delay_risk_score(f)), 3) AS risk,
    round(avg(CAST(f.arr_delay > 15 AS INTEGER)), 3) AS was_late
FROM flights_ready AS f
JOIN airlines AS a USING (carrier)
GROUP BY a.name
ORDER BY risk DESC
LIMIT 5;
