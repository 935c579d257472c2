"""The ad-hoc door: connect, then write SQL that calls models."""

from __future__ import annotations

import importlib
import logging
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from sqlml.catalog import Change, PredictionTable, Proof, Run, Snapshot
from sqlml.config import Settings, load_settings
from sqlml.engines import engine_over, open_engine
from sqlml.engines.engine import Engine, Parameters, Written
from sqlml.errors import EngineError, MissingPackage, SqlmlError, UnknownFunction, did_you_mean
from sqlml.lifecycle import publishing, results
from sqlml.lifecycle.backing import Backing
from sqlml.lifecycle.information import FunctionInfo, information
from sqlml.lifecycle.planning import Planning, sql_names
from sqlml.lifecycle.project import FunctionsPlan, plan_functions
from sqlml.lifecycle.registration import Move, Options
from sqlml.lifecycle.verifying import Verified, verify
from sqlml.lifecycle.writing import write_files
from sqlml.models.reference import ModelReference
from sqlml.planner import Analysis, Plan, Target, current_target
from sqlml.query.project import DeclaredTable, read_project
from sqlml.query.statements import (
    GENERIC,
    CreateFunction,
    DescribeFunction,
    DropFunction,
    ExplainPredict,
    Query,
    ShowFunctions,
    Statement,
    keeps_text,
    mentions,
    read,
)
from sqlml.query.text import is_like

if TYPE_CHECKING:
    from sqlml.tables.asked import Refreshed, RefreshPlan
    from sqlml.tables.opening import TablesPlan
    from sqlml.tables.predictions import Predictions
    from sqlml.tables.reading import Table


def connect(
    target: Any = None, *, engine: str | None = None, project: str | Path | None = None, **settings: Any
) -> Session:
    """Open a session.

    Args:
        target: a DuckDB file's path, a DuckDB connection that you hold, or nothing: what the settings say.
        engine: the engine's name; DuckDB unless the settings say otherwise.
        project: the project folder; else the nearest one above the working directory, else one in memory.
        **settings: any key of `sqlml.toml`, which wins over the file and the environment.

    Raises:
        SettingsError: a setting is wrong.
        CatalogError: the catalog can't be opened.
        EngineError: the database can't be opened.

    Example:
        >>> with connect(registry="sqlite:///mlflow.db") as db:
        ...     db.sql("SELECT 42 AS answer").fetchall()
        [(42,)]
    """
    held = load_settings(project, engine=engine, **settings)
    if held.debug:
        logging.basicConfig()
        logging.getLogger("sqlml").setLevel(logging.DEBUG)
    opened = _opened(target, held)
    try:
        return Session(held, opened, Backing.open(held))
    except BaseException:
        opened.close()
        raise


def _opened(target: Any, settings: Settings) -> Engine:
    """An engine on what `connect` was given, which knows the sources of the settings."""
    if target is None:
        opened = open_engine(settings)
    elif isinstance(target, str | Path):
        opened = open_engine(settings, str(target))
    else:
        opened = engine_over(target, settings)
    try:
        for name, path in settings.source_paths.items():
            try:
                opened.add_source(name, path)
            except EngineError as error:
                # Whoever doesn't ask for it is not to be kept from asking for others.
                said = str(error).splitlines()[0].rstrip(".")
                logging.getLogger("sqlml").warning("The source '%s' can't be read: %s.", name, said)
    except BaseException:
        opened.close()
        raise
    return opened


_NEVER = -1
"""The revision of what nothing was done for yet."""


def table(
    name: str,
    *,
    version: int | None = None,
    timestamp: datetime | None = None,
    project: str | Path | None = None,
    **settings: Any,
) -> Table:
    """A prediction table for Python, as it is now or was: `sqlml.table("name").to_pandas()`.

    Args:
        name: the table.
        version: as of that version.
        timestamp: as of that moment; one without a zone is in the settings' `time_zone`.
        project: the project folder; else the nearest one above the working directory.
        **settings: any key of `sqlml.toml`.

    Raises:
        UnknownTable: there is none of that name.
        TableMissing: it has no such version.
    """
    with connect(project=project, publish="needed", **settings) as db:
        return db.table(name, version=version, timestamp=timestamp)


