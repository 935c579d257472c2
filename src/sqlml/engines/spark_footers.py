"""What the footers of Parquet files say of a table's columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sqlml.engines.bounds import outward
from sqlml.programs.prune import Domain
from sqlml.query.rewriting import Kind

_SAMPLE = 20_000
"""Rows of a group of rows that are looked at to guess how many values there are."""
_MANY = 10
"""Of a column with a new value every so many rows the number of values is not known."""


class File(NamedTuple):
    """A file as it was: another one of its name has another size, or was written at another time (milliseconds)."""

    path: str
    size: int
    written: int

    @classmethod
    def at(cls, path: Path) -> File:
        """The file as it is; raises OSError."""
        held = path.stat()
        return cls(str(path), held.st_size, held.st_mtime_ns // 1_000_000)


class Folder(NamedTuple):
    """A folder, and how many files it held at any depth; none that begins with a dot or an underscore counts."""

    path: str
    files: int

    @classmethod
    def at(cls, path: Path) -> Folder:
        """The folder as it is; raises OSError."""
        return cls(str(path), _count(path))


def _count(folder: Path) -> int:
    seen = [one for one in folder.iterdir() if one.name[0] not in "._"]
    return sum(_count(one) if one.is_dir() else 1 for one in seen)


class Held(NamedTuple):
    """What a file holds of a column: whether a value is missing, and the numbers' ends; None where they aren't told."""

    missing: bool
    low: Any = None
    high: Any = None


UNKNOWN = Held(missing=True)


@lru_cache(4096)
def footer(file: File) -> tuple[int, Mapping[str, Held]]:
    """The number of rows, and what is told of columns by casefolded name; raises OSError or ArrowInvalid."""
    held = pq.read_metadata(file.path)
    groups = [held.row_group(group) for group in range(held.num_row_groups)]
    found: dict[str, Held] = {}
    for place in range(held.num_columns):
        column = held.schema.column(place)
        if column.path != column.name:
            continue
        name = column.name.casefold()
        # Of two columns that differ in case nobody knows which one is meant.
        found[name] = UNKNOWN if name in found else _column(groups, place, _has_numbers(column))
    return held.num_rows, found


def _has_numbers(column: pq.ColumnSchema) -> bool:
    numbers = column.physical_type in ("INT32", "INT64", "FLOAT", "DOUBLE")
    return column.logical_type.type == "DECIMAL" or (numbers and column.logical_type.type in ("NONE", "INT"))


def _column(groups: Sequence[pq.RowGroupMetaData], place: int, numbers: bool) -> Held:
    missing, ends = False, list[Any]()
    for rows in groups:
        said = rows.column(place).statistics
        if said is None or not said.has_null_count:
            return UNKNOWN
        missing = missing or said.null_count > 0
        # A group of nothing but NULL has no ends, and doesn't move the others'.
        if said.null_count < rows.num_rows:
            ends += [said.min, said.max] if numbers and said.has_min_max else [None]
    # A NaN among the ends of one group says nothing of it, and is neither less nor more than others.
    return Held(missing, min(ends), max(ends)) if ends and all(map(_is_number, ends)) else Held(missing)


def domains(files: Sequence[File], kinds: Mapping[str, Kind]) -> dict[str, Domain]:
    """What the values of columns can be, by casefolded name."""
    footers = [footer(file)[1] for file in files]
    found: dict[str, Domain] = {}
    for name, kind in kinds.items():
        # Where a file has no such column its rows have NULL.
        held = [columns.get(name, UNKNOWN) for columns in footers]
        # NaN is no part of a file's statistics.
        missing = kind.startswith("float") or any(one.missing for one in held)
        ends = [end for one in held for end in (one.low, one.high)]
        if kind in ("small", "whole", "decimal", "float32", "float64") and all(_is_number(end) for end in ends):
            low, high = outward(min(ends), -math.inf), outward(max(ends), math.inf)
            found[name] = Domain(missing=missing, low=low, high=high)
        elif not missing:
            found[name] = Domain(missing=False)
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool) and not math.isnan(value)


def distinct(files: Sequence[File]) -> dict[str, int]:
    """About how many values columns have, by a sample; without those of which it can't be told."""
    samples = []
    for file in {files[0], files[len(files) // 2], files[-1]}:
        held = pq.ParquetFile(file.path)
        for group in {0, held.num_row_groups // 2, held.num_row_groups - 1}:
            if 0 <= group < held.num_row_groups:
                samples += [next(held.iter_batches(_SAMPLE, row_groups=[group]), None)]
    tables = [pa.Table.from_batches([one]) for one in samples if one is not None]
    if not tables:
        return {}
    rows = pa.concat_tables(tables, promote_options="permissive")
    found = {}
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        if not pa.types.is_nested(column.type):
            count = int(pc.count_distinct(column).as_py())
            if count * _MANY <= rows.num_rows:
                found[name.casefold()] = count
    return found
