"""A crontab: a line for each table, and one for all that no line of its own woke."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from sqlml.errors import CannotExport
from sqlml.tables.exports.exported import Exported, Places, in_order
from sqlml.tables.schedule import Fields, Schedule

_HEAD = """\
# The prediction tables of a project. Written by `sqlml schedule export --cron`: write it again rather than change it.
# A line runs what is due, and nothing twice. CRON_TZ is read by cronie, not by the cron of Debian and Ubuntu.
"""
_REST = """
# Whatever was missed: the machine was off, a clock jumped, or this cron does not read CRON_TZ.
CRON_TZ=UTC
"""


def cron(tables: Sequence[Exported], places: Places) -> str:
    """The text of a crontab.

    Args:
        tables: the project's; those without a schedule have no line.
        places: where sqlml is called.

    Raises:
        CannotExport: a schedule has days that a crontab can't name.
        TableCycle: some tables read each other.
    """
    text = _HEAD
    for table in in_order(tables):
        if table.schedule is not None:
            command = _command(places, "schedule", "run", "--due", "--table", table.name)
            text += f"\nCRON_TZ={table.schedule.zone}\n{_when(table, table.schedule)} {command}\n"
    if text == _HEAD:
        return text
    return f"{text}{_REST}1 * * * * {_command(places, 'schedule', 'run', '--due')}\n"


def _command(places: Places, *words: str) -> str:
    """A line of shell as a crontab has it, where a percent sign would begin the command's input."""
    return f"cd {shlex.quote(str(places.project))} && {places.line(*words)}".replace("%", r"\%")


def _when(table: Exported, schedule: Schedule) -> str:
    """The five fields, without what this project's crons may say and a crontab may not."""
    fields = schedule.fields
    if reason := _against(fields):
        raise CannotExport(cron=schedule.cron, table=table.name, target="a crontab", reason=reason)
    every_minute = len(fields.minutes) == 60
    return " ".join(
        [
            _list(None if every_minute else fields.minutes),
            _list(None if schedule.every_hour else fields.hours),
            _list(fields.days),
            _list(fields.months),
            _list(fields.weekdays),
        ]
    )


def _against(fields: Fields) -> str:
    if fields.nth:
        return "a crontab knows no first or last weekday of a month"
    if fields.nearest:
        return "a crontab knows no nearest working day"
    if -1 in (fields.days or ()):
        return "a crontab knows no last day of a month"
    return ""


def _list(values: tuple[int, ...] | None) -> str:
    return "*" if values is None else ",".join(map(str, values))
