"""Where the Raven workloads run: the tables in DuckDB or in Spark, and functions on Arrow to compare with."""

from __future__ import annotations

import argparse
import contextlib
import inspect
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import mlflow
import pyarrow as pa
from raven_shapes import PART_ROWS, Shape, write_tables

import sqlml

Rows = list[tuple[Any, ...]]
Answer = Callable[..., Any]
"""A column of answers to columns of arguments."""


class Work(NamedTuple):
    """A query of a shape by one of its models."""

    shape: Shape
    model: str
    kind: str

    @property
    def title(self) -> str:
        return f"{self.model}, {self.kind}"

    @property
    def is_label(self) -> bool:
        return self.shape.name == "hospital"

    def text(self, call: str) -> str:
        high = self.shape.models[self.model]
        return self.shape.queries[self.kind].format(joined=self.shape.joined, f=call, high=high)

    def ours(self) -> str:
        """The call by sqlml: a row where there is one table, else each argument by its name."""
        name = self.model + ("" if self.is_label else "_score")
        alias = next(iter(self.shape.inputs.values())).split(".")[0]
        given = ", ".join(f"{argument} => {column}" for argument, column in self.shape.inputs.items())
        return f"{name}({given if self.shape.dimensions else alias})"

    def given(self, function: str) -> str:
        """The call of a function that takes columns by their places."""
        return f"{function}({', '.join(self.shape.inputs.values())})"

    def trivial(self) -> str:
        """Something that reads the same columns and costs next to nothing."""
        columns = self.shape.inputs.items()
        # Of a root DuckDB's statistics say nothing, by which it would answer a comparison without looking.
        return f"sqrt({' + '.join(c if self.shape.values(a) is None else f'length({c})' for a, c in columns)})"


