"""Units of systemd: a timer and a service for each table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlml.errors import CannotExport
from sqlml.tables.exports.exported import Exported, Places, in_order, plain
from sqlml.tables.schedule import Fields, Schedule, backoff

_SERVICE = """\
[Unit]
Description=Refresh the prediction table {name}
{after}
[Service]
Type=oneshot
WorkingDirectory={project}
ExecStart={command}
TimeoutStartSec={seconds}
"""
_TIMER = """\
[Unit]
Description=When the prediction table {name} is due

[Timer]
{calendar}Persistent=true
Unit={unit}.service

[Install]
WantedBy=timers.target
"""

_WEEKDAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
# The years that the rules of a zone are looked through for jumps: those that the database lists one by one end in 2037.
_YEARS = (2024, 2038)
_DAY, _SECOND = timedelta(days=1), timedelta(seconds=1)


def systemd(tables: Sequence[Exported], places: Places) -> dict[str, str]:
    """The texts of unit files by their names.

    Args:
        tables: the project's; those without a schedule have a service and no timer.
        places: where sqlml is called.

    A service runs what is due and tries again by itself, so that a timer may wake it once too often. It waits for the
    services of the tables that it reads where these are about to run.

    Raises:
        CannotExport: a schedule has days that systemd can't name.
        TableCycle: some tables read each other.
    """
    units = {table.name: f"sqlml-{places.label}-{plain(table.name)}" for table in in_order(tables)}
    files = {}
    for table in in_order(tables):
        unit = units[table.name]
        after = "".join(f"After={units[name]}.service\n" for name in sorted(units.keys() & set(table.reads)))
        by_hand, on_time = ("tables", "refresh"), ("schedule", "run", "--due", "--table")
        words = (*places.command, *(by_hand if table.schedule is None else on_time), table.name)
        files[f"{unit}.service"] = _SERVICE.format(
            name=_text(table.name),
            after=after,
            project=_text(str(places.project)),
            command=" ".join(map(_word, words)),
            seconds=_seconds(table),
        )
        if table.schedule is not None:
            calendar = "".join(f"OnCalendar={line}\n" for line in _calendar(table, table.schedule))
            files[f"{unit}.timer"] = _TIMER.format(name=_text(table.name), calendar=calendar, unit=unit)
    return files


def _seconds(table: Exported) -> int:
    """How long all tries may take, with the waits between them; and a minute for what comes before and after."""
    waits = sum(backoff(attempt) for attempt in range(1, table.retries + 1))
    return int(table.timeout_seconds * (table.retries + 1) + waits) + 60


def _text(value: str) -> str:
    """A value in which a percent sign begins nothing."""
    return value.replace("%", "%%").replace("\n", " ")


def _word(value: str) -> str:
    """A word of a command line; systemd reads it without a shell."""
    quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return '"' + quoted.replace("%", "%%").replace("$", "$$") + '"'


def _calendar(table: Exported, schedule: Schedule) -> list[str]:
    """All moments of a schedule, as systemd writes them, and perhaps a few more.

    Of a schedule of every hour of some days one moment may come an hour late: the second pass of an hour that comes
    twice, which systemd leaves out. Of every hour of all days none is, for UTC has no such hours.
    """
    fields = schedule.fields
    if fields.nearest:
        reason = "systemd knows no nearest working day"
        raise CannotExport(cron=schedule.cron, table=table.name, target="systemd", reason=reason)
    if schedule.every_hour and fields.any_day:
        return [f"*-*-* *:{_list(_minutes_in_utc(schedule))}:00 UTC"]
    hours = "*" if schedule.every_hour else _list(fields.hours)
    clocks = [f"{hours}:{_list(fields.minutes)}:00", *(f"{jump:%H:%M}:00" for jump in _jumps(schedule))]
    return [f"{days} {clock} {schedule.zone}" for clock in clocks for days in _days(fields)]


def _days(fields: Fields) -> Iterator[str]:
    """The days of a cron: those of the month and those of the week, where it names both."""
    months = "*" if fields.months is None else _list(fields.months)
    if fields.days is None and fields.weekdays is None:
        yield f"*-{months}-*"
    if days := [day for day in fields.days or () if day > 0]:
        yield f"*-{months}-{_list(days)}"
    if -1 in (fields.days or ()):
        yield f"*-{months}~01"
    if fields.weekdays:
        yield f"{','.join(_WEEKDAYS[day] for day in fields.weekdays)} *-{months}-*"
    for weekday, which in fields.nth.items():
        for nth in which:
            days_of = f"-{7 * nth - 6:02}..{min(7 * nth, 31):02}" if nth > 0 else "~07/1"
            yield f"{_WEEKDAYS[weekday]} *-{months}{days_of}"


def _jumps(schedule: Schedule) -> list[datetime]:
    """The times of a clock that a jump leads to, where it skips one of the schedule's: systemd would skip the day."""
    zone, fields = ZoneInfo(schedule.zone), schedule.fields
    found = {}
    day, end = (datetime(year, 1, 1) for year in _YEARS)
    while day < end:
        here, there = day.replace(tzinfo=zone), (day + _DAY).replace(tzinfo=zone)
        if (here.utcoffset() or timedelta()) < (there.utcoffset() or timedelta()):
            for slot in schedule.slots(here.astimezone(UTC) - _SECOND, there.astimezone(UTC)):
                local = slot.astimezone(zone)
                if local.hour not in fields.hours or local.minute not in fields.minutes:
                    found[local.hour, local.minute] = local
        day += _DAY
    return [found[clock] for clock in sorted(found)]


def _minutes_in_utc(schedule: Schedule) -> list[int]:
    """The minutes of an hour at which the clock of a zone shows those of a schedule, before and after its jumps."""
    zone = ZoneInfo(schedule.zone)
    months = [datetime(year, month, 1, tzinfo=zone) for year in range(*_YEARS) for month in range(1, 13)]
    shifts = {(month.utcoffset() or timedelta()) // timedelta(minutes=1) for month in months}
    return sorted({(minute - shift) % 60 for minute in schedule.fields.minutes for shift in shifts})


def _list(values: Sequence[int]) -> str:
    return ",".join(f"{value:02}" for value in values)
