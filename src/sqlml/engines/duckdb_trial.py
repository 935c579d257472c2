"""The trial of the native door, as a process of its own: `python -m sqlml.engines.duckdb_trial OFFSET`."""

from __future__ import annotations

import sys

import duckdb
import pyarrow as pa

from sqlml.engines.duckdb_layout import Want
from sqlml.engines.duckdb_native import NativeDoor, callback
from sqlml.programs.kernel.layout import What

_ROWS = 300_000


def trial(offset: int) -> None:
    """Open a database, go through its door, and compare what comes back; raises or dies where it is wrong."""
    with duckdb.connect() as connection:
        connection.execute("SET threads = 2")
        connection.execute(f"CREATE TABLE rows AS SELECT i::DOUBLE AS x, i % 7 = 0 AS gone FROM range({_ROWS}) t(i)")
        door = NativeDoor(connection, offset)
        run = callback().address("sqlml_door_trial")

        def slow(arrays: list[pa.Array]) -> pa.Array:
            return pa.array([-1.0] * len(arrays[0]))

        door.register("door_trial", [Want.NUMBER], [What.VALUE], pa.float64(), slow, run=run)
        query = """
            SELECT count(*), count(*) FILTER (answer IS NOT DISTINCT FROM 2 * given)
            FROM (SELECT CASE WHEN gone THEN NULL ELSE x END AS given, door_trial(given) AS answer FROM rows)
        """
        found = connection.execute(query).fetchall()
        if found != [(_ROWS, _ROWS)]:
            raise RuntimeError(f"a wrong answer: {found}")
        if connection.execute("SELECT door_trial('a')").fetchall() != [(-1.0,)]:
            raise RuntimeError("a wrong answer by the slow path")
        door.unregister("door_trial")


if __name__ == "__main__":
    trial(int(sys.argv[1]))
