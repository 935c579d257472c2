"""The catalog's tables. A change here needs a migration, and `REVISION` to name it."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator

REVISION = "0002"
"""The migration that these tables are the result of; written here so that opening a catalog needs no Alembic."""


class Moment(TypeDecorator[datetime]):
    """A moment in UTC. SQLite keeps no time zone, so what it gives back is put in UTC again."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """In UTC, whatever zone it came in."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware, and in UTC rather than in the server's zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData(
    # Names that don't depend on the database, so that a later migration can refer to a constraint.
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

state = Table(
    "catalog_state",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="one_row"), primary_key=True, autoincrement=False),
    Column("revision", Integer, nullable=False),
    Column("activity", Integer, nullable=False, server_default="0"),
)

versions = Table(
    "versions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("registry", String, nullable=False),
    Column("model", String, nullable=False),
    Column("version", String, nullable=False),
    Column("run_id", String),
    Column("digest", String, nullable=False),
    # JSON as text: it is parsed when somebody looks, and never searched by the database.
    Column("manifest", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("registry", "model", "version", "digest"),
)

functions = Table(
    "functions",
    metadata,
    Column("key", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("reference", String, nullable=False),
    Column("alias", String),
    Column("on_null", String, nullable=False),
    Column("strategy", String, nullable=False),
    Column("comment", Text),
    Column("version_id", Integer, ForeignKey("versions.id"), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("file", String),
)

# Only ever appended to: which version made a number is answered from here.
alias_history = Table(
    "alias_history",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("model", String, nullable=False),
    Column("alias", String, nullable=False),
    Column("version_id", Integer, ForeignKey("versions.id"), nullable=False),
    Column("previous_id", Integer, ForeignKey("versions.id")),
    Column("seen_at", Moment, nullable=False),
    Index(None, "model", "alias"),
)

proofs = Table(
    "proofs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version_id", Integer, ForeignKey("versions.id"), nullable=False, index=True),
    Column("strategy", String, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("label_mismatches", BigInteger, nullable=False),
    # NULL stands for not-a-number, which SQLite can't hold.
    Column("max_absolute", Float(53)),
    Column("max_relative", Float(53)),
    Column("seconds", Float(53)),
    Column("accepted", Boolean, nullable=False),
    Column("reason", Text),
    Column("proved_at", Moment, nullable=False),
)

trusted = Table(
    "trusted",
    metadata,
    Column("digest", String, primary_key=True),
    Column("note", Text, nullable=False),
    Column("trusted_at", Moment, nullable=False),
)

prediction_tables = Table(
    "prediction_tables",
    metadata,
    Column("key", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("query", Text, nullable=False),
    Column("dialect", String, nullable=False),
    Column("engine", String),
    Column("schedule", String),
    Column("zone", String),
    Column("file", String),
    Column("path", String, nullable=False),
    Column("fingerprint", String, nullable=False),
    Column("synced_version", BigInteger, nullable=False),
    Column("needs_full", Boolean, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
)

table_windows = Table(
    "table_windows",
    metadata,
    Column("table_key", String, ForeignKey("prediction_tables.key"), primary_key=True),
    Column("key", String, primary_key=True),
    # As text, for a window runs over timestamps, dates or integers.
    Column("window_from", String),
    Column("window_to", String),
    Column("number", Integer, nullable=False),
    Column("run_id", String, nullable=False),
    Column("commit_version", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("query_hash", String, nullable=False),
    Column("versions", Text, nullable=False),
    Column("published_at", Moment, nullable=False),
    Column("gone", Boolean, nullable=False),
)

# No foreign key here, nor in what follows: a table is dropped, what was done to it is remembered.
refreshes = Table(
    "refreshes",
    metadata,
    Column("refresh_id", String, primary_key=True),
    Column("table_key", String, nullable=False),
    Column("table_name", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("range_from", String),
    Column("range_to", String),
    Column("scheduled_for", Moment),
    Column("attempt", Integer, nullable=False),
    Column("windows", Integer, nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("finished_at", Moment),
    Column("outcome", String, nullable=False),
    Column("error", Text),
    Column("host", String, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("heartbeat_at", Moment, nullable=False),
    UniqueConstraint("table_key", "scheduled_for", "attempt"),
    Index(None, "table_key", "started_at"),
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", String, primary_key=True),
    Column("refresh_id", String, nullable=False, index=True),
    Column("table_key", String, nullable=False),
    Column("table_name", String, nullable=False),
    Column("window_key", String, nullable=False),
    Column("window_from", String),
    Column("window_to", String),
    Column("number", Integer, nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("finished_at", Moment),
    Column("outcome", String, nullable=False),
    Column("rows_in", BigInteger),
    Column("rows_out", BigInteger),
    Column("files", BigInteger),
    Column("bytes", BigInteger),
    Column("seconds", Float(53)),
    Column("engine", String, nullable=False),
    Column("versions", Text, nullable=False),
    Column("audits", Text, nullable=False),
    Column("commit_version", BigInteger),
    Column("published_by", String),
    Column("error", Text),
    Index(None, "table_key", "started_at"),
)

# May be held before the table is made, and after it is dropped.
table_locks = Table(
    "table_locks",
    metadata,
    Column("table_key", String, primary_key=True),
    Column("holder", String, nullable=False),
    Column("held_until", Moment, nullable=False),
)
