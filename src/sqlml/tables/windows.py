"""The windows of an incremental table, computed from its declaration alone: no clock, no engine, no catalog.

A window holds the rows whose value of one column is in [start, end). Windows follow each other without a gap, from an
anchor on. Days, weeks, months and years are those of the calendar in the table's zone, so that one may be of 23 or 25
hours; hours, minutes and seconds are elapsed time.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Literal, get_args

from sqlml.errors import BadInterval, BadWindow, did_you_mean

Bound = int | date | datetime
"""A value of the column: an integer, a date, a timestamp without a zone, or one in UTC."""

Kind = Literal["integer", "date", "timestamp", "timestamptz"]
Unit = Literal["second", "minute", "hour", "day", "week", "month", "year"]

_ELAPSED: Mapping[str, timedelta] = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
}
_DAYS: Mapping[str, int] = {"day": 1, "week": 7}
_MONTHS: Mapping[str, int] = {"month": 1, "year": 12}
# 2001 began on a Monday, so that windows of a week begin on one.
_ANCHOR = date(2001, 1, 1)


@dataclass(frozen=True)
class Interval:
    """So many units; of a column of integers, so many of those."""

    count: int
    unit: Unit | None

    def __str__(self) -> str:
        return str(self.count) if self.unit is None else f"{self.count} {self.unit}{'s' if self.count != 1 else ''}"

    @classmethod
    def parse(cls, text: str, unit: str | None = None) -> Interval:
        """An interval as SQL has it: `INTERVAL '2' DAY` is `parse("2", "DAY")`, `INTERVAL '2 days'` `parse("2 days")`.

        Raises:
            BadInterval: it is none, or not longer than nothing.

        Example:
            >>> Interval.parse("2", "DAY"), Interval.parse("90 minutes"), Interval.parse("1000")
            (Interval(count=2, unit='day'), Interval(count=90, unit='minute'), Interval(count=1000, unit=None))
        """
        shown = f"{text} {unit or ''}".strip()
        found = re.fullmatch(r"\s*(\d+)\s*([A-Za-z]*)\s*", shown)
        if found is None or int(found[1]) == 0:
            raise BadInterval(value=shown, suggestion="")
        name = found[2].lower().removesuffix("s")
        if name and name not in get_args(Unit):
            raise BadInterval(value=shown, suggestion=did_you_mean(name, get_args(Unit)))
        return cls(int(found[1]), name or None)  # type: ignore[arg-type]


@dataclass(frozen=True, order=True)
class Window:
    """The rows from `start` on, and before `end`."""

    start: Bound
    end: Bound

    def __str__(self) -> str:
        return f"[{_shown(self.start)}, {_shown(self.end)})"

    @property
    def key(self) -> str:
        """What tells it from every other window of its table; the same however it was come by."""
        return f"{_shown(self.start)}/{_shown(self.end)}"


@dataclass(frozen=True)
class Windows:
    """All windows of a table.

    Attributes:
        kind: of the column.
        every: the length of each window.
        zone: whose calendar it is; what `timestamptz` alone depends on.
        anchor: where a window begins; None: a Monday, or 0.
    """

    kind: Kind
    every: Interval
    zone: tzinfo = UTC
    anchor: Bound | None = None

    def __post_init__(self) -> None:
        whole = self.every.unit in (*_DAYS, *_MONTHS)
        if (self.kind == "integer") != (self.every.unit is None) or (self.kind == "date" and not whole):
            raise BadWindow(value=self.every, kind=self.kind, reason=_TAKES[self.kind])
        if self.anchor is not None:
            self._check(self.anchor)

    def __getitem__(self, place: int) -> Window:
        """The window at a place, counted from the anchor; there are some before it, too."""
        return Window(self._boundary(place), self._boundary(place + 1))

    def place(self, value: Bound) -> int:
        """The place of the window that a value is in.

        Raises:
            BadWindow: it is of another type than the column.
        """
        place = self._estimate(self._check(value))
        while self._boundary(place) > value:  # type: ignore[operator]
            place -= 1
        while self._boundary(place + 1) <= value:  # type: ignore[operator]
            place += 1
        return place

    def of(self, value: Bound) -> Window:
        """The window that a value is in; raises BadWindow.

        Example:
            >>> print(Windows("date", Interval(1, "month")).of(date(2024, 2, 29)))
            [2024-02-01, 2024-03-01)
            >>> print(Windows("integer", Interval(1000, None)).of(-1))
            [-1000, 0)
        """
        return self[self.place(value)]

    def between(self, first: Bound, last: Bound) -> Iterator[Window]:
        """The windows that hold any value from `first` on and before `last`, in order; raises BadWindow.

        Example:
            >>> days = Windows("date", Interval(1, "day"))
            >>> [str(window) for window in days.between(date(2024, 2, 28), date(2024, 3, 1))]
            ['[2024-02-28, 2024-02-29)', '[2024-02-29, 2024-03-01)']
        """
        self._check(last)
        place = self.place(first)
        while self._boundary(place) < last:  # type: ignore[operator]
            yield self[place]
            place += 1

    def back(self, value: Bound, lookback: Interval) -> Bound:
        """The value so much before another; raises BadWindow where the interval is none of the column's."""
        Windows(self.kind, lookback, self.zone)
        if isinstance(value, int):
            return value - lookback.count
        return _plus(value, -lookback.count, lookback.unit, self.zone)

    def _boundary(self, place: int) -> Bound:
        anchor = self._anchor()
        if isinstance(anchor, int):
            return anchor + place * self.every.count
        return _plus(anchor, place * self.every.count, self.every.unit, self.zone)

    def _anchor(self) -> Bound:
        if self.anchor is not None:
            return self.anchor
        if self.kind == "integer":
            return 0
        if self.kind == "date":
            return _ANCHOR
        midnight = datetime(_ANCHOR.year, _ANCHOR.month, _ANCHOR.day)
        return midnight if self.kind == "timestamp" else midnight.replace(tzinfo=self.zone).astimezone(UTC)

    def _estimate(self, value: Bound) -> int:
        """A place near that of a value."""
        anchor, count, unit = self._anchor(), self.every.count, str(self.every.unit)
        if isinstance(anchor, int) and isinstance(value, int):
            return (value - anchor) // count
        assert not isinstance(anchor, int)
        assert not isinstance(value, int)
        if unit in _MONTHS:
            return ((value.year - anchor.year) * 12 + value.month - anchor.month) // (count * _MONTHS[unit])
        length = _ELAPSED[unit] if unit in _ELAPSED else timedelta(days=_DAYS[unit])
        return int((value - anchor) // (count * length))

    def _check(self, value: Bound) -> Bound:
        kinds = {int: "integer", date: "date", datetime: "timestamp"}
        kind = kinds.get(type(value), type(value).__name__)
        if isinstance(value, datetime) and value.tzinfo is not None:
            kind = "timestamptz"
        if kind != self.kind:
            raise BadWindow(value=_shown(value), kind=self.kind, reason=f"it is a {kind}")
        return value


_TAKES: Mapping[Kind, str] = {
    "integer": "windows of integers are so many of them, as EVERY 1000",
    "date": "windows of dates are days, weeks, months or years",
    "timestamp": "windows of timestamps are intervals, as EVERY INTERVAL '1' DAY",
    "timestamptz": "windows of timestamps are intervals, as EVERY INTERVAL '1' DAY",
}


def due(
    windows: Windows,
    *,
    first: Bound,
    until: Bound,
    done: Collection[str],
    lookback: Interval | None = None,
    most: int | None = None,
) -> list[Window]:
    """What a refresh at some moment has to compute, in order.

    Args:
        windows: the table's.
        first: where the table begins.
        until: up to where the source is complete: a window that reaches beyond it waits.
        done: the keys of the windows that are published.
        lookback: of the published windows those that reach into so much before `until` are due again, for rows that
            came late.
        most: no more windows than this, the oldest first; those of the lookback are not counted.

    Raises:
        BadWindow: a value or interval that is none of the column's.

    Example:
        >>> days = Windows("date", Interval(1, "day"))
        >>> found = due(days, first=date(2024, 1, 1), until=date(2024, 1, 5),
        ...             done={"2024-01-01/2024-01-02", "2024-01-02/2024-01-03"}, lookback=Interval(3, "day"))
        >>> [str(window.start) for window in found]
        ['2024-01-02', '2024-01-03', '2024-01-04']
    """
    again = until if lookback is None else windows.back(until, lookback)
    complete = [window for window in windows.between(first, until) if window.end <= until]  # type: ignore[operator]
    missing = [window for window in complete if window.key not in done][:most]
    late = [window for window in complete if window.key in done and window.end > again]  # type: ignore[operator]
    return sorted([*missing, *late])


def _plus(value: date | datetime, count: int, unit: str | None, zone: tzinfo) -> date | datetime:
    """A moment so many units later: by the clock for elapsed time, else by the zone's calendar."""
    assert unit is not None
    if unit in _ELAPSED:
        return value + count * _ELAPSED[unit]
    if isinstance(value, datetime) and value.tzinfo is not None:
        local = value.astimezone(zone).replace(tzinfo=None)
        moved = _calendar(local, count, unit)
        assert isinstance(moved, datetime)
        # A time of day that the clock jumps over is the moment of the jump: fold=0 counts from before it.
        return moved.replace(tzinfo=zone).astimezone(UTC)
    return _calendar(value, count, unit)


def _calendar(value: date | datetime, count: int, unit: str) -> date | datetime:
    if unit in _DAYS:
        return value + timedelta(days=count * _DAYS[unit])
    months = value.year * 12 + value.month - 1 + count * _MONTHS[unit]
    year, month = divmod(months, 12)
    return value.replace(year=year, month=month + 1, day=min(value.day, calendar.monthrange(year, month + 1)[1]))


def _shown(value: Bound) -> str:
    """A bound as text: ISO 8601, in UTC with a Z."""
    if isinstance(value, datetime):
        text = value.replace(tzinfo=None).isoformat()
        return f"{text}Z" if value.tzinfo is not None else text
    return str(value)
