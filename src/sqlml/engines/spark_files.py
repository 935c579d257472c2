"""A query over the rows of Parquet files, each part of which DuckDB answers and writes inside a Spark task.

Spark schedules the parts and tries them again; no row goes through the JVM.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql.types import (
    BooleanType,
    ByteType,
    DataType,
    DateType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    ShortType,
    StringType,
    TimestampNTZType,
)

from sqlml.config import Settings
from sqlml.engines.duckdb import DuckDBEngine
from sqlml.engines.spark_worker import Sent, answerer
from sqlml.query.rowlocal import SOURCE, NotRowLocal, RowLocal
from sqlml.query.text import identifier, literal
from sqlml.types import Output

LEAST_ROWS = 250_000
"""Of a part: below that its start costs more than its rows."""

_TYPES: Mapping[type[DataType], str] = {
    BooleanType: "BOOLEAN",
    ByteType: "TINYINT",
    ShortType: "SMALLINT",
    IntegerType: "INTEGER",
    LongType: "BIGINT",
    FloatType: "FLOAT",
    DoubleType: "DOUBLE",
    StringType: "VARCHAR",
    DateType: "DATE",
    TimestampNTZType: "TIMESTAMP",
}


@dataclass(frozen=True)
class Part:
    """Rows of a file, `last` exclusive."""

    file: str
    first: int
    last: int


@dataclass(frozen=True)
class Job:
    """The same query over each part, into a file of its own in `folder`; `calls` are the functions in it."""

    query: str
    source: str
    calls: Mapping[str, tuple[Sent, tuple[Output, ...]]]
    parts: tuple[Part, ...]
    folder: str


def job_of(
    found: RowLocal, frame: Any, table: Any, calls: Mapping[str, tuple[Sent, tuple[Output, ...]]], folder: str
) -> Job:
    """What Spark is to schedule.

    Args:
        found: the query.
        frame: the same query as Spark's data frame, whose types the files get.
        table: its table as a data frame.
        calls: for each hidden name of a function its version and outputs.
        folder: where the files go.

    Raises:
        NotRowLocal: the table is no plain Parquet files on this machine's disks, or a type is none that both know.
    """
    columns = {field.name: _type(field.dataType, field.name) for field in table.schema}
    taken = ", ".join(f"CAST({identifier(name)} AS {type_}) AS {identifier(name)}" for name, type_ in columns.items())
    names = [field.name for field in frame.schema]
    if len({name.casefold() for name in names}) < len(names):
        raise NotRowLocal("two of its columns have one name")
    given = ", ".join(
        f"CAST({identifier(f'c{i}')} AS {_type(field.dataType, field.name)}) AS {identifier(field.name)}"
        for i, field in enumerate(frame.schema)
    )
    renamed = ", ".join(identifier(f"c{i}") for i in range(len(names)))
    query = f"SELECT {given} FROM ({found.text}) AS __sqlml_rows({renamed})"
    context = getattr(frame.sparkSession, "sparkContext", None) if "connect" not in type(frame).__module__ else None
    parts = _parts(table, list(columns), context.defaultParallelism if context is not None else 2)
    return Job(query, f"SELECT {taken} FROM read_parquet", dict(calls), tuple(parts), folder)


def _type(type_: DataType, name: str) -> str:
    if isinstance(type_, MapType):
        return f"MAP({_type(type_.keyType, name)}, {_type(type_.valueType, name)})"
    if type(type_) not in _TYPES:
        raise NotRowLocal(f"the column '{name}' is of the type {type_.simpleString()}")
    return _TYPES[type(type_)]


def _parts(table: Any, columns: Sequence[str], workers: int) -> list[Part]:
    files = [urlparse(uri) for uri in sorted(table.inputFiles())]
    if not files or any(file.scheme not in ("file", "") for file in files):
        raise NotRowLocal("its table is no files that lie on this machine")
    held = []
    for file in files:
        path = unquote(file.path)
        try:
            metadata = pq.ParquetFile(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise NotRowLocal("its table's files are no Parquet") from error
        if metadata.schema_arrow.names != list(columns):
            raise NotRowLocal("a file has other columns than the table")
        groups = metadata.metadata
        held.append((path, [groups.row_group(i).num_rows for i in range(groups.num_row_groups)]))
    rows = sum(sum(groups) for _, groups in held)
    wanted = max(LEAST_ROWS, rows // (4 * workers) + 1)
    parts = []
    for path, groups in held:
        first = last = 0
        for i, count in enumerate(groups):
            last += count
            if last - first >= wanted or i == len(groups) - 1:
                parts.append(Part(path, first, last))
                first = last
    return parts


def answering(job: Job) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """What a task runs: its rows are the numbers of parts."""

    def answers(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        engine = DuckDBEngine.at(Settings(engine="duckdb", time_zone="UTC"), ":memory:")
        try:
            names = {hidden: engine.register(answerer(sent), outputs) for hidden, (sent, outputs) in job.calls.items()}
            for name in names.values():
                engine.open(name)
            query = re.sub(r"\b__sqlml_\w+", lambda found: names.get(found[0], found[0]), job.query)
            # Spark gives a task one core.
            engine.rows("SET threads = 1")
            for batch in batches:
                for number in batch.column(0).to_pylist():
                    file, rows = _write(engine, job, query, job.parts[number])
                    yield pa.RecordBatch.from_arrays([pa.array([file]), pa.array([rows])], names=["file", "rows"])
        finally:
            engine.close()

    return answers


def _write(engine: DuckDBEngine, job: Job, query: str, part: Part) -> tuple[str, int]:
    """Write a part; a file that a killed task leaves is of a name that nobody asks for."""
    within = f"file_row_number >= {part.first} AND file_row_number < {part.last}"
    source = f"({job.source}({literal(part.file)}, file_row_number = true) WHERE {within})"
    target = Path(job.folder) / f"part-{uuid.uuid4().hex}.parquet"
    text = query.replace(SOURCE, source, 1)
    rows = engine.rows(f"COPY ({text}) TO {literal(str(target))} (FORMAT parquet, COMPRESSION snappy)").fetchall()
    return str(target), int(rows[0][0])
