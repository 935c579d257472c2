"""A prediction table as it is declared: the clauses of its statement, read and checked against its query's columns."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pyarrow as pa

from sqlml.errors import BadDeclaration, BadWindow, did_you_mean
from sqlml.query.snapshots import normalized, references
from sqlml.query.tables import Bound as Written
from sqlml.query.tables import CreatePredictionTable
from sqlml.tables.columns import storable
from sqlml.tables.layout import RESERVED
from sqlml.tables.options import catch_up, retention, retries, timeout
from sqlml.tables.schedule import Schedule
from sqlml.tables.windows import Bound, Interval, Kind, Windows

MODEL, SCORED_AT, RUN_ID = "_model", "_scored_at", "_run_id"
ADDED = (MODEL, SCORED_AT, RUN_ID)
"""The columns that a table has beside its query's."""
_PARTITIONS = (pa.string(), pa.date32(), pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64())


@dataclass(frozen=True)
class Declared:
    """A table's declaration.

    Attributes:
        schema: the columns that its query gives, as a table has them.
        windows: of an incremental table, all that there are; its `column` says which one a row is in.
        first: the value that an incremental table begins with; None: that of its first row.
        catch_up: how many missing windows a refresh computes; None: all of them; -1: the latest alone.
    """

    statement: CreatePredictionTable
    dialect: str
    schema: pa.Schema
    zone: tzinfo
    windows: Windows | None
    lookback: Interval | None
    first: Bound | None
    schedule: Schedule | None
    retention: timedelta
    timeout: timedelta
    retries: int
    catch_up: int | None

    @property
    def name(self) -> str:
        """The table's name."""
        return self.statement.name

    @property
    def column(self) -> str | None:
        """The column that says which window a row is in, as the query spells it."""
        held = self.statement.incremental
        return None if held is None else _spelt(held.column, self.schema)

    @property
    def key(self) -> tuple[str, ...]:
        """The columns by which rows are merged."""
        return tuple(_spelt(name, self.schema) for name in self.statement.key)

    @property
    def partitions(self) -> tuple[str, ...]:
        """The columns whose values are folders."""
        return tuple(_spelt(name, self.schema) for name in self.statement.partition_by)

    @property
    def reads(self) -> tuple[str, ...]:
        """The prediction tables that its query reads."""
        return references(self.statement.query, self.dialect)

    @property
    def query_hash(self) -> str:
        """What changes when the query does, and not with its layout."""
        return hashlib.sha256(normalized(self.statement.query, self.dialect).encode()).hexdigest()[:16]

    @property
    def shape(self) -> str:
        """What changes when windows that are published can't stand beside new ones."""
        held = self.statement.incremental
        # Another zone has other days.
        zone = str(self.zone) if self.windows is not None and self.windows.kind == "timestamptz" else ""
        parts = (held and (self.column, str(self.windows and self.windows.every), str(self.first)), self.key, zone)
        return repr((parts, [(field.name, str(field.type)) for field in self.schema]))


def declared(statement: CreatePredictionTable, found: pa.Schema, dialect: str, time_zone: str) -> Declared:
    """Read a statement's clauses.

    Args:
        statement: as it was written.
        found: the columns of its query.
        dialect: sqlglot's name of the SQL that it is written in.
        time_zone: of a table without a schedule's.

    Raises:
        BadDeclaration, BadColumn, BadWindow, BadInterval, BadCron, BadZone: whatever stands against it.
    """
    schema = storable(found)
    _check_columns(statement, schema)
    schedule = Schedule.parse(statement.cron, statement.zone or time_zone) if statement.cron else None
    zone = ZoneInfo(statement.zone or time_zone)
    windows, lookback, first = _windows(statement, schema, zone)
    return Declared(
        statement,
        dialect,
        schema,
        zone,
        windows,
        lookback,
        first,
        schedule,
        retention=retention(statement),
        timeout=timeout(statement),
        retries=retries(statement),
        catch_up=catch_up(statement),
    )


