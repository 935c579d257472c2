-- Whom to warn of the flights out of Newark on the evening of July 9?
SELECT
    carrier, flight, dest, hour,
    round(delay_risk_score(f), 2) AS risk,
    round(arrival_delay(f)) AS minutes,
    CASE WHEN delay_risk_score(f) > 0.8 THEN 'rebook' WHEN delay_risk(f) = 'late' THEN 'warn' ELSE 'wait' END AS advice
FROM flights_ready AS f
WHERE (month, day, origin) = (7, 9, 'EWR') AND hour >= 18 AND delay_risk_score(f) > 0.4
ORDER BY risk DESC, flight
LIMIT 6;
