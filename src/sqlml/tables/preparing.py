"""A table's declaration against the data and the models as they are: what each window of a refresh has in common."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from sqlml.catalog import PredictionTable, Snapshot
from sqlml.planner import Plan
from sqlml.query.statements import read
from sqlml.query.tables import CreatePredictionTable
from sqlml.tables.declaration import Declared, declared
from sqlml.tables.desk import Desk
from sqlml.tables.job import table_schema, versions_of


@dataclass(frozen=True)
class Prepared:
    """A table's declaration against the data and models as they are: what each window of a refresh has in common."""

    table: PredictionTable
    declared: Declared
    text: str
    plan: Plan
    pinned: Snapshot
    found: pa.Schema

    @property
    def versions(self) -> dict[str, dict[str, str]]:
        """The versions that answer."""
        return versions_of(self.plan)

    @property
    def schema(self) -> pa.Schema:
        """The columns that its table should have."""
        return table_schema(self.declared.schema, self.versions)


def statement_of(table: PredictionTable) -> CreatePredictionTable:
    """A table's declaration, read again."""
    (found,) = read(table.text, table.dialect)
    assert isinstance(found, CreatePredictionTable)
    return found


def prepare(desk: Desk, table: PredictionTable, statement: CreatePredictionTable | None = None) -> Prepared:
    """Plan a table's query and check its declaration, writing nothing; raises SqlmlError."""
    statement = statement or statement_of(table)
    text = desk.reading.readable(statement.query)
    # Once to know which versions it names, some of which may be new to the catalog; once with these pinned.
    desk.planning.plan(text)
    pinned = desk.snapshot()
    plan = desk.planning.plan(text, pinned=pinned)
    found = desk.engine.schema(plan.sql)
    # The zone that a table was declared in stays its own, whatever a later session's is.
    held = declared(statement, found, table.dialect, table.zone or desk.time_zone)
    return Prepared(table, held, text, plan, pinned, found)
