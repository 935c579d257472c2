"""A result, read once and in pieces: each column cast inside the engine to what Python can hold without a loss.

Arrow has no place for an INTERVAL's text, an infinite date or a whole UHUGEINT (it wraps), so the engine that knows
the type writes it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import pyarrow as pa

from sqlml.errors import EngineError, SqlmlError
from sqlml.query.text import identifier
from sqlml.session import Session

BATCH_ROWS = 10_000

# Python has these as they are. A FLOAT is not among them: as a double, 1.1 would be 1.100000023841858.
_WHOLE = frozenset(
    {"boolean", "tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger", "ubigint", "double"}
)
_LARGE = frozenset({"hugeint", "uhugeint", "bignum"})


class Column(NamedTuple):
    """A column's name, the type that the engine casts it to, and what makes the value of that; None for neither."""

    name: str
    cast: str | None
    convert: Callable[[Any], Any] | None = None


class Result:
    """A session's relation, with the session's way of naming what goes wrong while it is read."""

    def __init__(self, session: Session, relation: Any) -> None:
        self._session, self.relation = session, session.relation(relation)
        self.names: list[str] = list(self.relation.columns)
        self.types: list[Any] = list(self.relation.types)

    def texts(self) -> list[Column]:
        """Every column as the engine's own text."""
        return [Column(name, "VARCHAR") for name in self.names]

    def values(self) -> list[Column]:
        """Every column as what JSON holds: numbers, text, lists and objects."""
        return [Column(name, *_wire(type_)) for name, type_ in zip(unique(self.names), self.types, strict=True)]

    def rows(self, columns: Sequence[Column]) -> Iterator[list[tuple[Any, ...]]]:
        """The rows, some thousands at a time."""
        with self.batches(columns) as (_, batches):
            for batch in batches:
                yield list(zip(*map(_values, columns, batch.columns), strict=True))

    @contextmanager
    def batches(
        self, columns: Sequence[Column], rows: int = BATCH_ROWS
    ) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
        """The rows as Arrow batches of the columns' casts, whose names mean nothing, to be read in the body."""
        casts = ", ".join(
            f"CAST(#{number} AS {column.cast})" if column.cast else f"#{number}"
            for number, column in enumerate(columns, 1)
        )
        with self._mapped():
            reader = self.relation.project(casts).to_arrow_reader(rows)
        try:
            yield reader.schema, self._read(reader)
        finally:
            # What isn't read to its end keeps the connection busy.
            reader.close()

    def _read(self, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        while True:
            with self._mapped():
                try:
                    batch = reader.read_next_batch()
                except StopIteration:
                    return
            yield batch

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except SqlmlError:
            raise
        except Exception as error:
            # Arrow hands on an engine's error as an error of its own, of a class that says nothing.
            raise self._session.engine_error(error) or EngineError(message=str(error)) from error


def unique(names: Sequence[str]) -> list[str]:
    """Names of which no two are equal: what DuckDB's tables are given.

    Example:
        >>> unique(["a", "b", "a", "a"])
        ['a', 'b', 'a_1', 'a_2']
    """
    found: list[str] = []
    for name in names:
        fresh, number = name, 0
        while fresh in found or (number and fresh in names):
            number += 1
            fresh = f"{name}_{number}"
        found.append(fresh)
    return found


def _values(column: Column, array: pa.Array) -> list[Any]:
    values: list[Any] = array.to_pylist()
    convert = column.convert
    return values if convert is None else [None if value is None else convert(value) for value in values]


def _wire(type_: Any) -> tuple[str, Callable[[Any], Any] | None]:
    """The cast of a type, and what makes JSON's value of that; a type that isn't known goes as its text."""
    name = type_.id
    if name in _WHOLE:
        return str(type_), None
    if name in _LARGE:
        return "VARCHAR", int
    if name == "float":
        return "VARCHAR", float
    if str(type_) == "JSON":
        return "VARCHAR", json.loads
    if name in ("list", "array"):
        cast, convert = _wire(dict(type_.children)["child"])
        return f"{cast}[]", None if convert is None else lambda items: [_apply(convert, item) for item in items]
    if name == "struct":
        return _wire_struct(type_)
    if name == "map":
        cast, convert = _wire(dict(type_.children)["value"])
        return f"MAP(VARCHAR, {cast})", lambda pairs: {key: _apply(convert, value) for key, value in pairs}
    return "VARCHAR", None


def _wire_struct(type_: Any) -> tuple[str, Callable[[Any], Any]]:
    parts = [(name, *_wire(child)) for name, child in type_.children]
    cast = ", ".join(f"{identifier(name)} {part}" for name, part, _ in parts)
    converts = {name: convert for name, _, convert in parts}
    return f"STRUCT({cast})", lambda held: {name: _apply(converts[name], value) for name, value in held.items()}


def _apply(convert: Callable[[Any], Any] | None, value: Any) -> Any:
    return value if convert is None or value is None else convert(value)