def told(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def files(shape: Shape, options: argparse.Namespace, rows: int) -> dict[str, list[str]]:
    """The files of each table of a shape, made if they aren't there."""
    folder = options.data / "tables" / shape.name
    write_tables(shape, folder, rows)
    found = {held.name: [str(folder / held.name / "000.parquet")] for held in shape.dimensions}
    return found | {
        shape.fact.name: [str(folder / shape.fact.name / f"{i:03}.parquet") for i in range(rows // PART_ROWS)]
    }


def load(con: duckdb.DuckDBPyConnection, shape: Shape, options: argparse.Namespace, rows: int) -> None:
    """The tables in DuckDB: dimensions have a PRIMARY KEY, and the fact's keys are NOT NULL."""
    for held in shape.tables:
        source = f"read_parquet({files(shape, options, rows)[held.name]})"
        con.execute(f"CREATE OR REPLACE TABLE {held.name} AS FROM {source} LIMIT 0")
        for column in (held.key, *held.keys):
            con.execute(f"ALTER TABLE {held.name} ALTER {column} SET NOT NULL")
        if held.rows:
            con.execute(f"ALTER TABLE {held.name} ADD PRIMARY KEY ({held.key})")
        con.execute(f"INSERT INTO {held.name} FROM {source}")


def project(options: argparse.Namespace) -> Path:
    folder = options.data / "project"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sqlml.toml").touch()
    return folder


def session(target: Any, options: argparse.Namespace, mode: str) -> sqlml.Session:
    return sqlml.connect(target, project=project(options), rewrites=mode)


def answering(work: Work, predict: Callable[[Any], Any]) -> Answer:
    """A function on columns that makes a data frame of them; it takes so many as the model has arguments."""
    names, is_label = list(work.shape.inputs), work.is_label

    def answer(*columns: Any) -> Any:
        answers = predict(pa.table(dict(zip(names, columns, strict=True))).to_pandas())
        return pa.array(answers if is_label else answers[:, -1])

    taken = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    answer.__signature__ = inspect.Signature(taken)  # type: ignore[attr-defined]
    return answer


def own_answer(work: Work, folder: Path) -> Answer:
    """The model's own predict."""
    model = mlflow.sklearn.load_model(str(folder))
    return answering(work, model.predict if work.is_label else model.predict_proba)


def pyfunc_answer(work: Work, folder: Path) -> Answer:
    return answering(work, mlflow.pyfunc.load_model(str(folder)).predict)


class OnDuckDB:
    """The tables in a DuckDB file, and a sample in memory, on which functions on Arrow are tried."""

    packages: tuple[str, ...] = ()

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options

    def __enter__(self) -> OnDuckDB:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @contextlib.contextmanager
    def opened(self, shape: Shape) -> Iterator[tuple[dict[str, Any], Any, Any]]:
        """Sessions by mode, one on the sample, and the sample itself."""
        path = self._options.data / "duckdb" / f"{shape.name}-{self._options.rows}.duckdb"
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            new = path.with_suffix(".new")
            new.unlink(missing_ok=True)
            with duckdb.connect(new) as con:
                load(con, shape, self._options, self._options.rows)
            new.rename(path)
        with contextlib.ExitStack() as held:
            con, sample = (held.enter_context(duckdb.connect(place)) for place in (path, ":memory:"))
            load(sample, shape, self._options, self._options.slow_rows)
            modes = {
                mode: held.enter_context(session(con.cursor(), self._options, mode)) for mode in self._options.modes
            }
            yield modes, held.enter_context(session(sample.cursor(), self._options, "none")), sample

    @staticmethod
    def rows(place: Any, text: str) -> Rows:
        return place.sql(text).fetchall()

    @staticmethod
    def add(sample: Any, work: Work, folder: Path) -> dict[str, str]:
        """Functions on Arrow of a model: the call of each."""
        types = ["DOUBLE" if work.shape.values(name) is None else "VARCHAR" for name in work.shape.inputs]
        found = {}
        for name, made in {"UDF": own_answer, "pyfunc": pyfunc_answer}.items():
            function = f"{name}_{work.model}"
            gives = "BIGINT" if work.is_label else "DOUBLE"
            with contextlib.suppress(duckdb.Error):
                sample.remove_function(function)
            sample.create_function(function, made(work, folder), types, gives, type="arrow")
            found[name] = work.given(function)
        return found


class OnSpark:
    """The tables as Parquet files, as they are."""

    packages = ("pyspark",)

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options

    def __enter__(self) -> OnSpark:
        from pyspark.sql import SparkSession

        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        conf = {
            "spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1",
            "spark.log.level": "FATAL", "spark.sql.session.timeZone": "UTC", "spark.driver.memory": "6g",
            "spark.ui.showConsoleProgress": "false", "spark.sql.shuffle.partitions": "4",
            "spark.sql.warehouse.dir": str(self._options.data / "warehouse"),
        }  # fmt: skip
        self._spark = SparkSession.builder.master("local[2]").config(map=conf).getOrCreate()
        return self

    def __exit__(self, *_: object) -> None:
        self._spark.stop()

    @contextlib.contextmanager
    def opened(self, shape: Shape) -> Iterator[tuple[dict[str, Any], Any, Any]]:
        with contextlib.ExitStack() as held:
            modes = {
                mode: held.enter_context(session(self._viewing(shape, self._options.rows), self._options, mode))
                for mode in self._options.modes
            }
            sample = self._viewing(shape, self._options.slow_rows)
            yield modes, held.enter_context(session(sample, self._options, "none")), sample

    def _viewing(self, shape: Shape, rows: int) -> Any:
        """A session of Spark's whose views are the first rows of the tables."""
        spark = self._spark.newSession()
        for name, paths in files(shape, self._options, rows).items():
            spark.read.parquet(*paths).createOrReplaceTempView(name)
        return spark

    @staticmethod
    def rows(place: Any, text: str) -> Rows:
        return [tuple(row) for row in place.sql(text).collect()]

    @staticmethod
    def add(sample: Any, work: Work, folder: Path) -> dict[str, str]:
        from pyspark.sql.functions import ArrowUDFType, arrow_udf

        gives = "bigint" if work.is_label else "double"
        own = arrow_udf(own_answer(work, folder), gives, ArrowUDFType.SCALAR)
        sample.udf.register(f"UDF_{work.model}", own)
        column = gives if work.is_label else "array<double>"
        pyfunc = mlflow.pyfunc.spark_udf(sample, str(folder), result_type=column, env_manager="local")
        sample.udf.register(f"pyfunc_{work.model}", pyfunc)
        last = "" if work.is_label else "[1]"
        return {"UDF": work.given(f"UDF_{work.model}"), "pyfunc": work.given(f"pyfunc_{work.model}") + last}


ENGINES = {"duckdb": OnDuckDB, "spark": OnSpark}
