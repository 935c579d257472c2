-- If a risk of 0.4 is called late, how often is that right, on days that the model has not seen?
SELECT
    predicted_arrival,
    count(*) AS flights,
    round(avg(CAST(arr_delay > 15 AS INTEGER)), 3) AS was_late
FROM ML.PREDICT(
    MODEL delay_risk,
    (SELECT * FROM flights_ready WHERE day % 3 = 0 AND month IN (6, 7) AND arr_delay IS NOT NULL),
    STRUCT(0.4 AS threshold)
)
GROUP BY predicted_arrival
ORDER BY predicted_arrival;
