-- Parameters are numbered, for binding by name may move one past another.
PREPARE q AS SELECT line(b := ?, a := ?);
-- DuckDB gets:
-- Parameters are numbered, for binding by name may move one past another.
PREPARE q AS SELECT __line_predict($2, $1) AS "line(b := $1, a := $2)"
