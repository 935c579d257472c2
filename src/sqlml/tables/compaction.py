"""Within each window of a table, several small files become one; the rows stay as they are."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sqlml.errors import BadTableFile, TableBusy, TableMoved
from sqlml.tables import delta
from sqlml.tables.delta import Commit, DataFile
from sqlml.tables.desk import Desk
from sqlml.tables.layout import RUN, data_files, place_of
from sqlml.tables.running import take_in

TARGET_BYTES = 128 * 2**20
"""How large a file may become."""
_TRIES = 50
_ROW_GROUP = 122_880


@dataclass(frozen=True)
class StoredFile:
    """A file of a table's version."""

    path: str
    rows: int
    bytes: int


@dataclass(frozen=True)
class Group:
    """Small files of one window, and of one value of each partition column (`below`), that become one."""

    window_folder: str
    below: str
    files: tuple[StoredFile, ...]

    @property
    def rows(self) -> int:
        """How many rows they have."""
        return sum(one.rows for one in self.files)

    @property
    def bytes(self) -> int:
        """How large they are together."""
        return sum(one.bytes for one in self.files)


@dataclass(frozen=True)
class Optimized:
    """What compaction did, or would do: the groups, and the table's version that has them; None: nothing was done."""

    table: str
    groups: tuple[Group, ...]
    version: int | None
    bytes_after: int | None

    @property
    def files_before(self) -> int:
        """How many files were put together."""
        return sum(len(group.files) for group in self.groups)

    @property
    def bytes_before(self) -> int:
        """How large they were."""
        return sum(group.bytes for group in self.groups)


def crowded(files: Sequence[StoredFile], target: int = TARGET_BYTES) -> list[Group]:
    """Which files are to be put together: those that lie side by side and are no larger than `target` then.

    Example:
        >>> small = [StoredFile(f"data/sqlml_window=a/sqlml_run={run}/0.parquet", 10, 40) for run in "xyz"]
        >>> [[one.path[-11:-10] for one in group.files] for group in crowded(small, target=100)]
        [['x', 'y']]
    """
    together: dict[tuple[str, str], list[StoredFile]] = {}
    for file in sorted(files, key=lambda one: one.path):
        place = place_of(file.path)
        # What somebody else put there isn't ours to move.
        if place is not None:
            together.setdefault((place.window_folder, place.below), []).append(file)
    return [
        Group(window, below, bin_)
        for (window, below), held in sorted(together.items())
        for bin_ in _bins(held, target)
        if len(bin_) > 1
    ]


def _bins(files: Sequence[StoredFile], target: int) -> Iterator[tuple[StoredFile, ...]]:
    found: list[StoredFile] = []
    for file in files:
        if found and sum(one.bytes for one in found) + file.bytes > target:
            yield tuple(found)
            found = []
        found.append(file)
    yield tuple(found)


def stored_files(root: Path, at: int | None = None) -> list[StoredFile]:
    """The files of a table's version, by path; raises TableMissing, TableUnreadable."""
    table = delta.open_table(root, at)
    sizes = delta.sizes(table)
    return [StoredFile(path, rows, sizes[path]) for path, rows in sorted(delta.files(table).items())]


def optimize(desk: Desk, name: str, *, plan_only: bool = False, target: int = TARGET_BYTES) -> Optimized:
    """Put a table's small files together, in one commit that changes no row.

    Args:
        desk: with whom.
        name: the table.
        plan_only: only find out which files.
        target: how large a file may become.

    Raises:
        UnknownTable: there is none of that name.
        TableBusy: others changed the table again and again meanwhile. It is as it was then.
        TableError: what else stands against it.
    """
    table = desk.tables.get(name)
    root = Path(table.path)
    groups = crowded(stored_files(root), target)
    if plan_only or not groups:
        return Optimized(table.name, tuple(groups), None, None)
    held = delta.snapshot(root)
    run_id = str(uuid.uuid4())
    made: dict[Group, DataFile] = {}
    try:
        for number, group in enumerate(groups):
            made[group] = _together(held, group, run_id, number)
        done, commit = _publish(root, f"sqlml/{table.name.casefold()}/optimize", run_id, made)
    except BaseException as error:
        # Any other error may mean that the table has the files.
        if len(made) < len(groups) or isinstance(error, BadTableFile | TableBusy | TableMoved):
            _forget(root, run_id, groups)
        raise
    for group in made.keys() - done.keys():
        (root / made[group].path).unlink(missing_ok=True)
    if commit is None:
        return Optimized(table.name, (), None, None)
    take_in(desk, table.name, root)
    after = sum((root / file.path).stat().st_size for file in done.values())
    return Optimized(table.name, tuple(done), commit.version, after)


def _publish(
    root: Path, app_id: str, run_id: str, made: Mapping[Group, DataFile]
) -> tuple[dict[Group, DataFile], Commit | None]:
    """Put the new files in the place of the old ones, where these are still there; others may publish meanwhile."""
    for _ in range(_TRIES):
        table = delta.open_table(root)
        there = delta.files(table).keys()
        still = {group: file for group, file in made.items() if all(one.path in there for one in group.files)}
        if not still:
            return {}, None
        old = {one.path for group in still for one in group.files}
        try:
            commit = delta.publish(
                root,
                list(still.values()),
                app_id=app_id,
                number=(table.transaction_version(app_id) or 0) + 1,
                replaces=old.__contains__,
                metadata={"run_id": run_id, "upkeep": "optimize", "full": False, "windows": []},
                rows=sum(group.rows for group in still),
                at=table.version(),
                is_change=False,
            )
        except TableMoved:
            continue
        # Another one may have had the same number a moment earlier.
        if commit.metadata.get("run_id") == run_id:
            return still, commit
    raise TableBusy(path=root, tries=_TRIES)


def _together(held: delta.Snapshot, group: Group, run_id: str, number: int) -> DataFile:
    """Write the rows of several files into one, with the table's own types."""
    run = f"{group.window_folder}/{RUN}={run_id}"
    path = held.root / run / group.below / f"part-{number}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([field for field in held.schema if field.name not in held.partitions])
    with pq.ParquetWriter(path, schema, compression="snappy") as writer:
        for rows in _pieces(held.root, group, schema):
            writer.write_table(rows, row_group_size=_ROW_GROUP)
    below = path.relative_to(held.root).as_posix()
    return next(file for file in data_files(held.root, run, held.partitions) if file.path == below)


def _pieces(root: Path, group: Group, schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows of a group's files, in pieces as large as a row group: files of few rows make few row groups."""
    waiting: list[pa.Table] = []
    for stored in group.files:
        with _opened(root / stored.path) as file:
            for batch in file.iter_batches(_ROW_GROUP):
                waiting.append(pa.Table.from_batches([batch]).select(schema.names).cast(schema))
                if sum(one.num_rows for one in waiting) >= _ROW_GROUP:
                    yield pa.concat_tables(waiting)
                    waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _opened(path: Path) -> Any:
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise BadTableFile(path=path, reason="it is in the table's log, and is not there, or no Parquet") from error


def _forget(root: Path, run_id: str, groups: Sequence[Group]) -> None:
    for folder in {group.window_folder for group in groups}:
        shutil.rmtree(root / folder / f"{RUN}={run_id}", ignore_errors=True)
