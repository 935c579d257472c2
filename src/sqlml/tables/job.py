"""What one refresh does, as data: the declaration, the versions that answer, the SQL of a window's rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from sqlml.planner import Plan
from sqlml.query.text import identifier, literal
from sqlml.tables.columns import casts
from sqlml.tables.declaration import MODEL, RUN_ID, SCORED_AT, Declared
from sqlml.tables.windows import Bound, Window

_MOMENT = pa.timestamp("us", tz="UTC")
_VERSION = pa.struct([("model", pa.string()), ("version", pa.string())])
Versions = Mapping[str, Mapping[str, str]]
"""Function -> its model, version and digest."""


@dataclass(frozen=True)
class Job:
    """One refresh: its table, the table's columns, and the query as its plan was made, once for all windows.

    Attributes:
        schema: of the table, with the columns that each row is given.
        found: of the query.
        versions: which answer, from the first window to the last.
        inputs: the tables that the query reads.
        keep_failed: whether rows that fail an audit are kept for a look.
    """

    declared: Declared
    root: Path
    refresh_id: str
    schema: pa.Schema
    found: pa.Schema
    versions: Versions
    inputs: tuple[str, ...] = ()
    keep_failed: bool = False

    @property
    def name(self) -> str:
        """The table's name."""
        return self.declared.name

    def select(self, plan: Plan, window: Window | None, run_id: str, scored_at: datetime, dialect: str) -> str:
        """The rows of a window, as the table has them; raises SchemaDrift."""
        own = pa.schema([field for field in self.schema if field.name not in (MODEL, SCORED_AT, RUN_ID)])
        columns = casts(self.found, own, dialect, self.name)
        if MODEL in self.schema.names:
            columns.append(f"{_models(self.versions, dialect)} AS {identifier(MODEL, dialect)}")
        moment = bound_sql(scored_at, dialect)
        columns.append(f"{moment} AS {identifier(SCORED_AT, dialect)}")
        columns.append(f"{literal(run_id, dialect)} AS {identifier(RUN_ID, dialect)}")
        return f"SELECT {', '.join(columns)} FROM ({plan.sql}\n) AS __sqlml_query{self._where(window, dialect)}"

    def _where(self, window: Window | None, dialect: str) -> str:
        if window is None or self.declared.column is None:
            return ""
        name = identifier(self.declared.column, dialect)
        return f" WHERE {name} >= {bound_sql(window.start, dialect)} AND {name} < {bound_sql(window.end, dialect)}"


def versions_of(plan: Plan) -> dict[str, dict[str, str]]:
    """The versions that a plan's calls mean, by function; one that names its version, by that name."""
    return {
        (call.target.asked or call.target.function.name): {
            "model": call.target.version.model,
            "version": call.target.version.version,
            "digest": call.target.version.digest,
        }
        for call in plan.calls
    }


def table_schema(schema: pa.Schema, versions: Versions) -> pa.Schema:
    """A query's columns and those that each row is given: `_model`, where a model is called, and the others."""
    model = [(MODEL, pa.struct([(name, _VERSION) for name in versions]))] if versions else []
    return pa.schema([*schema, *pa.schema([*model, (SCORED_AT, _MOMENT), (RUN_ID, pa.string())])])


def _models(versions: Versions, dialect: str) -> str:
    """A struct of the versions, each a struct of the model's name and the version."""
    held = {
        name: _struct({key: literal(str(one[key]), dialect) for key in ("model", "version")}, dialect)
        for name, one in versions.items()
    }
    return _struct(held, dialect)


def _struct(fields: Mapping[str, str], dialect: str) -> str:
    if dialect == "spark":
        return f"named_struct({', '.join(f'{literal(name, dialect)}, {sql}' for name, sql in fields.items())})"
    return f"struct_pack({', '.join(f'{identifier(name)} := {sql}' for name, sql in fields.items())})"


def bound_sql(value: Bound, dialect: str) -> str:
    """A bound as a literal of its own type, whatever the session's time zone.

    Example:
        >>> bound_sql(datetime(2013, 1, 1), "spark"), bound_sql(datetime(2013, 1, 1, tzinfo=UTC), "duckdb")
        ("TIMESTAMP_NTZ '2013-01-01 00:00:00'", "TIMESTAMPTZ '2013-01-01 00:00:00+00:00'")
    """
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, datetime):
        return f"DATE '{value.isoformat()}'"
    if value.tzinfo is None:
        kind = "TIMESTAMP_NTZ" if dialect == "spark" else "TIMESTAMP"
    else:
        value, kind = value.astimezone(UTC), "TIMESTAMP_LTZ" if dialect == "spark" else "TIMESTAMPTZ"
    return f"{kind} '{value.isoformat(sep=' ')}'"
