"""Two declarations of a prediction table, clause by clause: layout, comments and the case of names don't count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sqlml.catalog import Difference
from sqlml.query.snapshots import normalized
from sqlml.query.tables import CreatePredictionTable
from sqlml.tables.windows import Interval


class Clause(NamedTuple):
    """A clause as it is shown, and what tells it from another one."""

    shown: str
    meant: str


def differences(
    before: CreatePredictionTable, after: CreatePredictionTable, dialects: tuple[str, str], zone: str
) -> Iterator[Difference]:
    """What differs, in the order of the clauses.

    Args:
        before: the declaration that there is.
        after: the one that takes its place.
        dialects: in whose SQL each is written.
        zone: of a schedule that names none.

    Raises:
        BadInterval: a length that is none.
    """
    if before.name != after.name:
        yield Difference("name", before.name, after.name)
    old, new = (_clauses(one, dialect, zone) for one, dialect in zip((before, after), dialects, strict=True))
    for name in dict.fromkeys((*new, *old)):
        one, other = old.get(name), new.get(name)
        if (one and one.meant) != (other and other.meant):
            yield Difference(name, one and one.shown, other and other.shown)


def _clauses(statement: CreatePredictionTable, dialect: str, zone: str) -> dict[str, Clause]:
    """The clauses that a declaration has, by name."""
    found = {
        "query": Clause(statement.query, normalized(statement.query, dialect)),
        "partitioned by": _columns(statement.partition_by),
        "key": _columns(statement.key),
    }
    held = statement.incremental
    if held is not None:
        found["incremental on"] = _columns([held.column])
        found["every"] = _interval(held.every or "1 day")
        found["lookback"] = _interval(held.lookback)
        found["start"] = _text(held.start and held.start.text)
    if statement.cron:
        found["schedule"] = _text(f"{statement.cron} {statement.zone or zone}")
    audits = [str(one) for one in statement.audits]
    found["audit"] = Clause(", ".join(audits), ", ".join(sorted(audits)))
    found |= {key: _text(value) for key, value in statement.options.items()}
    return {name: clause for name, clause in found.items() if clause.shown}


def _columns(names: Sequence[str]) -> Clause:
    shown = ", ".join(names)
    return Clause(shown, shown.casefold())


def _interval(text: str | None) -> Clause:
    return _text(text and str(Interval.parse(text)))


def _text(text: str | None) -> Clause:
    return Clause(text or "", text or "")
