"""Rows that take the place of others by their key: the files that hold such rows are written anew without them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

from sqlml.engines.engine import Engine, Files
from sqlml.query.text import identifier
from sqlml.tables.delta import DataFile, Snapshot, make_room
from sqlml.tables.job import Job
from sqlml.tables.layout import data_files

_FILE = "sqlml_file"


@dataclass(frozen=True)
class Merged:
    """What is to be published: besides the new files those that `kept` rows are in now; the `replaced` go out."""

    kept: list[DataFile]
    rows: int
    replaced: frozenset[str]


def merge(engine: Engine, job: Job, held: Snapshot, new: Files, folder: str) -> Merged:
    """Find the files that hold rows of the new ones' keys, and write their other rows into a folder.

    Args:
        engine: that reads and writes.
        job: whose table it is.
        held: the table's version that this is made from.
        new: the new rows.
        folder: below the table's, where nothing is yet.

    Raises:
        EngineError: the engine refused it.
    """
    if not held.files:
        return Merged([], 0, frozenset())
    rows = engine.show_files(own_name(job.name, "new"), new)
    old = engine.show_files(own_name(job.name, "old"), _files(held, list(held.files)), file_names=_FILE)
    same = _same(job.declared.key, engine.dialect)
    hit = f"SELECT DISTINCT o.{_FILE} AS f FROM {old} AS o WHERE EXISTS (SELECT 1 FROM {rows} AS n WHERE {same})"
    paths = [path for batch in engine.batches(hit, 10_000) for path in batch.column(0).to_pylist()]
    found = frozenset(_below(held.root, path) for path in paths)
    if not found:
        return Merged([], 0, frozenset())
    touched = engine.show_files(own_name(job.name, "touched"), _files(held, sorted(found)))
    columns = ", ".join(f"o.{identifier(name, engine.dialect)}" for name in held.schema.names)
    others = f"SELECT {columns} FROM {touched} AS o WHERE NOT EXISTS (SELECT 1 FROM {rows} AS n WHERE {same})"
    wrote = engine.write(others, str(held.root / folder), held.partitions, by_files=False)
    return Merged(data_files(held.root, folder, held.partitions), wrote.rows, found)


def last_of_each(engine: Engine, job: Job, new: Files, folder: str) -> list[DataFile]:
    """Of rows with the same key, those of the last window; written into a folder, given as its files."""
    rows = engine.show_files(own_name(job.name, "all"), new)
    names = [identifier(name, engine.dialect) for name in new.schema.names]
    key = ", ".join(identifier(name, engine.dialect) for name in job.declared.key)
    at = identifier(str(job.declared.column), engine.dialect)
    numbered = f"SELECT *, row_number() OVER (PARTITION BY {key} ORDER BY {at} DESC) AS sqlml_place FROM {rows}"
    only = f"SELECT {', '.join(names)} FROM ({numbered}) AS r WHERE sqlml_place = 1"
    root = Path(new.root)
    make_room(root, folder)
    engine.write(only, str(root / folder), new.partitions, by_files=False)
    return data_files(root, folder, new.partitions)


def own_name(table: str, what: str) -> str:
    """A name for files that this thread alone looks at: several windows are computed at a time."""
    return f"{table}_{what}_{threading.get_ident()}"


def _same(key: Sequence[str], dialect: str) -> str:
    names = [identifier(name, dialect) for name in key]
    return " AND ".join(f"n.{name} IS NOT DISTINCT FROM o.{name}" for name in names)


def _files(held: Snapshot, paths: Sequence[str]) -> Files:
    return Files(str(held.root), tuple(paths), held.schema, held.partitions)


def _below(root: Path, path: str) -> str:
    """A file's path as an engine tells it, below the table's folder."""
    plain = unquote(urlparse(path).path) if path.startswith("file:") else path
    return Path(plain).relative_to(root).as_posix()
