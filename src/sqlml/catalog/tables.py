"""The prediction tables' part of the catalog: what is declared, what has been published, who is at work on it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from sqlml.catalog import refreshes as log
from sqlml.catalog import windows
from sqlml.catalog.counters import raise_activity, raise_revision
from sqlml.catalog.database import Database
from sqlml.catalog.schema import prediction_tables, refreshes, runs, table_locks
from sqlml.catalog.table_records import PredictionTable, Refresh, Run, TableWindow, from_row, storable, to_row
from sqlml.errors import TableExists, UnknownTable, did_you_mean

ALIVE_SECONDS = 120.0
"""For how long a refresh is taken to be at work after it was last heard of."""

# What a run can't know before its end.
_FINDINGS = frozenset({"rows_in", "rows_out", "files", "bytes", "seconds", "versions", "audits"})
_FINDINGS |= {"commit_version", "published_by", "error", "finished_at"}


class Tables:
    """The prediction tables of a catalog. A table has the same name in any case.

    Attributes:
        home: the folder that tables lie in, unless they lie elsewhere; None: their paths are kept whole.

    Example:
        >>> from sqlml.catalog import Catalog
        >>> with Catalog.open("sqlite://") as catalog:
        ...     catalog.predictions.all()
        []
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.home: Path | None = None

    def put(
        self,
        name: str,
        *,
        text: str,
        query: str,
        dialect: str,
        engine: str | None,
        schedule: str | None,
        zone: str | None,
        file: str | None,
        path: str,
        fingerprint: str,
        needs_full: bool,
        replace: bool,
    ) -> bool:
        """Declare a table, or declare it anew, and say whether anything changed.

        Declaring never calls off a full refresh that is still to be done. In another folder the table begins again:
        its windows and `synced_version` are forgotten.

        Raises:
            TableExists: the name is taken, in any case, and `replace` is false.
        """
        values: dict[str, Any] = {
            "name": name,
            "text": text,
            "query": query,
            "dialect": dialect,
            "engine": engine,
            "schedule": schedule,
            "zone": zone,
            "file": file,
            "path": self._stored(path),
            "fingerprint": fingerprint,
        }
        with self._database.writing() as connection:
            old = _find(connection, name)
            if old is not None and not replace:
                raise TableExists(name=old.name)
            if old is None:
                _declare(connection, {**values, "needs_full": needs_full})
            elif not _redeclare(connection, old, {**values, "needs_full": needs_full or old.needs_full}):
                return False
            raise_revision(connection)
        return True

    def _stored(self, path: str) -> str:
        """A folder below `home` without it: a project that is moved or copied finds its own tables."""
        if self.home is None or not Path(path).is_relative_to(self.home):
            return path
        return Path(path).relative_to(self.home).as_posix()

    def get(self, name: str) -> PredictionTable:
        """The table of that name.

        Raises:
            UnknownTable: there is none, with the nearest name (as every method that needs the table).
        """
        with self._database.reading() as connection:
            return self._placed(_get(connection, name))

    def all(self) -> list[PredictionTable]:
        """Every table, by name."""
        with self._database.reading() as connection:
            rows = connection.execute(select(prediction_tables).order_by(prediction_tables.c.key)).mappings().all()
        return [self._placed(from_row(PredictionTable, row)) for row in rows]

    def _placed(self, table: PredictionTable) -> PredictionTable:
        return table if self.home is None else replace(table, path=str(self.home / table.path))

    def drop(self, name: str) -> None:
        """Forget a table and its windows. Its refreshes and runs are remembered, and its lock stays with its holder."""
        with self._database.writing() as connection:
            key = _get(connection, name).name.casefold()
            windows.forget(connection, key)
            connection.execute(delete(prediction_tables).filter_by(key=key))
            raise_revision(connection)

    def set_full(self, name: str, needs_full: bool) -> None:
        """Say that the whole table is to be computed again, or that it has been."""
        with self._database.writing() as connection:
            table = _get(connection, name)
            if table.needs_full != needs_full:
                _set(connection, table, needs_full=needs_full)
                raise_activity(connection)

    def windows(self, name: str, keys: Collection[str] | None = None) -> dict[str, TableWindow]:
        """The windows that the table has, by their key; or at least those of some keys that it has."""
        with self._database.reading() as connection:
            return windows.known(connection, _get(connection, name).name.casefold(), keys)

    def absorb(
        self, name: str, commit: int, published: Sequence[TableWindow], *, gone: Collection[str] | None = None
    ) -> None:
        """Take in what the table holds as of a commit.

        Commits may come in any order and more than once: the newest wins, for each window. The runs that published
        them become 'published', also those that were given up for lost.

        Args:
            name: the table's.
            commit: the last of its commits that was looked at.
            published: the windows that commits up to it have published.
            gone: the keys of windows that it has no more, if any; what is among `published` as well is there.
        """
        with self._database.writing() as connection:
            table = _get(connection, name)
            changes = windows.take_in(connection, table.name.casefold(), commit, published, gone or ())
            changes += log.mark_published(connection, table.name.casefold(), published)
            if commit > table.synced_version:
                _set(connection, table, synced_version=commit)
            if changes or commit > table.synced_version:
                raise_activity(connection)

    def begin_refresh(self, refresh: Refresh, *, alive_seconds: float = ALIVE_SECONDS) -> tuple[Refresh, bool]:
        """Record that a refresh begins: the refresh as it was recorded, and True.

        Of a moment of the schedule there is one at a time. One that is done, or that runs and was heard of within
        `alive_seconds`, is given with False. After one that failed or fell silent, `refresh` is the next attempt.
        """
        with self._database.writing() as connection:
            table = _get(connection, refresh.table_name)
            begun, fresh = log.begin(connection, table, refresh, alive_seconds)
            if fresh:
                raise_activity(connection)
        return begun, fresh

    def plan_refresh(self, refresh_id: str, count: int) -> None:
        """Record how many windows a refresh is to compute."""
        with self._database.writing() as connection:
            connection.execute(update(refreshes).filter_by(refresh_id=refresh_id).values(windows=count))
            raise_activity(connection)

    def finish_refresh(self, refresh_id: str, outcome: str, error: str | None = None) -> None:
        """Record how a refresh ended: 'done' or 'failed'.

        Raises:
            ValueError: no refresh has that id.
        """
        message = None if error is None else storable(error)
        ended = {"outcome": outcome, "error": message, "finished_at": datetime.now(UTC)}
        with self._database.writing() as connection:
            if not connection.execute(update(refreshes).filter_by(refresh_id=refresh_id).values(ended)).rowcount:
                raise ValueError(f"the catalog has no refresh {refresh_id!r}")
            raise_activity(connection)

    def refresh(self, refresh_id: str) -> Refresh:
        """The refresh of that id.

        Raises:
            ValueError: there is none.
        """
        with self._database.reading() as connection:
            found = log.read(connection, select(refreshes).filter_by(refresh_id=refresh_id))
        if not found:
            raise ValueError(f"the catalog has no refresh {refresh_id!r}")
        return found[0]

    def refreshes(self, name: str, limit: int | None = 50) -> list[Refresh]:
        """The refreshes of a table, newest first; also of one that was dropped."""
        with self._database.reading() as connection:
            return log.read(connection, log.of_table(name).limit(limit))

    def answered(self) -> dict[str, datetime]:
        """Up to which moment the schedule of each table is answered, by casefolded name; those never done are left out.

        That is the last slot that was done, or when a later refresh without one began that did as much.
        """
        with self._database.reading() as connection:
            return log.answered(connection)

    def beat(self, refresh_id: str) -> bool:
        """Record that a refresh is still at work; False where it was given up for lost or has ended."""
        running = {"refresh_id": refresh_id, "outcome": "running"}
        beaten = update(refreshes).filter_by(**running).values(heartbeat_at=datetime.now(UTC))
        with self._database.writing() as connection:
            alive = connection.execute(beaten).rowcount == 1
            if alive:
                raise_activity(connection)
        return alive

    def close_lost(self, name: str, is_dead: Callable[[Refresh], bool]) -> list[str]:
        """Fail the refreshes that still run though their process is gone; gives the ids of the runs that failed too."""
        with self._database.reading() as connection:
            running = log.read(connection, log.of_table(name).filter_by(outcome="running"))
        # Asked outside the transaction, for it may take long, or ask the catalog.
        dead = [refresh for refresh in running if is_dead(refresh)]
        if not dead:
            return []
        with self._database.writing() as connection:
            lost = log.close(connection, dead)
            raise_activity(connection)
        return lost

    def begin_run(self, run: Run) -> None:
        """Record that a window is being computed."""
        row = to_row(vars(run))
        with self._database.writing() as connection:
            connection.execute(insert(runs).values(table_key=run.table_name.casefold(), **row))
            raise_activity(connection)

    def finish_run(self, run_id: str, outcome: str, **values: Any) -> None:
        """Record how a run ended, and what it found: fields of `Run`, by name.

        What was published stays so, whatever went wrong afterwards.

        Raises:
            ValueError: no run has that id.
            TypeError: a value that no run has, or that is known from its beginning.
        """
        if unknown := values.keys() - _FINDINGS:
            raise TypeError(f"a run's end has no {sorted(unknown)}")
        row = {"finished_at": datetime.now(UTC), **to_row(values), "outcome": outcome}
        with self._database.writing() as connection:
            before = connection.scalar(select(runs.c.outcome).filter_by(run_id=run_id))
            if before is None:
                raise ValueError(f"the catalog has no run {run_id!r}")
            if before != "published" or outcome == "published":
                connection.execute(update(runs).filter_by(run_id=run_id).values(row))
                raise_activity(connection)

    def runs(
        self,
        name: str | None = None,
        *,
        limit: int | None = None,
        outcome: str | None = None,
        refresh_id: str | None = None,
    ) -> list[Run]:
        """The runs, newest first: of a table, also of one that was dropped; of an outcome; of a refresh."""
        wanted = {"table_key": name and name.casefold(), "outcome": outcome, "refresh_id": refresh_id}
        named = {column: value for column, value in wanted.items() if value is not None}
        newest = (runs.c.started_at.desc(), runs.c.run_id.desc())
        with self._database.reading() as connection:
            return log.read_runs(connection, select(runs).filter_by(**named).order_by(*newest).limit(limit))

    def lock(self, name: str, holder: str, seconds: float) -> str | None:
        """Take the table's lock for so long, or keep it for longer; where another has it, that holder.

        The table need not be there: it may be locked to make it.
        """
        key, now = name.casefold(), datetime.now(UTC)
        taken = {"holder": holder, "held_until": now + timedelta(seconds=seconds)}
        with self._database.writing() as connection:
            found = connection.execute(select(table_locks).filter_by(table_key=key)).mappings().one_or_none()
            if found is None:
                connection.execute(insert(table_locks).values(table_key=key, **taken))
            elif found["holder"] != holder and found["held_until"] > now:
                return str(found["holder"])
            else:
                connection.execute(update(table_locks).filter_by(table_key=key).values(taken))
            raise_activity(connection)
        return None

    def unlock(self, name: str, holder: str) -> None:
        """Give the table's lock back; nothing happens where another has it by now."""
        with self._database.writing() as connection:
            held = delete(table_locks).filter_by(table_key=name.casefold(), holder=holder)
            if connection.execute(held).rowcount:
                raise_activity(connection)


