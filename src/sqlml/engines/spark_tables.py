"""Parquet files that are one table, as a data frame; and how a data frame is written as such."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from pyspark.sql import Observation
from pyspark.sql.functions import col, count, lit, when
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StringType

from sqlml.engines.engine import Files
from sqlml.errors import EmptyPartition
from sqlml.query.text import identifier

_TIMESTAMPS = "spark.sql.parquet.outputTimestampType"


def read_files(session: Any, files: Files, file_names: str | None) -> Any:
    """The files' rows; `file_names` is a column to add, the path of the file that a row lies in."""
    schema = from_arrow_schema(files.schema, prefer_timestamp_ntz=True)
    columns = [col(identifier(name, "spark")) for name in files.schema.names]
    if not files.paths:
        nothing = session.createDataFrame([], schema)
        return nothing.withColumn(file_names, lit("")) if file_names else nothing
    # What lies in one folder of Spark's is read from there on: runs lie in folders of their own.
    reader = session.read.option("basePath", f"{files.root}/data").schema(schema)
    frame = reader.parquet(*(_escaped(f"{files.root}/{path}") for path in files.paths))
    return frame.select(*columns, *([col("_metadata.file_path").alias(file_names)] if file_names else []))


def _escaped(path: str) -> str:
    r"""A path in which no character stands for others.

    Example:
        >>> _escaped("/data/a[1]")
        '/data/a\\[1\\]'
    """
    return re.sub(r"([][{}*?\\])", r"\\\1", path)


def write_files(session: Any, frame: Any, folder: str, partition_by: Sequence[str]) -> int:
    """Write a data frame as Parquet files into a folder that is not there yet; gives the number of its rows.

    Raises:
        EmptyPartition: a value of a partition column that Spark would write as NULL, and say nothing.
    """
    texts = [name for name in partition_by if isinstance(frame.schema[name].dataType, StringType)]
    empty = [count(when(col(identifier(one, "spark")) == "", 1)).alias(f"c{i}") for i, one in enumerate(texts)]
    found = Observation()
    counted = frame.observe(found, count(lit(1)).alias("rows"), *empty)
    with _microseconds(session):
        counted.write.mode("error").partitionBy(*partition_by).parquet(folder)
    for i, name in enumerate(texts):
        if found.get[f"c{i}"]:
            raise EmptyPartition(column=name)
    return int(found.get["rows"])


@contextlib.contextmanager
def _microseconds(session: Any) -> Iterator[None]:
    """Have timestamps written as other readers take them: Spark's default is deprecated, and read as nanoseconds."""
    before = session.conf.get(_TIMESTAMPS)
    session.conf.set(_TIMESTAMPS, "TIMESTAMP_MICROS")
    try:
        yield
    finally:
        session.conf.set(_TIMESTAMPS, before)
