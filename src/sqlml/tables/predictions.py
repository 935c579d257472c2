"""The prediction tables of a project, as one session sees them: declared, refreshed, looked at, dropped."""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from sqlml.catalog.table_records import PredictionTable, Run
from sqlml.errors import BadDeclaration, BadRefresh, CatalogUnreachable, UnknownTable
from sqlml.query.snapshots import references
from sqlml.query.tables import (
    Bound,
    CreatePredictionTable,
    DescribePredictionTable,
    DropPredictionTable,
    RefreshPredictionTable,
    ShowPredictionTables,
    TableStatement,
)
from sqlml.query.text import is_like
from sqlml.tables import answers, delta
from sqlml.tables.asked import Progress, Refreshed, RefreshPlan, Request
from sqlml.tables.compaction import Optimized, optimize
from sqlml.tables.desk import Desk
from sqlml.tables.failpoints import point
from sqlml.tables.housekeeping import Vacuumed, vacuum
from sqlml.tables.preparing import Prepared, prepare, statement_of
from sqlml.tables.reading import Table
from sqlml.tables.refresh import plan_refresh, reconcile, refresh
from sqlml.tables.schedule import order
from sqlml.tables.status import Status, TableFile, about, status, table_files


class Predictions:
    """What a session does with prediction tables."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def answer(self, statement: TableStatement) -> pa.Table:
        """Do what a statement says; gives what there is to show of it. Raises SqlmlError."""
        match statement:
            case CreatePredictionTable():
                made = self.create(statement)
                return answers.created(made, needs_full=made.needs_full)
            case RefreshPredictionTable(name, start, end, full):
                return answers.refreshed(self.refresh(name, Request(start=start, end=end, full=full)))
            case ShowPredictionTables(pattern):
                tables = [one for one in self.desk.tables.all() if is_like(one.name, pattern)]
                return answers.shown([(one, self.desk.tables.windows(one.name)) for one in tables])
            case DescribePredictionTable(name):
                table, prepared = self.prepared(name)
                return answers.described(table, prepared, self.desk.tables.windows(name))
            case DropPredictionTable(name, if_exists):
                if if_exists and self.known(name) is None:
                    return answers.dropped("")
                self.drop(name)
                return answers.dropped(name)

    def create(self, statement: CreatePredictionTable, *, file: str | None = None) -> PredictionTable:
        """Declare a table, or declare it anew; nothing is computed.

        Args:
            statement: the declaration.
            file: the project's file that it stands in.

        Raises:
            TableExists: there is one of that name, and the statement doesn't say OR REPLACE.
            BadDeclaration: it can't be so.
            SqlmlError: what stands against its query. Nothing was changed.
        """
        prepared = self.check(statement)
        held, shape = prepared.declared, fingerprint(prepared)
        before = self.known(statement.name)
        root = self._root(statement.name, before)
        if self._is_remade(prepared):
            shutil.rmtree(root)
        if before is not None and not (root / delta.LOG).is_dir():
            # Its files are gone: what the catalog knows of them is true no more.
            self.desk.tables.drop(before.name)
            before = None
        changed_shape = before is not None and before.fingerprint != shape
        self.desk.tables.put(
            statement.name,
            text=statement.text,
            query=statement.query,
            dialect=held.dialect,
            engine=statement.options.get("engine"),
            schedule=statement.cron,
            zone=str(held.zone),
            file=file,
            path=str(root),
            fingerprint=shape,
            needs_full=changed_shape or (before is not None and before.needs_full),
            replace=statement.replace,
        )
        point("mid create")
        delta.create(root, prepared.schema, held.partitions, statement.options.get("comment"))
        return self.desk.tables.get(statement.name)

    def check(self, statement: CreatePredictionTable) -> Prepared:
        """Plan a declaration's query and check its clauses, changing nothing; raises what `create` does."""
        self._check_cycle(statement)
        return self.check_alone(statement)

    def check_alone(self, statement: CreatePredictionTable) -> Prepared:
        """The same, whatever tables there are that read each other."""
        table = PredictionTable(
            name=statement.name,
            text=statement.text,
            query=statement.query,
            dialect=self.desk.engine.dialect,
            engine=None,
            schedule=None,
            zone=None,
            file=None,
            path="",
            fingerprint="",
            synced_version=-1,
            needs_full=False,
            created_at=datetime.min,
            updated_at=datetime.min,
        )
        prepared = prepare(self.desk, table, statement)
        self._is_remade(prepared)
        return prepared

    def known(self, name: str) -> PredictionTable | None:
        """The table of that name, if there is one."""
        try:
            return self.desk.tables.get(name)
        except UnknownTable:
            return None

    def reads(self) -> dict[str, tuple[str, ...]]:
        """Each table, with the tables that its query reads."""
        return {one.name.casefold(): references(one.query, one.dialect) for one in self.desk.tables.all()}

    def refresh(self, name: str, request: Request, progress: Progress | None = None) -> Refreshed:
        """Bring a table up to date; see `sqlml.tables.refresh`."""
        return refresh(self.desk, name, request, progress)

    def plan_refresh(self, name: str, start: Any = None, end: Any = None, **options: Any) -> RefreshPlan:
        """What a refresh would do, without doing it; raises what it does."""
        return plan_refresh(self.desk, name, _request(name, start, end, options))

    def refresh_range(
        self, name: str, start: Any, end: Any, told: Callable[[Run], None] = lambda _: None, **options: Any
    ) -> Refreshed:
        """The same, of a range of Python's values; `told` is called with each run that ends."""
        return self.refresh(name, _request(name, start, end, options), Progress(ended=told))

    def prepared(self, name: str) -> tuple[PredictionTable, Prepared]:
        """A table whose runs are all accounted for, and its declaration against the data as they are."""
        reconcile(self.desk, self.desk.tables.get(name))
        table = self.desk.tables.get(name)
        return table, prepare(self.desk, table, statement_of(table))

    def drop(self, name: str) -> None:
        """Forget a table and take its files away; raises UnknownTable. Its runs are remembered."""
        root = Path(self.desk.tables.get(name).path)
        gone = root.with_name(f".{root.name}.{uuid.uuid4().hex}")
        # The files first: a table without any can be dropped or made again, files without a table are in the way.
        if root.is_dir():
            root.rename(gone)
        point("mid drop")
        try:
            self.desk.tables.drop(name)
        except CatalogUnreachable:
            if gone.is_dir():
                gone.rename(root)
            raise
        shutil.rmtree(gone, ignore_errors=True)

    def table(self, name: str, *, version: int | None = None, timestamp: datetime | None = None) -> Table:
        """A version of a table for Python; raises UnknownTable, TableMissing."""
        held = self.desk.tables.get(name)
        if timestamp is not None and timestamp.tzinfo is None:
            timestamp = timestamp.replace(tzinfo=ZoneInfo(self.desk.time_zone))
        return Table(held.name, Path(held.path), version if version is not None else timestamp)

    def status(self, name: str, now: datetime | None = None) -> Status:
        """How fresh a table is; see `sqlml.tables.status`."""
        return status(self.desk, name, now)

    def about(self, name: str) -> dict[str, Any]:
        """What a table is, without a look at the data that its query reads; raises UnknownTable."""
        return about(self.desk, name)

    def files(self, name: str) -> list[TableFile]:
        """The files of a table's newest version; raises UnknownTable, TableMissing."""
        return table_files(self.desk, name)

    def optimize(self, name: str, *, plan_only: bool = False) -> Optimized:
        """Put a table's small files together; see `sqlml.tables.compaction`."""
        return optimize(self.desk, name, plan_only=plan_only)

    def vacuum(self, name: str, retain: str | None = None, *, apply: bool = False) -> Vacuumed:
        """Find, or take away, the files that no reader can reach any more; see `sqlml.tables.housekeeping`."""
        return vacuum(self.desk, name, retain, apply=apply)

    def _check_cycle(self, statement: CreatePredictionTable) -> None:
        own = references(statement.query, self.desk.engine.dialect)
        order({**self.reads(), statement.name.casefold(): own})

    def _root(self, name: str, held: PredictionTable | None) -> Path:
        return self.desk.folder / name.casefold() if held is None else Path(held.path)

    def _is_remade(self, prepared: Prepared) -> bool:
        """Whether a table without rows lies where this one will be, and goes first; raises BadDeclaration.

        A table keeps its partitions; one that was never filled is made anew.
        """
        name = prepared.declared.name
        before = self.known(name)
        root = self._root(name, before)
        if before is None:
            return _is_left_over(root, name)
        if not (root / delta.LOG).is_dir():
            return False
        held = delta.snapshot(root)
        if held.partitions == prepared.declared.partitions:
            return False
        if held.files:
            reason = f"it is partitioned by ({', '.join(held.partitions)}), which stays so: DROP it first"
            raise BadDeclaration(table=before.name, reason=reason)
        return True


