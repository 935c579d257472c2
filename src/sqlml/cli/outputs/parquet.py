"""Parquet: Arrow's types, and text where Parquet has none of the kind (intervals, unions, times with a zone)."""

from __future__ import annotations

import re
from typing import IO, Any

import pyarrow.parquet as pq

from sqlml.cli.rows import Column, Result, unique

GROUP_ROWS = 122_880

# Arrow would wrap the largest value, or has no such type, or has one that Parquet can't hold: alone or in a struct.
_AS_TEXT = re.compile(r"\b(INTERVAL|BIT|UHUGEINT|BIGNUM|TIME WITH TIME ZONE|UNION|VARIANT|GEOMETRY|JSON)\b")


def write(result: Result, stream: IO[Any]) -> None:
    """Write the rows as they come, a row group a batch."""
    names = unique(result.names)
    columns = [Column(name, _cast(str(type_))) for name, type_ in zip(names, result.types, strict=True)]
    with (
        result.batches(columns, rows=GROUP_ROWS) as (schema, batches),
        pq.ParquetWriter(stream, _renamed(schema, names)) as writer,
    ):
        for batch in batches:
            writer.write_batch(batch.rename_columns(names))


def _renamed(schema: Any, names: list[str]) -> Any:
    return schema.empty_table().rename_columns(names).schema


def _cast(type_: str) -> str | None:
    if type_ == '"NULL"':
        return "INTEGER"
    return "VARCHAR" if _AS_TEXT.search(type_) else None
