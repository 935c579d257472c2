"""How fresh a prediction table is, and what it is, as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlml.catalog.table_records import PredictionTable, Run, TableWindow
from sqlml.errors import SqlmlError
from sqlml.tables import delta
from sqlml.tables.asked import Request
from sqlml.tables.choosing import stale, windows_to_do
from sqlml.tables.compaction import stored_files
from sqlml.tables.desk import Desk
from sqlml.tables.layout import key_of, place_of, window_folder
from sqlml.tables.preparing import Prepared, prepare, statement_of
from sqlml.tables.refresh import reconcile
from sqlml.tables.schedule import Schedule

_RECENT = 10_000


@dataclass(frozen=True)
class Failure:
    """The last run of a window, where that failed."""

    window: str
    run_id: str
    at: datetime
    error: str | None


@dataclass(frozen=True)
class Status:
    """How fresh a table is.

    Attributes:
        published: how many windows it has.
        published_at: when the last one came.
        needs_full: whether it was declared anew with other columns or windows, and is to be rebuilt.
        running: the refreshes that are at work.
        missing: the windows that a refresh would compute for the first time.
        stale: the windows that an older query or another version of a model has made, and what has changed.
        failed: the windows whose last run failed, the newest first.
        next_slot: when its schedule is next due.
        problem: why its missing and stale windows can't be told.
    """

    name: str
    engine: str
    published: int
    rows: int
    published_at: datetime | None
    needs_full: bool
    running: tuple[str, ...]
    missing: tuple[str, ...]
    stale: Mapping[str, str]
    failed: tuple[Failure, ...]
    next_slot: datetime | None
    problem: str | None


def status(desk: Desk, name: str, now: datetime | None = None) -> Status:
    """How fresh a table is at a moment.

    Raises:
        UnknownTable: there is none of that name.
        CatalogUnreachable: the catalog doesn't answer.
    """
    now = now or datetime.now(UTC)
    table, problem = desk.tables.get(name), None
    missing: tuple[str, ...] = ()
    old: Mapping[str, str] = {}
    try:
        reconcile(desk, table)
        table = desk.tables.get(name)
        prepared = prepare(desk, table)
        known = desk.tables.windows(name)
        missing, old = missing_windows(desk, prepared, known, now), stale(prepared, known)
    except (SqlmlError, OSError) as error:
        problem = str(error)
    known = desk.tables.windows(name)
    refreshes = desk.tables.refreshes(name)
    return Status(
        name=table.name,
        engine=desk.engine.name,
        published=len(known),
        rows=sum(window.rows for window in known.values()),
        published_at=max((window.published_at for window in known.values()), default=None),
        needs_full=table.needs_full,
        running=tuple(one.refresh_id for one in refreshes if one.outcome == "running"),
        missing=missing,
        stale=old,
        failed=tuple(failed_last(desk.tables.runs(name, limit=_RECENT), known, table.created_at)),
        next_slot=next_slot(table, desk.time_zone, now),
        problem=problem,
    )


def missing_windows(desk: Desk, prepared: Prepared, known: dict[str, TableWindow], now: datetime) -> tuple[str, ...]:
    """The windows that hold rows and were never published, in order, however many a refresh computes at a time."""
    everything = replace(prepared, declared=replace(prepared.declared, catch_up=None))
    # A table that is to be rebuilt has windows of another kind.
    is_full = prepared.table.needs_full
    found = windows_to_do(desk, everything, Request(now=now, full=is_full), is_full=is_full)
    return tuple(key for key in map(key_of, found) if key not in known or is_full)


def failed_last(runs: Iterable[Run], known: Mapping[str, TableWindow], since: datetime) -> list[Failure]:
    """The windows whose last run failed, and which nothing has published since.

    Args:
        runs: of the table, newest first.
        known: the windows that it has.
        since: when it was made: runs of a dropped one of the same name are none of its.
    """
    seen: set[str] = set()
    found = []
    for run in runs:
        if run.started_at < since or run.window_key in seen:
            continue
        seen.add(run.window_key)
        window = known.get(run.window_key)
        is_healed = window is not None and window.published_at >= run.started_at
        if run.outcome == "failed" and not is_healed:
            found.append(Failure(run.window_key, run.run_id, run.started_at, run.error))
    return found


def next_slot(table: PredictionTable, time_zone: str, now: datetime) -> datetime | None:
    """When a table's schedule is next due, in its own zone's clock and in UTC."""
    if table.schedule is None:
        return None
    return Schedule.parse(table.schedule, table.zone or time_zone).next(now)


def about(desk: Desk, name: str) -> dict[str, Any]:
    """All that the catalog and the table's log say of a table; its query's data are not asked.

    Raises:
        UnknownTable: there is none of that name.
        TableMissing, TableUnreadable: its files are gone, or damaged.
    """
    table = desk.tables.get(name)
    held, known = statement_of(table), desk.tables.windows(name)
    snapshot = delta.snapshot(Path(table.path))
    incremental = held.incremental
    last = max(known.values(), key=lambda window: window.published_at, default=None)
    return {
        "name": table.name,
        "path": table.path,
        "engine": table.engine,
        "file": table.file,
        "columns": [{"name": field.name, "type": str(field.type)} for field in snapshot.schema],
        "partitioned_by": list(held.partition_by),
        "incremental_on": incremental and incremental.column,
        "every": incremental and incremental.every,
        "lookback": incremental and incremental.lookback,
        "start": incremental and incremental.start and incremental.start.text,
        "key": list(held.key),
        "schedule": table.schedule,
        "zone": table.zone if table.schedule else None,
        "audits": [str(one) for one in held.audits],
        "options": dict(held.options),
        "query": held.query,
        "version": snapshot.version,
        "files": len(snapshot.files),
        "windows": len(known),
        "rows": sum(snapshot.files.values()),
        "published_at": last and last.published_at,
        "models": {name: f"{one['model']} {one['version']}" for name, one in (last.versions if last else {}).items()},
        "needs_full": table.needs_full,
        "created_at": table.created_at,
    }


@dataclass(frozen=True)
class TableFile:
    """A file of a table's newest version: what is in it, and who wrote it."""

    path: str
    rows: int
    bytes: int
    window: str | None
    run_id: str | None


def table_files(desk: Desk, name: str) -> list[TableFile]:
    """The files of a table, by path.

    Raises:
        UnknownTable: there is none of that name.
        TableMissing, TableUnreadable: its files are gone, or damaged.
    """
    table = desk.tables.get(name)
    keys = {window_folder(key): key for key in desk.tables.windows(name)}
    found = []
    for file in stored_files(Path(table.path)):
        place = place_of(file.path)
        window = place and keys.get(place.window_folder, place.window_folder.partition("=")[2])
        found.append(TableFile(file.path, file.rows, file.bytes, window, place and place.run_id))
    return found
