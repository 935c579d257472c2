"""One strict commit to a Delta table, and nothing besides: files that are written already come in, others go out.

A commit is exact: it is made on the version that was looked at, or not at all. Whoever publishes says under which name
and number (`app_id`, `number`), and what is in the table under these is not published again, so that the same work done
twice is in the table once. Data are on the disk before the log names them, the log is before success is told.
"""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, TableFeatures, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from sqlml.errors import (
    BadTableFile,
    TableBusy,
    TableMissing,
    TableMoved,
    TableUnreadable,
    TableUnwritable,
    VersionGone,
)
from sqlml.tables.columns import alike
from sqlml.tables.failpoints import point

LOG = "_delta_log"
KEY = "sqlml"
_TRIES = 50
_LONGEST_WAIT = 2.0
_AT_ONCE = 8
# Whoever opens a table reads the commits since its last checkpoint: a tenth of the default's, for one per window.
_CHECKPOINT_EVERY = "10"
_SIZES = ("path", "size_bytes")


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
    try:
        root.mkdir(parents=True, exist_ok=True)
        DeltaTable.create(
            root,
            schema,
            mode="ignore",
            partition_by=list(partition_by),
            name=root.name,
            description=comment,
            configuration={"delta.checkpointInterval": _CHECKPOINT_EVERY},
            # With tries of its own, the one that comes second writes the schema over the table of the first.
            commit_properties=CommitProperties(max_commit_retries=0),
        )
    except CommitFailedError:
        # Another one was first, which is as good.
        open_table(root)
    except (DeltaError, OSError) as error:
        raise TableUnwritable(path=root, reason=line(error)) from error
    _sync(root / LOG)
    _sync(root)


def make_room(root: Path, folder: str) -> None:
    """Have the folder there that another one is to be made in; raises TableUnwritable."""
    try:
        (root / folder).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TableUnwritable(path=root, reason=line(error)) from error


def open_table(root: Path, at: int | datetime | None = None) -> DeltaTable:
    """The table as it is now, or was at a version or moment.

    Raises:
        TableMissing: there is none, or there was none then.
        TableUnreadable: its log is damaged.
    """
    try:
        table = DeltaTable(root, version=at if isinstance(at, int) else None)
        if isinstance(at, datetime):
            _load(table, at)
        return table
    except TableNotFoundError as error:
        raise TableMissing(path=root, when="") from error
    except DeltaError as error:
        if at is not None:
            when = f" at version {at}" if isinstance(at, int) else f" at {at.isoformat()}"
            raise TableMissing(path=root, when=when) from error
        raise TableUnreadable(path=root, reason=line(error)) from error


def brought_up(table: DeltaTable, root: Path) -> DeltaTable:
    """A table that was opened before, as it is now; raises TableUnreadable."""
    try:
        table.update_incremental()
    except DeltaError as error:
        raise TableUnreadable(path=root, reason=line(error)) from error
    return table


def _load(table: DeltaTable, moment: datetime) -> None:
    """Go to the last version that was there at a moment; raises DeltaError if the table is younger."""
    before = [commit["version"] for commit in table.history() if commit["timestamp"] <= moment.timestamp() * 1000]
    if not before:
        raise DeltaError("the table is younger")
    table.load_as_version(max(before))


@dataclass(frozen=True)
class Snapshot:
    """A version of a table: its files, by their paths below `root`, with the number of rows in each."""

    root: Path
    version: int
    schema: pa.Schema
    partitions: tuple[str, ...]
    files: Mapping[str, int]


def snapshot(root: Path, at: int | datetime | None = None) -> Snapshot:
    """The table as it is now, or was at a version or moment; raises TableMissing, TableUnreadable, VersionGone."""
    table = open_table(root, at)
    partitions = tuple(table.metadata().partition_columns)
    held = files(table)
    if at is not None:
        check_whole(root, table)
    return Snapshot(root, table.version(), pa.schema(table.schema()), partitions, held)


def check_whole(root: Path, table: DeltaTable) -> None:
    """Raise VersionGone where files of an older version were taken away."""
    held = files(table)
    if gone := sum(not (root / path).exists() for path in held):
        raise VersionGone(version=table.version(), path=root, gone=gone, count=len(held))


def is_last(root: Path, version: int) -> bool:
    """Whether a version is there, and no commit has come after it; asks the folder, and doesn't read the log."""
    log = root / LOG
    there = (log / f"{version:020}.json").exists() or (log / f"{version:020}.checkpoint.parquet").exists()
    return there and not (log / f"{version + 1:020}.json").exists()


