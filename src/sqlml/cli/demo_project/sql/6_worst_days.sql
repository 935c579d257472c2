-- Which days were the worst to fly on? No model runs: a prediction table has the answers, and who gave them.
SELECT
    flight_date,
    count(*) AS flights,
    round(avg(risk), 3) AS risk,
    round(avg(CAST(arr_delay > 15 AS INTEGER)), 3) AS was_late,
    any_value(_model.delay_risk.version) AS version
FROM predictions.delay_risk_daily
GROUP BY flight_date
ORDER BY risk DESC
LIMIT 5;
