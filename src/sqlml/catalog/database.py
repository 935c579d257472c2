"""The database behind the catalog: how it is opened and migrated, and what a transaction is on each kind."""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event, inspect, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, TimeoutError

from sqlml.catalog.schema import REVISION, state
from sqlml.errors import CatalogFromNewerVersion, CatalogUnreachable

BUSY_SECONDS = 30.0
"""How long a writer waits for another one before it gives up."""

_MIGRATIONS = Path(__file__).parent / "migrations"

# Alembic keeps what it works on in module globals: two threads that open two catalogs must take turns.
_ALEMBIC = threading.Lock()

# A reader sees one moment of the catalog, though it asks several questions. SQLite's BEGIN gives that by itself.
_READING: dict[str, dict[str, Any]] = {"postgresql": {"isolation_level": "REPEATABLE READ"}}

# A SQLite transaction that reads first and writes later can fail at once, without waiting for its turn.
_WRITING: dict[str, dict[str, Any]] = {"sqlite": {"sqlml_begin": "BEGIN IMMEDIATE"}}

# What keeps all but one process from migrating; SQLite's BEGIN IMMEDIATE does it by itself. The number is arbitrary.
_MIGRATION_LOCK = {"postgresql": "SELECT pg_advisory_xact_lock(7368041120938)"}


class Database:
    """One catalog database with its tables in place. Every error of the database leaves here as CatalogUnreachable."""

    def __init__(self, engine: Engine) -> None:
        self.shown = masked(engine.url)
        self._engine = engine
        self._reader = engine.execution_options(**_READING.get(engine.dialect.name, {}))
        self._writer = engine.execution_options(**_WRITING.get(engine.dialect.name, {}))

    @classmethod
    def open(cls, url: str) -> Database:
        """Connect, and bring the tables up to date.

        Raises:
            CatalogUnreachable: the URL is wrong, or its database can't be used.
            CatalogFromNewerVersion: a newer sqlml has migrated it.
        """
        database = cls(_engine(url))
        try:
            with database._mapped():
                if not database._is_current():
                    database._migrate()
        except BaseException:
            database.close()
            raise
        return database

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one moment of the catalog."""
        with self._mapped(), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that no other writer overlaps: all of it happens, or nothing."""
        with self._mapped(), self._writer.begin() as connection:
            # SQLite has locked already; elsewhere the state's row is what writers queue up for.
            connection.execute(select(state.c.revision).with_for_update())
            yield connection

    def close(self) -> None:
        """Let go of every connection."""
        self._engine.dispose()

    def _is_current(self) -> bool:
        with self._reader.connect() as connection:
            try:
                return bool(connection.scalar(text("SELECT version_num FROM alembic_version")) == REVISION)
            except DBAPIError:
                # No such table, most likely. If it is worse than that, migrating will say so.
                return False

    def _migrate(self) -> None:
        from alembic import command
        from alembic.config import Config
        from alembic.runtime.migration import MigrationContext
        from alembic.script import ScriptDirectory

        if self._engine.dialect.name == "sqlite":
            self._use_wal()
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        with _ALEMBIC, self._writer.begin() as connection:
            if lock := _MIGRATION_LOCK.get(connection.dialect.name):
                connection.execute(text(lock))
            known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
            heads = MigrationContext.configure(connection).get_current_heads()
            if unknown := set(heads) - known:
                self._refuse(connection, ", ".join(sorted(unknown)))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def _refuse(self, connection: Connection, revision: str) -> None:
        # MLflow keeps its own database with Alembic too, and is easily taken for the catalog.
        if not inspect(connection).has_table(state.name):
            reason = "it holds the tables of another program"
            raise CatalogUnreachable(url=self.shown, reason=reason)
        raise CatalogFromNewerVersion(url=self.shown, revision=revision)

    def _use_wal(self) -> None:
        # Readers then never wait for a writer. The file remembers it, so it is done once; while another process does
        # it too, SQLite answers 'locked' without heeding the timeout.
        until = time.monotonic() + BUSY_SECONDS
        connection = self._engine.raw_connection()
        try:
            while True:
                try:
                    connection.cursor().execute("PRAGMA journal_mode = WAL").fetchone()
                    return
                except sqlite3.OperationalError as error:
                    if "locked" not in str(error) or time.monotonic() > until:
                        raise
                    time.sleep(0.02)
        finally:
            connection.close()

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, TimeoutError, sqlite3.Error) as error:
            raise CatalogUnreachable(url=self.shown, reason=_reason(error, self._engine.url)) from error


def masked(url: URL) -> str:
    """The URL with every password in it hidden.

    Example:
        >>> masked(make_url("postgresql://ann:secret@host/db?sslpassword=secret"))
        'postgresql://ann:***@host/db?sslpassword=***'
    """
    query = {key: "***" if "pass" in key.lower() else value for key, value in url.query.items()}
    return url.set(query=query).render_as_string(hide_password=True).replace("%2A%2A%2A", "***")


def _reason(error: BaseException, url: URL) -> str:
    """One line of what the database said, without the password, should a driver repeat it."""
    said = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    line = " ".join(str(said).split()).rstrip(".") or type(said).__name__
    return line.replace(str(url.password), "***") if url.password else line


def _engine(text_url: str) -> Engine:
    try:
        url = make_url(text_url)
    except (ArgumentError, ValueError):
        # Nothing of the original error is kept: what couldn't be parsed may be a part of the password.
        shown = re.sub(r"(?s).*@|\?.*", "***", text_url)
        raise CatalogUnreachable(url=shown, reason="it is no SQLAlchemy URL") from None
    try:
        if url.get_backend_name() == "sqlite":
            return _sqlite(url)
        return create_engine(url, pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError, ImportError, OSError) as error:
        raise CatalogUnreachable(url=masked(url), reason=_reason(error, url)) from error


def _sqlite(url: URL) -> Engine:
    options: dict[str, Any] = {"connect_args": {"timeout": BUSY_SECONDS, "check_same_thread": False}}
    if url.database in (None, "", ":memory:"):
        # The database is the connection: there is one, and threads wait for their turn with it.
        options |= {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0, "pool_timeout": BUSY_SECONDS}
    elif not url.database.startswith("file:"):
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, **options)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        # Python's own handling begins a transaction only at the first INSERT, UPDATE or DELETE: reads would not be
        # of one moment, nor DDL undone. With None it stays out of it, and the listener below begins.
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("sqlml_begin", "BEGIN"))

    return engine