class Session:
    """A connection that knows the catalog's functions. One thread at a time: another takes a `cursor()`."""

    def __init__(self, settings: Settings, engine: Engine, backing: Backing, *, is_cursor: bool = False) -> None:
        self.settings = settings
        self._engine = engine
        self._backing = backing
        self._planning = Planning(engine, backing)
        self._published: dict[str, str] = {}
        self._published_revision = _NEVER
        self._shown_revision: tuple[int, int] | None = None
        self._predictions: Predictions | None = None
        self._tables_known: list[PredictionTable] = []
        self._tables_revision = _NEVER
        # Closed at the interpreter's end too: a native function that is left behind is reported as a leak.
        self._finalizer = weakref.finalize(self, _close, engine, None if is_cursor else backing)
        self._publish(backing.catalog.snapshot())
        self._show_catalog()

    def __repr__(self) -> str:
        return f"<sqlml.Session on {self._engine.name}, {len(self._published)} function(s)>"

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the session; a connection that you hold stays open, without sqlml's functions."""
        self._finalizer()

    def cursor(self) -> Session:
        """A second session on the same data and catalog, for another thread; it does not see temporary tables."""
        return Session(self.settings, self._engine.cursor(), self._backing, is_cursor=True)

    def interrupt(self) -> None:
        """Stop the statement that runs now, from another thread."""
        self._engine.interrupt()

    def sql(self, text: str, params: Parameters = None) -> Any:
        """Run one statement or several; gives the engine's own relation of the last, or None if it has no rows.

        Args:
            text: SQL in which functions of the catalog may be called, or a statement of sqlml's own.
            params: values for `?` and `$1` as a list, for `$name` as a mapping; they go to the last statement.

        Raises:
            SqlmlError: whatever stands against the statement, in one sentence.

        Example:
            >>> with connect() as db:
            ...     db.sql("SELECT ? + 1 AS n", [41]).fetchall()
            [(42,)]
        """
        snapshot = self._backing.catalog.snapshot()
        self._follow_tables(snapshot)
        if not mentions(text, frozenset(sql_names(snapshot))):
            return self._rows(text, params)
        self._publish(snapshot)
        statements = read(text, self._engine.dialect)
        if len(statements) == 1 and isinstance(statements[0], Query):
            return self._query(text, params)
        relation = None
        for i, statement in enumerate(statements, 1):
            relation = self._run(statement, params if i == len(statements) else None)
        return relation

    def _run(self, statement: Statement, params: Parameters) -> Any:
        match statement:
            case CreateFunction():
                self._create(statement, trust_pickle=False)
                return self._engine.table(results.created(self.function(statement.name)))
            case DropFunction(name, _, text):
                if name.casefold() not in self._backing.catalog.snapshot().functions:
                    return self._drop_of_the_engine(name, text)
                self.drop(name)
                return self._engine.table(results.dropped(name))
            case ShowFunctions(like):
                return self._engine.table(results.functions(self.functions(like)))
            case DescribeFunction(name):
                return self._engine.table(results.description(self.function(name)))
            case ExplainPredict(text, analyze):
                lines = [str(self.explain(text)), *([str(self.analyze(text))] if analyze else [])]
                return self._engine.table(results.plan("\n".join(lines)))
            case Query(text):
                return self._query(text, params)
            case _:
                return self._engine.table(self.predictions.answer(statement))

    def _drop_of_the_engine(self, name: str, text: str) -> Any:
        """DROP FUNCTION of what is no function of ours: a macro of the database, or nothing."""
        try:
            return self._engine.rows(text)
        except EngineError as error:
            suggestion = did_you_mean(name, [held.name for held in self.functions()])
            raise UnknownFunction(name=name, suggestion=suggestion) from error

    def write(
        self,
        text: str,
        to: str | Path,
        *,
        mode: Literal["error", "overwrite"] = "error",
        partition_by: Sequence[str] = (),
        by_files: bool = True,
    ) -> Written:
        """Write a query's rows as Parquet files into a folder, which appears when it is whole.

        Args:
            text: one query, in which functions of the catalog may be called.
            to: the folder.
            mode: what happens if it is there: 'error', or 'overwrite', which replaces it once the new one is whole.
            partition_by: columns whose values become folders, `name=value`.
            by_files: on Spark, whether DuckDB may answer a query of scan, filter and projection in the tasks, file by
                file; `explain_write` says whether it would.

        Raises:
            TargetExists: the folder is there, and `mode` is 'error'.
            SqlmlError: whatever stands against the query; the folder is as it was then.
        """
        plan = self.explain_write(text, by_files=by_files and not partition_by)[0]
        self._planning.open(plan)
        return write_files(self._engine, plan.sql, to, mode=mode, partition_by=partition_by, by_files=by_files)

    def explain_write(self, text: str, *, by_files: bool = True) -> tuple[Plan, str, str]:
        """How `write` would write a query: its plan, by 'rows' or by 'files', and why."""
        plan = self._explain(text, jvm=False) if by_files and self._engine.has_jvm else self.explain(text)
        way, reason = self._engine.way(plan.sql) if by_files else ("rows", "it was asked for")
        if way == "rows" and by_files and plan.plain is not None and self._engine.way(plan.plain)[0] == "files":
            # What a rewrite has made of it can't be answered file by file, which gains more.
            plan, way, reason = plan.as_written(), *self._engine.way(plan.plain)
        return plan if way == "files" or not self._engine.has_jvm else self.explain(text), way, reason

    def _query(self, text: str, params: Parameters) -> Any:
        if "sqlml" in text.casefold():
            self._show_catalog()
        text = self._with_tables(text)
        plan = self._planning.plan(text)
        if keeps_text(text, self._engine.dialect):
            # It calls them by the names that the engine knows.
            self._publish(self._backing.catalog.snapshot(), needed=True)
        else:
            self._planning.open(plan)
        try:
            return self._rows(plan.sql, params)
        except EngineError as error:
            if lost := plan.not_seen(str(error)):
                reason = f"This transaction began before '{lost}' was made, and can't see it: COMMIT or ROLLBACK first."
                raise EngineError(message=reason) from error.__cause__
            raise EngineError(message=plan.in_written_names(str(error))) from error.__cause__

    def _follow_tables(self, snapshot: Snapshot) -> None:
        """Have views that read prediction tables see them as they are now."""
        if self._tables_revision != snapshot.revision:
            self._tables_known = self._backing.catalog.predictions.all() if self._engine.keeps_tables else []
            self._tables_revision = snapshot.revision
        if self._tables_known:
            self.predictions.desk.reading.show_latest(self._tables_known)

    def _with_tables(self, text: str) -> str:
        """A statement in which each `predictions.<table>` is one complete version of it."""
        if "predictions" not in text.casefold() or not self._backing.catalog.predictions.all():
            return text
        return self.predictions.desk.reading.readable(text)

    @property
    def predictions(self) -> Predictions:
        """The prediction tables; raises MissingPackage where the extra `tables` is not installed."""
        if self._predictions is None:
            backing = self._backing
            self._predictions = _tables().open_predictions(
                self.settings,
                self._engine,
                backing.catalog,
                backing.tables_folder,
                lambda engine: Planning(engine, backing),
            )
        return self._predictions

    def refresh(
        self,
        name: str,
        *,
        start: Any = None,
        end: Any = None,
        full: bool = False,
        stale: bool = False,
        resume: bool = False,
        keep_failed: bool = False,
        jobs: int = 1,
        scheduled_for: datetime | None = None,
        told: Callable[[Run], None] = lambda _: None,
    ) -> Refreshed:
        """Bring a prediction table up to date; with nothing said, what is missing of it, and its lookback.

        Args:
            name: the table.
            start: with `end`, the range whose windows are computed anew: timestamps, dates, integers or their texts.
            end: where the range ends; it is not in it.
            full: everything is computed aside, and takes the table's place in one commit.
            stale: what an older query or another version of a model has made is computed anew.
            resume: of the same range, what a refresh that failed has not published.
            keep_failed: rows that fail an audit are kept for a look.
            jobs: how many windows at a time.
            scheduled_for: the moment of the schedule that this answers; what is done for it is not done again.
            told: is called with each run that ends.

        Raises:
            UnknownTable: there is none of that name.
            TableError: what stands against it, or some windows; what was published before stays.
        """
        return self.predictions.refresh_range(
            name,
            start,
            end,
            told=told,
            full=full,
            stale=stale,
            resume=resume,
            keep_failed=keep_failed,
            jobs=jobs,
            scheduled_for=scheduled_for,
        )

    def table(self, name: str, *, version: int | None = None, timestamp: datetime | None = None) -> Table:
        """A prediction table for Python, as it is now or was; see `sqlml.table`."""
        return self.predictions.table(name, version=version, timestamp=timestamp)

    def plan_refresh(self, name: str, **options: Any) -> RefreshPlan:
        """What `refresh` would do with the same arguments, without doing it."""
        return self.predictions.plan_refresh(name, **options)

    def _rows(self, text: str, params: Parameters) -> Any:
        try:
            return self._engine.rows(text, params)
        except EngineError as error:
            if not self._published_for(error):
                raise self._with_suggestion(error) from error.__cause__
        return self._rows(text, params)

    def _published_for(self, error: EngineError) -> bool:
        """Whether the engine lacked one of our names, which it has now: the planner can't see into every statement."""
        name, snapshot = self._engine.unknown_function(error), self._backing.catalog.snapshot()
        if name is None or name.casefold() not in {*sql_names(snapshot), *GENERIC}:
            return False
        before = self._published_revision
        self._publish(snapshot, needed=True)
        return self._published_revision != before

    def _with_suggestion(self, error: EngineError) -> SqlmlError:
        """The engine's complaint of an unknown function, with the nearest one of ours."""
        name = self._engine.unknown_function(error)
        if name is None:
            return error
        suggestion = did_you_mean(name, sql_names(self._backing.catalog.snapshot()))
        return UnknownFunction(name=name, suggestion=suggestion) if suggestion else error

    def explain(self, text: str) -> Plan:
        """What a statement would do, without running it: its calls, their versions, and the SQL the engine gets.

        Raises:
            SqlmlError: whatever stands against the statement.
        """
        return self._explain(text)

    def analyze(self, text: str) -> Analysis:
        """Run a query with and without its rewrites, and count what it reads and what models answer.

        Raises:
            NotAvailable: it is no query, or the engine doesn't count.
            SqlmlError: whatever stands against the statement.
        """
        return self._planning.analyze(self.explain(text))

    def _explain(self, text: str, *, jvm: bool = True) -> Plan:
        statements = read(text, self._engine.dialect)
        held = statements[0] if len(statements) == 1 else Query(text)
        inner = self._with_tables(held.text if isinstance(held, ExplainPredict | Query) else text)
        snapshot = self._backing.catalog.snapshot()
        if not mentions(inner, frozenset(sql_names(snapshot))):
            return Plan(inner, inner, (), (), self._engine.name)
        self._publish(snapshot)
        return self._planning.plan(inner, jvm=jvm)

    def register(
        self,
        name: str,
        reference: str,
        *,
        on_null: str = "propagate",
        strategy: str = "auto",
        comment: str | None = None,
        replace: bool = False,
        trust_pickle: bool = False,
    ) -> FunctionInfo:
        """Make a function of a registered model: what CREATE FUNCTION does.

        Args:
            name: the SQL name; `name_score` and `name_proba` come with it where the model has probabilities.
            reference: `models:/name@alias`, `models:/name/3` or `runs:/run_id/path`.
            on_null: 'propagate', 'pass' or 'error'.
            strategy: 'auto', 'kernel', 'sql' or 'python'.
            comment: shown by SHOW FUNCTIONS.
            replace: whether a function of that name may be there already.
            trust_pickle: whether this artifact may be unpickled, now and later.

        Raises:
            CatalogError: what stands against the name.
            ModelError: what stands against the model; nothing is changed then.
        """
        options = {"on_null": on_null, "strategy": strategy} | ({"comment": comment} if comment else {})
        self._create(CreateFunction(name, reference, replace, options), trust_pickle=trust_pickle)
        return self.function(name)

    def _create(self, statement: CreateFunction, *, trust_pickle: bool) -> None:
        self._backing.registrar.create(
            statement.name,
            statement.reference,
            Options(**statement.options),
            replace=statement.replace,
            trust_pickle=trust_pickle,
            owner_of=self._engine.owner_of,
        )
        self._publish(self._backing.catalog.snapshot())

    def drop(self, name: str) -> None:
        """Take a function out of the catalog; raises UnknownFunction. Its versions stay, for old numbers' sake."""
        self._backing.catalog.drop_function(name)
        self._publish(self._backing.catalog.snapshot())

    def functions(self, like: str | None = None) -> list[FunctionInfo]:
        """The catalog's functions by name, those whose names match a LIKE pattern if one is given."""
        snapshot = self._backing.catalog.snapshot()
        names = sorted(held.name for held in snapshot.functions.values() if is_like(held.name, like))
        return [self.function(name) for name in names]

    def function(self, name: str) -> FunctionInfo:
        """Everything about one function; raises UnknownFunction."""
        snapshot = self._backing.catalog.snapshot()
        return information(snapshot, name, self._backing.catalog.proof)

    def sync(self, name: str | None = None) -> list[Move]:
        """Follow the aliases that functions stand on: a new version takes over once it is loaded and proved.

        Raises:
            UnknownFunction: `name` is none.
            ModelError: what stands against a new version; the old one goes on answering.
        """
        moves = self._backing.registrar.sync(name)
        self._publish(self._backing.catalog.snapshot())
        return moves

    def plan_project(self, *, prune: bool = False) -> list[Change]:
        """What `apply` would do: everything is validated, and nothing is changed; raises what it does."""
        return self.apply(plan_only=True, prune=prune)

    def apply(self, *, plan_only: bool = False, prune: bool = False) -> list[Change]:
        """Bring functions and prediction tables to what the project's files say; gives what that changes.

        Args:
            plan_only: whether nothing is to be done.
            prune: whether what a file has declared, and none declares now, is dropped, tables with their data.

        Raises:
            NoProject: the session has no project folder.
            BadFile: what stands against a declaration; nothing was changed.
            SqlmlError: what else stands against it.
        """
        files = read_project(self.settings.project, self._engine.dialect)
        functions = plan_functions(self._backing.registrar, files.functions, self._engine.owner_of, prune=prune)
        with ExitStack() as others:
            tables = self._plan_tables(files.tables, functions, others, prune=prune)
            if not plan_only:
                functions.apply()
                self._publish(self._backing.catalog.snapshot())
                if tables:
                    tables.apply()
                functions.prune()
                self._publish(self._backing.catalog.snapshot())
            return [*functions.changes, *(tables.changes if tables else ())]

    def _plan_tables(
        self, declared: Sequence[DeclaredTable], functions: FunctionsPlan, others: ExitStack, *, prune: bool
    ) -> TablesPlan | None:
        """What files change of the tables; sessions on other engines stay open as long as `others`."""
        if not declared and all(one.file is None for one in self._backing.catalog.predictions.all()):
            return None
        opened = {self._engine.dialect: self.predictions}

        def on(engine: str) -> Predictions:
            if engine not in opened:
                settings = self.settings.model_copy(update={"engine": engine, "publish": "needed"})
                other = Session(settings, _opened(None, settings), self._backing, is_cursor=True)
                opened[engine] = others.enter_context(other).predictions
            return opened[engine]

        ahead = _tables().Ahead(
            planning=lambda engine: Planning(engine, self._backing, functions.foreseen),
            snapshot=functions.foreseen.snapshot,
            moved=frozenset(functions.foreseen.moved()),
            dropped=functions.dropped,
        )
        planned: TablesPlan = _tables().plan_tables(declared, self.predictions, on, ahead, prune=prune)
        return planned

    def statements(self, name: str, to: str) -> list[str]:
        """What `publish` would run.

        Raises:
            UnknownFunction: `name` is none.
            CannotPublish: its version is no SQL expression that was proved.
        """
        target = self._target(name)
        compiled = self._backing.answerer(target).compiled() if target.description.program else None
        return publishing.statements(target, compiled, to)

    def publish(self, name: str, to: str) -> list[str]:
        """Put a function into a DuckDB file, Spark's metastore or a jar for Spark; gives the statements.

        Args:
            name: the function.
            to: a DuckDB file, made if there is none; 'spark', where a session on Spark makes permanent functions; or
                a file that ends in `.jar`, which such a session writes anew, and the statements are those that use it.

        Raises:
            UnknownFunction: `name` is none.
            CannotPublish: its version is no SQL expression, or class, that was proved.
            EngineError: the file can't be written; it is as it was then.
        """
        if to.endswith(".jar"):
            target = replace(self._target(name), strategy="jvm")
            return publishing.into_jar(self._engine, target, self._backing.answerer(target), to)
        made = self.statements(name, to)
        if to == publishing.SPARK:
            target = replace(self._target(name), strategy="sql")
            publishing.into_spark(self._engine, target, self._backing.answerer(target), made)
        else:
            publishing.into_duckdb(made, to)
        return made

    def verify(self, name: str, table: str, told: Callable[[int], None] = lambda _: None) -> Verified:
        """Compare a function's answers to each row of a table with the model's own; loads the model.

        Args:
            name: the function.
            table: the table, or a query in parentheses.
            told: is called with the number of rows done.

        Raises:
            UnknownFunction: `name` is none.
            ModelError: the model itself can't be loaded here.
        """
        target = self._target(name)
        return verify(self._engine, self._backing.answerer(target), table, told)

    def _target(self, name: str) -> Target:
        """A function at the version that answers now; raises UnknownFunction."""
        snapshot = self._backing.catalog.snapshot()
        return current_target(snapshot, snapshot.function(name))

    def prove(self, name: str) -> list[Proof]:
        """Fetch, try and prove a function's version anew; gives what each strategy was compared on.

        Raises:
            UnknownFunction: `name` is none.
            ModelError: what stands against the version.
        """
        snapshot = self._backing.catalog.snapshot()
        version = snapshot.versions[snapshot.function(name).version_id]
        version_id = self._backing.registrar.adopt(ModelReference.parse(version.uri))
        self._publish(self._backing.catalog.snapshot())
        return self._backing.catalog.proofs(version_id)

    def tables(self) -> list[str]:
        """The tables and views that a statement can name."""
        return self._engine.tables()

    def check_registry(self) -> None:
        """Raise RegistryUnreachable unless the registry answers."""
        self._backing.reader.ping()

    def check_artifacts(self) -> int:
        """Compare every stored artifact with its manifest; gives their number, raises ArtifactCorrupt."""
        return self._backing.check_artifacts()

    def relation(self, result: Any) -> Any:
        """What `sql` gave, as a relation of DuckDB's, whichever engine gave it."""
        return self._engine.relation(result)

    def engine_error(self, error: BaseException) -> SqlmlError | None:
        """An exception that the engine's own relation raised while it was read, as one of sqlml's."""
        return self._engine.error(error)

    def _publish(self, snapshot: Snapshot, *, needed: bool = False) -> None:
        """Bring the engine's own names to the catalog: what is new, changed or gone since the last time."""
        waits = self.settings.publish == "needed" and self._engine.publishes_any_time
        if waits and not needed and self._published_revision == _NEVER:
            return
        if snapshot.revision == self._published_revision or self._engine.in_transaction():
            return
        targets = {key: current_target(snapshot, function) for key, function in snapshot.functions.items()}
        for key in self._published.keys() - targets.keys():
            self._engine.withdraw(self._published.pop(key).split("\n")[0])
        moved = {key: target.key for key, target in targets.items() if self._published.get(key) != target.key}
        self._engine.publish_all([self._backing.answerer(targets[key]) for key in moved])
        self._published |= moved
        self._engine.publish_generic({key: self._backing.answerer(target) for key, target in targets.items()})
        self._published_revision = snapshot.revision

    def _show_catalog(self) -> None:
        revision = self._backing.catalog.activity()
        if revision != self._shown_revision or not self._engine.shows_catalog():
            tables: Mapping[str, pa.Table] = self._backing.catalog.tables()
            self._engine.show_catalog(tables)
            self._shown_revision = revision


def _tables() -> Any:
    """The door to prediction tables; raises MissingPackage where the extra `tables` is not installed."""
    try:
        return importlib.import_module("sqlml.tables.opening")
    except ModuleNotFoundError as error:
        raise MissingPackage(what="A prediction table", package=str(error.name), extra="tables") from error


def _close(engine: Engine, backing: Backing | None) -> None:
    engine.close()
    if backing is not None:
        backing.close()
