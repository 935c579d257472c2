"""What Spark knows of a table without reading it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql.types import (
    BooleanType,
    ByteType,
    DataType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    ShortType,
    StringType,
)

from sqlml.engines.spark_footers import File, Folder, distinct, domains, footer
from sqlml.engines.spark_unchanged import Unchanged
from sqlml.programs.java import NoJava
from sqlml.programs.prune import Domain
from sqlml.query.rewriting import Kind

_KINDS: Mapping[type[DataType], Kind] = {
    BooleanType: "boolean",
    ByteType: "small",
    ShortType: "small",
    IntegerType: "small",
    LongType: "whole",
    FloatType: "float32",
    DoubleType: "float64",
    DecimalType: "decimal",
}

_MOST_FILES = 64
"""Of a table: the footers of more are not read for one query."""
_UNREADABLE = (OSError, pa.ArrowException)


def kind_of(type_: DataType) -> Kind:
    """What a type of Spark's means for a model; a text whose collation is not bytes is no text here."""
    if isinstance(type_, StringType):
        return "text" if type_ == StringType() else "other"
    return _KINDS.get(type(type_), "other")


class SparkFacts:
    """What is known of one table, asked for when it is needed; Spark holds no keys."""

    unique: tuple[frozenset[str], ...] = ()
    references: tuple[tuple[tuple[str, ...], str, tuple[str, ...]], ...] = ()

    def __init__(self, session: Any, table: str, unchanged: Unchanged | None) -> None:
        self._session = session
        self._table = table
        self._unchanged = unchanged

    @cached_property
    def is_stored(self) -> bool:
        """Whether Spark reads it from files, as it stands."""
        return _kind(self._plan) == "LogicalRelation"

    @cached_property
    def rows(self) -> int | None:
        """How many rows its files have, or about how many by the optimizer's estimate of their bytes."""
        with contextlib.suppress(*_UNREADABLE):
            if self._files:
                return sum(footer(file)[0] for file in self._files)
        try:
            statistics = self._plan.stats()
            counted = statistics.rowCount()
            size = int(str(statistics.sizeInBytes()))
            return int(str(counted.get())) if counted.isDefined() else size // max(1, 8 * len(self._frame.columns))
        except (PySparkException, AttributeError):
            return None

    @cached_property
    def domains(self) -> Mapping[str, Domain]:
        """What the footers of its files say of the values of columns."""
        with contextlib.suppress(*_UNREADABLE):
            if self._files and self._unchanged is not None:
                return domains(self._files, {name: kind_of(type_) for name, type_ in self._in_files.items()})
        return {}

    @property
    def bounds(self) -> Mapping[str, Domain]:
        """Nothing: who looks at files again is asked for by `guard`."""
        return {}

    @cached_property
    def distinct(self) -> Mapping[str, int]:
        """About how many values columns have, by a sample of its files."""
        with contextlib.suppress(*_UNREADABLE):
            if self._files:
                return {name: count for name, count in distinct(self._files).items() if name in self._in_files}
        return {}

    def guard(self, _domains: Mapping[str, Domain]) -> str | None:
        """A condition that is true while the files are those that were looked at, and an error after."""
        try:
            return None if self._unchanged is None else self._unchanged.call(self._table, self._folders, self._files)
        except NoJava:
            return None

    @cached_property
    def _frame(self) -> Any:
        return self._session.sql(f"SELECT * FROM {self._table}")

    @cached_property
    def _plan(self) -> Any:
        """The optimized plan; None where there is none to be seen."""
        try:
            return self._frame._jdf.queryExecution().optimizedPlan()
        except (PySparkException, AttributeError):
            return None

    @cached_property
    def _in_files(self) -> Mapping[str, DataType]:
        """The columns that are read from the files, by casefolded name: a folder's name may have others' values."""
        parts = {name.casefold() for name in self._plan.relation().partitionSchema().fieldNames()}
        held = {field.name.casefold(): field.dataType for field in self._frame.schema}
        return {name: type_ for name, type_ in held.items() if name not in parts}

    @cached_property
    def _folders(self) -> tuple[Folder, ...]:
        """The folders that it is made of, as they were."""
        roots = self._plan.relation().location().rootPaths()
        paths = [Path(roots.apply(place).toUri().getPath()) for place in range(roots.size())]
        return tuple(Folder.at(path) for path in paths if path.is_dir())

    @cached_property
    def _files(self) -> tuple[File, ...]:
        """The Parquet files that it is; empty where it is more, or they aren't known to stay the same ones."""
        if not self.is_stored:
            return ()
        relation = self._plan.relation()
        if _kind(relation) != "HadoopFsRelation" or _kind(relation.location()) != "InMemoryFileIndex":
            return ()
        paths = [urlparse(file) for file in self._frame.inputFiles()]
        if _kind(relation.fileFormat()) != "ParquetFileFormat" or not 0 < len(paths) <= _MOST_FILES:
            return ()
        if any(path.scheme != "file" or "\n" in unquote(path.path) for path in paths):
            return ()
        try:
            files = tuple(File.at(Path(unquote(path.path))) for path in paths)
            # Where a folder holds more by now, Spark may list it anew before the query runs.
            inside = sum(
                any(Path(folder.path) in Path(file.path).parents for folder in self._folders) for file in files
            )
            return files if inside == sum(folder.files for folder in self._folders) else ()
        except OSError:
            return ()


def _kind(held: Any) -> str:
    return "" if held is None else str(held.getClass().getSimpleName())
