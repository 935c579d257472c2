"""What Spark knows of a table without reading it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

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


def kind_of(type_: DataType) -> Kind:
    """What a type of Spark's means for a model; a text whose collation is not bytes is no text here."""
    if isinstance(type_, StringType):
        return "text" if type_ == StringType() else "other"
    return _KINDS.get(type(type_), "other")


class SparkFacts:
    """What is known of one table, asked for when it is needed; Spark holds no keys."""

    unique: tuple[frozenset[str], ...] = ()
    references: tuple[tuple[tuple[str, ...], str, tuple[str, ...]], ...] = ()
    domains: Mapping[str, Domain] = {}
    distinct: Mapping[str, int] = {}
    bounds: Mapping[str, Domain] = {}

    def __init__(self, session: Any, table: str) -> None:
        self._session = session
        self._table = table

    @cached_property
    def is_stored(self) -> bool:
        """Whether Spark reads it from files, as it stands."""
        try:
            frame = self._session.sql(f"SELECT * FROM {self._table}")
            return str(frame._jdf.queryExecution().optimizedPlan().getClass().getSimpleName()) == "LogicalRelation"
        except (PySparkException, AttributeError):
            return False

    @cached_property
    def rows(self) -> int | None:
        """About how many rows there are, by the optimizer's estimate of their bytes."""
        try:
            frame = self._session.sql(f"SELECT * FROM {self._table}")
            statistics = frame._jdf.queryExecution().optimizedPlan().stats()
            counted = statistics.rowCount()
            size = int(str(statistics.sizeInBytes()))
            return int(str(counted.get())) if counted.isDefined() else size // max(1, 8 * len(frame.columns))
        except (PySparkException, AttributeError):
            return None

    def guard(self, _domains: Mapping[str, Domain]) -> str | None:
        """None: what Spark reads is not looked at again."""
        return None
