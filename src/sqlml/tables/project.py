"""The prediction tables that a project's files declare, and what `apply` does to have them so.

The files are read, and what needs no model is checked, before anything else; then each query is planned against the
functions and tables as they will be, in the order in which tables read each other. Only then is anything written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from sqlml.catalog import Change, Difference, PredictionTable, Snapshot, TableWindow
from sqlml.catalog.change import Action, removal
from sqlml.engines.engine import Engine
from sqlml.errors import BadFile, BadRefresh, UnknownTable, did_you_mean, quoted
from sqlml.planner import split_target
from sqlml.query.calls import SUFFIXES, find_calls
from sqlml.query.project import DeclaredTable, about
from sqlml.query.snapshots import At, references, with_snapshots
from sqlml.query.text import identifier, tokenize
from sqlml.query.typenames import sql_type
from sqlml.tables.choosing import stale
from sqlml.tables.desk import Desk, Plans
from sqlml.tables.differences import differences
from sqlml.tables.predictions import Predictions, fingerprint
from sqlml.tables.preparing import Prepared, statement_of
from sqlml.tables.reading import Reading
from sqlml.tables.schedule import order

_UNSEEN = {"name", "file", "comment"}
"""What may differ without any window coming out otherwise."""


@dataclass(frozen=True)
class Ahead:
    """The functions as they will be.

    Attributes:
        planning: plans statements for an engine, with those functions.
        snapshot: the catalog, with those functions.
        moved: the functions that another version will answer for, or that are new.
        dropped: those that go.
    """

    planning: Callable[[Engine], Plans]
    snapshot: Callable[[], Snapshot]
    moved: frozenset[str]
    dropped: tuple[str, ...]


@dataclass(frozen=True)
class TablesPlan:
    """What the files change: each change with its declaration, in the order of work; and the tables that go."""

    here: Predictions
    on: Callable[[str], Predictions]
    planned: tuple[tuple[Change, DeclaredTable], ...]
    removed: tuple[Change, ...]
    prune: bool

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes, those of removed tables last."""
        return (*(change for change, _ in self.planned), *self.removed)

    def apply(self) -> None:
        """Drop what is to go, and declare what is new or changed; nothing is computed."""
        for change in self.removed if self.prune else ():
            self.here.drop(change.name)
        for change, (file, statement, engine) in self.planned:
            if change.action in ("create", "change"):
                self.on(engine).create(replace(statement, replace=True), file=file)


def plan_tables(
    declared: Sequence[DeclaredTable],
    here: Predictions,
    on: Callable[[str], Predictions],
    ahead: Ahead,
    *,
    prune: bool,
) -> TablesPlan:
    """Find out what the files change; nothing is written.

    Args:
        declared: by the project's files.
        here: the tables, as the session sees them.
        on: the same, as a session on another engine does, by the engine's name.
        ahead: the functions as they will be.
        prune: whether tables that a file has declared, and no file declares now, are dropped.

    Raises:
        BadFile: what stands against a declaration.
        BadRefresh: a table that was made by hand needs what would be dropped.
        TableCycle: some tables would read each other.
    """
    held = {one.name.casefold(): one for one in here.desk.tables.all()}
    named = {one.statement.name.casefold(): one for one in declared}
    gone = [one for key, one in held.items() if one.file is not None and key not in named]
    reads = {key: references(one.query, one.dialect) for key, one in held.items()}
    reads |= {key: references(one.statement.query, one.engine) for key, one in named.items()}
    if prune:
        reads = {key: read for key, read in reads.items() if held.get(key) not in gone}
        by_hand = {key: held[key] for key in reads.keys() - named.keys()}
        _check_dropped(named, by_hand, reads, {one.name.casefold() for one in gone}, ahead.dropped)
    planner = _Planner(here.desk, held, [one.statement.name for one in declared], on, ahead)
    ordered = [named[key] for level in order(reads) for key in level if key in named]
    planned = tuple((planner.change(one), one) for one in ordered)
    removed = tuple(removal("table", one.name, one.file, prune=prune) for one in gone)
    return TablesPlan(here, on, planned, removed, prune)


def _check_dropped(
    named: Mapping[str, DeclaredTable],
    by_hand: Mapping[str, PredictionTable],
    reads: Mapping[str, Sequence[str]],
    tables: Collection[str],
    functions: Sequence[str],
) -> None:
    """Raise where a table that stays needs what goes."""
    for key, one in by_hand.items():
        if needed := _needed(one.query, one.dialect, reads[key], tables, functions):
            raise BadRefresh(table=one.name, reason=f"it needs {needed}, which --prune would drop")
    for key, (file, statement, dialect) in named.items():
        if needed := _needed(statement.query, dialect, reads[key], tables, functions):
            reason = f"'{statement.name}' needs {needed}, which no file declares and --prune would drop."
            raise BadFile(file=file, reason=reason)


