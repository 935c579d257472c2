"""The contract that an engine fulfils; everything above is the same for all of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa

from sqlml.errors import SqlmlError
from sqlml.models.answering import Answerer
from sqlml.programs.prune import Domain
from sqlml.query.rewriting import Clause, Kind, Known
from sqlml.types import Output

Parameters = Sequence[Any] | Mapping[str, Any] | None


@dataclass(frozen=True)
class Column:
    """A column of a query: its name and, where it is a row itself, its fields' names.

    `exact` says that each of its values is a DOUBLE, or becomes one without a loss; `type` is the engine's name of
    its type.
    """

    name: str
    fields: tuple[str, ...] | None = None
    exact: bool = False
    kind: Kind = "other"
    type: str = ""


class Exact(str):
    """SQL of a value that is a DOUBLE, or becomes one without a loss: it needs no check."""

    __slots__ = ()


@dataclass(frozen=True)
class Written:
    """What a query's rows were written as. `way` is how: by `rows` of the engine, or `files` one by one; and why so."""

    way: Literal["rows", "files"]
    reason: str
    rows: int


@dataclass(frozen=True)
class Files:
    """Parquet files that are one table: `paths` below `root`; `partitions` are columns that stand in the paths."""

    root: str
    paths: tuple[str, ...]
    schema: pa.Schema
    partitions: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableFacts:
    """What an engine knows of a table, as a value; see `sqlml.query.rewriting.Known`."""

    rows: int | None = None
    unique: tuple[frozenset[str], ...] = ()
    references: tuple[tuple[tuple[str, ...], str, tuple[str, ...]], ...] = ()
    domains: Mapping[str, Domain] = field(default_factory=dict)
    distinct: Mapping[str, int] = field(default_factory=dict)
    bounds: Mapping[str, Domain] = field(default_factory=dict)
    is_stored: bool = False

    def guard(self, _domains: Mapping[str, Domain]) -> str | None:
        """None: it can't be looked at again."""
        return None


@dataclass(frozen=True)
class Profile:
    """What running a query took: seconds, the rows that it read from tables, and, if known, that came to models."""

    seconds: float
    rows_read: int
    rows_scored: int | None = None


class Refused(Exception):
    """A strategy by which an engine won't run a version, and why; the next one is tried."""


