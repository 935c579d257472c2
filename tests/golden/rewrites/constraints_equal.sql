-- A filter on a category leaves its weight alone.
SELECT id, risk_score(carrier, dist, seats, 'Boeing', 3, 'north', 100) FROM facts WHERE carrier = 'AA';
-- does:
-- risk is pruned by the filter: maker is 'Boeing', age is 3, zone is 'north', altitude is 100, carrier is 'AA'; it no longer reads carrier, maker, age, zone, altitude
-- DuckDB gets:
SELECT id, __risk_score(dist, seats) AS "risk_score(carrier, dist, seats, 'Boeing', 3, 'north', 100)" FROM facts WHERE carrier = 'AA'
-- Spark gets:
-- risk is pruned by the filter: maker is 'Boeing', age is 3, zone is 'north', altitude is 100, carrier is 'AA'; it no longer reads carrier, maker, age, zone, altitude
SELECT id, `jvm`.`risk_score`(CAST(CASE WHEN (typeof(dist) = 'bigint' OR typeof(dist) LIKE 'decimal(%,0)') AND (try_cast(dist AS DECIMAL(38, 0)) > 9007199254740992 OR try_cast(dist AS DECIMAL(38, 0)) < -9007199254740992) THEN CAST(raise_error(concat('sqlml.errors.BadCast: \'risk\': the argument \'dist\' takes DOUBLE, and ', CASE WHEN typeof(dist) = 'bigint' THEN 'the integer ' ELSE 'the DECIMAL ' END, CAST(dist AS STRING), ' is too large to be one exactly (beyond 2^53).')) AS DOUBLE) ELSE coalesce(try_cast(dist AS DOUBLE), CASE WHEN dist IS NOT NULL THEN CAST(raise_error(concat('sqlml.errors.BadCast: \'risk\': the argument \'dist\' takes DOUBLE, and ', 'the text \'', CAST(dist AS STRING), '\' is no number.')) AS DOUBLE) END) END AS DOUBLE), CAST(coalesce(try_cast(seats AS DOUBLE), CASE WHEN seats IS NOT NULL THEN CAST(raise_error(concat('sqlml.errors.BadCast: \'risk\': the argument \'seats\' takes BIGINT, and ', 'the text \'', CAST(seats AS STRING), '\' is no number.')) AS DOUBLE) END) AS DOUBLE)) AS `risk_score(carrier, dist, seats, 'Boeing', 3, 'north', 100)` FROM facts WHERE carrier = 'AA'
