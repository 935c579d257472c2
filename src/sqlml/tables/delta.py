"""One strict commit to a Delta table, and nothing besides: files that are written already come in, others go out.

A commit is exact: it is made on the version that was looked at, or not at all. Whoever publishes says under which name
and number (`app_id`, `number`), and what is in the table under these is not published again, so that the same work done
twice is in the table once. Data are on the disk before the log names them, the log is before success is told.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from sqlml.errors import BadTableFile, TableBusy, TableMissing, TableUnreadable
from sqlml.tables.failpoints import point

LOG = "_delta_log"
_KEY = "sqlml"
_TRIES = 50
_LONGEST_WAIT = 2.0


@dataclass(frozen=True)
class DataFile:
    """A Parquet file below the table's folder; `partition` has the values of the columns that it doesn't hold."""

    path: str
    partition: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Commit:
    """What publishing came to: the table's version that has the files, and whether it was made just now.

    `metadata` are the words that were given with it, by whoever made it.
    """

    version: int
    made: bool
    metadata: Mapping[str, Any]


def create(root: Path, schema: pa.Schema, partition_by: Sequence[str] = (), comment: str | None = None) -> None:
    """Make an empty table, if there is none; of two that do so at once one makes it.

    Args:
        root: its folder.
        schema: all of its columns.
        partition_by: those that its files don't hold.
        comment: shown by whoever describes it.
    """
    if (root / LOG).is_dir():
        return
    root.mkdir(parents=True, exist_ok=True)
    try:
        DeltaTable.create(
            root,
            schema,
            mode="ignore",
            partition_by=list(partition_by),
            name=root.name,
            description=comment,
            # With tries of its own, the one that comes second writes the schema over the table of the first.
            commit_properties=CommitProperties(max_commit_retries=0),
        )
    except CommitFailedError:
        # Another one was first, which is as good.
        open_table(root)
    _sync(root / LOG)
    _sync(root)


def open_table(root: Path, version: int | None = None) -> DeltaTable:
    """The table as it is now, or was at a version.

    Raises:
        TableMissing: there is none, or no such version.
        TableUnreadable: its log is damaged.
    """
    try:
        return DeltaTable(root, version=version)
    except TableNotFoundError as error:
        raise TableMissing(path=root) from error
    except DeltaError as error:
        if version is not None:
            raise TableMissing(path=f"{root} at version {version}") from error
        raise TableUnreadable(path=root, reason=str(error).splitlines()[0]) from error


def files(table: DeltaTable) -> dict[str, int]:
    """The paths of a version's files below the table's folder, with the number of rows in each."""
    held = pa.table(table.get_add_actions(flatten=True))
    rows = held.column("num_records").to_pylist() if "num_records" in held.column_names else [0] * held.num_rows
    return {unquote(path): count or 0 for path, count in zip(held.column("path").to_pylist(), rows, strict=True)}


def publish(
    root: Path,
    added: Sequence[DataFile],
    *,
    app_id: str,
    number: int,
    replaces: Callable[[str], bool],
    metadata: Mapping[str, Any],
) -> Commit:
    """Put files into the table in the place of others, in one commit, unless that was done already.

    Args:
        root: the table's folder.
        added: what comes in.
        app_id: the name of the work, as `sqlml/<table>/<window>`.
        number: 1, and more for each time that the same work is to be done anew.
        replaces: says of a path in the table whether it goes out.
        metadata: kept with the commit.

    Raises:
        BadTableFile: a file that is not there, or not as the table is; nothing was published.
        TableBusy: others published again and again meanwhile; nothing was published.
        TableMissing: there is no table.
    """
    table = open_table(root)
    partitions = list(table.metadata().partition_columns)
    columns = {one.name: one.type for one in pa.schema(table.schema()) if one.name not in partitions}
    adds = [_checked(root, columns, partitions, file) for file in added]
    for folder in {root / parent for file in added for parent in Path(file.path).parents}:
        _sync(folder)
    for attempt in range(_TRIES):
        if (table.transaction_version(app_id) or 0) >= number:
            return _found(table, app_id)
        now = int(time.time() * 1000)
        removes = [RemoveAction(path, True, now) for path in files(table) if replaces(path)]
        held = {**metadata, "app_id": app_id, "number": number}
        wanted = table.version() + 1
        point("before commit")
        try:
            table.create_write_transaction(
                [*removes, *adds],
                mode="append",
                schema=table.schema(),
                partition_by=partitions,
                # Its own tries would put the files into a version that was not looked at.
                commit_properties=CommitProperties(
                    custom_metadata={_KEY: json.dumps(held)},
                    max_commit_retries=0,
                    app_transactions=[Transaction(app_id, number)],
                ),
            )
        except CommitFailedError:
            time.sleep(random.uniform(0, min(_LONGEST_WAIT, 0.01 * 2**attempt)))
            table = open_table(root)
        except Exception:
            # Whether it was written is not known, but to the table.
            table = open_table(root)
            if (table.transaction_version(app_id) or 0) < number:
                raise
            found = _found(table, app_id)
            return _durable(root, replace(found, made=True))
        else:
            return _durable(root, Commit(wanted, True, held))
    raise TableBusy(path=root, tries=_TRIES)


def _durable(root: Path, commit: Commit) -> Commit:
    point("after commit")
    _sync(root / LOG / f"{commit.version:020}.json")
    _sync(root / LOG)
    return commit


def _found(table: DeltaTable, app_id: str) -> Commit:
    """The newest commit of an app id, as the table's history has it."""
    for commit in table.history():
        held = json.loads(commit.get(_KEY, "{}"))
        if held.get("app_id") == app_id:
            return Commit(commit["version"], False, held)
    # The history is shorter than the table's life.
    return Commit(table.version(), False, {})


def _checked(root: Path, wanted: Mapping[str, pa.DataType], partitions: list[str], file: DataFile) -> AddAction:
    """A file as the log names it, once it is what the table says and on the disk; raises BadTableFile."""
    path = root / file.path
    try:
        footer = pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise BadTableFile(path=path, reason="it is not there, or no Parquet") from error
    found = {one.name: one.type for one in footer.schema_arrow}
    if list(file.partition) != partitions:
        raise BadTableFile(path=path, reason=f"it needs the values of the partition columns {partitions}")
    for name in wanted.keys() | found.keys():
        if found.get(name) != wanted.get(name):
            reason = (
                f"its column '{name}' is {found.get(name, 'missing')}, and the table's {wanted.get(name, 'is none')}"
            )
            raise BadTableFile(path=path, reason=reason)
    _sync(path)
    size = path.stat()
    stats = json.dumps({"numRecords": footer.metadata.num_rows})
    return AddAction(file.path, size.st_size, dict(file.partition), int(size.st_mtime * 1000), True, stats)


def _sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
