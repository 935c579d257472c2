"""The two numbers by which a session sees whether what it has read still holds.

`revision` is raised by what changes how a statement is answered, and makes every session read all functions again.
Refreshes, which write every few seconds while they run, raise `activity` instead.
"""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from sqlml.catalog.schema import state


def revision(connection: Connection) -> int:
    """The number that every change of functions, versions, aliases and declarations raises."""
    return int(connection.execute(select(state.c.revision)).scalar_one())


def activity(connection: Connection) -> tuple[int, int]:
    """The revision, and the number that whatever refreshes record raises."""
    row = connection.execute(select(state.c.revision, state.c.activity)).one()
    return int(row[0]), int(row[1])


def raise_revision(connection: Connection) -> None:
    """Tell every session to read again what its statements depend on."""
    connection.execute(update(state).values(revision=state.c.revision + 1))


def raise_activity(connection: Connection) -> None:
    """Tell whoever shows runs, refreshes and windows that there is more to show."""
    connection.execute(update(state).values(activity=state.c.activity + 1))
