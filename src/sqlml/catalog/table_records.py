"""What the catalog holds about prediction tables, as values that never change."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, TypeVar

from sqlml.catalog.records import LazyJson


@dataclass(frozen=True)
class PredictionTable:
    """A declared table. `text` is the whole CREATE statement and the truth; most of the rest is there to be shown.

    `synced_version` is the last commit of the table in `path` that the catalog has taken in; -1 before any.
    """

    name: str
    text: str
    query: str
    dialect: str
    engine: str | None
    schedule: str | None
    zone: str | None
    file: str | None
    path: str
    fingerprint: str
    synced_version: int
    needs_full: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class TableWindow:
    """A window that the table has, as it was last published: the `number`-th time, by `run_id`."""

    key: str
    window_from: str | None
    window_to: str | None
    number: int
    run_id: str
    commit_version: int
    rows: int
    query_hash: str
    versions: Mapping[str, Any]
    published_at: datetime


@dataclass(frozen=True)
class Refresh:
    """One go at bringing a table up to date. `outcome` is 'running', 'done' or 'failed'.

    `kind` is 'due', 'range', 'full' or 'stale'; `scheduled_for` the moment of the schedule that it answers, if any.
    """

    refresh_id: str
    table_name: str
    kind: str
    range_from: str | None
    range_to: str | None
    scheduled_for: datetime | None
    attempt: int
    windows: int
    started_at: datetime
    finished_at: datetime | None
    outcome: str
    error: str | None
    host: str
    pid: int
    heartbeat_at: datetime


@dataclass(frozen=True)
class Run:
    """One window, computed by one refresh. `outcome` is 'running', 'published', 'already' or 'failed'.

    `published_by` is the run that had published the same already.
    """

    run_id: str
    refresh_id: str
    table_name: str
    window_key: str
    window_from: str | None
    window_to: str | None
    number: int
    started_at: datetime
    finished_at: datetime | None
    outcome: str
    rows_in: int | None
    rows_out: int | None
    files: int | None
    bytes: int | None
    seconds: float | None
    engine: str
    versions: Mapping[str, Any]
    audits: Sequence[Mapping[str, Any]]
    commit_version: int | None
    published_by: str | None
    error: str | None

    def __str__(self) -> str:
        ends = {
            "published": f"published {self.rows_out or 0:,} rows in {self.seconds or 0.0:.2f} s",
            "already": f"was published by run {self.published_by} already",
            "failed": f"failed: {self.error}",
        }
        return f"{self.table_name} {self.window_key}: {ends.get(self.outcome, self.outcome)}"


# Asked once: a table may have thousands of windows.
_NAMES = {kind: tuple(field.name for field in fields(kind)) for kind in (PredictionTable, TableWindow, Refresh, Run)}

Record = TypeVar("Record", PredictionTable, TableWindow, Refresh, Run)


def from_row(kind: type[Record], row: Mapping[Any, Any]) -> Record:
    """The record that a row of the database holds."""
    values = {name: row[name] for name in _NAMES[kind]}
    if "versions" in values:
        values["versions"] = LazyJson(values["versions"])
    if "audits" in values:
        values["audits"] = json.loads(values["audits"])
    return kind(**values)


def to_row(values: Mapping[str, Any]) -> dict[str, Any]:
    """A record's values as the database takes them.

    Example:
        >>> to_row({"audits": [{"rule": "min_rows"}], "error": None})
        {'audits': '[{"rule": "min_rows"}]', 'error': None}
    """
    row = dict(values)
    if "versions" in row:
        row["versions"] = json.dumps(dict(row["versions"]))
    if "audits" in row:
        row["audits"] = json.dumps([dict(audit) for audit in row["audits"]])
    if row.get("error") is not None:
        row["error"] = storable(row["error"])
    return row


def storable(message: str) -> str:
    """A message that every database takes: an engine's may repeat the data, and a failure must not fail to be told.

    Example:
        >>> storable("bad value 'a" + chr(0) + "b'")
        "bad value 'a?b'"
    """
    return message.replace("\x00", "?").encode("utf-8", "replace").decode("utf-8")
