"""What the catalog knows of a project's tables, as it is exported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from sqlml.catalog import Function, PredictionTable
from sqlml.query.calls import SUFFIXES
from sqlml.query.snapshots import references
from sqlml.query.statements import read
from sqlml.query.tables import CreatePredictionTable
from sqlml.query.text import tokenize
from sqlml.tables.exports.exported import Exported
from sqlml.tables.options import retries, timeout
from sqlml.tables.schedule import Schedule


def exported(
    tables: Iterable[PredictionTable],
    functions: Iterable[Function],
    engine: Literal["duckdb", "spark"],
    time_zone: str,
) -> list[Exported]:
    """The tables as others must know them.

    Args:
        tables: all that there are.
        functions: all that there are.
        engine: of tables that name none.
        time_zone: of schedules that name none.
    """
    names = {f"{one.name}{suffix}".casefold(): one for one in functions for suffix in SUFFIXES}
    return [_exported(table, names, engine, time_zone) for table in tables]


def _exported(
    table: PredictionTable, names: Mapping[str, Function], engine: Literal["duckdb", "spark"], time_zone: str
) -> Exported:
    (statement,) = read(table.text, table.dialect)
    assert isinstance(statement, CreatePredictionTable)
    called = _called(table, names)
    return Exported(
        name=table.name,
        schedule=None if table.schedule is None else Schedule.parse(table.schedule, table.zone or time_zone),
        reads=references(table.query, table.dialect),
        retries=retries(statement),
        timeout_seconds=max(1, round(timeout(statement).total_seconds())),
        engine=engine if table.engine is None else "spark" if table.engine == "spark" else "duckdb",
        functions=tuple(sorted((one.name, one.reference) for one in called.values())),
    )


def _called(table: PredictionTable, names: Mapping[str, Function]) -> dict[str, Function]:
    """The functions whose names stand in a query: as a call, in quotes as in `predict('f@alias', ...)`, behind MODEL.

    It may be one too many, whose name is a column's or a value's too: that it follows its alias does no harm.
    """
    words = (token.text.casefold() for token in tokenize(table.query, table.dialect) or [])
    found = (names.get(word.partition("@")[0].partition("/")[0]) for word in words)
    return {one.name: one for one in found if one is not None}