def _needed(query: str, dialect: str, reads: Sequence[str], tables: Collection[str], functions: Sequence[str]) -> str:
    """The tables and functions among these that a query reads and calls, in quotes."""
    names = {f"{one}{suffix}".casefold(): (one, output) for one in functions for suffix, output in SUFFIXES.items()}
    calls = find_calls(query, tokenize(query, dialect) or [], names, dialect)
    wanted = {(split_target(call.target)[0] if call.generic else call.target).casefold() for call in calls}
    called = (one for one in functions if one.casefold() in wanted)
    return quoted([*(f"predictions.{name}" for name in reads if name in tables), *called])


class _Planner:
    """Says of one declaration after the other what it changes; each sees those before it as they will be."""

    def __init__(
        self,
        here: Desk,
        held: Mapping[str, PredictionTable],
        names: Sequence[str],
        on: Callable[[str], Predictions],
        ahead: Ahead,
    ) -> None:
        self._here = here
        self._held = held
        self._names = [*names, *(one.name for one in held.values())]
        self._on = on
        self._ahead = ahead
        self._desks: dict[str, Predictions] = {}
        self._schemas: dict[str, pa.Schema] = {}

    def change(self, one: DeclaredTable) -> Change:
        """What a declaration changes; raises BadFile."""
        file, statement, engine = one
        before = self._held.get(statement.name.casefold())
        with about(file):
            found = () if before is None else tuple(self._differences(before, one))
            if before is not None and not found and not self._may_call_others(statement.query):
                return Change("table", "unchanged", before.name, file)
            prepared = self._predictions(engine).check_alone(statement)
        self._schemas[statement.name.casefold()] = prepared.schema
        if before is None:
            fills = f"REFRESH PREDICTION TABLE {statement.name} fills it"
            return Change("table", "create", statement.name, file, means=(fills,))
        windows = self._here.tables.windows(before.name)
        means = tuple(_means(before, prepared, windows, found))
        if found:
            return Change("table", "change", statement.name, file, found, means)
        moved = any(call.target.function.name in self._ahead.moved for call in prepared.plan.calls)
        action: Action = "moved" if moved and means else "unchanged"
        return Change("table", action, before.name, file, means=means if moved else ())

    def _differences(self, before: PredictionTable, one: DeclaredTable) -> Sequence[Difference]:
        file, statement, engine = one
        dialects = (before.dialect, engine)
        found = list(differences(statement_of(before), statement, dialects, self._here.time_zone))
        if before.dialect != engine:
            found.append(Difference("dialect", before.dialect, engine))
        if before.file != file:
            found.append(Difference("file", before.file, file))
        return found

    def _may_call_others(self, query: str) -> bool:
        """Whether a query may call a function that another version will answer for, or that goes."""
        others = (*self._ahead.moved, *self._ahead.dropped)
        names = {f"{name}{suffix}".casefold() for name in others for suffix in SUFFIXES}
        return not names.isdisjoint(re.findall(r"\w+", query.casefold()))

    def _predictions(self, engine: str) -> Predictions:
        if engine not in self._desks:
            desk = self._on(engine).desk
            held = replace(
                desk,
                planning=self._ahead.planning(desk.engine),
                snapshot=self._ahead.snapshot,
                reading=_ReadingAhead(desk, self._schemas, self._names),
            )
            self._desks[engine] = Predictions(held)
        return self._desks[engine]


class _ReadingAhead(Reading):
    """Reads tables that are not there yet, or not as they will be, as tables without rows."""

    def __init__(self, desk: Desk, schemas: Mapping[str, pa.Schema], names: Sequence[str]) -> None:
        super().__init__(desk.engine, desk.tables, desk.time_zone)
        self._dialect = desk.engine.dialect
        self._schemas = schemas
        self._names = names

    def readable(self, text: str) -> str:
        return super().readable(with_snapshots(text, self._dialect, self._empty))

    def _empty(self, name: str, at: At | None) -> str | None:
        if name not in (one.casefold() for one in self._names):
            raise UnknownTable(name=name, suggestion=did_you_mean(name, self._names))
        if at is not None or name not in self._schemas:
            return None
        columns = (
            f"CAST(NULL AS {sql_type(field.type, self._dialect)}) AS {identifier(field.name, self._dialect)}"
            for field in self._schemas[name]
        )
        return f"(SELECT {', '.join(columns)} LIMIT 0)"


def _means(
    before: PredictionTable, prepared: Prepared, windows: dict[str, TableWindow], found: Sequence[Difference]
) -> Sequence[str]:
    """What a change means for the rows that are published."""
    if not windows or (found and _UNSEEN.issuperset(one.what for one in found)):
        return []
    late = stale(prepared, windows)
    if prepared.declared.windows is None:
        return ["the next refresh replaces it"] if found or late else []
    if before.needs_full or fingerprint(prepared) != before.fingerprint:
        return [f"must be rebuilt: REFRESH PREDICTION TABLE {before.name} FULL"]
    if late:
        why = ", ".join(sorted(set(late.values())))
        return [f"{len(late)} of {len(windows)} windows become stale ({why}): --stale restates them"]
    return ["new windows only"] if found else []
