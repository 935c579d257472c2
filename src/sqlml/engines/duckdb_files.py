"""Parquet files that are one table, as DuckDB's SQL."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from sqlml.engines.engine import Files
from sqlml.errors import EmptyPartition
from sqlml.query.text import identifier, literal
from sqlml.query.typenames import sql_type


def select_files(files: Files, file_names: str | None = None) -> str:
    """A query of the files' rows; `file_names` is a column to add, the path of the file that a row lies in."""
    columns = [identifier(name) for name in files.schema.names] + ([identifier(file_names)] if file_names else [])
    if not files.paths:
        nothing = [
            f"CAST(NULL AS {sql_type(field.type, 'duckdb')}) AS {identifier(field.name)}" for field in files.schema
        ]
        nothing += [f"CAST(NULL AS VARCHAR) AS {identifier(file_names)}"] if file_names else []
        return f"SELECT {', '.join(nothing)} WHERE FALSE"
    paths = ", ".join(literal(f"{files.root}/{path}") for path in files.paths)
    options = ["hive_partitioning = FALSE"]
    if files.partitions:
        types = [f"{literal(name)}: {sql_type(files.schema.field(name).type, 'duckdb')}" for name in files.partitions]
        options = ["hive_partitioning = TRUE", f"hive_types = {{{', '.join(types)}}}"]
    options += [f"filename = {literal(file_names)}"] if file_names else []
    return f"SELECT {', '.join(columns)} FROM read_parquet([{paths}], {', '.join(options)})"


def name_partitions(folder: Path, columns: Sequence[str]) -> None:
    """Name the folders of partitions as every engine reads them: Spark takes each escaped byte for a character.

    Raises:
        EmptyPartition: a value that every reader takes for NULL.
    """
    for parent, names, _ in os.walk(folder, topdown=False):
        for name in names:
            if name.endswith("="):
                column = columns[len(Path(parent).relative_to(folder).parts)]
                raise EmptyPartition(column=column)
            plain = re.sub(r"(?:%[89A-F][0-9A-F])+", lambda escaped: unquote(escaped[0]), name)
            if plain != name:
                Path(parent, name).rename(Path(parent, plain))
