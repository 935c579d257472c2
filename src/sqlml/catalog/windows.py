"""Which windows a prediction table has, as far as its commits were taken in; inside a transaction of the caller.

A window that is gone leaves a mark. Without it, a process that is late and brings an older commit would make the
catalog believe that the table has the window, and nobody would ever compute it again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select

from sqlml.catalog.schema import table_windows
from sqlml.catalog.table_records import TableWindow, from_row, to_row

_GONE = -1
"""The number in a mark: less than every window's, so that a commit may take a window away and put it back."""

_ASKED_BY_KEY = 500
"""So many keys fit into a statement of every database."""


def known(connection: Connection, key: str, wanted: Collection[str] | None = None) -> dict[str, TableWindow]:
    """The windows of a table by their key, in the order of their keys; all of them, or those that are wanted."""
    there = select(table_windows).filter_by(table_key=key, gone=False).order_by(table_windows.c.key)
    if wanted is not None and len(wanted) <= _ASKED_BY_KEY:
        there = there.where(table_windows.c.key.in_(wanted))
    return {row["key"]: from_row(TableWindow, row) for row in connection.execute(there).mappings()}


def take_in(
    connection: Connection, table_key: str, commit: int, published: Sequence[TableWindow], gone: Collection[str]
) -> int:
    """Write down what is newer than what is known, and how many windows that was.

    Who is late brings older commits: they change nothing, neither what was published since nor what is gone since.
    """
    c = table_windows.c
    seen = {
        key: (commit_version, number)
        for key, commit_version, number in connection.execute(
            select(c.key, c.commit_version, c.number).filter_by(table_key=table_key)
        )
    }
    rows: dict[str, dict[str, Any]] = {}
    for key in gone:
        mark = (commit, _GONE)
        if key not in seen or (seen[key][0] <= commit and seen[key] != mark):
            rows[key] = _mark(key, commit)
            seen[key] = mark
    for window in published:
        at = (window.commit_version, window.number)
        if window.key not in seen or at > seen[window.key]:
            rows[window.key] = {**to_row(vars(window)), "gone": False}
            seen[window.key] = at
    _replace(connection, table_key, rows)
    return len(rows)


def forget(connection: Connection, table_key: str) -> None:
    """Know nothing of a table's windows: its folder is another one, or it is dropped."""
    connection.execute(delete(table_windows).filter_by(table_key=table_key))


def _mark(key: str, commit: int) -> dict[str, Any]:
    return {
        "key": key,
        "window_from": None,
        "window_to": None,
        "number": _GONE,
        "run_id": "",
        "commit_version": commit,
        "rows": 0,
        "query_hash": "",
        "versions": "{}",
        "published_at": datetime.now(UTC),
        "gone": True,
    }


def _replace(connection: Connection, table_key: str, rows: Mapping[str, Mapping[str, Any]]) -> None:
    # Delete and insert, for each database has an upsert of its own; nobody sees the moment between.
    if rows:
        c = table_windows.c
        same = delete(table_windows).where(c.table_key == table_key, c.key == bindparam("window"))
        connection.execute(same, [{"window": key} for key in rows])
        connection.execute(insert(table_windows), [{"table_key": table_key, **row} for row in rows.values()])
