"""The catalog as Arrow tables: what a plain SELECT sees under `sqlml.`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, Select, select

from sqlml.catalog.columns import table
from sqlml.catalog.records import Snapshot
from sqlml.catalog.schema import alias_history, prediction_tables, proofs, refreshes, runs, table_windows, versions

_MOMENT = pa.timestamp("us", tz="UTC")
_ARGUMENT = pa.struct([("name", pa.string()), ("type", pa.string()), ("required", pa.bool_())])


def _schema(text: str = "", **types: pa.DataType) -> pa.Schema:
    """Fields in the order of `text`, each a string unless `types` says otherwise."""
    return pa.schema([(name, types.get(name, pa.string())) for name in text.split()])


SCHEMAS: dict[str, pa.Schema] = {
    "functions": _schema(
        "name reference model version alias kind returns arguments strategy on_null comment file created_at updated_at",
        arguments=pa.list_(_ARGUMENT),
        created_at=_MOMENT,
        updated_at=_MOMENT,
    ),
    "versions": _schema(
        "id model version run_id registry flavour kind returns classes label digest created_at",
        id=pa.int64(),
        classes=pa.list_(pa.string()),
        created_at=_MOMENT,
    ),
    "alias_history": _schema("model alias version previous seen_at", seen_at=_MOMENT),
    "proofs": _schema(
        "model version strategy rows label_mismatches max_absolute max_relative seconds accepted reason proved_at",
        rows=pa.int64(),
        label_mismatches=pa.int64(),
        max_absolute=pa.float64(),
        max_relative=pa.float64(),
        seconds=pa.float64(),
        accepted=pa.bool_(),
        proved_at=_MOMENT,
    ),
    "prediction_tables": _schema(
        "name query schedule zone engine dialect file path text fingerprint synced_version needs_full "
        "created_at updated_at",
        synced_version=pa.int64(),
        needs_full=pa.bool_(),
        created_at=_MOMENT,
        updated_at=_MOMENT,
    ),
    "windows": _schema(
        "table_name window_key window_from window_to number run_id commit_version rows query_hash versions "
        "published_at",
        number=pa.int64(),
        commit_version=pa.int64(),
        rows=pa.int64(),
        published_at=_MOMENT,
    ),
    "refreshes": _schema(
        "refresh_id table_name kind range_from range_to scheduled_for attempt windows started_at finished_at outcome "
        "error host pid heartbeat_at",
        scheduled_for=_MOMENT,
        attempt=pa.int64(),
        windows=pa.int64(),
        started_at=_MOMENT,
        finished_at=_MOMENT,
        pid=pa.int64(),
        heartbeat_at=_MOMENT,
    ),
    "runs": _schema(
        "run_id refresh_id table_name window_key window_from window_to number started_at finished_at outcome rows_in "
        "rows_out files bytes seconds engine versions audits commit_version published_by error",
        number=pa.int64(),
        started_at=_MOMENT,
        finished_at=_MOMENT,
        rows_in=pa.int64(),
        rows_out=pa.int64(),
        files=pa.int64(),
        bytes=pa.int64(),
        seconds=pa.float64(),
        commit_version=pa.int64(),
    ),
}
"""The views by name, in the order they are listed in."""


def read_tables(connection: Connection, snapshot: Snapshot) -> dict[str, pa.Table]:
    """Every view, of the one moment that the connection's transaction sees."""
    rows: dict[str, Sequence[Mapping[str, Any]]] = {
        "functions": list(_functions(snapshot)),
        "versions": list(_versions(snapshot)),
        "alias_history": _rows(connection, _history()),
        "proofs": _rows(connection, _proofs()),
        "prediction_tables": _rows(connection, select(prediction_tables).order_by(prediction_tables.c.key)),
        "windows": _rows(connection, _windows()),
        "refreshes": _rows(connection, select(refreshes).order_by(refreshes.c.started_at, refreshes.c.refresh_id)),
        "runs": _rows(connection, select(runs).order_by(runs.c.started_at, runs.c.run_id)),
    }
    return {name: table(rows[name], schema) for name, schema in SCHEMAS.items()}


def _functions(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    for function in snapshot.functions.values():
        version = snapshot.versions[function.version_id]
        yield {
            **vars(function),
            "model": version.model,
            "version": version.version,
            "kind": version.description.get("kind"),
            "returns": version.description.get("returns_sql"),
            "arguments": version.description.get("arguments"),
        }


def _versions(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    for version in snapshot.versions.values():
        yield {
            **vars(version),
            "flavour": version.description.get("flavour"),
            "kind": version.description.get("kind"),
            "returns": version.description.get("returns_sql"),
            "classes": version.description.get("classes"),
            "label": version.description.get("label"),
        }


def _history() -> Select[Any]:
    history, previous = alias_history.c, versions.alias("previous")
    return (
        select(history.model, history.alias, versions.c.version, previous.c.version.label("previous"), history.seen_at)
        .join_from(alias_history, versions, versions.c.id == history.version_id)
        .outerjoin(previous, previous.c.id == history.previous_id)
        .order_by(history.id)
    )


def _proofs() -> Select[Any]:
    return select(versions.c.model, versions.c.version, proofs).join_from(proofs, versions).order_by(proofs.c.id)


def _windows() -> Select[Any]:
    windows = table_windows.c
    return (
        select(prediction_tables.c.name.label("table_name"), windows.key.label("window_key"), table_windows)
        .join_from(table_windows, prediction_tables)
        .where(windows.gone.is_(False))
        .order_by(windows.table_key, windows.key)
    )


def _rows(connection: Connection, statement: Select[Any]) -> Sequence[Mapping[str, Any]]:
    return [dict(row) for row in connection.execute(statement).mappings()]
