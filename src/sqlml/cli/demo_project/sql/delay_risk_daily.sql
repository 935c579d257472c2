-- The risk of each flight, kept as a table: 'sqlml apply' declares it, 'sqlml tables refresh' computes what is missing.
CREATE PREDICTION TABLE delay_risk_daily
    -- A window is a month here, for a year to be there in a moment; refreshed each night, it would be a day.
    INCREMENTAL ON time_hour EVERY INTERVAL '1' MONTH LOOKBACK INTERVAL '2' DAY
    SCHEDULE CRON '0 3 * * *' AT TIME ZONE 'America/New_York'
    AUDIT (not_null(risk), between(risk, 0, 1), min_rows(1))
    OPTIONS (comment = 'How likely each flight is to arrive more than 15 minutes late')
AS SELECT
    make_date(year, month, day) AS flight_date,       -- in New York's time
    time_hour, carrier, flight, tailnum, origin, dest,
    arr_delay,                                        -- what came of it
    delay_risk_score(f) AS risk
FROM flights_ready AS f;