def _request(name: str, start: Any, end: Any, options: Mapping[str, Any]) -> Request:
    if (start is None) != (end is None):
        raise BadRefresh(table=name, reason="a range has a start and an end")
    if sum((start is not None, bool(options.get("full")), bool(options.get("stale")))) > 1:
        # A table that is rebuilt from a range alone would lose the rest.
        raise BadRefresh(table=name, reason="a range, 'full' and 'stale' each say which windows: choose one")
    return Request(start=_written(start), end=_written(end), **options)


def _written(value: Any) -> Bound | None:
    """A bound as a statement would have it."""
    if value is None:
        return None
    if isinstance(value, int):
        return Bound("integer", str(value))
    return Bound("text", value.isoformat() if isinstance(value, date) else str(value))


def fingerprint(prepared: Prepared) -> str:
    """What changes when windows that are published can't stand beside new ones."""
    shape = (prepared.declared.shape, [(field.name, str(field.type)) for field in prepared.schema])
    return hashlib.sha256(repr(shape).encode()).hexdigest()[:16]


def _is_left_over(root: Path, name: str) -> bool:
    """Whether a folder holds what a declaration that was cut short has left: an empty table; refuses anything else."""
    if not root.exists() or not any(root.iterdir()):
        return False
    if (root / delta.LOG).is_dir() and not delta.snapshot(root).files and not delta.commits(root, -1):
        return True
    reason = f"its folder '{root}' holds something already: move it away, or choose another name"
    raise BadDeclaration(table=name, reason=reason)
