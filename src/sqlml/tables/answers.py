"""The answers of the statements about prediction tables, as Arrow tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from sqlml.catalog.columns import table as to_table
from sqlml.catalog.table_records import PredictionTable, TableWindow
from sqlml.tables.asked import Refreshed
from sqlml.tables.preparing import Prepared

_TEXT = pa.string()
_RUNS = pa.schema(
    [
        ("window", _TEXT),
        ("outcome", _TEXT),
        ("rows", pa.int64()),
        ("seconds", pa.float64()),
        ("version", pa.int64()),
        ("run_id", _TEXT),
        ("note", _TEXT),
    ]
)


def shown(tables: Sequence[tuple[PredictionTable, dict[str, TableWindow]]]) -> pa.Table:
    """SHOW PREDICTION TABLES: a row a table."""
    rows = [
        {
            "name": table.name,
            "windows": len(windows),
            "rows": sum(window.rows for window in windows.values()),
            "published_at": max((window.published_at for window in windows.values()), default=None),
            "schedule": table.schedule and f"{table.schedule} {table.zone}",
            "engine": table.engine,
            "note": "to be rebuilt: REFRESH ... FULL" if table.needs_full else None,
        }
        for table, windows in tables
    ]
    schema = pa.schema(
        [
            ("name", _TEXT),
            ("windows", pa.int64()),
            ("rows", pa.int64()),
            ("published_at", pa.timestamp("us", tz="UTC")),
            ("schedule", _TEXT),
            ("engine", _TEXT),
            ("note", _TEXT),
        ]
    )
    return to_table(rows, schema)


def created(table: PredictionTable, *, needs_full: bool) -> pa.Table:
    """CREATE PREDICTION TABLE: what was declared, and what fills it."""
    fills = f"REFRESH PREDICTION TABLE {table.name}{' FULL' if needs_full else ''} fills it"
    return _texts(("prediction_table", "path", "note"), [(f"predictions.{table.name}", table.path, fills)])


def dropped(name: str) -> pa.Table:
    """DROP PREDICTION TABLE."""
    return _texts(("dropped",), [(name,)])


def refreshed(done: Refreshed) -> pa.Table:
    """REFRESH PREDICTION TABLE: a row a run."""
    rows: list[dict[str, Any]] = [
        {
            "window": one.window_key,
            "outcome": one.outcome,
            "rows": one.rows_out,
            "seconds": one.seconds,
            "version": one.commit_version,
            "run_id": one.run_id,
            "note": f"published by run {one.published_by}" if one.published_by else None,
        }
        for one in done.runs
    ]
    if done.done_by:
        rows.append({"outcome": "already", "note": f"refresh {done.done_by} does this"})
    return to_table(rows, _RUNS)


def described(table: PredictionTable, prepared: Prepared, windows: dict[str, TableWindow]) -> pa.Table:
    """DESCRIBE PREDICTION TABLE: a row a column; then its clauses, its models and what it holds."""
    held = prepared.declared
    statement = held.statement
    rows = [("column", field.name, str(field.type)) for field in prepared.schema]
    rows += [("model", name, f"{one['model']} {one['version']}") for name, one in prepared.versions.items()]
    clauses = {
        "partitioned by": ", ".join(held.partitions),
        "incremental on": held.column,
        "every": held.windows and str(held.windows.every),
        "lookback": held.lookback and str(held.lookback),
        "start": held.first and str(held.first),
        "key": ", ".join(held.key),
        "schedule": table.schedule and f"{table.schedule} {table.zone}",
        "audit": ", ".join(map(str, statement.audits)),
        "reads": ", ".join(held.reads),
    }
    rows += [("clause", name, str(value)) for name, value in clauses.items() if value]
    rows += [("option", name, value) for name, value in statement.options.items()]
    rows += [
        ("table", "path", table.path),
        ("table", "windows", str(len(windows))),
        ("table", "rows", str(sum(window.rows for window in windows.values()))),
        ("query", "", statement.query),
    ]
    return _texts(("item", "name", "value"), rows)


def _texts(names: Sequence[str], rows: Sequence[tuple[str, ...]]) -> pa.Table:
    return to_table([dict(zip(names, row, strict=True)) for row in rows], pa.schema([(name, _TEXT) for name in names]))
