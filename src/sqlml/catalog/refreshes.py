"""What refreshes and their runs leave behind, inside a transaction of the caller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, func, insert, literal, select, update

from sqlml.catalog.schema import prediction_tables, refreshes, runs
from sqlml.catalog.table_records import PredictionTable, Refresh, Run, TableWindow, from_row, to_row

LOST = "the process ended before it was finished"
"""What is said of a refresh, and of its runs, whose process is gone."""


def begin(
    connection: Connection, table: PredictionTable, wanted: Refresh, alive_seconds: float
) -> tuple[Refresh, bool]:
    """Record a refresh, unless its moment of the schedule is answered or being answered: that one then, and False.

    Each attempt is a row of its own: a process that was thought dead and wakes up can't write into the next one's.
    """
    key = table.name.casefold()
    last = None if wanted.scheduled_for is None else _last(connection, key, wanted.scheduled_for)
    if last is not None:
        # A table that was dropped and made anew has answered nothing yet.
        answered = last.outcome == "done" and last.started_at >= table.created_at
        if answered or (last.outcome == "running" and _is_alive(last, alive_seconds)):
            return last, False
        close(connection, [last])
    attempt = wanted.attempt if last is None else last.attempt + 1
    begun = replace(wanted, table_name=table.name, attempt=attempt)
    connection.execute(insert(refreshes).values(table_key=key, **to_row(vars(begun))))
    return begun, True


def close(connection: Connection, dead: Sequence[Refresh]) -> list[str]:
    """Fail those that still run and weren't heard of since they were read; gives the runs that failed with them."""
    lost: list[str] = []
    ended = {"outcome": "failed", "error": LOST, "finished_at": datetime.now(UTC)}
    for refresh in dead:
        silent = {"refresh_id": refresh.refresh_id, "outcome": "running", "heartbeat_at": refresh.heartbeat_at}
        if connection.execute(update(refreshes).filter_by(**silent).values(ended)).rowcount:
            running = {"refresh_id": refresh.refresh_id, "outcome": "running"}
            unfinished = select(runs.c.run_id).filter_by(**running).order_by(runs.c.started_at, runs.c.run_id)
            lost += connection.scalars(unfinished)
            connection.execute(update(runs).filter_by(**running).values(ended))
    return lost


def mark_published(connection: Connection, table_key: str, published: Sequence[TableWindow]) -> int:
    """Believe the table rather than the runs: what it holds was published, whatever became of the process that did.

    Gives how many runs were told so.
    """
    of_table = select(runs.c.run_id).filter_by(table_key=table_key)
    others = set(connection.scalars(of_table.where(runs.c.outcome != "published")))
    news = [window for window in published if window.run_id in others]
    for window in news:
        moment = func.coalesce(runs.c.finished_at, literal(window.published_at, runs.c.finished_at.type))
        values = {"commit_version": window.commit_version, "rows_out": window.rows, "finished_at": moment}
        marked = update(runs).filter_by(run_id=window.run_id).values(outcome="published", error=None, **values)
        connection.execute(marked)
    return len(news)


def of_table(name: str) -> Select[Any]:
    """The refreshes of a table, newest first; also of one that was dropped."""
    newest = (refreshes.c.started_at.desc(), refreshes.c.attempt.desc(), refreshes.c.refresh_id.desc())
    return select(refreshes).filter_by(table_key=name.casefold()).order_by(*newest)


def read(connection: Connection, statement: Select[Any]) -> list[Refresh]:
    """The refreshes that a statement selects."""
    return [from_row(Refresh, row) for row in connection.execute(statement).mappings()]


def read_runs(connection: Connection, statement: Select[Any]) -> list[Run]:
    """The runs that a statement selects."""
    return [from_row(Run, row) for row in connection.execute(statement).mappings()]


def answered(connection: Connection) -> dict[str, datetime]:
    """Of each table that is there the last moment of its schedule that a refresh has answered.

    One by hand, of what is due or of everything, answers all moments before it began.
    """
    c, table = refreshes.c, prediction_tables.c
    # A table that was dropped and made anew has answered nothing yet.
    done = select(c.refresh_id).where(c.table_key == table.key, c.outcome == "done", c.started_at >= table.created_at)
    by_hand = done.where(c.scheduled_for.is_(None), c.kind.in_(("due", "full")))
    # The first row of an index each, however many refreshes there were.
    ways = (
        done.with_only_columns(c.scheduled_for).where(c.scheduled_for.is_not(None)).order_by(c.scheduled_for.desc()),
        by_hand.with_only_columns(c.started_at).order_by(c.started_at.desc()),
    )
    found = connection.execute(select(table.key, *(way.limit(1).scalar_subquery() for way in ways)))
    return {key: max(filter(None, moments)) for key, *moments in found if any(moments)}


def _last(connection: Connection, key: str, moment: datetime) -> Refresh | None:
    slot = select(refreshes).filter_by(table_key=key, scheduled_for=moment)
    found = read(connection, slot.order_by(refreshes.c.attempt.desc()).limit(1))
    return found[0] if found else None


def _is_alive(refresh: Refresh, seconds: float) -> bool:
    return refresh.heartbeat_at + timedelta(seconds=seconds) > datetime.now(UTC)