class Engine(ABC):
    """DuckDB, or another that holds the data: it binds, runs and answers statements.

    `dialect` is sqlglot's name of its SQL.
    """

    name: ClassVar[str]
    dialect: ClassVar[str]
    publishes_any_time: ClassVar[bool] = False
    """Whether a statement can call what was published after its transaction began."""
    repeats: ClassVar[frozenset[Clause]] = frozenset()
    """The clauses for which it runs a function that stands elsewhere, too, unless it is registered to run `once`."""
    samples: ClassVar[bool] = False
    """Whether a subquery that asks a model about some rows is cheap, and may stand in a call."""
    keeps_tables: ClassVar[bool] = False
    """Whether prediction tables are tables of a schema, which views and others' statements can name."""

    @abstractmethod
    def columns(self, query: str) -> Sequence[Column]:
        """The columns of a query, without running it; raises EngineError where it can't be bound."""

    def facts(self, _table: str) -> Known:
        """What the engine knows of a table's rows, named as SQL; an empty answer where that is nothing."""
        return TableFacts()

    def compares_texts_plainly(self) -> bool:
        """Whether texts are equal only if they are the same: False where a collation may say otherwise."""
        return False

    def orders_nulls_last(self, *, descending: bool) -> bool:
        """Whether NULL is the last in an order that doesn't say where it is."""
        return descending

    @abstractmethod
    def schema(self, query: str) -> pa.Schema:
        """The columns of a query with their types, without its rows; raises EngineError."""

    @abstractmethod
    def register(
        self, answerer: Answerer, outputs: Sequence[Output], *, as_row: bool = False, once: bool = False
    ) -> str:
        """Make an output of a version callable, or several as a struct; gives the name, the same one every time.

        The function takes the arguments that the version reads, in signature order; `as_row` one row that it binds
        by name. One that is to run `once` a row is not put in two places by the engine's optimizer.

        Raises:
            Refused: not by the version's strategy.
        """

    @property
    def has_jvm(self) -> bool:
        """Whether functions may be classes that the engine's own JVM runs."""
        return False

    def jar(self, _answerer: Answerer, _path: Path) -> list[str]:
        """Write a version's outputs as classes into a jar; gives the statements by which Spark uses it.

        Raises:
            Refused: the engine can't, or the version can't be a class.
        """
        raise Refused("a jar is made by Spark: connect(engine='spark')")

    def publish_for_good(self, _answerer: Answerer, _statements: Sequence[str]) -> None:
        """Run the statements that make a version's expression a function for other sessions, once it is proved here.

        Raises:
            Refused: the expression answers otherwise than the model.
            EngineError: the engine keeps no functions, or refused a statement.
        """
        raise Refused("such functions are Spark's: connect(engine='spark')")

    def call(self, name: str, given: Sequence[str]) -> str:
        """A call of a registered function, as SQL."""
        return f"{name}({', '.join(given)})"

    def knows(self, _name: str) -> bool:
        """Whether a function that was registered is still there."""
        return True

    def calls_plainly(self, _name: str) -> bool:
        """Whether such a call is the name and the arguments in brackets, and nothing more."""
        return True

    @abstractmethod
    def open(self, name: str) -> None:
        """Make a registered function ready, before a query waits for it."""

    @abstractmethod
    def evaluate(self, expression: str, columns: Mapping[str, pa.Array]) -> pa.Array:
        """The values of a SQL expression over columns by name; raises EngineError."""

    @abstractmethod
    def publish(self, answerer: Answerer) -> None:
        """Make `f`, `f_score` and `f_proba` callable in the engine's own SQL, by position, name and row."""

    def publish_all(self, answerers: Sequence[Answerer]) -> None:
        """Publish several functions."""
        for answerer in answerers:
            self.publish(answerer)

    @abstractmethod
    def withdraw(self, function: str) -> None:
        """Take a published function's names out of the engine's own SQL."""

    @abstractmethod
    def publish_generic(self, answerers: Mapping[str, Answerer]) -> None:
        """Let the engine's own `predict('f', ...)` find these functions, by their casefolded names."""

    @abstractmethod
    def owner_of(self, name: str) -> str | None:
        """What, not being sqlml's, already answers to that function name; None where nothing does."""

    @abstractmethod
    def shows_catalog(self) -> bool:
        """Whether the catalog's tables are readable, as this session last put them there."""

    @abstractmethod
    def show_catalog(self, tables: Mapping[str, pa.Table]) -> None:
        """Make the catalog's tables readable as `sqlml.<name>`."""

    @abstractmethod
    def add_source(self, name: str, path: str) -> None:
        """Make Parquet files readable as a table of that name: a file, or a folder and what is below it.

        Raises:
            EngineError: there are none.
        """

    @abstractmethod
    def show_files(self, name: str, files: Files, *, file_names: str | None = None) -> str:
        """Make files readable as a table; gives what stands for it in a FROM clause.

        Args:
            name: what tells these files from any others.
            files: the files, or none.
            file_names: a column to add: the path of the file that a row lies in.
        """

    @abstractmethod
    def show_latest(self, schema: str, tables: Mapping[str, Files]) -> None:
        """Make tables readable as `schema.<name>` in the engine's own SQL, too, where it can have such."""

    @abstractmethod
    def rows(self, text: str, parameters: Parameters = None) -> Any:
        """Run a statement; gives the engine's own relation, or None where there are no rows to read.

        Raises:
            EngineError: the engine refused it.
        """

    def profile(self, _text: str, _names: Sequence[str]) -> Profile:
        """Run a query that calls these registered functions, whose rows nobody wants, and count.

        Raises:
            Refused: the engine doesn't count.
            EngineError: the query failed.
        """
        raise Refused(f"{self.name} doesn't say what a query has read: its own pages show it")

    @abstractmethod
    def batches(self, text: str, rows: int) -> Iterator[pa.RecordBatch]:
        """A query's rows, about so many at a time; raises EngineError."""

    @abstractmethod
    def write(self, text: str, folder: str, partition_by: Sequence[str] = (), *, by_files: bool = True) -> Written:
        """Write a query's rows as Parquet files into a folder that is not there yet.

        Args:
            text: the query, as the engine gets it.
            folder: where the files go; a failure may leave some.
            partition_by: columns whose values become folders, `name=value`, and are left out of the files.
            by_files: whether an engine may answer file by file.

        Raises:
            EngineError: the engine refused it.
        """

    @abstractmethod
    def way(self, text: str) -> tuple[str, str]:
        """How `write` would write a query, `rows` or `files`, and why."""

    @abstractmethod
    def table(self, rows: pa.Table) -> Any:
        """An Arrow table as the engine's own relation."""

    @abstractmethod
    def relation(self, result: Any) -> Any:
        """What `rows` gave, as a relation of DuckDB's: what prints and writes rows reads that."""

    @abstractmethod
    def tables(self) -> list[str]:
        """The tables and views that a statement can name."""

    @abstractmethod
    def error(self, error: BaseException) -> SqlmlError | None:
        """The engine's own exception as one of sqlml's; None where it is not the engine's."""

    @abstractmethod
    def unknown_function(self, error: SqlmlError) -> str | None:
        """The name that the engine's complaint says no function has; None where it complains of something else."""

    @abstractmethod
    def in_transaction(self) -> bool:
        """Whether the user has begun a transaction: what is made in it goes when it is rolled back."""

    @abstractmethod
    def interrupt(self) -> None:
        """Stop the statement that runs now; from another thread."""

    @abstractmethod
    def cursor(self) -> Engine:
        """A second connection to the same data, for another thread."""

    @abstractmethod
    def close(self) -> None:
        """Take everything of sqlml's out of the engine; close the connection if it is sqlml's own."""
