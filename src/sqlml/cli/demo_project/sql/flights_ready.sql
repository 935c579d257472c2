-- One row a flight, with what is known before it leaves, under the names of the models' inputs.
CREATE OR REPLACE TABLE flights_ready AS
SELECT
    f.year, f.month, f.day, f.hour,                   -- when it is to leave, in New York's time
    isodow(make_date(f.year, f.month, f.day)) AS weekday,  -- 1 is Monday
    f.carrier, f.flight, f.tailnum, f.origin, f.dest,
    f.distance,                                       -- miles
    p.year AS plane_year, p.engine, p.seats,          -- NULL for a plane that is in no register
    w.temp, w.humid, w.wind_speed, w.precip, w.pressure, w.visib,  -- at the origin in that hour, or NULL
    f.time_hour,
    f.arr_delay                                       -- what came of it, in minutes; NULL if it never arrived
FROM flights AS f
LEFT JOIN weather AS w USING (origin, time_hour)
LEFT JOIN planes AS p USING (tailnum)
ORDER BY f.time_hour, f.carrier, f.flight, f.origin;