def _find(connection: Connection, name: str) -> PredictionTable | None:
    statement = select(prediction_tables).filter_by(key=name.casefold())
    row = connection.execute(statement).mappings().one_or_none()
    return None if row is None else from_row(PredictionTable, row)


def _get(connection: Connection, name: str) -> PredictionTable:
    found = _find(connection, name)
    if found is None:
        names = connection.scalars(select(prediction_tables.c.name))
        raise UnknownTable(name=name, suggestion=did_you_mean(name, names))
    return found


def _declare(connection: Connection, values: Mapping[str, Any]) -> None:
    now = datetime.now(UTC)
    made = {"key": values["name"].casefold(), "synced_version": -1, "created_at": now, "updated_at": now}
    connection.execute(insert(prediction_tables).values(**made, **values))


def _redeclare(connection: Connection, old: PredictionTable, values: Mapping[str, Any]) -> bool:
    if all(getattr(old, field) == value for field, value in values.items()):
        return False
    _set(connection, old, **values, updated_at=datetime.now(UTC))
    if old.path != values["path"]:
        windows.forget(connection, old.name.casefold())
        _set(connection, old, synced_version=-1)
    return True


def _set(connection: Connection, table: PredictionTable, **values: Any) -> None:
    connection.execute(update(prediction_tables).filter_by(key=table.name.casefold()).values(**values))
