-- A foreign key says that there is a partner.
SELECT f.id, risk(f.carrier, f.dist, f.seats, 'Boeing', p.age, 'north', 3) AS y FROM facts AS f JOIN planes AS p USING (tail) JOIN places AS q ON q.place = f.place WHERE f.id < 9;
-- does:
-- risk is pruned by the filter: maker is 'Boeing', zone is 'north', altitude is 3; it no longer reads maker, zone, altitude
-- the join with 'q' is gone: nothing of it is read, and each row has one partner at most
-- DuckDB gets:
SELECT f.id, __risk_predict(f.carrier, f.dist, f.seats, p.age) AS y FROM facts AS f JOIN planes AS p USING (tail) WHERE f.id < 9
