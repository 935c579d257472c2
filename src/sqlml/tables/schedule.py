"""When a table is refreshed, computed from its cron and its zone alone: no clock, no catalog, no process.

A cron speaks of what a clock on the wall shows, and that clock jumps. A slot is the first moment at which it shows the
time or a later one: what a jump skips is due at the jump, what comes twice is due once. A cron of every hour is due
whenever the clock shows its minute: once an elapsed hour, but where the clock jumps by half an hour.
"""

from __future__ import annotations

import graphlib
import itertools
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from croniter import CroniterError, croniter

from sqlml.errors import BadCron, BadZone, TableCycle, did_you_mean

_FIELDS = {
    "minute": "0-59",
    "hour": "0-23",
    "day of a month": "1-31",
    "month": "1-12 or jan-dec",
    "day of a week": "0-7 or sun-sat",
}
_SECOND = timedelta(seconds=1)
# Where a search begins that would begin now, were it not told.
_START = datetime(2024, 1, 1)


@dataclass(frozen=True)
class Fields:
    """What a cron names, field by field.

    Attributes:
        minutes: 0 to 59, in order.
        hours: 0 to 23, in order.
        days: of the month; `-1` is the last one; None: any.
        months: None: any.
        weekdays: 0 is Sunday; None: any.
        nth: of some weekdays only these of the month, `-1` the last one; a weekday that is in it is not in `weekdays`.
        nearest: days of the month of which the nearest working day is meant.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...] | None
    months: tuple[int, ...] | None
    weekdays: tuple[int, ...] | None
    nth: Mapping[int, tuple[int, ...]]
    nearest: tuple[int, ...]

    @property
    def any_day(self) -> bool:
        """Whether it runs each day."""
        return self.days is None and self.months is None and self.weekdays is None


@dataclass(frozen=True)
class Schedule:
    """A cron of five fields, and the zone whose clock it goes by; made by `parse`."""

    cron: str
    zone: str = "UTC"

    def __str__(self) -> str:
        return f"'{self.cron}' in {self.zone}"

    @classmethod
    def parse(cls, cron: str, zone: str = "UTC") -> Schedule:
        """A schedule that is known to be one.

        Raises:
            BadCron: the text is no cron of five fields, or never comes.
            BadZone: there is no such zone.

        Example:
            >>> Schedule.parse("0 3  * * mon-fri", "America/New_York")
            Schedule(cron='0 3 * * mon-fri', zone='America/New_York')
        """
        fields = cron.split()
        if reason := _against(fields):
            raise BadCron(cron=cron, reason=reason)
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise BadZone(zone=zone, suggestion=did_you_mean(zone, sorted(available_timezones()))) from error
        return cls(" ".join(fields), zone)

    @property
    def fields(self) -> Fields:
        """The cron's fields, as lists of numbers."""
        found = croniter(self.cron, _START)
        minutes, hours, days, months, weekdays = (_numbers(values) for values in found.expanded)
        nth = {day: _numbers(sorted(which, key=str)) or () for day, which in found.nth_weekday_of_month.items()}
        return Fields(
            minutes=minutes or tuple(range(60)),
            hours=hours or tuple(range(24)),
            days=days,
            months=months,
            weekdays=None if weekdays is None else tuple(day for day in weekdays if day not in nth),
            nth=nth,
            # Older releases know no such days, and refuse them.
            nearest=tuple(sorted(getattr(found, "nearest_weekday", None) or ())),
        )

    @property
    def every_hour(self) -> bool:
        """Whether it runs in each hour of its days: it then goes by elapsed hours."""
        return len(self.fields.hours) == 24

    def slots(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """The moments in (after, until] at which it is due, in order and in UTC; each once.

        Example:
            >>> nightly = Schedule.parse("30 2 * * *", "Europe/Berlin")
            >>> for slot in nightly.slots(datetime(2024, 3, 30, tzinfo=UTC), datetime(2024, 4, 1, tzinfo=UTC)):
            ...     print(slot.astimezone(ZoneInfo("Europe/Berlin")))
            2024-03-30 02:30:00+01:00
            2024-03-31 03:00:00+02:00
        """
        return itertools.takewhile(lambda slot: slot <= until, self._after(after))

    def next(self, now: datetime) -> datetime:
        """The first slot after a moment."""
        return next(self._after(now))

    def previous(self, now: datetime) -> datetime:
        """The last slot up to a moment; the moment itself, where it is one."""
        zone, every_hour = ZoneInfo(self.zone), self.every_hour
        back = croniter(self.cron, _wall(now, zone), ret_type=datetime)
        found: list[datetime] = []
        while not found:
            found = _moments(back.get_prev(), zone, every_hour)
        # What the clock shows later may have come by now too, where a jump skipped it or an hour came twice.
        return list(self.slots(found[0] - _SECOND, now))[-1]

    def _after(self, after: datetime) -> Iterator[datetime]:
        last = after
        for moment in self._moments_from(after):
            if moment > last:
                yield moment
                last = moment

    def _moments_from(self, begin: datetime) -> Iterator[datetime]:
        """The moments from near `begin` on, in order; several times of a clock may be one moment."""
        zone, every_hour = ZoneInfo(self.zone), self.every_hour
        here = begin.astimezone(zone)
        # In the first pass of an hour that comes twice, the second is still to come, and its times are earlier ones.
        repeated = _offset(here) - _offset(here.replace(fold=1))
        second_pass: deque[datetime] = deque()
        for wall in self._walls(_wall(begin, zone) - repeated):
            moments = _moments(wall, zone, every_hour)
            while moments and second_pass and second_pass[0] < moments[0]:
                yield second_pass.popleft()
            yield from moments[:1]
            second_pass.extend(moments[1:])

    def _walls(self, begin: datetime) -> Iterator[datetime]:
        """What a clock shows that never jumps, from the day of `begin` on."""
        fields = self.fields
        # Days alone are asked for one by one: a library's search costs as much as twenty times of a day.
        days = croniter(" ".join(["0 0", *self.cron.split()[2:]]), begin.replace(hour=0, minute=0) - _SECOND)
        while True:
            day = days.get_next(datetime)
            for hour, minute in itertools.product(fields.hours, fields.minutes):
                yield day.replace(hour=hour, minute=minute)


def due(schedule: Schedule, last: datetime | None, created: datetime, now: datetime) -> datetime | None:
    """The slot that a table is to be refreshed for; None: it is as fresh as it should be.

    Args:
        schedule: the table's.
        last: the slot that was done last, if any.
        created: when the table was declared: what was before is none of its business.
        now: the moment of the question.

    Older slots that were missed are not made up for one by one: the newest one refreshes their windows too.
    """
    newest = schedule.previous(now)
    return newest if newest > (last or created) else None


def missed(schedule: Schedule, last: datetime | None, created: datetime, now: datetime) -> int:
    """How many slots went by undone before the one that is due."""
    return max(0, sum(1 for _ in schedule.slots(last or created, now)) - 1)


def order(names: Mapping[str, Collection[str]]) -> list[list[str]]:
    """Tables in levels: each after all those that it reads, by name within a level.

    Args:
        names: of each table the names that its query reads; those that are none of the tables are left out.

    Raises:
        TableCycle: some read each other.

    Example:
        >>> order({"weekly": ["daily"], "daily": ["flights"], "hourly": []})
        [['daily', 'hourly'], ['weekly']]
    """
    graph = {name: [read for read in reads if read in names] for name, reads in names.items()}
    sorter = graphlib.TopologicalSorter(graph)
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        raise TableCycle(cycle=_shown(error.args[1])) from error
    levels = []
    while level := sorter.get_ready():
        levels.append(sorted(level))
        sorter.done(*level)
    return levels


def backoff(attempt: int, base: float = 30, most: float = 900, random: Random | None = None) -> float:
    """Seconds to wait after an attempt that failed, the first being 1; twice as many each time.

    Args:
        attempt: which one failed.
        base: seconds after the first.
        most: never more seconds than this.
        random: what draws from the upper half of the wait, so that jobs that failed together don't come back together.

    Example:
        >>> [backoff(attempt) for attempt in (1, 2, 3, 20)]
        [30, 60, 120, 900]
    """
    # A float ends at 2 ** 1024.
    wait = min(most, base * 2 ** min(attempt - 1, 60))
    return wait if random is None else random.uniform(wait / 2, wait)


def _against(fields: list[str]) -> str:
    """Why fields are no cron, or nothing."""
    if len(fields) != len(_FIELDS):
        return f"it has {len(fields)} fields and needs {len(_FIELDS)} ({', '.join(_FIELDS)})"
    for place, (field, (name, values)) in enumerate(zip(fields, _FIELDS.items(), strict=True)):
        alone = " ".join(field if place == other else "*" for other in range(len(_FIELDS)))
        # R and H are a job's own random times: they would be others in each process.
        if field[0] in "rRhH" or not croniter.is_valid(alone):
            return f"'{field}' is no {name} ({values})"
    try:
        croniter(" ".join(fields), _START).get_next()
    except CroniterError as error:
        return f"it never comes ({error})"
    return ""


def _numbers(values: Collection[Any]) -> tuple[int, ...] | None:
    return None if "*" in values else tuple(-1 if value == "l" else value for value in values)


def _wall(moment: datetime, zone: ZoneInfo) -> datetime:
    """The minute that a clock in the zone shows."""
    return moment.astimezone(zone).replace(tzinfo=None, second=0, microsecond=0)


def _offset(moment: datetime) -> timedelta:
    return moment.utcoffset() or timedelta()


def _moments(wall: datetime, zone: ZoneInfo, every_hour: bool) -> list[datetime]:
    """When the clock's time is meant: at most two moments, in order."""
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first == second:
        return [first]
    skipped = first > second
    if every_hour:
        return [] if skipped else [first, second]
    return [_jump(second, first, zone)] if skipped else [first]


def _jump(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The second at which the clock jumps, between two moments."""
    old = before.astimezone(zone).utcoffset()
    while after - before > _SECOND:
        middle = before + (after - before) // _SECOND // 2 * _SECOND
        before, after = (middle, after) if middle.astimezone(zone).utcoffset() == old else (before, middle)
    return after


def _shown(cycle: list[str]) -> str:
    """A cycle as graphlib has it, from its first name on, each before what it reads."""
    ring = cycle[:0:-1]
    begin = ring.index(min(ring))
    return " -> ".join([*ring[begin:], *ring[:begin], ring[begin]])
