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


class Column(NamedTuple):
    """A column of one file: whether a value is missing, the least and the largest one; None where that isn't told."""

    missing: bool
    low: Any
    high: Any


@lru_cache(4096)
def footer(file: File) -> tuple[int, Mapping[str, Column]]:
    """The number of rows, and the columns by casefolded name; raises OSError or ArrowInvalid."""
    held = pq.read_metadata(file.path)
    found: dict[str, Column] = {}
    for group in range(held.num_row_groups):
        rows = held.row_group(group)
        for place in range(rows.num_columns):
            column = rows.column(place)
            name, said = column.path_in_schema.casefold(), column.statistics
            missing = said is None or not said.has_null_count or said.null_count > 0
            ends = (said.min, said.max) if said is not None and said.has_min_max else (None, None)
            # A group of nothing but NULL has no ends, and doesn't move the others'.
            empty = said is not None and said.has_null_count and said.null_count == rows.num_rows
            found[name] = _both(found.get(name), Column(missing, *ends), empty=empty)
    return held.num_rows, found


def _both(one: Column | None, two: Column, *, empty: bool) -> Column:
    if one is None:
        return two
    if empty:
        return one._replace(missing=True)
    known = one.low is not None and two.low is not None
    low, high = (min(one.low, two.low), max(one.high, two.high)) if known else (None, None)
    return Column(one.missing or two.missing, low, high)


def domains(files: Sequence[File], kinds: Mapping[str, Kind]) -> dict[str, Domain]:
    """What the values of columns can be, by casefolded name."""
    footers = [footer(file)[1] for file in files]
    found: dict[str, Domain] = {}
    for name, kind in kinds.items():
        # Where a file has no such column its rows have NULL.
        held = [columns.get(name, Column(missing=True, low=None, high=None)) for columns in footers]
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