def _check_columns(statement: CreatePredictionTable, schema: pa.Schema) -> None:
    names = {name.casefold(): name for name in schema.names}
    for name in (*ADDED, *RESERVED):
        if name in names:
            reason = f"its query has a column '{names[name]}', which is a name of sqlml's own: give it another one"
            raise BadDeclaration(table=statement.name, reason=reason)
    held = statement.incremental
    needed = [("PARTITIONED BY", name) for name in statement.partition_by] + [("KEY", name) for name in statement.key]
    needed += [("INCREMENTAL ON", held.column)] if held else []
    needed += [("AUDIT", name) for audit in statement.audits for name in audit.columns]
    for clause, name in needed:
        if name.casefold() not in names:
            hint = did_you_mean(name, schema.names)
            near = f" ({hint.strip()})" if hint else ""
            reason = f"its query has no column '{name}', which {clause} names{near}: add it to its SELECT"
            raise BadDeclaration(table=statement.name, reason=reason)
    if len(statement.partition_by) >= len(schema):
        raise BadDeclaration(table=statement.name, reason="a column must be left that it is not partitioned by")
    for name in statement.partition_by:
        type_ = schema.field(names[name.casefold()]).type
        if type_ not in _PARTITIONS:
            reason = f"'{name}' is {type_}, and a table is partitioned by text, dates, integers or booleans"
            raise BadDeclaration(table=statement.name, reason=reason)
        # Engines write other names as they please, and read them otherwise.
        if not re.fullmatch(r"\w+", name):
            reason = f"'{name}' becomes the name of folders: partition by a column named with letters, digits and '_'"
            raise BadDeclaration(table=statement.name, reason=reason)


def _windows(
    statement: CreatePredictionTable, schema: pa.Schema, zone: tzinfo
) -> tuple[Windows | None, Interval | None, Bound | None]:
    held = statement.incremental
    if held is None:
        return None, None, None
    kind = _kind(statement.name, schema.field(_spelt(held.column, schema)))
    if held.every is None and kind == "integer":
        reason = f"'{held.column}' is an integer: say how many of them a window has, as EVERY 1000"
        raise BadDeclaration(table=statement.name, reason=reason)
    every = Interval.parse(held.every or "1 day")
    first = None if held.start is None else bound(held.start, kind, zone)
    windows = Windows(kind, every, zone, first)
    lookback = None if held.lookback is None else Interval.parse(held.lookback)
    if lookback is not None:
        # It is the column's kind of interval, or an error.
        Windows(kind, lookback, zone)
    return windows, lookback, first


def _kind(table: str, field: pa.Field) -> Kind:
    type_ = field.type
    if pa.types.is_integer(type_):
        return "integer"
    if pa.types.is_date32(type_):
        return "date"
    if pa.types.is_timestamp(type_):
        return "timestamp" if type_.tz is None else "timestamptz"
    reason = f"'{field.name}' is {type_}: INCREMENTAL ON takes a timestamp, a date or an integer"
    raise BadDeclaration(table=table, reason=reason)


def bound(written: Written, kind: Kind, zone: tzinfo) -> Bound:
    """A literal as a value of a column; a timestamp without a zone is of the table's zone.

    Raises:
        BadWindow: it is none of the column's.

    Example:
        >>> bound(Written("timestamp", "2013-01-01"), "timestamptz", ZoneInfo("America/New_York")).isoformat()
        '2013-01-01T05:00:00+00:00'
    """
    try:
        if kind == "integer":
            return int(written.text)
        if written.type == "integer":
            raise ValueError
        moment = datetime.fromisoformat(written.text.strip())
    except ValueError:
        raise BadWindow(value=written.text, kind=kind, reason=f"it is no {kind}") from None
    if kind == "date":
        if moment.time() != datetime.min.time() or moment.tzinfo is not None:
            raise BadWindow(value=written.text, kind=kind, reason="it is a timestamp")
        return moment.date()
    if kind == "timestamp":
        if moment.tzinfo is not None:
            raise BadWindow(value=written.text, kind=kind, reason="the column's timestamps have no zone")
        return moment
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)).astimezone(UTC)


def now_as(kind: Kind, zone: tzinfo, now: datetime) -> Bound | None:
    """A moment as a value of a column; an integer knows no time."""
    if kind == "integer":
        return None
    local = now.astimezone(zone)
    if kind == "date":
        return date(local.year, local.month, local.day)
    return local.replace(tzinfo=None) if kind == "timestamp" else now.astimezone(UTC)


def _spelt(name: str, schema: pa.Schema) -> str:
    """A column's name as the query spells it."""
    return next(str(held) for held in schema.names if held.casefold() == name.casefold())