def mark(root: Path, version: int) -> tuple[int, int] | None:
    """What tells a version's log entry from that of another table that has taken its place."""
    try:
        held = (root / LOG / f"{version:020}.json").stat()
    except FileNotFoundError:
        return None
    return held.st_ino, held.st_mtime_ns


def commits(root: Path, after: int) -> list[Commit]:
    """The commits of `publish` after a version, oldest first; raises TableMissing, TableUnreadable."""
    table = open_table(root)
    new = table.version() - after
    found = table.history(new) if new > 0 else []
    return [
        Commit(commit["version"], False, {**json.loads(commit[KEY]), "at": commit["timestamp"]})
        for commit in reversed(found)
        if KEY in commit and commit["version"] > after
    ]


def is_kept_up(root: Path, since: int) -> bool:
    """Whether nothing but upkeep has come to the table after a version: the rows are the same as they were."""
    table = open_table(root)
    new = table.version() - since
    return all(json.loads(commit.get(KEY, "{}")).get("upkeep") for commit in (table.history(new) if new > 0 else []))


def sizes(table: DeltaTable) -> dict[str, int]:
    """The paths of a version's files below the table's folder, with the bytes of each."""
    held = pa.table(table.get_add_actions(flatten=True))
    return {unquote(path): size for path, size in zip(*(held.column(n).to_pylist() for n in _SIZES), strict=True)}


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
    rows: int | None = None,
    at: int | None = None,
    schema: pa.Schema | None = None,
    is_change: bool = True,
    table: DeltaTable | None = None,
) -> Commit:
    """Put files into the table in the place of others, in one commit, unless that was done already.

    Args:
        root: the table's folder.
        added: what comes in.
        app_id: the name of the work, as `sqlml/<table>/<window>`.
        number: 1, and more for each time that the same work is to be done anew.
        replaces: says of a path in the table whether it goes out.
        metadata: kept with the commit.
        rows: how many rows the files must have, all together.
        at: the version that this was made from, where any other one would make it wrong.
        schema: the table's columns from now on; its files all go out then.
        is_change: whether rows come or go; they don't where files are put together.
        table: the table, opened before by this thread, so that only what is new of its log is read.

    Raises:
        TableMoved: the table is not at the version `at` any more; nothing was published.
        BadTableFile: a file that is not there, or not as the table is; nothing was published.
        TableBusy: others published again and again meanwhile; nothing was published.
        TableMissing: there is no table.
    """
    table = open_table(root) if table is None else brought_up(table, root)
    partitions = list(table.metadata().partition_columns)
    columns = {one.name: one.type for one in schema or pa.schema(table.schema()) if one.name not in partitions}
    # Waiting for the disk is most of it.
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        checked = pool.map(lambda file: _checked(root, columns, partitions, file, is_change), added)
        found = list(checked)
        folders = {root / parent for file in added for parent in Path(file.path).parents}
        try:
            list(pool.map(_sync, folders))
        except OSError as error:
            raise TableUnwritable(path=root, reason=line(error)) from error
    adds = [add for add, count in found if count]
    if rows is not None and rows != sum(count for _, count in found):
        reason = f"its new files have {sum(count for _, count in found):,} rows, and {rows:,} were written"
        raise BadTableFile(path=root, reason=reason)
    for attempt in range(_TRIES):
        if (table.transaction_version(app_id) or 0) >= number:
            return _durable(root, _found(table, app_id))
        if at is not None and table.version() != at:
            raise TableMoved(path=root, at=at, version=table.version())
        held = {**metadata, "app_id": app_id, "number": number}
        wanted = table.version() + 1
        properties = CommitProperties(
            custom_metadata={KEY: json.dumps(held)},
            # Its own tries would put the files into a version that was not looked at.
            max_commit_retries=0,
            app_transactions=[Transaction(app_id, number)],
        )
        point("before commit")
        try:
            if schema is None:
                now = int(time.time() * 1000)
                removes = [RemoveAction(path, is_change, now) for path in files(table) if replaces(path)]
                _commit(table, [*removes, *adds], "append", pa.schema(table.schema()), partitions, properties)
            else:
                _commit(table, adds, "overwrite", schema, partitions, properties)
        except CommitFailedError:
            time.sleep(random.uniform(0, min(_LONGEST_WAIT, 0.01 * 2**attempt)))
            table = open_table(root)
        except Exception as error:
            # Whether it was written is not known, but to the table.
            table = open_table(root)
            if (table.transaction_version(app_id) or 0) < number:
                raise TableUnwritable(path=root, reason=line(error)) from error
            there = _found(table, app_id)
            return _durable(root, replace(there, made=there.metadata.get("run_id") == metadata.get("run_id")))
        else:
            return _durable(root, Commit(wanted, True, held))
    raise TableBusy(path=root, tries=_TRIES)


