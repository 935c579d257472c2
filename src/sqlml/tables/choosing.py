"""Which windows of a table a request means: what is missing, stale, in a range or over by now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlml.catalog import TableWindow
from sqlml.errors import BadRefresh
from sqlml.query.tables import Bound as Written
from sqlml.query.text import identifier
from sqlml.tables.asked import Request
from sqlml.tables.declaration import Declared, bound, now_as
from sqlml.tables.desk import Desk
from sqlml.tables.preparing import Prepared
from sqlml.tables.running import OPEN
from sqlml.tables.windows import Bound, Window, Windows, due


def windows_to_do(desk: Desk, prepared: Prepared, request: Request, *, is_full: bool) -> Sequence[Window | None]:
    """The windows that a request means, in order; of a table without windows, the whole.

    Raises:
        BadRefresh: a range of a table that has no windows.
        BadWindow: a range that is none of the column's.
    """
    held = prepared.declared
    if held.windows is None:
        if request.start is not None:
            reason = "it has no INCREMENTAL clause, and is computed as a whole: leave FROM and TO out"
            raise BadRefresh(table=held.name, reason=reason)
        if request.stale and not is_full and not stale(prepared, desk.tables.windows(held.name)):
            return []
        return [None]
    if request.stale and not is_full:
        keys = stale(prepared, desk.tables.windows(held.name))
        return sorted(window_of(held.windows, key) for key in keys)
    if request.start is not None and request.end is not None:
        start, end = (bound(one, held.windows.kind, held.zone) for one in (request.start, request.end))
        return _unpublished(desk, held, request, list(held.windows.between(start, end)))
    span = _span(desk, prepared, request.now or datetime.now(UTC))
    if span is None:
        return []
    first, until = span
    if is_full:
        return due(held.windows, first=first, until=until, done=set())
    most, known = held.catch_up, desk.tables.windows(held.name)
    found = due(
        held.windows,
        first=first,
        until=until,
        done=[key for key, one in known.items() if not is_open(one)],
        lookback=held.lookback,
        most=None if most == -1 else most,
    )
    if most != -1:
        return found
    newest = max((window_of(held.windows, key) for key in known), default=None)
    return [one for one in found if one.key in known or (one is found[-1] and (newest is None or one > newest))]


def is_open(window: TableWindow) -> bool:
    """Whether a window was published before it was over, so that it is to be computed once more."""
    return window.query_hash.endswith(OPEN)


def _unpublished(desk: Desk, held: Declared, request: Request, windows: list[Window]) -> list[Window]:
    """Of a range's windows those that the refreshes of the same range have not published since one of them was done."""
    if not request.resume:
        return windows
    done: set[str] = set()
    is_newest = True
    for before in desk.tables.refreshes(held.name, limit=None):
        same = (request.start and request.start.text, request.end and request.end.text)
        if before.kind != "range" or (before.range_from, before.range_to) != same or before.outcome == "running":
            continue
        if before.outcome == "done":
            # What it had to do it did; only what nobody has ever published is missing.
            done |= desk.tables.windows(held.name).keys() if is_newest else set()
            break
        is_newest = False
        runs = desk.tables.runs(held.name, refresh_id=before.refresh_id)
        done |= {one.window_key for one in runs if one.outcome in ("published", "already")}
    return [one for one in windows if one.key not in done]


def over_until(desk: Desk, prepared: Prepared, now: datetime) -> Bound | None:
    """Up to where no more rows are looked for: until now, or the largest integer that there is."""
    held = prepared.declared
    if held.windows is None:
        return None
    if held.windows.kind != "integer":
        return now_as(held.windows.kind, held.zone, now)
    bounds = _bounds(desk, prepared)
    return None if bounds is None else bounds[1]


def _bounds(desk: Desk, prepared: Prepared) -> tuple[Bound, Bound] | None:
    """The least and the largest value of the column that windows are made of; None where the query has no rows."""
    held = prepared.declared
    name = identifier(str(held.column), desk.engine.dialect)
    query = f"SELECT min({name}) AS a, max({name}) AS b FROM ({prepared.plan.sql}\n) AS __sqlml_query"
    (row,) = [row for batch in desk.engine.batches(query, 10) for row in batch.to_pylist()]
    return None if row["a"] is None else (_as_bound(row["a"]), _as_bound(row["b"]))


def _span(desk: Desk, prepared: Prepared, now: datetime) -> tuple[Bound, Bound] | None:
    """From where to where there can be whole windows with rows; None where the query has none."""
    held = prepared.declared
    assert held.windows is not None
    bounds = _bounds(desk, prepared)
    if bounds is None:
        return None
    least, most = bounds
    first = held.first if held.first is not None else least
    end = held.windows.of(most).end
    moment = now_as(held.windows.kind, held.zone, now)
    until = end if moment is None else min(end, moment)
    return (first, until) if first < until else None  # type: ignore[operator]


def _as_bound(value: Any) -> Bound:
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo is not None else value


def window_of(windows: Windows, key: str) -> Window:
    """A window by its key."""
    start, end = (bound(Written("text", text), windows.kind, UTC) for text in key.split("/"))
    return Window(start, end)


def stale(prepared: Prepared, known: dict[str, TableWindow]) -> dict[str, str]:
    """The windows that another query, or another version of a model, has made; and what it was."""
    now = prepared.versions
    found = {}
    for key, held in known.items():
        if held.query_hash.removesuffix(OPEN) != prepared.declared.query_hash:
            found[key] = "the query has changed"
            continue
        before = {name: (one["version"], one["digest"]) for name, one in held.versions.items()}
        moved = [
            f"{name} {before[name][0]} -> {one['version']}" if name in before else f"{name} is new"
            for name, one in now.items()
            if before.get(name) != (one["version"], one["digest"])
        ]
        if moved:
            found[key] = ", ".join(moved)
    return found
