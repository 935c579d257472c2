"""Which tables are to be refreshed for which slot, and in which order, as data: no clock, no process."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Literal

from sqlml.catalog.table_records import PredictionTable
from sqlml.query.snapshots import references
from sqlml.query.statements import read
from sqlml.query.tables import CreatePredictionTable
from sqlml.tables import schedule
from sqlml.tables.options import retries, timeout
from sqlml.tables.schedule import Schedule, order

_TICK = timedelta(microseconds=1)

State = Literal["ready", "waiting", "running", "elsewhere", "resting", "failed", "skipped"]
"""Of a table that is due. It waits for one that it reads, or is skipped where that failed; another process is at work
on it elsewhere; after a try that failed it rests, and after its last one it has failed."""


@dataclass(frozen=True)
class Scheduled:
    """A table with a schedule.

    Attributes:
        reads: the casefolded names of the tables that its query reads.
        timeout: how long one try of a refresh may take.
        retries: how often one that failed is tried again.
        engine: what refreshes it, where its declaration says so.
        created: when it was declared.
        answered: up to which moment its schedule is answered; None: it never was.
    """

    name: str
    schedule: Schedule
    reads: frozenset[str]
    timeout: timedelta
    retries: int
    engine: str | None
    created: datetime
    answered: datetime | None

    @property
    def key(self) -> str:
        """Its name in the case that names are compared in."""
        return self.name.casefold()

    @property
    def since(self) -> datetime:
        """What is up to this moment is no longer, or never was, to be done."""
        return self.answered or self.created


@dataclass(frozen=True)
class Due:
    """A table that is to be refreshed for a slot.

    Attributes:
        after: the tables that it reads and that are to be refreshed for that slot too: they come first.
    """

    table: Scheduled
    slot: datetime
    after: tuple[str, ...] = ()

    @property
    def missed(self) -> int:
        """How many older slots the one refresh answers as well."""
        return schedule.missed(self.table.schedule, self.table.answered, self.table.created, self.slot)


@dataclass(frozen=True)
class Step:
    """What is to be done with a table that is due; `because` names the tables that it waits for, or that failed it."""

    due: Due
    state: State
    because: tuple[str, ...] = ()


def scheduled(
    tables: Sequence[PredictionTable], answered: Mapping[str, datetime], time_zone: str
) -> dict[str, Scheduled]:
    """The tables that have a schedule, by casefolded name; each after those that it reads.

    Args:
        tables: all that there are.
        answered: up to which moment each one's schedule is answered, by casefolded name.
        time_zone: of schedules that name none.

    Raises:
        TableCycle: some read each other.
    """
    found = {}
    for table in tables:
        if table.schedule is not None:
            key = table.name.casefold()
            declared = _declared(table.text, table.query, table.dialect, table.schedule, table.zone or time_zone)
            found[key] = Scheduled(table.name, *declared, table.engine, table.created_at, answered.get(key))
    return {key: found[key] for key in chain(*order({key: one.reads for key, one in found.items()}))}


# A process that waits for the next slot asks again and again, and most declarations stay as they are.
@functools.lru_cache(maxsize=4096)
def _declared(
    text: str, query: str, dialect: str, cron: str, zone: str
) -> tuple[Schedule, frozenset[str], timedelta, int]:
    (statement,) = read(text, dialect)
    assert isinstance(statement, CreatePredictionTable)
    reads = frozenset(references(query, dialect))
    return Schedule.parse(cron, zone), reads, timeout(statement), retries(statement)


def due(tables: Mapping[str, Scheduled], now: datetime) -> list[Due]:
    """What is to be refreshed at a moment, in the order of the tables.

    A table waits for those that it reads, where they are due for its slot too. One that reads a table which is never
    done before it is due again would wait for ever: it takes what that table has had since its own last refresh.
    """
    found = []
    for table in tables.values():
        newest = schedule.due(table.schedule, table.answered, table.created, now)
        if newest is None:
            continue
        late = [tables[name] for name in sorted(table.reads & tables.keys()) if _is_behind(tables[name], newest)]
        covered = _covered(table, late)
        if covered is None:
            found.append(Due(table, newest, tuple(one.name for one in late)))
        else:
            found.append(Due(table, covered))
    return found


def _is_behind(table: Scheduled, moment: datetime) -> bool:
    return schedule.due(table.schedule, table.answered, table.created, moment) is not None


def _covered(table: Scheduled, late: Collection[Scheduled]) -> datetime | None:
    """The slot that a table can be refreshed for as it is, where one that it reads has news for it."""
    if not any(one.answered is not None and one.answered > table.since for one in late):
        return None
    slot = table.schedule.previous(min(one.schedule.next(one.since) for one in late) - _TICK)
    return slot if slot > table.since else None


def steps(found: Sequence[Due], marks: Mapping[str, State]) -> list[Step]:
    """What is to be done with what is due, in the same order.

    Args:
        found: in an order in which tables come after those that they read.
        marks: what has become of some for the slot that they are due for, by casefolded name.
    """
    made: dict[str, Step] = {}
    for one in found:
        state = marks.get(one.table.key)
        before = [made[name.casefold()] for name in one.after if name.casefold() in made]
        failed = tuple(step.due.table.name for step in before if step.state in ("failed", "skipped"))
        if state is not None:
            step = Step(one, state)
        elif failed:
            step = Step(one, "skipped", failed)
        elif before:
            step = Step(one, "waiting", tuple(step.due.table.name for step in before))
        else:
            step = Step(one, "ready")
        made[one.table.key] = step
    return list(made.values())


def with_what_they_read(tables: Mapping[str, Scheduled], names: Collection[str]) -> dict[str, Scheduled]:
    """Some of the tables, with those that they read, and what those read in turn; in the same order."""
    wanted = {name.casefold() for name in names}
    for key in reversed(list(tables)):
        if key in wanted:
            wanted |= tables[key].reads
    return {key: one for key, one in tables.items() if key in wanted}