def allow(root: Path, schema: pa.Schema, at: int) -> int:
    """Let the table, which is at a version, have columns of these types from now on; gives its version then.

    One kind of timestamp is a feature that a table has to name.

    Raises:
        TableMoved: it is at another version.
    """
    table = open_table(root)
    if table.version() != at:
        raise TableMoved(path=root, at=at, version=table.version())
    features = table.protocol().writer_features or []
    if not any(_has_local_time(one.type) for one in schema) or "timestampNtz" in features:
        return at
    try:
        table.alter.add_feature(
            TableFeatures.TimestampWithoutTimezone,
            allow_protocol_versions_increase=True,
            commit_properties=CommitProperties(max_commit_retries=0),
        )
    except CommitFailedError as error:
        raise TableMoved(path=root, at=at, version=open_table(root).version()) from error
    point("after allow")
    return at + 1


def _has_local_time(type_: pa.DataType) -> bool:
    if pa.types.is_timestamp(type_):
        return type_.tz is None
    return any(_has_local_time(type_.field(i).type) for i in range(type_.num_fields))


def _commit(
    table: DeltaTable,
    actions: Sequence[AddAction | RemoveAction],
    mode: str,
    schema: pa.Schema,
    partitions: list[str],
    properties: CommitProperties,
) -> None:
    table.create_write_transaction(
        list(actions), mode=mode, schema=schema, partition_by=partitions, commit_properties=properties
    )


def line(error: BaseException) -> str:
    """The first line of what somebody else says, and the causes that it draws arrows to.

    Example:
        >>> line(OSError(f"it failed{chr(10)}  {chr(0x21b3)} the disk is full{chr(10)}more"))
        'it failed: the disk is full'
    """
    first, *others = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).splitlines() or [type(error).__name__]
    causes = [one.strip().removeprefix("\u21b3").strip() for one in others if one.strip().startswith("\u21b3")]
    return ": ".join([first.strip(), *causes]).rstrip(".")


def _durable(root: Path, commit: Commit) -> Commit:
    point("after commit")
    entry = root / LOG / f"{commit.version:020}.json"
    # That of a commit long ago may be a part of a checkpoint by now.
    if entry.exists():
        _sync(entry)
    _sync(root / LOG)
    return commit


def _found(table: DeltaTable, app_id: str) -> Commit:
    """The newest commit of an app id, as the table's history has it."""
    for commit in table.history():
        held = json.loads(commit.get(KEY, "{}"))
        if held.get("app_id") == app_id:
            return Commit(commit["version"], False, held)
    # The history is shorter than the table's life.
    return Commit(table.version(), False, {})


def _checked(
    root: Path, wanted: Mapping[str, pa.DataType], partitions: list[str], file: DataFile, is_change: bool
) -> tuple[AddAction, int]:
    """A file as the log names it, and its rows, once it is what the table says and on the disk; raises BadTableFile."""
    path = root / file.path
    try:
        footer = pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise BadTableFile(path=path, reason="it is not there, or no Parquet") from error
    found = {one.name: one.type for one in footer.schema_arrow}
    if list(file.partition) != partitions:
        raise BadTableFile(path=path, reason=f"it needs the values of the partition columns {partitions}")
    for name in wanted.keys() | found.keys():
        if name not in found or name not in wanted or not alike(found[name], wanted[name]):
            reason = (
                f"its column '{name}' is {found.get(name, 'missing')}, and the table's {wanted.get(name, 'is none')}"
            )
            raise BadTableFile(path=path, reason=reason)
    _sync(path)
    size = path.stat()
    rows = footer.metadata.num_rows
    stats = json.dumps({"numRecords": rows})
    changed = int(size.st_mtime * 1000)
    return AddAction(file.path, size.st_size, dict(file.partition), changed, is_change, stats), rows


def _sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
