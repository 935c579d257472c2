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

REVISION = "0001"
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
    Column("name", String, primary_key=True),
    Column("query", Text, nullable=False),
    Column("schedule", String),
    Column("engine", String, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", String, primary_key=True),
    # No foreign key: a run is remembered after its table is dropped.
    Column("table_name", String, nullable=False),
    # As text, for a window runs over timestamps, dates or integers.
    Column("window_from", String),
    Column("window_to", String),
    Column("started_at", Moment, nullable=False),
    Column("finished_at", Moment),
    Column("outcome", String),
    Column("rows_out", BigInteger),
    Column("engine", String, nullable=False),
    Column("error", Text),
    Index(None, "table_name", "started_at"),
)
